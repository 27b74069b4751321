/** What to show and what to try when a stream does not play; pure, so that it can be tested. */

import type { StreamState } from "./api";

/** What a viewer is told. */
export type Phase =
  | "loading"
  | "playing"
  | "paused"
  | "buffering"
  | "away"
  | "ended"
  | "missing"
  | "unsupported"
  | "undecodable"
  | "unreachable";

export interface Facts {
  /** The publisher's state as the edge lists it; null where the edge does not list the stream. */
  state: StreamState | null;
  /** Whether the edge has answered with its list at all. */
  listed: boolean;
  /** Unanswered polls in a row. */
  failures: number;
  /** The multivariant playlist: not answered yet, here, 404, or another failure. */
  playlist: "loading" | "here" | "missing" | "failing";
  /** A codec that this browser does not play. */
  unsupported: string | null;
  /** The decoder fails again and again at what is here. */
  undecodable: boolean;
  /** Pictures (or sound) have moved within the last second. */
  advancing: boolean;
  /** Something has played since the page was opened. */
  started: boolean;
  /** The viewer paused it. */
  paused: boolean;
  /** Played to its very end. */
  finished: boolean;
  /** What is shown is not the last that there is. */
  more: boolean;
}

export function phaseOf(facts: Facts): Phase {
  if (facts.unsupported) return "unsupported";
  if (facts.undecodable) return "undecodable";
  if (facts.finished) return "ended";
  if (facts.advancing) return "playing";
  if (facts.paused && facts.started) return "paused";
  if (facts.playlist === "missing") {
    if (facts.state === null) return "missing";
    return facts.state === "live" ? "loading" : facts.state;
  }
  if (facts.failures >= 2 || (facts.playlist === "failing" && facts.state === null)) {
    return "unreachable";
  }
  if (facts.state === "away" && !facts.more) return "away";
  if (facts.state === "ended" && facts.started && !facts.more) return "ended";
  return facts.started ? "buffering" : "loading";
}

const FIRST_DELAY_MS = 250;
const LAST_DELAY_MS = 2000;

/** How long to wait before attempt number `attempt` (0, 1, …): doubling, at most 2 s. */
export function backoffMs(attempt: number, chance: number = Math.random()): number {
  const delay = Math.min(LAST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(attempt, 10));
  // Spread over ±20 %, or every viewer of a stream comes back in the same instant.
  return Math.round(delay * (0.8 + 0.4 * chance));
}

export type Nudge = "none" | "jump" | "play" | "reload-playlist" | "rebuild";

export interface Stuck {
  /** How long nothing has moved, though it should. */
  still_s: number;
  /** Media ahead of the playhead, without a hole. */
  ahead_s: number;
  /** Where the next stretch of media begins, if there is a hole before it. */
  next_start: number | null;
  /** Since a playlist last came with something new. */
  playlist_age_s: number;
  /** The publisher is sending. */
  live: boolean;
}

/** hls.js rights most stalls by itself; this is for those that it leaves. */
export function nudgeFor(stuck: Stuck): Nudge {
  if (stuck.still_s < 3) return "none";
  if (stuck.ahead_s < 0.2 && stuck.next_start !== null) return "jump";
  if (stuck.ahead_s >= 1) return stuck.still_s > 8 ? "rebuild" : "play";
  if (!stuck.live) return "none";
  if (stuck.playlist_age_s > 15) return "rebuild";
  return stuck.playlist_age_s > 6 ? "reload-playlist" : "none";
}

/** Kinds of media that play together. */
export type Kind = "video" | "audio";

/**
 * Which kind keeps the other from playing: all that its playlist lists has been played, while the other's
 * goes on. `listed_s`: how far ahead of the playhead each playlist ends; null where there is no such track.
 */
export function starvingKind(still_s: number, listed_s: Record<Kind, number | null>): Kind | null {
  const { video, audio } = listed_s;
  if (still_s < 2 || video === null || audio === null) return null;
  if (audio < 0.5 && video > audio + 1.5) return "audio";
  if (video < 0.5 && audio > video + 1.5) return "video";
  return null;
}

/** What a media playlist names last, part or segment; "" where it names none. */
export function lastMedia(playlist: string): string {
  const named = /^(?:#EXT-X-PART:.*URI="([^"]+)".*|([^#\s].*))$/gm;
  let last = "";
  for (const [, part, segment] of playlist.matchAll(named)) last = part ?? segment ?? "";
  return last;
}

/**
 * How fast to play in order to come back to the target latency: up to a tenth faster, as long as enough is
 * buffered. hls.js itself does so only where it has a second in its buffer, which is more than
 * the whole hold-back, and no more than a target duration behind.
 */
export function catchUpRate(
  rate: number,
  latency_s: number,
  target_s: number,
  ahead_s: number,
): number {
  const behind_s = latency_s - target_s;
  if (behind_s < (rate > 1 ? 0.05 : 0.15) || ahead_s < 0.75 * target_s) return 1;
  return Math.round(100 + Math.min(10, Math.max(3, 10 * behind_s))) / 100;
}

/** The payload's bit rate over the last seconds of media, one window a track kind. */
export class RateWindow {
  private readonly entries: { bytes: number; duration_s: number }[] = [];
  private bytes = 0;
  private duration_s = 0;

  constructor(private readonly span_s = 10) {}

  add(bytes: number, duration_s: number): void {
    if (!(bytes > 0) || !(duration_s > 0)) return;
    this.entries.push({ bytes, duration_s });
    this.bytes += bytes;
    this.duration_s += duration_s;
    while (this.entries.length > 1 && this.duration_s > this.span_s) {
      const oldest = this.entries.shift();
      if (!oldest) break;
      this.bytes -= oldest.bytes;
      this.duration_s -= oldest.duration_s;
    }
  }

  get bps(): number {
    return this.duration_s > 0 ? (this.bytes * 8) / this.duration_s : 0;
  }
}
