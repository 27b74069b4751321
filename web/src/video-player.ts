/** What all ways of playing a stream share: the <video>, its figures, what the page's controls ask for. */

import type { Stream } from "./api";
import { backBy, firstKept } from "./back";
import { edgeNow } from "./edge-clock";
import type { Mode } from "./modes";
import type { Facts, Kind, Phase } from "./recovery";
import { Failures, UNDECODABLE_MS } from "./ws/pacing";

export const TICK_MS = 500;
/** The last chunk may be so long, and players stop a little before its end. */
const MORE_MS = 2500;
/** Where nothing is ahead, the last is further off. */
const DRY_S = 0.1;
const DRY_MORE_MS = 10_000;
/** It has moved within so long. */
const MOVES_S = 1.2;
/** Who goes on to a moment that is no older, goes to live. */
const LATE_MS = 1000;
const MOVED_S = 0.02;
/** So near the place at the live edge it is there. */
const NEAR_LIVE_S = 1;
const SOUND_COMES_S = 3;
/** The edge is asked so long what there is. */
const ASKS_MS = 3000;
/** So long it stands at the keyframe before the moment that it was sent to. */
const HOLDS_S = 10;
/** Browsers round: so far behind a picture's very begin it is that picture's, and a seek is one. */
export const LEAST_S = 0.001;
/** Of a stream that has ended, so much of the last is played by who wants it live. */
export const ENDED_MS = 2000;

export interface Choice {
  id: number;
  label: string;
}

export interface Stats {
  phase: Phase;
  mode: Mode;
  currentTime: number;
  /** Capture to presentation by the stream's own dates; by the playlist's edge where there are none. */
  latency_s: number | null;
  /** Distance behind the live edge. */
  behind_live_s: number | null;
  target_latency_s: number | null;
  buffer_s: number;
  bitrate_bps: number;
  stalls: number;
  /** Of these, with everything that was published already played: the publisher paused. */
  stalls_at_edge: number;
  stalled_s: number;
  dropped: number;
  decoded: number;
  frame_rate: number;
  width: number;
  height: number;
  codecs: string;
  playback_rate: number;
  recoveries: number;
  playing_date: string | null;
  /** At the live edge, or on the way there; else somewhere in the past. */
  following: boolean;
  /** What is played without the other kind of track, which has paused. */
  alone: Kind | null;
  engine: "hls.js" | "dash.js" | "native" | "socket" | "none";
}

/** What the controls need, new every TICK_MS. */
export interface Snapshot {
  stats: Stats;
  unsupported: string | null;
  paused: boolean;
  muted: boolean;
  volume: number;
  following: boolean;
  /** Something is published now. */
  live: boolean;
  speed: number;
  window: { start: number; end: number } | null;
  qualities: Choice[];
  quality: number;
  audioTracks: Choice[];
  audioTrack: number;
}

/** Where to begin: live, or at a moment (Unix ms); and whether to play at once. */
export interface Begin {
  at: number | null;
  paused: boolean;
  speed: number;
}

export const AT_LIVE: Begin = { at: null, paused: false, speed: 1 };

type Told = Omit<Stats, "currentTime" | "dropped" | "decoded" | "frame_rate" | "width" | "height" | "mode"
  | "playback_rate" | "stalls" | "stalls_at_edge" | "stalled_s" | "recoveries" | "following" | "playing_date">;

export abstract class VideoPlayer {
  abstract readonly mode: Mode;
  /** The greatest speed that it plays at. */
  readonly fastest: number = 8;
  protected stream: Stream | null = null;
  protected listed = false;
  protected failures = 0;
  protected unsupported: string | null = null;
  protected started = false;
  protected following: boolean;
  protected speed: number;
  /** Where it is going, Unix ms; null for live. */
  protected aim: number | null;
  /** A moment amid a GOP, until what leads to it is there and it is shown; Unix ms. */
  protected reaching: number | null = null;
  /** What is shown is of before, until it is known what is to be loaded. */
  protected stale = false;
  /** It stands at the keyframe before that. */
  protected holds = false;
  /** All was played, and the browser has paused it. */
  private atEnd = false;
  /** The browser has paused it: by a media key, or with picture in picture. */
  protected stopped = false;
  protected stalls = 0;
  protected stallsAtEdge = 0;
  protected stalledSince = 0;
  private recoveries = 0;
  protected movedAt = 0;
  protected readonly ending = new AbortController();
  private wants = true;
  private stalledMs = 0;
  private lastTime = 0;
  /** The picture on the screen, in the <video>'s time; where none is told: null. */
  private picture: number | null = null;
  /** The one that was stepped to, until it is on the screen. */
  private next: number | null = null;
  private frames = { at: 0, decoded: 0, rate: 0 };
  private soughtAt = 0;
  /** The moment that it stood for last, and since when; Unix ms, and by the page's clock. */
  private heldFor: number | null = null;
  private heldSince = 0;
  /** Seconds back, one after the other, until it is sent elsewhere. */
  private backs: Promise<void> = Promise.resolve();
  private backing = new AbortController();
  private goesBack = false;
  private readonly decoding = new Failures();
  private readonly ticker: ReturnType<typeof setInterval>;

  constructor(
    readonly video: HTMLVideoElement,
    begin: Begin,
    private readonly onTick: (snapshot: Snapshot) => void,
  ) {
    this.following = begin.at === null;
    this.aim = begin.at;
    this.speed = begin.at === null ? 1 : begin.speed;
    this.wantsPlay = !begin.paused;
    const on = (name: string, act: () => void) => this.on(name, act);
    // Not what is told late of another player's source.
    const shows = () => video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && !this.stale;
    on("playing", () => {
      if (!shows()) return;
      this.started = true;
      this.movedAt = performance.now(); // it is about to
      this.plays();
      this.endStall();
    });
    // Paused before there was anything to see, or once there was and it had not begun to play.
    // A seek may take what was loaded away again before its event comes.
    for (const name of ["loadeddata", "seeked", "pause"]) {
      on(name, () => {
        if (!this.wantsPlay && shows()) this.started = true;
      });
    }
    on("timeupdate", () => {
      if (!video.seeking) this.endStall();
    });
    on("waiting", () => {
      if (!this.started || video.seeking || video.paused || this.stalledSince) return;
      this.stalls += 1;
      this.stalledSince = performance.now();
      if (this.waits()) this.stallsAtEdge += 1;
    });
    on("seeking", () => {
      this.soughtAt = performance.now();
      // Sent back from the end, where the browser has paused it.
      if (this.atEnd && this.wantsPlay && !video.ended) void this.play();
    });
    on("pause", () => {
      this.stopped = this.wantsPlay && !video.ended && !video.seeking && !video.error;
    });
    on("play", () => {
      this.stopped = false;
    });
    on("ended", () => {
      this.atEnd = true;
    });
    for (const name of ["play", "emptied"]) {
      on(name, () => {
        this.atEnd = false;
      });
    }
    on("emptied", () => {
      this.stopped = false;
      this.holds = false; // with its source; the browser plays the next at speed 1
    });
    on("loadedmetadata", () => {
      if (video.readyState >= HTMLMediaElement.HAVE_METADATA) this.hold();
    });
    for (const name of ["playing", "ratechange"]) {
      on(name, () => {
        if (this.holds) video.playbackRate = 0; // dash.js sets another one as soon as it can play
      });
    }
    for (const name of ["volumechange", "pause", "play", "ended"]) on(name, () => this.tick());
    this.watchPictures();
    this.ticker = setInterval(() => this.tick(), TICK_MS);
  }

  protected get wantsPlay(): boolean {
    return this.wants;
  }

  /** So soon after a seek, a hole may be of sound that comes after the pictures. */
  protected get soundComes(): boolean {
    return this.age(this.soughtAt) < SOUND_COMES_S;
  }

  /** So long it seeks what is not there; s. */
  protected get seeks_s(): number {
    const { currentTime, seeking } = this.video;
    return seeking && !this.has(currentTime) ? this.age(this.soughtAt) : 0;
  }

  /** It stands still, and is not just on its way to play. */
  protected get stands(): boolean {
    const { paused, readyState } = this.video;
    return paused && (!this.wants || this.started || readyState >= HTMLMediaElement.HAVE_CURRENT_DATA);
  }

  /** The browser is told too: it would play each new source of one who paused. */
  protected set wantsPlay(wants: boolean) {
    this.wants = wants;
    this.video.autoplay = wants;
  }

  destroy(): void {
    this.ending.abort();
    this.backing.abort();
    clearInterval(this.ticker);
    this.close();
    this.video.removeAttribute("src");
    this.video.load();
    this.forgetPosition();
  }

  /** What the edge lists of this stream now. */
  observe(stream: Stream | null, listed: boolean, failures: number): void {
    this.stream = stream;
    this.listed = listed;
    this.failures = failures;
  }

  /** Where another player goes on in its place. */
  where(): Begin {
    const paused = !this.wantsPlay;
    const date = this.started ? this.playingDate() : null;
    const at = this.following && !paused ? null : (this.waitsFor ?? date?.getTime() ?? this.aim);
    return { at, paused, speed: this.speed };
  }

  // -- what the controls do --------------------------------------------------------------------

  abstract toLive(): void;
  /** Play from a moment on (Unix ms). */
  abstract goTo(time: number): void;
  /** Within the window, in the <video>'s time. */
  abstract seek(to: number): void;

  toggle(): void {
    if (this.stands) {
      this.wantsPlay = true;
      this.movedAt = performance.now(); // it was not to move
      if (this.video.ended) {
        void this.replay();
        return;
      }
      // Who paused before a stream ended sees what was left.
      if (this.following && this.stream?.state !== "ended") this.toLive();
      void this.play();
    } else {
      this.wantsPlay = false;
      this.video.pause();
    }
    this.tick();
  }

  /** All that is kept, from its begin; what is loaded, where the edge does not answer. */
  private async replay(): Promise<void> {
    this.moved();
    const { signal } = this.backing;
    const first = await this.asked((asking) => firstKept(this.timeline, asking), signal);
    if (signal.aborted) return;
    if (first !== null) this.goTo(first);
    else this.video.currentTime = this.window()?.start ?? 0;
  }

  /** That was chosen: it plays at another to keep up, and stands at none to wait. */
  get chosenSpeed(): number {
    return this.speed;
  }

  setSpeed(speed: number): void {
    this.speed = speed;
    if (speed !== 1) this.following = false;
    if (!this.holds) this.video.playbackRate = speed;
    this.tick();
  }

  /** So many seconds on, or back: within the window, or to where that is in the stream's past. */
  skip(by_s: number): void {
    // One after the other: the edge is asked what there is.
    const { signal } = this.backing;
    if (by_s >= 0) this.skipOn(by_s);
    else this.backs = this.backs.then(() => this.back(by_s, signal)).catch(() => undefined);
  }

  /** It is sent somewhere: what was asked for by seconds back, and is still to come, is not wanted any more. */
  protected moved(): void {
    this.decoding.forget();
    if (this.goesBack) return;
    this.backing.abort();
    this.backing = new AbortController();
  }

  private skipOn(by_s: number): void {
    if (this.following && !this.started) return; // it is on its way to the last
    const window = this.window();
    const going = this.going;
    if (going === null) {
      const to = this.video.currentTime + by_s;
      const date = this.playingDate();
      if (window && to >= window.start) this.seek(to);
      else if (date) this.goBy(date.getTime(), by_s);
      return;
    }
    const place = window && this.placed(going);
    if (window && place !== null && place + by_s >= window.end) this.seek(place + by_s);
    else if (place !== null) this.goTo(going + 1000 * by_s); // what that is decoded from may not be there
    else this.goBy(going, by_s);
  }

  private async back(by_s: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const window = this.window();
    const to = this.video.currentTime + by_s;
    const from = this.skipsFrom;
    const here = this.going === null && window !== null && to >= Math.max(window.start, this.unbroken);
    if (here) return this.goBack(() => this.seek(to));
    if (from === null) return;
    const time = await this.asked((asking) => backBy(this.timeline, from, -1000 * by_s, asking), signal);
    if (!signal.aborted) this.goBack(() => this.goTo(time ?? from + 1000 * by_s)); // else by the clock
  }

  /** What the edge says, soon; null where it does not, or nobody wants it any more. */
  protected async asked<T>(ask: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T | null> {
    const asking = new AbortController();
    const stop = () => asking.abort();
    const timer = setTimeout(stop, ASKS_MS);
    signal.addEventListener("abort", stop);
    try {
      return await ask(asking.signal);
    } catch {
      return null;
    } finally {
      clearTimeout(timer);
    }
  }

  private goBack(go: () => void): void {
    this.goesBack = true;
    try {
      go();
    } finally {
      this.goesBack = false;
    }
  }

  /** The moment that it is on its way to, Unix ms; null where it is there. */
  private get going(): number | null {
    return this.started ? this.waitsFor : (this.aim ?? this.last);
  }

  /** The moment that seconds on and back are counted from, Unix ms. */
  protected get skipsFrom(): number | null {
    return this.going ?? this.playingDate()?.getTime() ?? null;
  }

  /** Since where there is no absence before what is played, in the <video>'s time, as far as that tells of any. */
  protected get unbroken(): number {
    return 0;
  }

  /**
   * Not behind the last that there is, where no window tells. The edge may not know that of a stream which it does
   * not follow yet: where it is, there is something.
   */
  private goBy(from: number, by_s: number): void {
    const live = this.stream?.state === "live";
    const last = this.last ?? Number.POSITIVE_INFINITY;
    const time = from + 1000 * by_s;
    if (time < (live ? last - LATE_MS : last) || (!live && from >= last)) this.goTo(time);
    else if (live && this.wantsPlay) this.toLive();
  }

  /** What is shown is not the last that there is. Sound may go on behind the pictures, or these behind sound. */
  private get more(): boolean {
    const date = this.started ? this.playingDate() : null;
    if (date === null || this.last === null) return false;
    const left_ms = this.last - date.getTime();
    return left_ms > (this.buffered().ahead_s < DRY_S ? DRY_MORE_MS : MORE_MS);
  }

  /** What a viewer is told goes by, but for what each way of playing knows alone. */
  protected facts(): Omit<Facts, "playlist" | "started" | "finished"> {
    const { more, video } = this;
    const moves = this.age(this.movedAt) < MOVES_S;
    return {
      state: this.listed ? (this.stream?.state ?? null) : null,
      listed: this.listed,
      failures: this.failures,
      unsupported: this.unsupported,
      undecodable: this.undecodable,
      advancing: this.started && !video.paused && moves,
      // By the page, or, where it might go on, by the browser (media keys, picture in picture).
      paused: video.paused && (!this.wantsPlay || (more && !moves)),
      more,
    };
  }

  /** When the last was captured that there is, Unix ms; null where that is not known. */
  protected get last(): number | null {
    return this.stream?.state === "live" ? edgeNow() : this.stream?.last_ms || null;
  }

  /** One picture on or back, standing still. */
  step(by: 1 | -1): void {
    this.moved();
    this.wantsPlay = this.following = false;
    this.video.pause();
    const rate = this.stream?.tracks.find((track) => track.kind === "video")?.frame_rate;
    const picture_s = 1 / (rate || 25);
    if (this.stale && this.aim !== null) return this.goTo(this.aim + 1000 * by * picture_s);
    const { waitsFor } = this;
    if (waitsFor !== null) {
      this.aim = this.reaching = waitsFor + 1000 * by * picture_s;
      this.arrive();
      return this.tick();
    }
    const { currentTime, seeking } = this.video;
    const there = (picture: number) => Math.abs(picture + picture_s / 2 - currentTime) < picture_s / 2;
    // The picture on the screen may be of where it was before it was sent elsewhere; that of where it was sent
    // may be on the screen while it still seeks.
    const known = [this.next, this.picture].find((picture) => picture !== null && there(picture));
    const from = known ?? (seeking ? null : this.picture) ?? currentTime;
    this.next = from + by * picture_s;
    // Amid the picture: at its very begin, rounding may show the one before.
    this.video.currentTime = this.next + picture_s / 2;
    this.tick();
  }

  setMuted(muted: boolean): void {
    this.video.muted = muted;
    if (!muted && this.video.volume === 0) this.video.volume = 0.5;
    this.tick();
  }

  setVolume(volume: number): void {
    this.video.volume = Math.max(0, Math.min(1, volume));
    this.video.muted = this.video.volume === 0;
    this.tick();
  }

  setQuality(_id: number): void {
    this.tick();
  }

  setAudioTrack(_id: number): void {
    this.tick();
  }

  // -- what each does in its own way ---------------------------------------------------------------

  /** Where the edge tells when there is something. */
  protected abstract readonly timeline: string;
  protected abstract close(): void;
  protected abstract watch(now: number): void;
  protected abstract window(): { start: number; end: number } | null;
  protected abstract playingDate(): Date | null;
  protected abstract told(): Told;
  protected abstract choices(): Pick<Snapshot, "qualities" | "quality" | "audioTracks" | "audioTrack">;

  /** It plays (again). */
  protected plays(): void {}

  /** It waits for media; whether since there are no more yet. */
  protected waits(): boolean {
    return this.stream?.state !== "live";
  }

  // -- for those that do -----------------------------------------------------------------------------

  protected on(name: string, act: () => void): void {
    this.video.addEventListener(name, act, { signal: this.ending.signal });
  }

  protected async play(): Promise<void> {
    if (!this.wantsPlay) return;
    try {
      await this.video.play();
    } catch (error) {
      if ((error as DOMException).name !== "NotAllowedError") return;
      if (this.video.muted) {
        this.wantsPlay = false; // even silent playing is refused: the button is there
        return;
      }
      this.video.muted = true;
      await this.video.play().catch(() => undefined);
    }
  }

  /**
   * A time that was set before there is anything of it is where a <video> begins, also with the next source:
   * not what was sought before, which may lie behind the end of that.
   */
  protected forgetPosition(): void {
    if (this.video.readyState === HTMLMediaElement.HAVE_NOTHING) this.video.currentTime = 0;
  }

  /** It is begun anew, or helped on: told on the console, for who wonders. */
  protected recovers(why: string): void {
    this.recoveries += 1;
    console.warn(`kinolog, ${this.mode}: ${why}`);
  }

  protected get undecodable(): boolean {
    return this.decoding.lasting(performance.now());
  }

  /** The decoder has failed, and all is to be begun anew: in how many ms, where else it would be in so many. */
  protected failsToDecode(wait_ms: number): number {
    this.decoding.note(performance.now());
    return this.undecodable ? UNDECODABLE_MS : wait_ms;
  }

  protected age(since: number): number {
    return (performance.now() - since) / 1000;
  }

  /**
   * When what is loaded ends, Unix ms, where the stream goes on behind that: far back, lists are of a day at most.
   * Null where it does not.
   */
  protected get ends(): number | null {
    return null;
  }

  /** How much is there to be played on with, and where what is there goes on behind that; s. */
  protected buffered(): { ahead_s: number; next: number | null } {
    const { buffered, currentTime } = this.video;
    let ahead_s = 0;
    for (let i = 0; i < buffered.length; i += 1) {
      const [start, end] = [buffered.start(i), buffered.end(i)];
      if (start <= currentTime + 0.1 && end > currentTime) ahead_s = end - currentTime;
      else if (start > currentTime) return { ahead_s, next: start };
    }
    return { ahead_s, next: null };
  }

  /** It is buffered. */
  protected has(position: number): boolean {
    const { buffered } = this.video;
    const ranges = Array.from({ length: buffered.length }, (_, n) => [buffered.start(n), buffered.end(n)]);
    return ranges.some(([start = 0, end = 0]) => start <= position && position < end);
  }

  /** Where a moment is in the <video>'s time; null: nowhere. */
  protected placed(_time: number): number | null {
    return null;
  }

  /** Players begin with a keyframe, before what was sought: go there once it can be decoded. */
  protected arrive(): void {
    const position = this.reaching === null ? null : this.placed(this.reaching);
    if (position === null || this.stale) return;
    // Before it has started, the time may be of where it was.
    const beyond = this.started && this.video.currentTime >= position;
    if (!beyond && !this.has(position)) return;
    this.reaching = null;
    if (!this.wants) this.video.pause();
    if (this.video.currentTime < position) this.video.currentTime = position + LEAST_S;
    this.heldFor = null;
    this.letGo();
  }

  /** The moment that it stands and waits for, Unix ms. */
  private get waitsFor(): number | null {
    return this.holds ? this.reaching : null;
  }

  /** What is before the moment is there to be decoded, not to be played. */
  protected hold(): void {
    const position = this.reaching === null ? null : this.placed(this.reaching);
    if (position === null || position <= this.video.currentTime) return;
    if (this.heldFor !== this.reaching) this.heldSince = performance.now();
    this.heldFor = this.reaching;
    if (this.heldLong) return; // loaded anew meanwhile, in vain
    this.holds = true;
    this.video.playbackRate = 0; // hls.js and dash.js load on
  }

  /** Who is to stand still anyhow may wait for it. */
  private get heldLong(): boolean {
    return this.wants && this.age(this.heldSince) >= HOLDS_S;
  }

  /** Play, with the moment reached, or given up, or too long in coming. */
  private letGo(): void {
    if (!this.holds) return;
    const gone = this.reaching === null || this.placed(this.reaching) === null;
    if (!gone && !this.heldLong) return;
    this.holds = false;
    this.movedAt = performance.now(); // it was not to move
    this.video.playbackRate = this.speed;
  }

  protected tick(): void {
    if (this.ending.signal.aborted) return;
    const now = performance.now();
    const moved_s = this.video.currentTime - this.lastTime;
    const plays = moved_s > 0 && moved_s < Math.max(1, this.video.playbackRate); // and is not sent on
    if (plays) this.decoding.played(moved_s);
    if (Math.abs(moved_s) > MOVED_S) {
      this.lastTime = this.video.currentTime;
      this.movedAt = now;
    }
    this.countFrames(now);
    this.letGo();
    const { ends } = this;
    if (ends !== null && this.started && this.video.ended) return this.goTo(ends);
    this.watch(now);
    this.slowDown();
    this.onTick(this.snapshot());
  }

  /** Who plays faster than is published gets to the live edge, and stays there. */
  private slowDown(): void {
    if (this.speed <= 1 || !this.started || this.stream?.state !== "live") return;
    const { behind_live_s, target_latency_s } = this.told();
    if (behind_live_s === null || this.video.paused) return;
    if (behind_live_s < (target_latency_s ?? 0) + NEAR_LIVE_S) this.toLive();
  }

  private watchPictures(): void {
    this.video.requestVideoFrameCallback?.((_, { mediaTime }) => {
      if (this.ending.signal.aborted) return;
      this.picture = mediaTime;
      this.next = null;
      this.watchPictures();
    });
  }

  private endStall(): void {
    if (!this.stalledSince) return;
    // A time update may come at the moment of the stall itself: only moving ends it.
    if (this.video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA) return;
    this.stalledMs += performance.now() - this.stalledSince;
    this.stalledSince = 0;
  }

  private countFrames(now: number): void {
    const decoded = this.video.getVideoPlaybackQuality?.().totalVideoFrames ?? 0;
    const elapsed_s = (now - this.frames.at) / 1000;
    if (elapsed_s < 1) return;
    const rate = this.frames.at ? Math.max(0, decoded - this.frames.decoded) / elapsed_s : 0;
    this.frames = { at: now, decoded, rate };
  }

  // -- what is -----------------------------------------------------------------------------------

  stats(): Stats {
    const { video } = this;
    const quality = video.getVideoPlaybackQuality?.();
    const stalling = this.stalledSince ? performance.now() - this.stalledSince : 0;
    return {
      mode: this.mode,
      currentTime: video.currentTime,
      stalls: this.stalls,
      stalls_at_edge: this.stallsAtEdge,
      stalled_s: (this.stalledMs + stalling) / 1000,
      dropped: quality?.droppedVideoFrames ?? 0,
      decoded: quality?.totalVideoFrames ?? 0,
      frame_rate: this.frames.rate,
      width: video.videoWidth,
      height: video.videoHeight,
      playback_rate: video.playbackRate,
      recoveries: this.recoveries,
      following: this.following,
      playing_date: (this.started ? this.playingDate() : null)?.toISOString() ?? null,
      ...this.told(),
    };
  }

  private snapshot(): Snapshot {
    const { video } = this;
    return {
      stats: this.stats(),
      unsupported: this.unsupported,
      paused: this.stands,
      muted: video.muted,
      volume: video.volume,
      following: this.following,
      live: this.stream?.state === "live",
      speed: this.speed,
      window: this.window(),
      ...this.choices(),
    };
  }
}
