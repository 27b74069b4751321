/** A stretch of time that is to be a clip, as arithmetic and words. Times are Unix ms. */

import { clock } from "./format";
import type { Range } from "./timeline-view";

/** Shorter than this there may be no picture in it. */
export const LEAST_CLIP_MS = 200;
/** What an edge's tables have room for at 30 pictures a second, with sound. */
const SURE_MS = 13 * 86_400_000;

/** What two moments have between them, and no more than has happened; null where that is too short. */
export function between(one: number, other: number, now: number): Range | null {
  const [start, end] = [Math.min(one, other), Math.min(Math.max(one, other), now)];
  return end - start >= LEAST_CLIP_MS ? { start, end } : null;
}

/** With another beginning or end; from there for half a minute, where that turns it around. */
export function withEdge(range: Range | null, side: "start" | "end", at: number, now: number): Range | null {
  const other = side === "start" ? range?.end : range?.start;
  const right = other !== undefined && (side === "start" ? at < other : at > other);
  const length = side === "start" ? 30_000 : -30_000;
  return between(at, right ? other : at + length, now);
}

/** For how long there is something in a range. */
export const filled = (ranges: readonly Range[], { start, end }: Range): number =>
  ranges.reduce((sum, one) => sum + Math.max(0, Math.min(one.end, end) - Math.max(one.start, start)), 0);

/** About how many bytes a clip has, by the bit rate that is played; 0: not known. */
export const guess = (ranges: readonly Range[], range: Range, bps: number): number =>
  (filled(ranges, range) / 8000) * bps;

/** A shorter lack is no gap for a person: dates are rounded, and a picture may be lost. */
const LEAST_GAP_MS = 500;

/** How long a clip of a range is, which leaves out where there is nothing: "1:30 min of 4:29 min". */
export function extentText(ranges: readonly Range[], range: Range): string {
  const [whole, there] = [range.end - range.start, filled(ranges, range)];
  if (whole - there < LEAST_GAP_MS) return lengthText(whole);
  return `${lengthText(there)} of ${lengthText(whole)}`;
}

/** "40.0 s", "12:34", "3 h 5 min", "2 d 4 h". */
export function lengthText(ms: number): string {
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 3_600_000) return `${clock(ms / 1000)} min`;
  const minutes = Math.round(ms / 60_000);
  const [days, hours] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24];
  if (days) return hours ? `${days} d ${hours} h` : `${days} d`;
  return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
}

/** "812 kB", "12 MB", "1.4 GB". */
export function sizeText(bytes: number): string {
  const [unit, by] =
    bytes < 999_500 ? (["kB", 1e3] as const) : bytes < 999.5e6 ? (["MB", 1e6] as const) : (["GB", 1e9] as const);
  const count = bytes / by;
  return `${count < 9.95 && unit !== "kB" ? count.toFixed(1) : Math.max(1, Math.round(count))} ${unit}`;
}

/** What an edge may refuse, in words; empty where it is sure to take it. */
export const doubt = ({ start, end }: Range): string =>
  end - start > SURE_MS ? "over 13 days: an edge may refuse it" : "";
