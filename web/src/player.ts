/** A stream in a <video>: hls.js at low latency, and never giving up while the page is open. */

import type Hls from "hls.js";
import type { ErrorData, Events, Fragment, HlsConfig, LoadPolicy } from "hls.js";
import type { Stream } from "./api";
import { edgeNow } from "./edge-clock";
import {
  type Facts,
  type Kind,
  type Phase,
  RateWindow,
  backoffMs,
  catchUpRate,
  lastMedia,
  nudgeFor,
  phaseOf,
  starvingKind,
} from "./recovery";
import { Reporting } from "./reporting";
import {
  AT_LIVE,
  type Begin,
  ENDED_MS,
  type Snapshot,
  type Stats,
  VideoPlayer,
} from "./video-player";
import { LAST_PICTURE_S } from "./ws/pacing";

/** A viewer who follows the live edge is taken back to it when this far behind the target. */
const JUMP_BEHIND_S = 8;
const LOOK_AGAIN_S = 2;
/** So soon it is looked whether there is more than what was seen, and for so long. */
const SEEN_AGAIN_MS = 250;
const SEEN_S = 8;
/** Of what was loaded before the rest was deleted, so little is left when what is kept is loaded. */
const LAST_S = 0.5;

const patient = (first_byte_ms: number, total_ms: number, retries: number): LoadPolicy => ({
  default: {
    maxTimeToFirstByteMs: first_byte_ms,
    maxLoadTimeMs: total_ms,
    timeoutRetry: { maxNumRetry: retries, retryDelayMs: 0, maxRetryDelayMs: 0 },
    errorRetry: { maxNumRetry: retries, retryDelayMs: 250, maxRetryDelayMs: 1000 },
  },
});

// The hold-back comes from the server's playlist. A blocked playlist request is answered within
// three target durations, so a first byte may take that long.
const CONFIG = {
  interstitialsController: undefined, // there are none, and it plays what was paused while a list was loaded
  enableWorker: false, // fragmented MP4 passes through; there is nothing to do in a worker
  maxLiveSyncPlaybackRate: 1, // see catchUpRate
  backBufferLength: 60,
  maxBufferLength: 20,
  maxMaxBufferLength: 60, // of the past there is as much as a browser takes
  manifestLoadPolicy: patient(10_000, 20_000, 1),
  playlistLoadPolicy: patient(30_000, 40_000, 40),
  fragLoadPolicy: patient(10_000, 60_000, 12),
} as unknown as Partial<HlsConfig>; // whose types do not allow for no interstitials

/** A hole that is longer may be of sound that is not loaded yet. */
const HOLE_S = 0.3;

/** From one segment to the next, at most. */
const BETWEEN_S = 0.02;

/** Browsers round to microseconds, dates of playlists to milliseconds. */
const ROUNDING_S = 0.002;

/**
 * When media are removed behind the playhead just while a part is appended, hls.js 1.7.4 forgets that the
 * parts before it are loaded. It then finds their segment again (at its very end, where playlist and media
 * differ by a little), neither loads it nor goes on, and nothing more of that track comes until the player
 * stalls. A segment that is whole in the buffer, and its last part loaded, is done: what follows is next.
 */
function passLoaded(hls: Hls): void {
  type Found = { sn: number; end: number } | null;
  type Details = { partList: { fragment: { sn: number }; loaded: boolean }[] | null };
  type Loader = {
    loadingParts: boolean;
    fragmentTracker: { getState(found: Found): string };
    getNextFragment(position: number, details: Details): Found;
  };
  const { streamController, audioStreamController } = hls as unknown as Record<string, Loader>;
  for (const loader of [streamController, audioStreamController]) {
    if (!loader) continue;
    const next = loader.getNextFragment.bind(loader);
    loader.getNextFragment = (position, details) => {
      const found = next(loader.loadingParts ? position + ROUNDING_S : position, details);
      if (!found || !loader.loadingParts) return found;
      const last = details.partList?.filter((part) => part.fragment.sn === found.sn).at(-1);
      const done = last?.loaded && loader.fragmentTracker.getState(found) === "OK";
      return done ? next(found.end + ROUNDING_S, details) : found;
    };
  }
}

/**
 * Of a segment in parts, hls.js 1.7.4 loads sound from the part on at which it means to play, and takes the rest
 * for loaded ever after. One who goes to and fro in the past wants all of it.
 */
function loadSoundWhole(hls: Hls, wanted: () => boolean): void {
  type Loader = { getNextPart(parts: unknown, frag: { start: number }, position: number): number };
  const { audioStreamController: loader } = hls as unknown as { audioStreamController?: Loader };
  if (!loader) return;
  const next = loader.getNextPart.bind(loader);
  loader.getNextPart = (parts, frag, position) => next(parts, frag, wanted() ? frag.start : position);
}

/**
 * hls.js 1.7.4 appends no sound that is ahead of the pictures, until it comes to have more of these. It does not know
 * of those that it had before there was a SourceBuffer: where they are all that there is, sound would wait for ever.
 */
function letSoundFollow(hls: Hls, buffered: Events.FRAG_BUFFERED): void {
  const { bufferController } = hls as unknown as { bufferController?: { unblockAudio(): void } };
  hls.on(buffered, (_, { frag }) => {
    if (frag.type === "main") bufferController?.unblockAudio();
  });
}

/**
 * A segment's date is that of what is decoded first. Amid a GOP, pictures are shown before that (B-frames), and
 * for hls.js it begins with the first of these.
 */
function leadOf({ elementaryStreams: { video } }: Fragment): number {
  return video ? video.startDTS - video.startPTS : 0;
}

/**
 * Sound comes after pictures, and hls.js 1.7.4 takes what is not there yet for a hole of the stream: sent back, it
 * may leave for where both are, or go a little on, also where nothing plays. So soon after a seek it does not.
 */
function waitForSound(hls: Hls, video: HTMLVideoElement, soon: () => boolean): void {
  type Gaps = { _trySkipBufferHole(appended: unknown): number; _tryNudgeBuffer(info: unknown): void };
  const { gapController } = hls as unknown as { gapController?: Gaps };
  if (!gapController) return;
  const nudge = gapController._tryNudgeBuffer.bind(gapController);
  gapController._tryNudgeBuffer = (info) => {
    if (!(video.paused && soon())) nudge(info);
  };
  const skip = gapController._trySkipBufferHole.bind(gapController);
  gapController._trySkipBufferHole = (appended) => {
    const { buffered, currentTime } = video;
    const starts = Array.from({ length: buffered.length }, (_, n) => buffered.start(n));
    const hole_s = (starts.find((start) => start > currentTime) ?? currentTime) - currentTime;
    return hole_s > HOLE_S && soon() ? 0 : skip(appended);
  };
}

/** The session of a media segment; null where it has no address yet, and of others. */
function epochOf(frag: Fragment | undefined): number | null {
  const found = /\/(\d+)\/\d+\.m4s/.exec(frag?.url ?? "");
  return found ? Number(found[1]) : null;
}

/** Sound that begins so much after the pictures is of another session. */
const LATE_SOUND_MS = 2000;

export class Player extends VideoPlayer {
  readonly mode = "hls";
  hls: Hls | null = null;
  private Hls: typeof Hls | null = null;
  private engine: Stats["engine"] = "none";
  private playlist: Facts["playlist"] = "loading";
  /** Where the playlist begins that is played, in Unix ms; null for the live one. */
  private since: number | null;
  /** The list that begins at the one ends at the other, where sound begins: hls.js waits for both. Unix ms. */
  private silent: { since: number; until: number } | null = null;
  /** When the segment was that was listed and is deleted, Unix ms. */
  private deleted = Number.NEGATIVE_INFINITY;
  /** It loads no more of what is listed, and goes on with what is left once it has played what it has. */
  private leaves = false;
  private stalledAtEdge = false;
  private attempt = 0;
  private mediaErrors: number[] = [];
  /** The decoder has failed at what hls.js has, and all is begun anew soon. */
  private broken = false;
  /** The session of which all was seen, and when the next one was first looked for, by the page's clock. */
  private seen: { epoch: number; at: number } | null = null;
  private playlistAt = 0;
  private nudgedAt = 0;
  private builtAt = 0;
  private rates: Record<string, RateWindow> = {};
  private alone: Kind | null = null;
  /** A track that the stream has and the player lacks: its playlist, and what that named last. */
  private awaited: { url: string; last: string | null } | null = null;
  private lookedAt = 0;
  private manifest: string[] = [];
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly reporting: Reporting;

  constructor(
    video: HTMLVideoElement,
    private readonly url: string,
    onTick: (snapshot: Snapshot) => void,
    begin: Begin = AT_LIVE,
  ) {
    super(video, begin, onTick);
    this.reporting = new Reporting(url);
    this.since = begin.at === null ? null : Math.round(begin.at);
    this.reaching = begin.at;
    this.on("error", () => {
      const decodes = video.error?.code !== MediaError.MEDIA_ERR_DECODE;
      // hls.js hears of it when it has something to append, which may be never.
      if (this.hls && !decodes) this.breaks(video.error?.message ?? "");
      if (this.engine !== "native") return;
      const wait_ms = backoffMs(this.attempt);
      this.retry(() => this.openNative(), decodes ? wait_ms : this.failsToDecode(wait_ms));
    });
    void this.open();
  }

  /** Of absences, what is listed of missing segments alone takes time. */
  protected override get unbroken(): number {
    const { currentTime } = this.video;
    return this.details()?.fragments.findLast(({ gap, end }) => gap && end <= currentTime)?.end ?? 0;
  }

  protected get timeline(): string {
    return this.url.replace(/index\.m3u8$/, "timeline");
  }

  protected close(): void {
    clearTimeout(this.retryTimer);
    this.hls?.destroy();
    this.hls = null;
    this.reporting.leave();
  }

  override observe(stream: Stream | null, listed: boolean, failures: number): void {
    const returned = stream?.state === "live" && this.stream?.state !== "live";
    const renewed = this.stream !== null && stream !== null && stream.epoch !== this.stream.epoch;
    super.observe(stream, listed, failures);
    // Once ENDLIST was seen, hls.js asks for no more playlists: a new session needs a new start.
    const closed = this.details() !== null && !this.details()?.live && this.ends === null;
    if (stream?.state === "live" && closed && this.age(this.builtAt) > 5) {
      this.following ||= this.video.ended; // who has seen all goes on with what is new
      const epoch = this.video.ended ? epochOf(this.details()?.fragments.at(-1)) : null;
      this.seen = epoch === null ? null : { epoch, at: performance.now() };
      this.rebuild();
    } else if (this.unsupported && renewed) this.rebuild(); // perhaps in another codec
    else if (returned && (this.playlist === "missing" || this.playlist === "failing")) {
      this.retry(() => this.reopen(), 0);
    }
    this.awaitMissing();
  }

  // -- what the controls do --------------------------------------------------------------------

  toLive(): void {
    this.moved();
    this.following = true;
    this.aim = this.reaching = null;
    this.speed = 1;
    if (this.since !== null || this.broken || this.over) {
      this.since = null;
      this.wantsPlay = true;
      this.reopen();
      this.tick();
      return;
    }
    const position = this.hls?.liveSyncPosition ?? this.window()?.end;
    if (position != null && Math.abs(position - this.video.currentTime) > 1) {
      this.video.currentTime = position;
    }
    if (this.video.paused) {
      this.wantsPlay = true;
      void this.play();
    }
    this.tick();
  }

  /** Play from a moment on (Unix ms): within what is loaded, or by a playlist that begins there. */
  goTo(time: number): void {
    this.moved();
    const position = this.placed(time);
    this.following = false;
    this.aim = time;
    this.reaching = null;
    // Before anything has been shown, hls.js goes where it meant to begin after all.
    if (this.started && position !== null && this.loadable(position)) {
      this.video.currentTime = position;
    } else {
      this.reaching = time;
      this.since = Math.round(time);
      if (this.hls) this.load(this.address(), null);
      else if (this.engine === "native") this.openNative();
    }
    this.tick();
  }

  seek(to: number): void {
    this.moved();
    const window = this.window();
    if (!window) return;
    const { ends } = this;
    if (ends !== null && to >= window.end) return this.goTo(ends + 1000 * (to - window.end));
    const { over } = this;
    const live = over ? window.end - LAST_PICTURE_S : (this.hls?.liveSyncPosition ?? window.end);
    const at = this.video.currentTime;
    const position = Math.max(window.start + 0.1, Math.min(to, to > at ? Math.max(live, at) : live));
    const date = this.dateOf(position);
    const toLive = ends === null && !over && to >= live - 1;
    const gone = this.broken || (this.started && !this.loadable(position));
    if (!toLive && date && gone) return this.goTo(date.getTime());
    this.following = toLive;
    this.reaching = null;
    if (this.broken) {
      this.aim = this.since = null;
      this.reopen();
    } else this.video.currentTime = position;
    this.tick();
  }

  override setQuality(id: number): void {
    if (this.hls) this.hls.nextLevel = id;
    this.tick();
  }

  override setAudioTrack(id: number): void {
    if (this.hls) this.hls.audioTrack = id;
    this.tick();
  }

  // -- opening and recovering ------------------------------------------------------------------

  private async open(): Promise<void> {
    try {
      this.Hls ??= (await import("hls.js")).default;
    } catch {
      return this.retry(() => void this.open()); // the page's own script did not load
    }
    if (this.ending.signal.aborted) return;
    this.builtAt = this.movedAt = this.playlistAt = performance.now();
    if (this.Hls.isSupported()) this.attach(this.Hls);
    else if (this.video.canPlayType("application/vnd.apple.mpegurl")) this.openNative();
    else this.unsupported = "live video (no Media Source Extensions)";
  }

  private attach(Engine: typeof Hls): void {
    this.engine = "hls.js";
    // Without this, an iPhone's ManagedMediaSource never opens.
    if (!("MediaSource" in window)) this.video.disableRemotePlayback = true;
    const hls = new Engine({ ...CONFIG, lowLatencyMode: this.goesOn, cmcd: this.reporting.config });
    passLoaded(hls);
    waitForSound(hls, this.video, () => this.soundComes);
    letSoundFollow(hls, Engine.Events.FRAG_BUFFERED);
    loadSoundWhole(hls, () => this.since !== null);
    this.hls = hls;
    const { Events } = Engine;
    hls.on(Events.ERROR, (_, data) => this.onError(Engine, data));
    hls.on(Events.MANIFEST_LOADED, (_, { levels, audioTracks }) => {
      this.manifest = [...levels, ...audioTracks].map((listed) => listed.url);
      this.awaitMissing();
    });
    hls.on(Events.MANIFEST_PARSED, () => {
      this.playlist = "here";
      void this.play();
    });
    // It was told to play when there was nothing: a busy page may hear of the first media after the browser has
    // begun with them.
    hls.on(Events.BUFFER_CREATED, () => this.hold());
    hls.on(Events.AUDIO_TRACK_LOADED, () => this.mindSound());
    hls.on(Events.LEVEL_UPDATED, (_, { details }) => {
      this.mindEnd();
      this.mindSound();
      if (details.updated || details.advanced) this.playlistAt = performance.now();
    });
    hls.on(Events.FRAG_LOADING, (_, { frag }) => this.mindSeen(frag));
    hls.on(Events.FRAG_BUFFERED, (_, { frag, part, stats }) => {
      if (frag.sn === "initSegment") return;
      this.attempt = 0;
      this.arrive();
      (this.rates[frag.type] ??= new RateWindow()).add(stats.loaded, (part ?? frag).duration);
    });
    hls.attachMedia(this.video);
    hls.loadSource(this.address());
  }

  /** Of what is over hls.js is not to load parts: it may leave out the first of those of sound. */
  private get goesOn(): boolean {
    return this.stream?.state !== "ended";
  }

  /** Each segment that is listed begins with a keyframe. */
  private independent(): boolean {
    return this.details()?.m3u8.includes("#EXT-X-INDEPENDENT-SEGMENTS") ?? false;
  }

  /** hls.js can go there: it is loaded, or will be from a keyframe on, and no part of it was passed over. */
  private loadable(position: number): boolean {
    if (this.broken) return false;
    const here = this.has(position);
    if (here || this.leaves) return here;
    const first = this.details()?.partList?.[0];
    return this.independent() && (first === undefined || position < first.start);
  }

  /** The playlist that is played. */
  private address(): string {
    if (this.since === null) return this.url;
    const end = this.silent?.since === this.since ? `&end=${this.silent.until / 1000}` : "";
    return `${this.url}?start=${this.since / 1000}${end}`;
  }

  /** Of a stream that has ended, who follows it is shown the last. */
  private mindEnd(): void {
    const last = this.details()?.fragments.at(-1);
    if (this.started || !this.following || !this.over || !last?.programDateTime || this.since !== null) return;
    if (this.saw(last)) return; // it goes on, which is not listed yet
    const at = last.programDateTime + 1000 * last.duration - ENDED_MS;
    this.since = this.reaching = Math.round(at);
    this.retry(() => this.reopen(), 0); // not amid what hls.js does with the list
  }

  /** All of the segment was seen, and another session has begun. */
  private saw(frag: Fragment | undefined): boolean {
    const epoch = epochOf(frag);
    if (!this.seen || epoch === null || this.age(this.seen.at) > SEEN_S) return false;
    return this.following && this.since === null && this.stream?.state === "live" && epoch <= this.seen.epoch;
  }

  /** Who has seen all of a session begins with the next one, once that is so long that players begin in it. */
  private mindSeen(frag: Fragment): void {
    if (this.started || frag.type !== "main" || !this.saw(frag)) return;
    this.hls?.stopLoad();
    const again = () => (this.following ? this.reopen() : this.hls?.startLoad(-1));
    this.retry(again, SEEN_AGAIN_MS);
  }

  /** Pictures that are listed before any sound: a list of their own first, which names none. */
  private mindSound(): void {
    if (this.started || this.alone) return;
    const details = this.details();
    const [first] = details?.fragments ?? [];
    const sound = this.hls?.audioTracks[this.hls.audioTrack]?.details?.fragments[0]?.programDateTime;
    const pictures = first?.programDateTime;
    if (sound == null || pictures == null || this.since === null) return; // who follows begins with the newest
    const since = Math.round(Math.max(this.since, pictures));
    if (sound - since < LATE_SOUND_MS || this.silent?.since === this.since) return;
    this.since = since;
    // Where sound begins with a segment's pictures, these are played with it.
    const begun = details?.fragments.findLast(({ programDateTime: at }) => at != null && at <= sound)?.programDateTime;
    const soon = begun != null && begun > since && sound - begun <= 1000 * HOLE_S;
    this.silent = { since, until: Math.floor(soon ? begun : sound) };
    this.retry(() => this.reopen(), 0); // not amid what hls.js does with the list
  }

  private openNative(): void {
    clearTimeout(this.retryTimer);
    this.engine = "native";
    this.video.src = this.address();
    void this.play();
  }

  private onError(Engine: typeof Hls, data: ErrorData): void {
    const { ErrorDetails, ErrorTypes } = Engine;
    const codecErrors: string[] = [
      ErrorDetails.MANIFEST_INCOMPATIBLE_CODECS_ERROR,
      ErrorDetails.BUFFER_ADD_CODEC_ERROR,
      ErrorDetails.BUFFER_INCOMPATIBLE_CODECS_ERROR,
    ];
    if (codecErrors.includes(data.details) && data.fatal) {
      this.unsupported = this.unplayable() ?? data.mimeType ?? "this stream's codecs";
      return;
    }
    // Lists that came while it began may be lined up by dates, which are slewed: the first picture then lies a
    // little before 0, where browsers take nothing, nor what needs it.
    const [first] = this.details()?.fragments ?? [];
    const before = data.details === ErrorDetails.BUFFER_APPEND_NO_PROGRESS && first && first.start < 0;
    if (before && !this.video.buffered.length) return this.retry(() => this.reopen(), 0);
    if (data.details === ErrorDetails.FRAG_LOAD_ERROR && data.response?.code === 404) this.miss(data);
    if (this.video.error?.code === MediaError.MEDIA_ERR_DECODE) return this.breaks(this.video.error.message);
    if (!data.fatal || this.broken) return;
    this.recovers(`${data.details}, ${data.error.message}`);
    if (data.type === ErrorTypes.NETWORK_ERROR) {
      if (this.details() === null) {
        this.playlist = data.response?.code === 404 ? "missing" : "failing";
        this.silent = null;
        return this.retry(() => this.reopen());
      }
      return this.retry(() => this.hls?.startLoad(-1));
    }
    const now = performance.now();
    this.mediaErrors = [...this.mediaErrors.filter((at) => now - at < 30_000), now];
    if (data.type === ErrorTypes.MEDIA_ERROR && this.mediaErrors.length <= 3) {
      this.hls?.recoverMediaError();
      void this.play();
      return;
    }
    this.retry(() => this.rebuild());
  }

  /** The decoder has failed: begin anew at what stands there now, soon. */
  private breaks(why: string): void {
    if (this.broken) return;
    this.recovers(why);
    this.stay();
    this.broken = true;
    this.retry(() => this.rebuild(), this.failsToDecode(backoffMs(this.attempt)));
  }

  /**
   * Where one is deleted, so may be those after it, and hls.js asks for each of them. A list that was loaded since
   * then and lists it still is left to hls.js.
   */
  private miss({ frag, part }: ErrorData): void {
    const date = frag?.programDateTime ?? null;
    if (this.since === null || part || date === null || date <= this.deleted) return;
    this.deleted = date;
    this.leaves = true;
    this.hls?.stopLoad();
  }

  private leave(): void {
    if (!this.leaves) return;
    const { ahead_s } = this.buffered();
    if (ahead_s > LAST_S * Math.max(1, this.speed)) return;
    const date = this.dateOf(this.video.currentTime + ahead_s) ?? this.playingDate();
    if (date) this.since = date.getTime();
    this.reopen();
  }

  /** The first listed codec that this browser refuses, for a person. */
  private unplayable(): string | null {
    const source = window.MediaSource ?? window.ManagedMediaSource;
    const refused = this.stream?.tracks.find(
      (track) => !source?.isTypeSupported(`${track.kind}/mp4; codecs="${track.codec}"`),
    );
    return refused?.codec ?? null;
  }

  private retry(action: () => void, delay_ms?: number): void {
    clearTimeout(this.retryTimer);
    const wait_ms = delay_ms ?? backoffMs(this.attempt);
    this.attempt += 1;
    this.retryTimer = setTimeout(() => {
      if (!this.ending.signal.aborted) action();
    }, wait_ms);
  }

  private reopen(): void {
    if (this.hls) this.load(this.address(), null);
    else if (this.engine === "native") this.openNative();
    else if (this.engine !== "none") this.rebuild();
  }

  /** What is loaded next goes on where it is. */
  private stay(): void {
    const date = this.started && !this.following ? this.playingDate() : null;
    if (date) {
      this.since = Math.round(date.getTime());
      this.aim = this.reaching = date.getTime();
    } else if (this.following) this.since = null;
  }

  /** Play this playlist from its live edge on: the stream's, or that of one track `alone`. */
  private load(url: string, alone: Kind | null): void {
    clearTimeout(this.retryTimer);
    this.broken = false;
    this.alone = alone;
    this.manifest = [];
    if (alone === null) this.awaited = null;
    this.started = this.leaves = false;
    this.unsupported = null;
    this.builtAt = this.movedAt = this.playlistAt = performance.now();
    this.forgetPosition();
    if (!this.hls) return;
    this.hls.lowLatencyMode = this.goesOn;
    this.hls.loadSource(url);
  }

  private rebuild(): void {
    clearTimeout(this.retryTimer);
    // Where it broke, hls.js may have emptied the <video> since.
    if (!this.broken) this.stay();
    else if (this.since !== null) this.reaching = this.aim;
    this.broken = false;
    this.recovers("begun anew");
    this.hls?.destroy();
    this.hls = null;
    this.started = false;
    this.unsupported = null;
    this.following = this.since === null;
    this.rates = {};
    this.leaves = false;
    this.alone = this.awaited = null;
    this.manifest = [];
    void this.open();
  }

  // -- watching over it ------------------------------------------------------------------------

  protected override waits(): boolean {
    const edge = this.details()?.edge;
    this.stalledAtEdge = edge !== undefined && edge - this.video.currentTime < 0.5;
    return this.stalledAtEdge;
  }

  /**
   * Go on after the publisher's absence, as if nothing had been. hls.js takes it for a slow network and
   * stays a second further behind; Chromium wants more and more media before it goes on, and plays sound
   * across the hole: a seek has it begin anew. And it goes on with the first picture that it gets, with
   * nothing left for the next hiccup: so stand still for what the hold-back lacks.
   */
  protected override plays(): void {
    const { hls, video } = this;
    const details = this.details();
    if (!this.stalledAtEdge || !this.following || !hls || !details?.live) return;
    this.stalledAtEdge = false;
    hls.targetLatency = (details.partList && details.partHoldBack) || details.holdBack;
    const lacking_s = hls.targetLatency - (details.edge - video.currentTime);
    video.playbackRate = 0; // which hls.js leaves alone
    setTimeout(
      () => {
        if (this.ending.signal.aborted || this.holds || this.hls !== hls) return;
        video.playbackRate = this.speed;
        if (this.following) video.currentTime += 0.01;
      },
      1000 * Math.max(0, Math.min(lacking_s, 1)),
    );
  }

  // -- a track that pauses while the other goes on ------------------------------------------------

  /** Players wait for both kinds of track: go on with the one that speaks. */
  private goOnAlone(): void {
    const { hls, video } = this;
    if (!hls || !this.started || !this.wantsPlay || !this.following || this.alone) return;
    const level = hls.levels?.[hls.currentLevel];
    const audio = hls.audioTracks?.[hls.audioTrack];
    const listed = (details: { edge: number } | undefined | null): number | null =>
      details ? details.edge - video.currentTime : null;
    const starving = starvingKind(this.age(this.movedAt), {
      video: listed(level?.details),
      audio: listed(audio?.details),
    });
    if (!starving || !level || !audio) return;
    const [lost, left] = starving === "audio" ? [audio.url, level.uri] : [level.uri, audio.url];
    this.awaited = { url: lost, last: null };
    this.lookedAt = 0;
    this.load(left, starving === "audio" ? "video" : "audio");
  }

  /** What the edge left out of the multivariant playlist, since it sent nothing then. */
  private awaitMissing(): void {
    if (this.alone || this.awaited || !this.manifest.length || this.stream?.state !== "live") return;
    if (this.manifest.some((url) => new URL(url).searchParams.has("end"))) return; // what is sent now is not of then
    const named = (track: string) => `/${track}.m3u8`;
    const missing = this.stream.tracks.find(
      ({ name }) => !this.manifest.some((url) => new URL(url).pathname.endsWith(named(name))),
    );
    if (!missing) return;
    this.awaited = { url: this.url.replace(/\/index\.m3u8$/, named(missing.name)), last: null };
  }

  /** Ask for the playlist of the track that is lacking; play all again once it names something new. */
  private async look(): Promise<void> {
    const { awaited } = this;
    if (!awaited || this.age(this.lookedAt) < LOOK_AGAIN_S) return;
    this.lookedAt = Number.POSITIVE_INFINITY; // one question at a time
    try {
      const answer = await fetch(awaited.url, { signal: this.ending.signal });
      const last = answer.ok ? lastMedia(await answer.text()) : "";
      if (this.awaited !== awaited) return;
      const speaks = awaited.last !== null && last !== "" && last !== awaited.last;
      awaited.last = last;
      if (!speaks || !this.hls) return;
      this.stay();
      this.load(this.address(), null);
    } catch {
      // the next look may have more luck
    } finally {
      this.lookedAt = performance.now();
    }
  }

  protected watch(now: number): void {
    this.leave();
    this.keepUp();
    this.goOnAlone();
    void this.look();
    this.nudge(now);
    this.reporting.observe(this.stats());
  }

  /** Regain what is lost by playing a little faster; further behind than that, go there at once. */
  private keepUp(): void {
    const { hls, video } = this;
    if (!hls || video.playbackRate === 0) return; // after an absence, or before a moment
    const target = hls.targetLatency;
    const follows = this.following && this.details()?.live && target !== null;
    if (!follows) {
      video.playbackRate = this.speed;
      return;
    }
    if (video.paused || video.seeking) return;
    const position = hls.liveSyncPosition;
    const jumps = hls.latency > target + JUMP_BEHIND_S && position !== null && position > video.currentTime + 1;
    // Amid a GOP of which nothing is there, there would be nothing to see: of a stream that is away, for ever.
    if (jumps && (this.independent() || this.has(position))) video.currentTime = position;
    const { ahead_s } = this.buffered();
    video.playbackRate = catchUpRate(video.playbackRate, hls.latency, target, ahead_s);
  }

  private nudge(now: number): void {
    const { video } = this;
    if (!this.started || !this.wantsPlay || video.ended || this.engine !== "hls.js" || this.leaves) return;
    if (this.holds || this.stopped || this.broken || this.age(this.nudgedAt) < 3) return;
    const { ahead_s, next } = this.buffered();
    const action = nudgeFor({
      still_s: this.age(this.movedAt),
      ahead_s,
      next_start: next,
      playlist_age_s: this.age(this.playlistAt),
      live: this.stream?.state === "live" && this.ends === null,
    });
    if (action === "none") return;
    this.nudgedAt = now;
    this.recovers(`it stands; ${action}`);
    if (action === "jump" && next !== null) video.currentTime = next + 0.05;
    else if (action === "play") void this.play();
    else if (action === "reload-playlist") this.hls?.startLoad(-1);
    else if (action === "rebuild") this.rebuild();
  }

  // -- what is -----------------------------------------------------------------------------------

  private details() {
    return this.hls?.latestLevelDetails ?? null;
  }

  protected window(): { start: number; end: number } | null {
    const details = this.details();
    if (details) return { start: details.fragmentStart, end: details.edge };
    const { seekable } = this.video;
    return seekable.length
      ? { start: seekable.start(0), end: seekable.end(seekable.length - 1) }
      : null;
  }

  /** Nothing comes behind what is listed. */
  private get over(): boolean {
    return this.details()?.live === false && this.ends === null;
  }

  protected override get ends(): number | null {
    const details = this.details();
    const end = details?.live === false ? new URL(details.url).searchParams.get("end") : null;
    if (!details || end === null) return null;
    // The last segment may go on behind that.
    const last = details.fragments.at(-1);
    const whole = (last?.programDateTime ?? 0) + 1000 * (last?.duration ?? 0);
    return Math.ceil(Math.max(1000 * Number(end), whole));
  }

  /** Where a moment is in what is loaded; null where it is not. */
  protected override placed(time: number): number | null {
    let place: number | null = null;
    const fragments = this.details()?.fragments ?? [];
    const last = fragments.at(-1);
    for (const frag of fragments) {
      const begin = frag.programDateTime;
      if (begin === null || begin === undefined || frag.gap) continue;
      if (begin > time) break;
      // Where media are shorter than was listed, there is a moment between two segments.
      const within = time < begin + 1000 * (frag.duration + (frag === last ? 0 : BETWEEN_S));
      place = within ? frag.start + leadOf(frag) + (time - begin) / 1000 : null;
    }
    return place;
  }

  /** When what is at this place was captured, of what is listed. */
  private dateOf(position: number): Date | null {
    const frag = this.details()?.fragments.find(({ start, end }) => start <= position && position < end);
    const begin = frag?.programDateTime;
    if (!frag || begin === null || begin === undefined) return null;
    return new Date(begin + 1000 * (position - frag.start - leadOf(frag)));
  }

  protected playingDate(): Date | null {
    if (this.hls) return this.dateOf(this.video.currentTime) ?? this.hls.playingDate;
    const begin = (this.video as { getStartDate?: () => Date }).getStartDate?.();
    const ms = begin?.getTime() ?? Number.NaN;
    return Number.isFinite(ms) ? new Date(ms + this.video.currentTime * 1000) : null;
  }

  private phase(): Phase {
    return phaseOf({
      ...this.facts(),
      playlist: this.playlist,
      started: this.started,
      finished: this.video.ended,
    });
  }

  protected told() {
    const { hls } = this;
    const goesOn = this.ends !== null;
    const live = goesOn || (this.details()?.live ?? this.engine === "native");
    const behind = hls && live && !goesOn && this.started ? hls.latency : null;
    const date = this.started ? this.playingDate() : null;
    const wall_s = date && live ? (edgeNow() - date.getTime()) / 1000 : null;
    // A viewer's clock may be wrong; then the distance to the playlist's edge is the honest figure.
    // In the past the two differ by the absences in between, too.
    const most_s = this.following ? (behind ?? Number.POSITIVE_INFINITY) + 60 : Number.POSITIVE_INFINITY;
    const plausible = wall_s !== null && wall_s > 0 && wall_s < most_s;
    const level = hls?.levels?.[hls.currentLevel];
    const measured = Object.values(this.rates).reduce((sum, window) => sum + window.bps, 0);
    const listed = this.stream?.tracks.map((track) => track.codec).join(", ") ?? "";
    const codecs = [level?.videoCodec, level?.audioCodec].filter(Boolean).join(", ");
    return {
      phase: this.phase(),
      latency_s: plausible ? wall_s : behind,
      behind_live_s: goesOn ? wall_s : behind,
      target_latency_s: hls?.targetLatency ?? null,
      buffer_s: this.buffered().ahead_s,
      bitrate_bps: Math.round(measured || (level?.bitrate ?? 0)),
      codecs: codecs || listed,
      alone: this.alone,
      engine: this.engine,
    };
  }

  protected choices() {
    const { hls } = this;
    return {
      qualities: (hls?.levels ?? []).map((level, id) => ({
        id,
        label: level.height ? `${level.height}p` : `${Math.round(level.bitrate / 1000)} kb/s`,
      })),
      quality: hls?.autoLevelEnabled === false ? hls.nextLevel : -1,
      audioTracks: (hls?.audioTracks ?? []).map((track, id) => ({
        id,
        label: track.name || track.lang || `Track ${id + 1}`,
      })),
      audioTrack: hls?.audioTrack ?? -1,
    };
  }
}
