/** A stream in a <video>: hls.js at low latency, and never giving up while the page is open. */

import type Hls from "hls.js";
import type { ErrorData, HlsConfig, LoadPolicy } from "hls.js";
import type { Stream } from "./api";
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

export const TICK_MS = 500;
/** A viewer who follows the live edge is taken back to it when this far behind the target. */
const JUMP_BEHIND_S = 8;
const MOVED_S = 0.02;
const LOOK_AGAIN_S = 2;

export interface Choice {
  id: number;
  label: string;
}

export interface Stats {
  phase: Phase;
  currentTime: number;
  /** Capture to presentation by PROGRAM-DATE-TIME; by the playlist's edge where there is none. */
  latency_s: number | null;
  /** Distance behind the playlist's live edge. */
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
  engine: "hls.js" | "native" | "socket" | "none";
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
const CONFIG: Partial<HlsConfig> = {
  lowLatencyMode: true,
  enableWorker: false, // fragmented MP4 passes through; there is nothing to do in a worker
  maxLiveSyncPlaybackRate: 1, // see catchUpRate
  backBufferLength: 60,
  maxBufferLength: 20,
  manifestLoadPolicy: patient(10_000, 20_000, 1),
  playlistLoadPolicy: patient(30_000, 40_000, 40),
  fragLoadPolicy: patient(10_000, 60_000, 12),
};

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

export class Player {
  hls: Hls | null = null;
  private Hls: typeof Hls | null = null;
  private engine: Stats["engine"] = "none";
  private stream: Stream | null = null;
  private listed = false;
  private failures = 0;
  private playlist: Facts["playlist"] = "loading";
  private unsupported: string | null = null;
  private started = false;
  private wantsPlay = true;
  private following = true;
  /** Where the playlist begins that is played, in Unix ms; null for the live one. */
  private since: number | null = null;
  private speed = 1;
  private stalls = 0;
  private stallsAtEdge = 0;
  private stalledAtEdge = false;
  private stalledMs = 0;
  private stalledSince = 0;
  private recoveries = 0;
  private attempt = 0;
  private mediaErrors: number[] = [];
  private lastTime = 0;
  private movedAt = 0;
  private playlistAt = 0;
  private nudgedAt = 0;
  private builtAt = 0;
  private frames = { at: 0, decoded: 0, rate: 0 };
  private rates: Record<string, RateWindow> = {};
  private alone: Kind | null = null;
  /** A track that the stream has and the player lacks: its playlist, and what that named last. */
  private awaited: { url: string; last: string | null } | null = null;
  private lookedAt = 0;
  private manifest: string[] = [];
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly ticker: ReturnType<typeof setInterval>;
  private readonly ending = new AbortController();
  private readonly reporting: Reporting;

  constructor(
    readonly video: HTMLVideoElement,
    private readonly url: string,
    private readonly onTick: (snapshot: Snapshot) => void,
  ) {
    this.reporting = new Reporting(url);
    this.listen();
    this.ticker = setInterval(() => this.tick(), TICK_MS);
    void this.open();
  }

  destroy(): void {
    this.ending.abort();
    clearInterval(this.ticker);
    clearTimeout(this.retryTimer);
    this.hls?.destroy();
    this.hls = null;
    this.reporting.leave();
    this.video.removeAttribute("src");
    this.video.load();
  }

  /** What the edge lists of this stream now. */
  observe(stream: Stream | null, listed: boolean, failures: number): void {
    const returned = stream?.state === "live" && this.stream?.state !== "live";
    const renewed = this.stream !== null && stream !== null && stream.epoch !== this.stream.epoch;
    this.stream = stream;
    this.listed = listed;
    this.failures = failures;
    // Once ENDLIST was seen, hls.js asks for no more playlists: a new session needs a new start.
    const closed = this.details() !== null && !this.details()?.live;
    if (stream?.state === "live" && closed && this.age(this.builtAt) > 5) this.rebuild();
    else if (this.unsupported && renewed) this.rebuild(); // perhaps in another codec
    else if (returned && (this.playlist === "missing" || this.playlist === "failing")) {
      this.retry(() => this.reopen(), 0);
    }
    this.awaitMissing();
  }

  // -- what the controls do --------------------------------------------------------------------

  toggle(): void {
    if (this.video.paused) {
      this.wantsPlay = true;
      if (this.video.ended) this.video.currentTime = this.window()?.start ?? 0;
      else if (this.following) this.toLive();
      void this.play();
    } else {
      this.wantsPlay = false;
      this.video.pause();
    }
    this.tick();
  }

  toLive(): void {
    this.following = true;
    this.speed = 1;
    if (this.since !== null) {
      this.since = null;
      this.wantsPlay = true;
      this.load(this.address(), null);
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
    const position = this.positionOf(time);
    this.following = false;
    if (position !== null) {
      this.video.currentTime = position;
    } else {
      this.since = Math.round(time);
      if (this.hls) this.load(this.address(), null);
      else this.openNative();
    }
    this.tick();
  }

  setSpeed(speed: number): void {
    this.speed = speed;
    if (speed > 1) this.following = false;
    this.video.playbackRate = speed;
    this.tick();
  }

  /** One picture on or back, standing still. */
  step(by: 1 | -1): void {
    this.wantsPlay = this.following = false;
    this.video.pause();
    const rate = this.stream?.tracks.find((track) => track.kind === "video")?.frame_rate;
    this.video.currentTime += by / (rate || 25);
    this.tick();
  }

  seek(to: number): void {
    const window = this.window();
    if (!window) return;
    const live = this.hls?.liveSyncPosition ?? window.end;
    this.following = to >= live - 1;
    this.video.currentTime = Math.max(window.start + 0.1, Math.min(to, live));
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

  setQuality(id: number): void {
    if (this.hls) this.hls.nextLevel = id;
    this.tick();
  }

  setAudioTrack(id: number): void {
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
    const hls = new Engine({ ...CONFIG, cmcd: this.reporting.config });
    passLoaded(hls);
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
    hls.on(Events.LEVEL_UPDATED, (_, { details }) => {
      if (details.updated || details.advanced) this.playlistAt = performance.now();
    });
    hls.on(Events.FRAG_BUFFERED, (_, { frag, part, stats }) => {
      if (frag.sn === "initSegment") return;
      this.attempt = 0;
      (this.rates[frag.type] ??= new RateWindow()).add(stats.loaded, (part ?? frag).duration);
    });
    hls.attachMedia(this.video);
    hls.loadSource(this.address());
  }

  /** The playlist that is played. */
  private address(): string {
    return this.since === null ? this.url : `${this.url}?start=${this.since / 1000}`;
  }

  private openNative(): void {
    this.engine = "native";
    this.video.src = this.address();
    void this.play();
  }

  private async play(): Promise<void> {
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
    if (!data.fatal) return;
    this.recoveries += 1;
    if (data.type === ErrorTypes.NETWORK_ERROR) {
      if (this.details() === null) {
        this.playlist = data.response?.code === 404 ? "missing" : "failing";
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
    else this.rebuild();
  }

  /** Play this playlist from its live edge on: the stream's, or that of one track `alone`. */
  private load(url: string, alone: Kind | null): void {
    this.alone = alone;
    this.manifest = [];
    if (alone === null) this.awaited = null;
    this.started = false;
    this.builtAt = this.movedAt = this.playlistAt = performance.now();
    this.hls?.loadSource(url);
  }

  private rebuild(): void {
    this.recoveries += 1;
    this.hls?.destroy();
    this.hls = null;
    this.unsupported = null;
    this.following = this.since === null;
    this.rates = {};
    this.alone = this.awaited = null;
    this.manifest = [];
    void this.open();
  }

  // -- watching over it ------------------------------------------------------------------------

  private listen(): void {
    const { video } = this;
    const { signal } = this.ending;
    const on = (name: string, act: () => void) => video.addEventListener(name, act, { signal });
    on("playing", () => {
      this.started = true;
      this.afterAbsence();
      this.endStall();
    });
    on("timeupdate", () => {
      if (!video.seeking) this.endStall();
    });
    on("waiting", () => {
      if (!this.started || video.seeking || video.paused || this.stalledSince) return;
      this.stalls += 1;
      this.stalledSince = performance.now();
      const edge = this.details()?.edge;
      this.stalledAtEdge = edge !== undefined && edge - video.currentTime < 0.5;
      if (this.stalledAtEdge) this.stallsAtEdge += 1;
    });
    on("error", () => {
      if (this.engine === "native") this.retry(() => this.openNative());
    });
    for (const name of ["volumechange", "pause", "play", "ended"]) on(name, () => this.tick());
  }

  /**
   * Go on after the publisher's absence, as if nothing had been. hls.js takes it for a slow network and
   * stays a second further behind; Chromium wants more and more media before it goes on, and plays sound
   * across the hole: a seek has it begin anew. And it goes on with the first picture that it gets, with
   * nothing left for the next hiccup: so stand still for what the hold-back lacks.
   */
  private afterAbsence(): void {
    const { hls, video } = this;
    const details = this.details();
    if (!this.stalledAtEdge || !this.following || !hls || !details?.live) return;
    this.stalledAtEdge = false;
    hls.targetLatency = (details.partList && details.partHoldBack) || details.holdBack;
    const lacking_s = hls.targetLatency - (details.edge - video.currentTime);
    video.playbackRate = 0; // which hls.js leaves alone
    setTimeout(
      () => {
        video.playbackRate = 1;
        video.currentTime += 0.01;
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
      if (speaks && this.hls) this.load(this.address(), null);
    } catch {
      // the next look may have more luck
    } finally {
      this.lookedAt = performance.now();
    }
  }

  private endStall(): void {
    if (!this.stalledSince) return;
    // A time update may come at the moment of the stall itself: only moving ends it.
    if (this.video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA) return;
    this.stalledMs += performance.now() - this.stalledSince;
    this.stalledSince = 0;
  }

  private tick(): void {
    const now = performance.now();
    if (Math.abs(this.video.currentTime - this.lastTime) > MOVED_S) {
      this.lastTime = this.video.currentTime;
      this.movedAt = now;
    }
    this.countFrames(now);
    this.keepUp();
    this.goOnAlone();
    void this.look();
    this.nudge(now);
    const snapshot = this.snapshot();
    this.reporting.observe(snapshot.stats);
    this.onTick(snapshot);
  }

  private countFrames(now: number): void {
    const decoded = this.video.getVideoPlaybackQuality?.().totalVideoFrames ?? 0;
    const elapsed_s = (now - this.frames.at) / 1000;
    if (elapsed_s < 1) return;
    const rate = this.frames.at ? Math.max(0, decoded - this.frames.decoded) / elapsed_s : 0;
    this.frames = { at: now, decoded, rate };
  }

  /** Regain what is lost by playing a little faster; further behind than that, go there at once. */
  private keepUp(): void {
    const { hls, video } = this;
    if (!hls || video.playbackRate === 0) return; // afterAbsence
    const target = hls.targetLatency;
    const follows = this.following && this.details()?.live && target !== null;
    if (!follows) {
      video.playbackRate = this.speed;
      return;
    }
    if (video.paused || video.seeking) return;
    const position = hls.liveSyncPosition;
    const jumps = hls.latency > target + JUMP_BEHIND_S && position !== null;
    if (jumps && position > video.currentTime + 1) video.currentTime = position;
    const { ahead_s } = this.buffered();
    video.playbackRate = catchUpRate(video.playbackRate, hls.latency, target, ahead_s);
  }

  private nudge(now: number): void {
    const { video } = this;
    if (!this.started || !this.wantsPlay || video.ended || this.engine !== "hls.js") return;
    if (this.age(this.nudgedAt) < 3) return;
    const { ahead_s, next } = this.buffered();
    const action = nudgeFor({
      still_s: this.age(this.movedAt),
      ahead_s,
      next_start: next,
      playlist_age_s: this.age(this.playlistAt),
      live: this.stream?.state === "live",
    });
    if (action === "none") return;
    this.nudgedAt = now;
    this.recoveries += 1;
    if (action === "jump" && next !== null) video.currentTime = next + 0.05;
    else if (action === "play") void this.play();
    else if (action === "reload-playlist") this.hls?.startLoad(-1);
    else if (action === "rebuild") this.rebuild();
  }

  // -- what is -----------------------------------------------------------------------------------

  private age(since: number): number {
    return (performance.now() - since) / 1000;
  }

  private details() {
    return this.hls?.latestLevelDetails ?? null;
  }

  private buffered(): { ahead_s: number; next: number | null } {
    const { buffered, currentTime } = this.video;
    let next: number | null = null;
    for (let i = 0; i < buffered.length; i += 1) {
      const [start, end] = [buffered.start(i), buffered.end(i)];
      if (start <= currentTime + 0.1 && end > currentTime) {
        return { ahead_s: end - currentTime, next: null };
      }
      if (start > currentTime) next ??= start;
    }
    return { ahead_s: 0, next };
  }

  private window(): { start: number; end: number } | null {
    const details = this.details();
    if (details) return { start: details.fragmentStart, end: details.edge };
    const { seekable } = this.video;
    return seekable.length
      ? { start: seekable.start(0), end: seekable.end(seekable.length - 1) }
      : null;
  }

  /** Where a moment is in what is loaded; null where it is not. */
  private positionOf(time: number): number | null {
    for (const frag of this.details()?.fragments ?? []) {
      const begin = frag.programDateTime;
      if (begin === null || begin === undefined || frag.gap) continue;
      if (begin <= time && time < begin + 1000 * frag.duration) {
        return frag.start + (time - begin) / 1000;
      }
    }
    return null;
  }

  private playingDate(): Date | null {
    if (this.hls) return this.hls.playingDate;
    const begin = (this.video as { getStartDate?: () => Date }).getStartDate?.();
    const ms = begin?.getTime() ?? Number.NaN;
    return Number.isFinite(ms) ? new Date(ms + this.video.currentTime * 1000) : null;
  }

  private phase(): Phase {
    return phaseOf({
      state: this.listed ? (this.stream?.state ?? null) : null,
      listed: this.listed,
      failures: this.failures,
      playlist: this.playlist,
      unsupported: this.unsupported,
      advancing: this.started && !this.video.paused && this.age(this.movedAt) < 1.2,
      started: this.started,
      paused: this.video.paused && !this.wantsPlay,
      finished: this.video.ended,
    });
  }

  stats(): Stats {
    const { hls, video } = this;
    const live = this.details()?.live ?? this.engine === "native";
    const behind = hls && live && this.started ? hls.latency : null;
    const date = this.started ? this.playingDate() : null;
    const wall_s = date && live ? (Date.now() - date.getTime()) / 1000 : null;
    // A viewer's clock may be wrong; then the distance to the playlist's edge is the honest figure.
    const plausible = wall_s !== null && wall_s > 0 && wall_s < (behind ?? wall_s) + 60;
    const level = hls?.levels?.[hls.currentLevel];
    const quality = video.getVideoPlaybackQuality?.();
    const measured = Object.values(this.rates).reduce((sum, window) => sum + window.bps, 0);
    const stalling = this.stalledSince ? performance.now() - this.stalledSince : 0;
    const listed = this.stream?.tracks.map((track) => track.codec).join(", ") ?? "";
    const codecs = [level?.videoCodec, level?.audioCodec].filter(Boolean).join(", ");
    return {
      phase: this.phase(),
      currentTime: video.currentTime,
      latency_s: plausible ? wall_s : behind,
      behind_live_s: behind,
      target_latency_s: hls?.targetLatency ?? null,
      buffer_s: this.buffered().ahead_s,
      bitrate_bps: Math.round(measured || (level?.bitrate ?? 0)),
      stalls: this.stalls,
      stalls_at_edge: this.stallsAtEdge,
      stalled_s: (this.stalledMs + stalling) / 1000,
      dropped: quality?.droppedVideoFrames ?? 0,
      decoded: quality?.totalVideoFrames ?? 0,
      frame_rate: this.frames.rate,
      width: video.videoWidth,
      height: video.videoHeight,
      codecs: codecs || listed,
      playback_rate: video.playbackRate,
      recoveries: this.recoveries,
      playing_date: date?.toISOString() ?? null,
      following: this.following,
      alone: this.alone,
      engine: this.engine,
    };
  }

  private snapshot(): Snapshot {
    const { hls, video } = this;
    const levels = hls?.levels ?? [];
    return {
      stats: this.stats(),
      unsupported: this.unsupported,
      paused: video.paused,
      muted: video.muted,
      volume: video.volume,
      following: this.following,
      live: this.stream?.state === "live",
      speed: this.speed,
      window: this.window(),
      qualities: levels.map((level, id) => ({
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
