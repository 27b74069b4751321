/** A stream by DASH: dash.js, loaded when it is asked for, in a <video> whose time is the media's Unix time. */

import type { MediaPlayerClass } from "dashjs";
import type { Stream } from "./api";
import { HeldRequests, type Piece } from "./dash/held-requests";
import { type Manifest, fetchManifest, leadOf } from "./dash/manifest";
import { edgeNow } from "./edge-clock";
import { type Facts, RateWindow, backoffMs, phaseOf } from "./recovery";
import { Reporting } from "./reporting";
import { AT_LIVE, type Begin, ENDED_MS, LEAST_S, type Snapshot, VideoPlayer } from "./video-player";
import { WallTimes, captured } from "./wall-times";
import { LAST_PICTURE_S } from "./ws/pacing";

/** dash.js rights most stalls by itself; after so long without a picture it begins anew. */
const STUCK_S = 10;
/** Reading the manifest of where it is sent may take so long. */
const READS_S = 30;
/** After a publisher came back it is given less, if it stands at the end of what the one before sent. */
const RENEWED_S = 1.5;
const GIVES_UP_AFTER_S = 5;
/** What a request failed for is not in the way while so much is left. */
const PLAYS_ON_S = 1;
const EDGE_S = 1.5;
/** So long it has stood before media that it does not go on to by itself. */
const HOLE_S = 1;
/** Pictures and sound do not end at once, and of what is left then, at normal speed, browsers play nothing. */
const LAST_S = 0.1;
/** Of the last media that it asked for of a Period, no more is left. */
const ENDS_S = 0.3;
/** What comes after an absence is loaded when so much is left before it, and of it so much. */
const NEXT_S = 4;
const NEXT_MOST_S = 10;
/** It buffers a minute. */
const MOST_AHEAD_S = 120;
/** Within the first segment of a GOP, by any clock. */
const LED_S = 0.05;
/** Who stands still, sent to where nothing comes so long, is taken to what follows. */
const NOWHERE_S = 2;
/** Media whose time is that of day by less are where they should be. */
const NEAR_S = 0.01;
/** Of a stream whose publisher is away, so much of the last is shown; a player at the live edge has nothing. */
const LAST_MS = 500;
const NOTHING_S = 1;
/** It has played on so long after a publisher came back, so with what that one sends. */
const MOVES_MS = 5000;
/** Manifests that begin further back may be of a day at most, and closed. */
const FAR_MS = 11 * 3_600_000;

export class DashPlayer extends VideoPlayer {
  readonly mode = "dash";
  dash: MediaPlayerClass | null = null;
  private script: Script | null = null;
  private playlist: Facts["playlist"] = "loading";
  /** Where the manifest begins that is played, in Unix ms; null for the live one. */
  private since: number | null;
  /** Where that ends, s, where the stream goes on behind it. */
  private until: number | null = null;
  /** dash.js has its first Period of what was loaded last. */
  private begun = false;
  /** It reads that manifest. */
  private reads = false;
  /** Where the manifest's media begin, s, where not every segment begins with a keyframe; else null. */
  private leads: number | null = null;
  /** When the newest media that the manifest lists were captured, Unix ms. */
  private newest = 0;
  /** When its Periods begin, s. */
  private periods: number[] = [];
  /** It follows, and plays the last of a stream whose publisher is away. */
  private lingers = false;
  /** Where dash.js was told to begin, s: in a dynamic manifest; a static one begins with the first Period. */
  private given: number | null = null;
  /** Where it begins, s, until that is there to be shown. */
  private starts: number | null = null;
  /** Of what it reads before it begins anew. */
  private loading = new AbortController();
  /** Where it was sent before anything told when the media were captured, s; null: it need not be looked at. */
  private begunAt: number | null = null;
  private catchesUp: boolean | null = null;
  /** dash.js goes on to where there are pictures and sound. */
  private leaps = true;
  private attempt = 0;
  private builtAt = 0;
  private nudgedAt = 0;
  /** When the edge listed a publisher that is not the one of before; null: it plays since. */
  private renewedAt: number | null = null;
  private readonly held = new HeldRequests((piece) => this.early(piece));
  private readonly times = new WallTimes();
  private readonly rates: Record<string, RateWindow> = {};
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
    this.since = begin.at;
    this.on("progress", () => this.reach());
    this.on("seeking", () => this.mindHoles());
    void this.open();
  }

  protected get timeline(): string {
    return this.url.replace(/manifest\.mpd$/, "timeline");
  }

  /** Absences are as long here as they were, each with a Period behind it. */
  protected override get unbroken(): number {
    return this.periods.findLast((start) => start <= this.video.currentTime) ?? 0;
  }

  protected close(): void {
    clearTimeout(this.retryTimer);
    this.loading.abort();
    this.unmake();
    this.reporting.leave();
  }

  private unmake(): void {
    // What dash.js 5.2.1 does once the <video> can play, it would do then at each time, and fail.
    if (this.dash) this.video.dispatchEvent(new Event("canplay"));
    this.dash?.destroy();
    this.dash = null;
  }

  override observe(stream: Stream | null, listed: boolean, failures: number): void {
    const before = this.stream;
    const live = stream?.state === "live" && before !== null;
    const returned = live && before.state !== "live";
    if (returned || (live && before.epoch !== stream.epoch)) this.renewedAt = performance.now();
    super.observe(stream, listed, failures);
    if (this.unsupported && before && stream && before.epoch !== stream.epoch) this.load(); // perhaps in another codec
    else if (returned && this.lingers && this.following) {
      this.since = null;
      this.load();
    } else if (returned && (this.playlist !== "here" || this.video.ended)) {
      this.following ||= this.video.ended && this.ends === null; // who has seen all goes on with what is new
      this.retry(0);
    }
  }

  // -- what the controls do --------------------------------------------------------------------

  /** dash.js plays for a moment, to begin, also where it is to stand still. */
  protected override get stands(): boolean {
    return !this.wantsPlay || super.stands;
  }

  toLive(): void {
    this.moved();
    this.following = true;
    this.aim = this.reaching = null;
    this.speed = 1;
    this.video.playbackRate = 1;
    this.wantsPlay = true;
    if (this.since !== null || this.retryTimer !== undefined || this.over) {
      this.since = this.lastSeconds();
      this.load();
    } else {
      const live = this.live();
      if (live !== null && Math.abs(live - this.video.currentTime) > 1) this.video.currentTime = live;
      void this.play();
    }
    this.tick();
  }

  goTo(time: number): void {
    this.moved();
    const at = this.placed(time);
    const window = this.window();
    this.following = false;
    this.aim = time;
    // Before anything has been shown, dash.js goes where it meant to begin after all; and a manifest
    // that is static lists less than it is long.
    const listed = this.dash?.isDynamic() !== false || (this.since !== null && time >= this.since);
    const here = window !== null && at >= window.start && at < window.end;
    // Of another Period, it is not known yet when its media were captured.
    const begun = (time: number) => this.periods.filter((start) => start <= time).length;
    const near = begun(at) === begun(this.video.currentTime);
    this.reaching = null;
    if (this.started && listed && here && near && (this.leads === null || this.has(at))) this.video.currentTime = at;
    else {
      this.since = this.reaching = time;
      this.load();
    }
    this.tick();
  }

  seek(to: number): void {
    this.moved();
    const window = this.window();
    const live = this.live();
    if (!window || live === null) return;
    const { ends } = this;
    const at = this.video.currentTime;
    const last = this.over && to > at ? Math.max(live, at) : live;
    const position = Math.max(window.start + 0.1, Math.min(to, last));
    if (ends !== null && to >= window.end) return this.goTo(ends + 1000 * (to - window.end));
    const toLive = ends === null && !this.over && to >= (this.goesByClock ? live : live - 1);
    if (toLive && this.goesByClock) return this.linger();
    const date = this.times.date(position);
    // What leads to it is not there.
    if (!toLive && this.started && this.leads !== null && !this.has(position)) return this.goTo(date);
    this.following = toLive;
    this.aim = toLive ? null : date;
    this.reaching = null;
    this.video.currentTime = position;
    this.tick();
  }

  /** Play the last of a stream whose publisher is away: dash.js would seek to a live edge that goes on without it. */
  private linger(): void {
    if (!(this.following && this.lingers)) {
      this.following = true;
      this.aim = this.reaching = null;
      this.speed = 1;
      const last = this.newest - LAST_MS;
      const at = this.placed(last);
      const there = this.started && this.since !== null && this.has(at);
      this.since = last;
      if (there) {
        this.lingers = true;
        this.video.playbackRate = 1;
        const { currentTime } = this.video;
        if (currentTime < at || !this.has(currentTime)) this.video.currentTime = at;
      } else this.load();
    }
    this.tick();
  }

  override setAudioTrack(id: number): void {
    const track = this.dash?.getTracksFor("audio")[id];
    if (track) this.dash?.setCurrentTrack(track);
    this.tick();
  }

  // -- opening and recovering ------------------------------------------------------------------

  private async open(): Promise<void> {
    try {
      this.script = (await import("dashjs")).MediaPlayer;
    } catch {
      this.retry(); // the page's own script did not load
      return;
    }
    if (!this.ending.signal.aborted) this.load();
  }

  private make(script: Script): MediaPlayerClass {
    const made = script().create();
    // One that was replaced may have something to tell still.
    const on: MediaPlayerClass["on"] = (name: string, act: (event: never) => void) =>
      made.on(name, (event: unknown) => {
        if (this.dash === made) act(event as never);
      });
    on("error", (event) => this.fails(event as Failure));
    on("manifestLoaded", (event) => {
      const manifest = (event as unknown as { data?: Manifest }).data;
      this.leads = leadOf(manifest);
      this.newest = new Date(manifest?.publishTime ?? 0).getTime();
      this.periods = manifest?.Period?.map(({ start }) => start ?? 0) ?? [];
      this.playlist = "here";
      this.attempt = 0;
      this.reporting.begins();
    });
    on("streamInitialized", () => this.begins());
    on("playbackNotAllowed", () => void this.play());
    on("bufferLevelUpdated", () => this.reach());
    on("fragmentLoadingCompleted", (event) => this.loaded(event as unknown as Loaded));
    // Of a segment that grows, this brings the begin.
    on("fragmentLoadingProgress", (event) => this.look(event as unknown as Loaded));
    made.addRequestInterceptor(this.held.intercept);
    made.updateSettings({
      streaming: {
        // The window for appends becomes the next Period's as soon as the last media of one are loaded, and what
        // of them is not appended yet would be dropped. Ours end where the next begins.
        buffer: { bufferToKeep: 60, useAppendWindow: false },
        gaps: { jumpGaps: this.leaps },
        lastBitrateCachingInfo: { enabled: false },
        lastMediaSettingsCachingInfo: { enabled: false },
        cmcd: this.reporting.dash, // heeded where it is set before initialize
      },
    });
    made.initialize(this.video, undefined, true);
    return made;
  }

  private load(): void {
    if (!this.script) return;
    this.builtAt = performance.now();
    this.lingers = this.following && this.since !== null;
    this.loading.abort();
    this.loading = new AbortController();
    clearTimeout(this.retryTimer);
    this.retryTimer = undefined;
    this.until = null;
    this.started = false;
    const over = this.since === null && this.stream?.state === "ended";
    this.stale = over || this.since !== null;
    if (this.since !== null && !this.following) this.aim = this.since;
    if (over) void this.attachLast();
    else if (this.since === null) this.attach(this.url);
    else void this.attachFrom(Math.round(this.since) / 1000);
  }

  protected override get ends(): number | null {
    if (this.until === null) return null;
    const end = this.window()?.end; // the last segment may go on behind that
    return Math.ceil(Math.max(1000 * this.until, end === undefined ? 0 : this.times.date(end)));
  }

  /** The manifest of what came since, up to then (Unix s). */
  private from(since: number, until: number | null): string {
    return `${this.url}?start=${since}${until === null ? "" : `&end=${until}`}&behind=0`;
  }

  /** Where what begins then (Unix s) is to end, where that is far back: the edge says so, by HLS in a few lines. */
  private async endOf(since: number, signal: AbortSignal): Promise<number | null> {
    if ((this.stream?.last_ms ?? edgeNow()) - 1000 * since < FAR_MS) return null;
    const index = this.url.replace(/manifest\.mpd$/, "index.m3u8");
    const answer = await fetch(`${index}?start=${since}`, { signal });
    if (!answer.ok) return null; // dash.js is told the same of the manifest
    const end = /[?&]end=([\d.]+)/.exec(await answer.text())?.[1];
    return end === undefined ? null : Number(end);
  }

  /**
   * From here on all that dash.js says is of this. Where it begins is the media's time, and for a dynamic manifest
   * alone: of a static one it would be since the first Period; and with `posix:` it would be off by what
   * this machine's clock is.
   */
  private attach(url: string, start?: number, until: number | null = null): void {
    this.until = until;
    this.stale = false;
    this.builtAt = this.movedAt = performance.now();
    this.started = this.begun = false;
    this.begunAt = this.starts = null;
    this.periods = [];
    this.playlist = "loading";
    this.unsupported = null;
    this.catchesUp = null;
    this.reaching = this.since;
    this.forgetPosition();
    this.held.drop();
    // Given another source while it reads a manifest, dash.js takes that for empty, and fails.
    if (this.reads) this.unmake();
    this.reads = true;
    this.dash ??= this.script && this.make(this.script);
    this.given = start ?? null;
    this.dash?.attachSource(url, start);
  }

  /**
   * Begin with the GOP in which the moment lies, by the manifest: dash.js, sent there once it has begun, may
   * go on with segments amid it, which nothing can decode.
   */
  private async attachFrom(since: number): Promise<void> {
    const { signal } = this.loading;
    let manifest: Manifest | undefined;
    let until: number | null = null;
    try {
      until = await this.endOf(since, signal);
      manifest = await fetchManifest(this.from(since, until), signal);
    } catch {
      // dash.js has its own words for it
    }
    if (signal.aborted) return;
    this.attachAt(since, leadOf(manifest), manifest?.type !== "static", until);
  }

  /** The last seconds of what has ended: dash.js would show what its manifest begins with. */
  private async attachLast(): Promise<void> {
    const { signal } = this.loading;
    const manifest = await this.asked((asking) => fetchManifest(this.url, asking), signal);
    if (signal.aborted) return;
    if (!manifest?.end) return this.attach(this.url);
    this.since = this.times.date(manifest.end) - ENDED_MS;
    this.load();
  }

  private attachAt(since: number, leads: number | null, dynamic: boolean, until: number | null): void {
    const start = leads !== null && leads < since ? leads + LED_S : since;
    this.attach(this.from(since, until), dynamic ? start : undefined, until);
  }

  /**
   * dash.js knows its first Period, and meant to begin somewhere: in a static manifest at the first
   * Period, in one that goes on where it was told to. Where that is the
   * window's very beginning it does not seek at all, and Chromium shows nothing without.
   */
  private begins(): void {
    if (this.begun) return;
    this.begun = true;
    this.reads = false;
    if (this.stale) return; // of before
    const dynamic = this.dash?.isDynamic() === true;
    if (this.since === null) {
      if (dynamic) return;
      const live = this.stream?.state === "live"; // then this manifest is of before
      this.since = this.lastSeconds();
      if (live) this.retry();
      else if (this.since !== null) this.load();
      else return;
      // Nothing of it is to be shown; not amid what dash.js does with it.
      setTimeout(() => {
        if (this.stale || this.retryTimer !== undefined) this.unmake();
      });
      return;
    }
    const since = Math.round(this.since) / 1000;
    // What was read before was another one, or it could not be read.
    const { given, leads } = this;
    const amid = given !== null && leads !== null && leads < since && given - leads > 2 * LED_S;
    if (amid || dynamic !== (given !== null)) return this.attachAt(since, leads, dynamic, this.until);
    if (leads === null || leads >= since) {
      this.reaching = null;
      this.begunAt = this.foundAt(this.since);
      // There is nothing of the moment itself.
      if (this.aim !== null && this.begunAt > this.placed(this.aim) + HOLE_S) this.aim = this.times.date(this.begunAt);
      this.dash?.seekToPresentationTime(this.begunAt + LEAST_S);
    } else if (!dynamic) {
      // It begins there by itself, and a seek before it has anything would have it append the init segment
      // between two segments of the GOP, of which browsers then drop the rest.
      this.starts = leads + LEAST_S;
    }
  }

  /** Where a moment (Unix ms) is, or what follows it, s. */
  private foundAt(time: number): number {
    return Math.max(this.placed(time), this.window()?.start ?? 0, this.periods[0] ?? 0);
  }

  /** When these media were captured. It may have been sent to a moment before it knew where in them that is. */
  private look({ request, response }: Loaded): void {
    const video = request.type === "MediaSegment" && request.mediaType === "video";
    const told = video && response ? captured(response, request.timescale) : null;
    if (!told) return;
    this.times.add(told);
    const { begunAt, since } = this;
    // A moment of which there is nothing is where it is.
    const within = begunAt !== null && told.media_s <= begunAt && begunAt < told.media_s + request.duration;
    if (!within || since === null) return;
    this.begunAt = null;
    const place = this.foundAt(since);
    if (Math.abs(place - begunAt) < NEAR_S) return;
    // Sent back to before what it has, dash.js may return to that.
    const start = this.given === null ? undefined : place;
    if (place < told.media_s) this.attach(this.from(Math.round(since) / 1000, this.until), start, this.until);
    else this.dash?.seekToPresentationTime(place + LEAST_S);
  }

  private fails({ error }: Failure): void {
    this.reads = false;
    if (this.stale) return; // of before
    const answer = error?.data as { response?: { status?: number } } | undefined;
    const missing = answer?.response?.status === 404 || (this.listed && this.stream === null);
    if (this.plays_s <= PLAYS_ON_S) this.playlist = missing ? "missing" : "failing";
    // None of a manifest's can be played, or one; not where it could make nothing of the manifest.
    const none = error?.code === 32 && !error.message?.endsWith("nostreamscomposed");
    const codecs = none || error?.code === 35;
    if (codecs) this.unsupported = this.stream?.tracks.map(({ codec }) => codec).join(", ") ?? "this stream";
    const ofVideo = error?.code !== undefined && error.code <= MediaError.MEDIA_ERR_SRC_NOT_SUPPORTED;
    if (ofVideo && this.started) {
      // Soon there is nothing in the <video>, and its time is 0.
      if (!this.following) this.aim = this.reaching ??= this.times.date(this.video.currentTime);
      this.started = false;
    }
    if (this.retryTimer !== undefined && !ofVideo) return; // dash.js tells of each request
    this.recovers(`error ${error?.code}, ${error?.message}`);
    const wait_ms = backoffMs(this.attempt);
    this.retry(error?.code === MediaError.MEDIA_ERR_DECODE ? this.failsToDecode(wait_ms) : wait_ms);
  }

  private retry(wait_ms = backoffMs(this.attempt)): void {
    clearTimeout(this.retryTimer);
    this.attempt += 1;
    this.retryTimer = setTimeout(() => {
      this.retryTimer = undefined;
      if (this.ending.signal.aborted || this.unsupported) return;
      if (this.plays_s > PLAYS_ON_S) return this.retry();
      if (this.script) this.again();
      else void this.open();
    }, wait_ms);
  }

  /** So much is left to be played, of what it plays. */
  private get plays_s(): number {
    return this.started && !this.holds && !this.video.seeking ? this.buffered().ahead_s : 0;
  }

  /** Load anew: the live edge, or the moment that it was sent to, or what comes after what was shown last. */
  private again(): void {
    if (this.following && this.stream?.state === "live") this.since = null;
    else if (this.reaching !== null) this.since = this.reaching;
    else if (!this.following && this.started) this.since = this.times.date(this.video.currentTime);
    this.load();
  }

  /** Sent to a moment, it is to stay there until all has come, and for as long as it stands still. */
  private mindHoles(): void {
    const leaps = this.following || (this.wantsPlay && !this.soundComes);
    if (leaps === this.leaps) return;
    this.leaps = leaps;
    this.dash?.updateSettings({ streaming: { gaps: { jumpGaps: leaps } } });
  }

  /**
   * dash.js loads the next Period as soon as it has all of one: over an absence without end, for it goes by what
   * is left of what it plays. And behind the last of a stream that is away it asks for all that would have come
   * since.
   */
  private early({ period_s, begin_s }: Piece): boolean {
    const at = this.started ? this.video.currentTime : (this.since ?? 0) / 1000;
    const { here, before } = this.held.asked(period_s);
    if (this.following) return false;
    if (begin_s !== null && begin_s - at > MOST_AHEAD_S && at >= period_s) return true;
    if (at >= period_s || before === null) return false;
    if (begin_s !== null && begin_s - (here?.begin_s ?? begin_s) > NEXT_MOST_S) return true;
    return before.end_s - at > NEXT_S * Math.max(1, this.speed);
  }

  /** Where the next Period begins, s, once all of this one has been played; else null. */
  private nextPeriod(): number | null {
    const at = this.video.currentTime;
    const begin = this.started && !this.following ? this.periods.find((start) => start > at) : undefined;
    const { before } = this.held.asked(begin ?? Number.POSITIVE_INFINITY);
    const played = before !== null && before.end_s - at < ENDS_S * Math.max(1, this.speed);
    return begin !== undefined && played ? begin : null;
  }

  /** Not in what was loaded before, which is there for a moment still. */
  protected override arrive(): void {
    if (this.begun) super.arrive();
  }

  /** Go where it was sent to, once that is there. */
  private reach(): void {
    if (this.starts !== null && this.has(this.starts)) {
      this.video.currentTime = this.starts;
      this.starts = null;
    }
    this.arrive();
  }

  protected override placed(time: number): number {
    return this.times.place(time);
  }

  private loaded(loaded: Loaded): void {
    const { request } = loaded;
    if (request.type !== "MediaSegment" || !request.bytesTotal) return;
    this.look(loaded);
    (this.rates[request.mediaType] ??= new RateWindow()).add(request.bytesTotal, request.duration);
  }

  protected watch(): void {
    this.reach();
    this.held.look();
    this.mindHoles();
    // Otherwise dash.js takes a viewer of the past for one who is far behind, and hurries.
    const catchesUp = this.following && (!this.lingers || this.stream?.state === "live");
    if (this.dash && this.playlist === "here" && this.catchesUp !== catchesUp) {
      this.catchesUp = catchesUp;
      this.dash.updateSettings({ streaming: { liveCatchup: { enabled: catchesUp } } });
    }
    const { following, speed, video } = this;
    if (!following && !this.holds && video.playbackRate !== speed) video.playbackRate = speed;
    const away = this.following && this.stream?.state === "away" && this.playlist === "here";
    if (away && this.since === null && !this.started && this.age(this.builtAt) > NOTHING_S) {
      this.linger();
      return;
    }
    if (this.unsupported || (this.stale && this.age(this.builtAt) < READS_S)) return;
    // Before a stream's begin, or in an absence: a manifest from there on begins with what there is.
    const date = this.times.date(video.currentTime);
    const within = this.last !== null && date < this.last - LAST_MS;
    if (this.started && !this.following && !this.holds && video.paused && within && this.seeks_s > NOWHERE_S) {
      this.since = date;
      this.load();
      return;
    }
    // Sent to a moment, and nothing to see of it: also of a stream that is away, or over, or paused.
    if (this.since !== null && !this.started && this.playlist === "here" && this.age(this.builtAt) > STUCK_S) {
      this.recovers("nothing to see of the moment");
      this.again();
      return;
    }
    const still_s = this.age(this.movedAt);
    // What it loaded first began amid a GOP, and could not be decoded, or a publisher was away: dash.js waits there
    // for ever.
    const { ahead_s, next } = this.buffered();
    const dry = ahead_s < LAST_S * Math.max(1, this.speed);
    if (this.wantsPlay && !this.stopped && dry && still_s > HOLE_S && this.age(this.nudgedAt) > HOLE_S) {
      const period = this.nextPeriod();
      if (period !== null && (next === null || next > period - HOLE_S)) {
        // Sent on to a Period that it does not go to by itself, dash.js 5.2.1 may load none after that.
        this.nudgedAt = performance.now();
        this.since = this.times.date(period + LEAST_S);
        this.load();
        return;
      }
      if (next !== null) {
        this.nudgedAt = performance.now();
        this.video.currentTime = next + LEAST_S;
      }
    }
    const wants = this.wantsPlay && !this.stopped && this.stream?.state === "live" && !this.video.ended;
    if (this.renewedAt !== null && this.movedAt > this.renewedAt + MOVES_MS) this.renewedAt = null;
    const renewed = this.renewedAt !== null && this.following && this.builtAt < this.renewedAt;
    const least_s = renewed ? RENEWED_S : STUCK_S;
    const since_s = this.age(renewed ? (this.renewedAt ?? 0) : this.builtAt);
    if (!wants || this.holds || still_s < least_s || since_s < least_s) return;
    this.recovers(`it stands since ${still_s.toFixed(1)} s`);
    this.again();
  }

  // -- what is -----------------------------------------------------------------------------------

  protected window(): { start: number; end: number } | null {
    if (!this.dash || this.stale || this.playlist !== "here") return null;
    try {
      const { start, end } = this.dash.getDvrWindow();
      const last = this.goesByClock ? Math.min(end, this.placed(this.newest)) : end;
      return start > 0 && last > start ? { start, end: last } : null;
    } catch {
      return null; // nothing plays yet
    }
  }

  /** dash.js takes what was published for longer than it is: no more comes, and the manifest is still dynamic. */
  private get goesByClock(): boolean {
    return this.stream !== null && this.stream.state !== "live" && this.dash?.isDynamic() === true;
  }

  /** Nothing comes behind what is listed. */
  private get over(): boolean {
    return this.dash?.isDynamic() === false && this.ends === null;
  }

  /** When those begin of what has ended, Unix ms: who follows it is shown these. Null where it goes on. */
  private lastSeconds(): number | null {
    const window = this.over && this.stream?.state !== "live" ? this.window() : null;
    return window && this.times.date(window.end) - ENDED_MS;
  }

  /** Where one plays who is at the live edge. */
  private live(): number | null {
    const window = this.window();
    if (!window || !this.dash) return null;
    if (this.goesByClock) return Math.max(window.start, window.end - LAST_MS / 1000);
    if (this.over) return Math.max(window.start, window.end - LAST_PICTURE_S);
    return Math.max(window.start, window.end - (this.dash.getTargetLiveDelay() || EDGE_S));
  }

  protected playingDate(): Date | null {
    const at = this.video.currentTime;
    return at > 0 ? new Date(this.times.date(at)) : null;
  }

  /** dash.js loads nothing of a live stream before it has played, nor while it stands still. */
  protected override plays(): void {
    if (this.wantsPlay || this.reaching !== null) return;
    this.video.pause();
    if (this.aim !== null) this.video.currentTime = this.placed(this.aim);
  }

  protected override waits(): boolean {
    const end = this.window()?.end;
    return this.stream?.state !== "live" || (end !== undefined && end - this.video.currentTime < 0.5);
  }

  protected told() {
    const date = this.started ? this.playingDate() : null;
    const ended = this.stream?.state === "ended";
    const latency_s = date && !ended ? (edgeNow() - date.getTime()) / 1000 : null;
    const window = this.window();
    const behind_s = this.ends === null && window ? Math.max(0, window.end - this.video.currentTime) : latency_s;
    const bps = Object.values(this.rates).reduce((sum, rate) => sum + rate.bps, 0);
    return {
      phase: phaseOf({
        ...this.facts(),
        playlist: this.playlist,
        started: this.started || this.age(this.builtAt) > GIVES_UP_AFTER_S,
        finished: this.video.ended,
      }),
      latency_s,
      behind_live_s: date && window && !ended ? behind_s : null,
      target_latency_s: window && !ended ? (this.dash?.getTargetLiveDelay() ?? null) : null,
      buffer_s: this.buffered().ahead_s,
      bitrate_bps: Math.round(bps),
      codecs: this.stream?.tracks.map((track) => track.codec).join(", ") ?? "",
      alone: null,
      engine: this.dash ? ("dash.js" as const) : ("none" as const),
    };
  }

  protected choices() {
    const tracks = this.window() ? (this.dash?.getTracksFor("audio") ?? []) : [];
    const current = tracks.length > 1 ? this.dash?.getCurrentTrackFor("audio") : null;
    return {
      qualities: [],
      quality: -1,
      audioTracks: tracks.map((track, id) => ({ id, label: track.lang || `Track ${id + 1}` })),
      audioTrack: tracks.findIndex((track) => track.index === current?.index),
    };
  }
}

type Script = () => { create: () => MediaPlayerClass };

interface Failure {
  error?: { code?: number; message?: string; data?: unknown };
}

interface Loaded {
  request: { type: string; mediaType: string; bytesTotal: number; duration: number; timescale: number };
  response?: ArrayBuffer;
}
