/**
 * Plays a stream of kinolog in a <video>, frame by frame over a WebSocket. No dependency.
 *
 *     const player = new SocketPlayer(video, "wss://edge.example/media/demo/camera/ws");
 *     player.seek(Date.now() - 600_000);      // ten minutes ago; player.toLive() comes back
 *     player.destroy();
 */

import { MediaTime, ServerClock } from "./media-time";
import { Cushion, Failures, LAST_PICTURE_S, UNDECODABLE_MS, leapTo, liveRate, waitMs } from "./pacing";
import { type Packet, type Session, type Told, type Track, mimeOf, parsePacket, playedTracks } from "./protocol";
import { TrackBuffer } from "./track-buffer";

export interface Status {
  phase: "connecting" | "playing" | "buffering" | "paused" | "away" | "ended" | "missing" | "unsupported" | "failed";
  /** For a person, where something is wrong. */
  message: string;
  live: boolean;
  speed: number;
  /** Capture to screen; null while nothing plays. */
  latency_s: number | null;
  ahead_s: number;
  margin_s: number;
  rate: number;
  stalls: number;
  leaps: number;
  connections: number;
  /** Of the stream, that it was told of. */
  sessions: number;
  /** The browser's decoder fails each time at what is here: it is tried again every few seconds. */
  undecodable: boolean;
  /** What the server left out since this connection does not keep up. */
  skipped: number;
  bytes: number;
  bitrate_bps: number;
  epoch: number;
  codecs: string;
  /** When the picture on the screen was captured, Unix ms. */
  captured_ms: number | null;
}

export interface Options {
  /** Called about twice a second, and when something changes. */
  onStatus?: (status: Status) => void;
  /** The cushion to begin with, in seconds. */
  margin_s?: number;
  /** Where to begin, Unix ms; live where it is left out. */
  start?: number;
  /** How fast, with `start`. */
  speed?: number;
  /** Show the first picture, and wait. */
  paused?: boolean;
  /** Called where the browser lets nothing play, muted either, before it is clicked at. */
  onRefused?: () => void;
}

const TICK_MS = 50;
const TELL_MS = 500;
const KEEP_S = 20;
const TRIM_EVERY_MS = 3000;
const WINDOW_BYTES = 16 << 20;
const ACK_BYTES = 1 << 20;
const SILENT_MS = 15_000;
/** What comes lies so far behind the playhead's place: nothing is played before it is sent there. */
const RUN_APART_S = 5;
/** The greatest speed at which all pictures come. */
export const FASTEST = 4;
const LEAST_AHEAD_S = 0.02;
/** What is sought is waited for so long after the last that came, and so long at most. */
const SOUGHT_COMES_MS = 2000;
const SOUGHT_MOST_MS = 10_000;
/** Of so much a browser shows the first picture, whatever its decoder holds back. */
const SHOWS_S = 0.5;
const NOTHING_MS = 3000;
const STILL_S = 0.4;
const STALL_SLACK_S = 0.5;
/** Of a stream that has ended, nothing more comes when nothing came for so long. */
const LAST_CAME_MS = 1000;

export class SocketPlayer {
  private socket: WebSocket | null = null;
  private source: MediaSource | null = null;
  private buffers = new Map<string, TrackBuffer>();
  private session: Session | null = null;
  /** The tracks' kinds that it was built for. */
  private kinds: string[] = [];
  /** A session with other kinds of track, for which it is built anew when all before it was played. */
  private next: { epoch: number; begins_ms: number | null; at: number } | null = null;
  /** Sessions that were played to their end so: of their media some come again. */
  private readonly passed = new Set<number>();
  private time = new MediaTime(RUN_APART_S);
  private readonly clock = new ServerClock();
  private cushion: Cushion;
  private independent: number[] = [];
  private begun = false;
  /** Since when there are media, and not yet those of the moment that is sought. */
  private comesSince = 0;
  /** Nothing was answered on this connection yet. */
  private fresh = true;
  private live = true;
  private speed = 1;
  private wanted: { start: number | "live"; speed: number } = { start: "live", speed: 1 };
  /** The moment that this run is to begin at, Unix ms; null: live. */
  private sought: number | null = null;
  private asked = 0;
  private answered = 0;
  private taken = 0;
  private acked = 0;
  private heardAt = 0;
  private attempt = 0;
  private readonly failures = new Failures();
  /** The playhead as it was seen last, s. */
  private seen_s = 0;
  private trimmedAt = 0;
  private toldAt = 0;
  private phase: Status["phase"] = "connecting";
  private message = "";
  private wantsPlay = true;
  private stalls = 0;
  private stalling = false;
  private absence: "away" | "ended" | null = null;
  /** The session with which the stream has ended. */
  private last: number | null = null;
  /** All was played, and the browser has paused. */
  private finished = false;
  private tookAt = 0;
  private lastTime_s = 0;
  private movedAt_s = 0;
  private leaps = 0;
  private connections = 0;
  private sessions = 0;
  private skipped = 0;
  private bytes = 0;
  private came: { at_ms: number; bytes: number }[] = [];
  private retry: ReturnType<typeof setTimeout> | undefined;
  private readonly ticker: ReturnType<typeof setInterval>;
  private readonly ending = new AbortController();

  constructor(
    readonly video: HTMLVideoElement,
    private readonly url: string,
    private readonly options: Options = {},
  ) {
    this.cushion = new Cushion(options.margin_s);
    this.wantsPlay = !options.paused;
    if (options.start !== undefined) {
      this.wanted = { start: options.start, speed: Math.min(options.speed ?? 1, FASTEST) };
      this.live = false;
    }
    const { signal } = this.ending;
    video.addEventListener("waiting", () => this.waits(), { signal });
    video.addEventListener("playing", () => this.plays(), { signal });
    video.addEventListener("error", () => this.fails(), { signal });
    video.addEventListener("play", () => (this.finished = false), { signal });
    video.addEventListener("ended", () => this.finishes(), { signal });
    this.ticker = setInterval(() => this.tick(), TICK_MS);
    this.connect();
  }

  destroy(): void {
    this.ending.abort();
    clearInterval(this.ticker);
    clearTimeout(this.retry);
    this.hangUp();
    this.drop();
    this.video.removeAttribute("src");
    this.video.load();
  }

  // -- what a person does ----------------------------------------------------------------------

  play(): void {
    this.wantsPlay = true;
    if (this.wanted.start === "live") this.toLive();
    else this.say({ type: "resume" });
    // One that has ended would play what is left from its beginning until the answer comes.
    if (this.arrived || !this.video.ended) void this.start();
  }

  pause(): void {
    this.wantsPlay = false;
    this.video.pause();
    // What has not begun tells the server once its picture is there.
    if (this.arrived) this.say({ type: "pause" });
    this.become("paused");
  }

  toLive(): void {
    this.wanted = { start: "live", speed: 1 };
    this.ask();
  }

  /** Go to a capture time, Unix ms. */
  seek(unix_ms: number): void {
    this.wanted = { start: unix_ms, speed: this.wanted.speed };
    this.ask();
  }

  /** How fast to play what is not live: up to 4. */
  setSpeed(speed: number): void {
    if (!(speed > 0 && speed <= FASTEST)) throw new RangeError(`a speed is above 0, up to ${FASTEST}`);
    this.wanted.speed = speed;
    this.say({ type: "speed", speed });
    if (this.live && speed >= 1) return;
    if (this.wanted.start === "live") this.wanted.start = this.shown() ?? this.clock.now(Date.now());
    this.live = false;
    this.speed = speed;
    this.video.playbackRate = speed;
  }

  /** The moment that it is on its way to, Unix ms; null where it is there. */
  get goesTo(): number | null {
    const { start } = this.wanted;
    if (this.arrived) return null;
    if (start !== "live") return start;
    return this.clock.known ? this.clock.now(Date.now()) : null;
  }

  /** Live, or on the way there. */
  get wantsLive(): boolean {
    return this.wanted.start === "live";
  }

  status(): Status {
    const { video } = this;
    const captured = this.begun ? this.time.captured(video.currentTime) : null;
    const tracks = this.session ? playedTracks(this.session.tracks) : [];
    return {
      phase: this.phase,
      message: this.message,
      live: this.live,
      speed: this.speed,
      latency_s: captured === null ? null : (this.clock.now(Date.now()) - captured) / 1000,
      ahead_s: this.ahead(),
      margin_s: this.cushion.margin_s,
      rate: video.playbackRate,
      stalls: this.stalls,
      leaps: this.leaps,
      connections: this.connections,
      sessions: this.sessions,
      undecodable: this.undecodable,
      skipped: this.skipped,
      bytes: this.bytes,
      bitrate_bps: this.bitrate(),
      epoch: this.session?.epoch ?? 0,
      codecs: tracks.map((track) => track.codec).join(", "),
      captured_ms: captured,
    };
  }

  /** When a time of the <video> was captured (Unix ms), and the server's clock now. */
  capturedAt(media_s: number): { captured_ms: number | null; now_ms: number } {
    return { captured_ms: this.time.captured(media_s), now_ms: this.clock.now(Date.now()) };
  }

  /** Where it said that nothing can be played of what was published. */
  connectAnew(): void {
    this.phase = "connecting";
    this.rebuild();
  }

  // -- the connection --------------------------------------------------------------------------

  private connect(): void {
    if (this.ending.signal.aborted) return;
    this.hangUp();
    const socket = new WebSocket(this.address());
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.connections += 1;
    this.taken = this.acked = 0;
    const elsewhere = this.answered !== this.asked; // what is there is not what it goes on with
    this.asked = 0;
    this.answered = elsewhere ? -1 : 0;
    this.fresh = true;
    this.next = null;
    this.heardAt = performance.now();
    socket.onopen = () => this.say({ type: "window", bytes: WINDOW_BYTES });
    socket.onmessage = ({ data }) => {
      if (socket !== this.socket) return;
      this.heardAt = performance.now();
      if (typeof data === "string") this.hear(JSON.parse(data) as Told);
      else this.take(data as ArrayBuffer);
    };
    socket.onclose = () => {
      if (socket === this.socket) this.again();
    };
  }

  /** Where it goes on: live, or at the picture that was shown last. */
  private address(): string {
    this.stay();
    const { start, speed } = this.wanted;
    if (start === "live") return this.url;
    // Nothing is there of what is to come, by the server's clock.
    const from = this.clock.known ? Math.min(start, this.clock.now(Date.now())) : start;
    return `${this.url}?start=${(from / 1000).toFixed(3)}&speed=${speed}`;
  }

  private stay(): void {
    if (this.wanted.start !== "live") this.wanted.start = this.shown() ?? this.wanted.start;
  }

  /** When the picture was captured that is shown of what was asked for last, Unix ms. */
  private shown(): number | null {
    return (this.arrived && this.time.captured(this.video.currentTime)) || null;
  }

  /** What is shown is what was asked for last. */
  private get arrived(): boolean {
    return this.begun && this.answered === this.asked;
  }

  private again(): void {
    this.hangUp();
    if (this.phase === "failed" || this.phase === "unsupported") return;
    clearTimeout(this.retry);
    const wait_ms = this.undecodable ? UNDECODABLE_MS : waitMs(this.attempt, Math.random());
    this.retry = setTimeout(() => this.connect(), wait_ms);
    this.attempt += 1;
  }

  private hangUp(): void {
    const { socket } = this;
    this.socket = null;
    socket?.close();
  }

  private say(words: object): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(words));
  }

  /** Play what is wanted; what comes until that is answered is of no use. */
  private ask(): void {
    this.failures.forget();
    this.passed.clear();
    if (this.next) {
      this.begun = false; // what is shown is not what is wanted
      return this.rebuild(); // what comes may be of either session
    }
    this.asked += 1;
    if (this.socket?.readyState !== WebSocket.OPEN) {
      clearTimeout(this.retry);
      this.connect();
      return;
    }
    const { start, speed } = this.wanted;
    const from = start === "live" ? start : start / 1000;
    this.say({ type: "play", start: from, speed: start === "live" ? 1 : speed, id: this.asked });
  }

  private hear(told: Told): void {
    switch (told.type) {
      case "hello":
        this.clock.heard(told.server_ms, Date.now());
        if (told.state !== "live") this.absent(told.state === "ended" ? "ended" : "away");
        this.last = told.state === "ended" ? (told.session?.epoch ?? null) : null;
        break;
      case "epoch":
        this.open(told);
        break;
      case "position":
        this.arrive(told.id, told.live, told.speed);
        break;
      case "beat":
        this.clock.heard(told.server_ms, Date.now());
        break;
      case "away":
      case "ended":
        this.absent(told.type);
        this.last = told.type === "ended" ? told.epoch : null;
        break;
      case "end":
        this.become("ended");
        break;
      case "gone":
        this.become("missing");
        break;
      case "skipped":
        this.skipped += told.chunks;
        break;
      case "error":
        this.message = told.message;
        if (told.code !== 400) break;
        if (!this.begun) this.become("failed");
        this.answered = this.asked; // it changes nothing: what comes is of before
        break;
      case "gap":
        break;
    }
  }

  /** What has come is played yet. */
  private absent(absence: "away" | "ended"): void {
    this.absence = absence;
    if (this.wantsPlay) this.become(absence);
  }

  private arrive(id: number, live: boolean, speed: number | "max"): void {
    const followed = this.live;
    const joined = live && !followed && !this.fresh && id === this.answered && this.begun;
    this.live = live;
    this.speed = live || speed === "max" ? 1 : speed;
    this.video.playbackRate = this.speed;
    this.cushion.moved();
    if (id < this.asked) return;
    const { start } = this.wanted;
    if (live) this.wanted = { start: "live", speed: 1 };
    if (joined) return;
    const stays = live && followed; // on another connection
    if (!this.wantsPlay && this.begun && this.fresh && stays) this.say({ type: "pause" });
    const anew = id > this.answered || (this.fresh && this.begun && !stays);
    this.answered = id;
    this.fresh = false;
    // Also of what is near the live edge: who stands still, or whose publisher is away, is not taken there.
    if (anew || !this.begun) this.sought = start === "live" ? null : start;
    if (anew) this.newRun();
  }

  /** What comes from here on has nothing to do with what is buffered. */
  private newRun(): void {
    const begin_s = this.time.end + RUN_APART_S;
    this.runFrom(begin_s);
    this.session = this.next = null; // it is told again of what comes
    for (const { packet } of this.early) this.consumed(packet.body.byteLength + packet.body.byteOffset);
    this.early = [];
    for (const buffer of this.buffers.values()) {
      this.consumed(buffer.clear());
      buffer.remove(0, begin_s);
    }
  }

  private runFrom(begin_s: number): void {
    this.time = new MediaTime(begin_s);
    this.independent = [];
    this.begun = this.finished = false;
    this.comesSince = 0;
  }

  // -- media -----------------------------------------------------------------------------------

  private open(session: Session): void {
    if (this.next || this.passed.has(session.epoch)) return; // it comes again, or did
    this.attempt = 0;
    this.sessions += 1;
    this.absence = null;
    const played = playedTracks(session.tracks);
    const kinds = played.map((track) => track.kind);
    const same = kinds.length === this.kinds.length && kinds.every((kind) => this.kinds.includes(kind));
    if (this.source && !same && this.wanted.start !== "live") {
      this.next = { epoch: session.epoch, begins_ms: null, at: performance.now() };
      return;
    }
    this.session = session;
    const unplayable = played.find((track) => !mediaSource()?.isTypeSupported(mimeOf(track)));
    if (unplayable || !played.length) {
      this.message = unplayable ? unplayable.codec : "nothing that can be played";
      this.become("unsupported");
      return;
    }
    if (!this.source) this.build(played);
    else if (!same) this.rebuild();
  }

  private build(played: Track[]): void {
    const Source = mediaSource();
    if (!Source) return;
    const source = new Source();
    this.source = source;
    this.kinds = played.map((track) => track.kind);
    const tracks = played;
    // Without this, an iPhone's ManagedMediaSource never opens.
    if (!("MediaSource" in window)) this.video.disableRemotePlayback = true;
    const opened = () => {
      if (source !== this.source) return;
      URL.revokeObjectURL(this.video.src);
      source.duration = Number.POSITIVE_INFINITY;
      for (const track of tracks) this.addBuffer(source, track);
      const waiting = this.early;
      this.early = [];
      for (const { packet, session } of waiting) this.put(packet, session);
    };
    source.addEventListener("sourceopen", opened, { once: true }); // it opens again where it had ended
    this.video.src = URL.createObjectURL(source);
    void this.start();
  }

  /** What came before there was anything to append it to, with its session: another may have followed. */
  private early: { packet: Packet; session: Session | null }[] = [];

  private addBuffer(source: MediaSource, track: Track): void {
    const type = mimeOf(track);
    const of_now = () => source === this.source;
    const buffer = new TrackBuffer(source.addSourceBuffer(type), type, {
      appended: (cost) => of_now() && this.consumed(cost),
      full: () => of_now() && this.full(),
      failed: () => of_now() && this.rebuild(),
    });
    this.buffers.set(track.kind, buffer);
  }

  private take(data: ArrayBuffer): void {
    this.bytes += data.byteLength;
    this.tookAt = performance.now();
    const packet = parsePacket(data);
    if (!packet || this.answered < this.asked) {
      this.consumed(data.byteLength);
      return;
    }
    const { session } = this;
    if (this.source && !this.buffers.size) this.early.push({ packet, session });
    else this.put(packet, session);
  }

  private put(packet: Packet, session: Session | null): void {
    const cost = packet.body.byteLength + packet.body.byteOffset;
    const { next } = this;
    if (next && packet.epoch === next.epoch && packet.kind !== "init" && next.begins_ms === null) {
      next.begins_ms = packet.wall_ms;
      next.at = performance.now();
    }
    const track = session?.tracks[packet.track];
    const buffer = track && this.buffers.get(track.kind);
    if (!buffer || packet.epoch !== session?.epoch) {
      this.consumed(cost);
      return;
    }
    if (packet.kind === "init") {
      buffer.begin(mimeOf(track), packet.body, cost);
      return;
    }
    const dts_s = packet.dts / track.timescale;
    const offset_s = this.time.offset(packet.epoch, dts_s, packet.wall_ms);
    const at_s = dts_s + offset_s;
    this.time.placed(at_s, packet.dur / track.timescale, packet.wall_ms);
    if (packet.independent && (track.kind === "video" || !this.buffers.has("video"))) {
      this.independent.push(at_s);
      if (this.independent.length > 1000) this.independent.shift();
    }
    // What is ahead is least just before something comes.
    if (this.begun && this.live) this.cushion.note(performance.now() / 1000, this.ahead());
    buffer.append(packet.body, offset_s, cost);
  }

  private consumed(size: number): void {
    this.taken += size;
    if (this.taken - this.acked < ACK_BYTES) return;
    this.acked = this.taken;
    this.say({ type: "ack", bytes: this.taken });
  }

  private full(): void {
    this.trim(1);
    if (!this.buffers.size) return;
    // Nothing behind the playhead to let go: what is ahead is too much for this browser.
    if (this.ahead() > 10) this.toLive();
  }

  private trim(keep_s: number): void {
    this.trimmedAt = performance.now();
    const until_s = this.video.currentTime - keep_s;
    for (const buffer of this.buffers.values()) {
      const { buffered } = buffer.source;
      if (buffered.length && buffered.start(0) < until_s - 1) buffer.remove(0, until_s);
    }
  }

  /** What is there cannot be decoded, or is lost. */
  private fails(): void {
    if (this.video.error?.code === MediaError.MEDIA_ERR_DECODE) {
      this.failures.note(performance.now());
      this.seen_s = 0;
    }
    this.rebuild();
    if (this.undecodable) this.become("buffering");
  }

  private get undecodable(): boolean {
    return this.failures.lasting(performance.now());
  }

  /** Begin anew with what the stream is now. */
  private rebuild(): void {
    if (this.ending.signal.aborted) return;
    this.stay();
    this.drop();
    this.runFrom(RUN_APART_S);
    this.again();
  }

  private drop(): void {
    this.source = this.next = null;
    this.buffers.clear();
    this.early = [];
    this.independent = [];
  }

  private async start(): Promise<void> {
    if (!this.wantsPlay) return;
    try {
      await this.video.play();
    } catch (error) {
      if (!refuses(error)) return;
      if (this.video.muted) return this.refused();
      this.video.muted = true;
      await this.video.play().catch((again) => {
        if (refuses(again)) this.refused();
      });
    }
  }

  private refused(): void {
    this.pause();
    this.options.onRefused?.();
  }

  // -- watching over it ------------------------------------------------------------------------

  /** Of what came in the last seconds. */
  private bitrate(): number {
    const [first] = this.came;
    const last = this.came.at(-1);
    if (!first || !last || last.at_ms - first.at_ms < 500) return 0;
    return Math.round(((last.bytes - first.bytes) * 8000) / (last.at_ms - first.at_ms));
  }

  private ahead(): number {
    const at_s = this.video.currentTime;
    const ends = [...this.buffers.values()].map((buffer) => buffer.endFrom(at_s));
    return ends.length ? Math.max(0, Math.min(...ends) - at_s) : 0;
  }

  private waits(): void {
    if (!this.begun || this.video.seeking || this.video.paused || this.stalling) return;
    this.stalling = true;
    if (this.absence) {
      this.become(this.absence);
      return;
    }
    this.stalls += 1;
    this.cushion.stalled();
    this.become("buffering");
  }

  private finishes(): void {
    this.finished = true;
    if (this.absence) this.become(this.absence);
  }

  private plays(): void {
    this.stalling = false;
    this.become("playing");
  }

  private tick(): void {
    const now = performance.now();
    if (this.socket && now - this.heardAt > SILENT_MS) this.again();
    const { currentTime } = this.video;
    const moved_s = currentTime - this.seen_s;
    this.seen_s = currentTime;
    if (moved_s > 0 && moved_s < 1) this.failures.played(moved_s); // not where it is sent on
    if (!this.begun) this.beginPlaying();
    // Of the session before, it may be that there is nothing, or not of each track.
    const vain = this.time.empty || now - (this.next?.at ?? now) > NOTHING_MS;
    if (!this.begun && vain) this.cross();
    else if (this.begun && this.wantsPlay) this.keepUp(now / 1000);
    if (now - this.trimmedAt > TRIM_EVERY_MS) this.trim(KEEP_S);
    if (now - this.tookAt > LAST_CAME_MS) this.finish();
    if (now - this.toldAt > TELL_MS) this.tell();
  }

  /**
   * All of a stream that has ended is there: the browser keeps the last pictures back until it is told so. What is
   * appended once more comes opens it again.
   */
  private finish(): void {
    const all = this.last !== null && this.session?.epoch === this.last && this.live && this.begun;
    const idle = [...this.buffers.values()].every((buffer) => buffer.idle);
    if (all && idle && this.source?.readyState === "open") this.source.endOfStream();
  }

  /** Go to what it was sent to, or, live, to where the newest media are. */
  private beginPlaying(): void {
    if (!this.buffers.size) return;
    const follows = this.live && !this.absence && this.wantsPlay;
    const sought = follows ? null : this.sought;
    // What lies before it is of the last run, and is being removed.
    const run_s = this.time.begin_s - RUN_APART_S / 2;
    const starts: number[] = [];
    for (const buffer of this.buffers.values()) {
      const start = sought === null ? buffer.lastStart : buffer.nextStart(run_s);
      if (start === null || start < run_s) return;
      starts.push(start);
    }
    const first_s = Math.max(...starts);
    const end_s = Math.min(...[...this.buffers.values()].map((buffer) => buffer.endFrom(first_s)));
    let at_s = sought === null ? first_s : this.foundAt(sought, first_s);
    if (at_s === null) return;
    this.begun = true;
    this.comesSince = 0;
    if (follows) at_s = Math.max(first_s, end_s - this.cushion.margin_s - 0.1);
    this.video.currentTime = at_s;
    this.video.playbackRate = this.speed;
    this.cushion.moved();
    // What is on its way still comes.
    if (!this.wantsPlay) this.say({ type: "pause" });
    void this.start();
  }

  /**
   * Where the moment is to be shown, or, where there is nothing of it, what follows, or the last that there is. Null
   * where it may come yet.
   */
  private foundAt(sought: number, first_s: number): number | null {
    const buffers = [...this.buffers.values()];
    const at_s = this.time.placeOf(sought, first_s);
    const pictures = this.buffers.get("video") ?? buffers[0];
    // A browser takes what is sought behind the end of what it has of all tracks for that end.
    if (!pictures || buffers.every((buffer) => buffer.endFrom(at_s) > at_s)) return at_s;
    const shown = pictures.endFrom(at_s) > at_s; // but without its sound
    const nexts = buffers.map((buffer) => buffer.nextStart(at_s)).filter((next) => next !== null);
    const next_s = !shown && nexts.length === buffers.length ? Math.max(...nexts) : null;
    // Told that it stands, the server sends no more: what a decoder still reorders is not shown.
    if (next_s !== null && pictures.endFrom(next_s) - next_s > SHOWS_S) return next_s;
    if (!shown && buffers.every((buffer) => buffer.idle) && this.cross()) return null;
    const now = performance.now();
    this.comesSince ||= now;
    const comes = now - Math.max(this.comesSince, this.tookAt) < SOUGHT_COMES_MS;
    if (comes && now - this.comesSince < SOUGHT_MOST_MS) return null;
    if (next_s !== null || shown) return next_s ?? at_s;
    // Sent behind all that there is, a browser would wait there for ever; what is on its way still comes.
    const all = this.live && this.absence !== null;
    return all ? Math.max(first_s, pictures.endFrom(first_s) - LAST_PICTURE_S) : at_s;
  }

  private keepUp(now_s: number): void {
    const { video } = this;
    const ahead_s = this.ahead();
    if (video.currentTime !== this.lastTime_s) {
      this.lastTime_s = video.currentTime;
      this.movedAt_s = now_s;
    }
    // A browser may stop a little before the end of what it has, and begin with nothing so short.
    const slack_s = now_s - this.movedAt_s > STILL_S ? STALL_SLACK_S : LEAST_AHEAD_S;
    if (ahead_s < slack_s) {
      if (this.cross()) return;
      this.crossHole(slack_s);
    } else if (this.finished && video.paused) {
      this.finished = false; // there is more
      void this.start();
    }
    if (!this.live || video.seeking || video.paused) return;
    this.cushion.note(now_s, ahead_s);
    const { spare_s, margin_s } = this.cushion;
    const end_s = video.currentTime + ahead_s;
    const leap = leapTo(video.currentTime, spare_s, end_s, margin_s, this.independent);
    if (leap !== null) {
      this.leaps += 1;
      video.currentTime = leap;
      this.cushion.moved();
      return;
    }
    const rate = liveRate(video.playbackRate, spare_s);
    if (rate !== video.playbackRate) video.playbackRate = rate;
  }

  /** All was played before a session with other kinds of track, if there is one, of which something came. */
  private cross(): boolean {
    const begins_ms = this.next?.begins_ms ?? null;
    if (begins_ms === null) return false;
    this.begun = false; // what is shown is not where it goes on
    if (this.session && !this.time.empty) this.passed.add(this.session.epoch);
    if (this.wanted.start !== "live") this.wanted.start = Math.max(begins_ms, this.wanted.start);
    this.rebuild();
    return true;
  }

  /** Nothing is ahead, and something is further on: the publisher was away, or chunks were left out. */
  private crossHole(slack_s: number): void {
    const at_s = this.video.currentTime;
    const nexts = [...this.buffers.values()].map((buffer) =>
      buffer.endFrom(at_s) > at_s + slack_s ? at_s : buffer.nextStart(at_s),
    );
    const known = nexts.filter((next) => next !== null);
    if (known.length < this.buffers.size) return;
    const next_s = Math.max(...known);
    if (next_s <= at_s + LEAST_AHEAD_S) return;
    this.video.currentTime = next_s + 0.001;
    this.cushion.moved();
  }

  private become(phase: Status["phase"]): void {
    if (phase === this.phase) return;
    this.phase = phase;
    this.tell();
  }

  private tell(): void {
    this.toldAt = performance.now();
    this.came.push({ at_ms: this.toldAt, bytes: this.bytes });
    if (this.came.length > 10) this.came.shift();
    this.options.onStatus?.(this.status());
  }
}

/** It may not play, before it is clicked at. */
function refuses(error: unknown): boolean {
  return (error as DOMException).name === "NotAllowedError";
}

function mediaSource(): typeof MediaSource | undefined {
  const managed = (window as { ManagedMediaSource?: typeof MediaSource }).ManagedMediaSource;
  return "MediaSource" in window ? window.MediaSource : managed;
}
