/** A stream over a WebSocket, chunk by chunk, behind the controls that all modes have. */

import type { Stream } from "./api";
import { phaseOf } from "./recovery";
import { Reporting } from "./reporting";
import { AT_LIVE, type Begin, type Snapshot, VideoPlayer } from "./video-player";
import { LAST_PICTURE_S } from "./ws/pacing";
import { FASTEST, SocketPlayer } from "./ws/player";

/** A socket that was opened so often, and never played, is held up on its way. */
const HOPELESS_AFTER = 3;

/** So far before its newest media, at most, lies the last picture of a stream. */
const LAST_MS = 3_000;

/** What it is sent to is waited for so long before the page says that nothing is there. */
const COMES_S = 3;

/** Who is so near to the last goes no further. */
const NEAR_LAST_MS = 500;

export class SocketModePlayer extends VideoPlayer {
  readonly mode = "ws";
  override readonly fastest: number = FASTEST;
  readonly socket: SocketPlayer;
  /** Stepped away from the live edge, picture by picture. */
  private stepped = false;
  /** Sent elsewhere, and not playing there yet. */
  private sought = false;
  private askedAt = performance.now();
  private readonly reporting: Reporting;

  constructor(
    video: HTMLVideoElement,
    private readonly url: string,
    onTick: (snapshot: Snapshot) => void,
    begin: Begin = AT_LIVE,
  ) {
    super(video, begin, onTick);
    this.reporting = new Reporting(url);
    this.socket = new SocketPlayer(video, url, {
      ...(begin.at === null ? {} : { start: begin.at, speed: begin.speed }),
      paused: begin.paused,
      onRefused: () => {
        this.wantsPlay = false;
      },
      onStatus: () => this.tick(),
    });
  }

  /** No way through for a WebSocket here. */
  get hopeless(): boolean {
    const { connections, sessions } = this.socket.status();
    return connections > HOPELESS_AFTER && sessions === 0 && this.stream?.state === "live";
  }

  /** All of a stream that has ended was played. */
  private get over(): boolean {
    const { captured_ms } = this.socket.status();
    if (this.stream?.state !== "ended" || captured_ms === null) return false;
    const plays = !this.video.paused || this.video.ended;
    return plays && this.told().phase === "ended" && this.stream.last_ms - captured_ms < LAST_MS;
  }

  protected close(): void {
    this.socket.destroy();
    this.reporting.leave();
  }

  override observe(stream: Stream | null, listed: boolean, failures: number): void {
    const renewed = this.stream !== null && stream !== null && stream.epoch !== this.stream.epoch;
    super.observe(stream, listed, failures);
    if (this.unsupported && renewed) this.socket.connectAnew(); // perhaps in another codec
  }

  override where(): Begin {
    const begin = super.where();
    return begin.at === null ? begin : { ...begin, at: this.socket.goesTo ?? begin.at };
  }

  override toggle(): void {
    if (this.over) {
      this.wantsPlay = true;
      this.goTo(0);
      this.socket.play();
    } else if (this.stands) {
      this.wantsPlay = true;
      const captured = this.socket.status().captured_ms;
      const over = this.stream?.state === "ended"; // who paused before that sees what was left
      this.socket.play();
      if ((this.stepped || over) && captured !== null) this.socket.seek(captured);
    } else {
      this.wantsPlay = false;
      this.socket.pause();
    }
    this.stepped = false;
    this.tick();
  }

  toLive(): void {
    this.moved();
    this.stepped = false;
    this.sought = true;
    this.askedAt = performance.now();
    this.aim = null;
    this.speed = 1;
    this.socket.toLive();
    if (this.video.paused) {
      this.wantsPlay = true;
      this.socket.play();
    }
    this.tick();
  }

  goTo(time: number): void {
    this.moved();
    this.stepped = false;
    this.sought = true;
    this.askedAt = performance.now();
    this.aim = time;
    this.socket.seek(time);
    this.tick();
  }

  /** There is no window: what is asked for comes anew. */
  seek(to: number): void {
    this.moved();
    const date = this.playingDate();
    if (date) this.goTo(date.getTime() + 1000 * (to - this.video.currentTime));
  }

  override skip(by_s: number): void {
    if (by_s < 0) return super.skip(by_s);
    // Who stands still is told that he is live, too, where all that there is was sent before he stood.
    if (this.socket.wantsLive && (!this.stands || this.socket.goesTo !== null)) return;
    const from = this.skipsFrom;
    const { now_ms } = this.socket.capturedAt(this.video.currentTime);
    if (from === null) return;
    // Of one that is away, or over, there is nothing behind the last.
    const last = (this.stream?.state !== "live" && this.last) || Number.POSITIVE_INFINITY;
    if (from > last - NEAR_LAST_MS) return;
    const to = Math.min(from + 1000 * by_s, last - 1000 * LAST_PICTURE_S);
    if (to < now_ms) this.goTo(to);
    else if (this.wantsPlay) this.toLive();
  }

  protected override get skipsFrom(): number | null {
    return this.socket.goesTo ?? this.socket.status().captured_ms;
  }

  protected override get undecodable(): boolean {
    return this.socket.status().undecodable;
  }

  protected get timeline(): string {
    return this.url.replace(/^ws/, "http").replace(/ws$/, "timeline");
  }

  override setSpeed(speed: number): void {
    this.socket.setSpeed(Math.min(speed, FASTEST));
    this.speed = this.socket.status().speed;
    this.tick();
  }

  override step(by: 1 | -1): void {
    if (!this.video.paused || this.video.ended) this.socket.pause();
    this.stepped = true;
    super.step(by);
  }

  protected watch(): void {
    this.following = this.socket.wantsLive && !this.stepped;
    if (this.following) this.speed = 1;
    if (this.socket.status().epoch === 0) return; // there is nothing to play yet
    const stats = this.stats();
    // The phase waits a moment before it says so.
    if (this.stalledSince && stats.phase === "playing") stats.phase = "buffering";
    if (stats.phase === "playing") this.sought = false;
    this.reporting.tell(stats, this.sought);
  }

  protected window(): null {
    return null;
  }

  protected playingDate(): Date | null {
    const captured = this.socket.status().captured_ms;
    return captured === null ? null : new Date(captured);
  }

  protected told() {
    const said = this.socket.status();
    const state = this.listed ? (this.stream?.state ?? null) : null;
    const unsupported = said.phase === "unsupported" ? said.message : null;
    this.unsupported = unsupported;
    const missing = said.phase === "missing" || (this.listed && this.stream === null && said.epoch === 0);
    const behind_s = said.live ? said.ahead_s : said.latency_s;
    const facts = this.facts();
    if (this.socket.goesTo !== null && this.age(this.askedAt) < COMES_S) facts.more = true; // it is on its way
    const sent = said.phase === "ended" && !said.live && said.captured_ms !== null;
    return {
      phase: phaseOf({
        ...facts,
        playlist: missing ? "missing" : said.phase === "failed" ? "failing" : said.epoch ? "here" : "loading",
        started: this.started && said.captured_ms !== null,
        finished: sent && said.ahead_s < 0.1 && !facts.more,
      }),
      latency_s: said.latency_s,
      behind_live_s: state === "ended" || said.captured_ms === null ? null : behind_s,
      target_latency_s: null,
      buffer_s: said.ahead_s,
      bitrate_bps: said.bitrate_bps,
      codecs: said.codecs,
      alone: null,
      engine: "socket" as const,
    };
  }

  protected choices() {
    return { qualities: [], quality: -1, audioTracks: [], audioTrack: -1 };
  }
}
