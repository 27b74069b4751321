/** Back by playing time: absences do not count, and who went into one would be taken to what follows it. */

/** When there is something, Unix ms. */
export interface Stretch {
  start: number;
  end: number;
}

/** Absences of less are not looked for at first: the last hour's of a tenth of a second are, then all. */
const NEAR_MS = 3_600_000;
const FAR_MS = 366 * 24 * NEAR_MS;
/** A segment is no longer. */
const BEGUN_MS = 15_000;

interface Told {
  state: string;
  ranges: { start: string; end: string }[];
}

/** Where one is who goes back by so much, ms; null where the stretches (by time) do not go back so far. */
export function backFrom(stretches: Stretch[], from: number, by_ms: number): number | null {
  let left = by_ms;
  for (const { start, end } of [...stretches].reverse()) {
    const at = Math.min(end, from);
    if (start >= at) continue;
    if (at - start >= left) return at - left;
    left -= at - start;
  }
  return null;
}

/** The same by what the edge says of the stream; the very begin where it does not go back so far. */
export async function backBy(
  timeline: string,
  from: number,
  by_ms: number,
  signal: AbortSignal,
): Promise<number> {
  let first: number | undefined;
  for (const [length_ms, resolution] of [[NEAR_MS, "&resolution=100ms"], [FAR_MS, ""]] as const) {
    const start = Math.max(0, from - length_ms) / 1000;
    const answer = await fetch(`${timeline}?start=${start}&end=${from / 1000}${resolution}`, { signal });
    if (!answer.ok) continue; // nothing is kept of that
    const { ranges, state } = (await answer.json()) as Told;
    const stretches = ranges.map((range) => ({ start: Date.parse(range.start), end: Date.parse(range.end) }));
    // What is being published is not among them until its segment is whole.
    const newest = stretches.at(-1);
    if (newest && state === "live" && from - newest.end < BEGUN_MS) newest.end = from;
    const found = backFrom(stretches, from, by_ms);
    if (found !== null) return found;
    first = stretches[0]?.start ?? first;
  }
  return first ?? from - by_ms;
}

/** When the first is that is kept of a stream, Unix ms; null where nothing is. */
export async function firstKept(timeline: string, signal: AbortSignal): Promise<number | null> {
  const answer = await fetch(timeline, { signal });
  const first = answer.ok ? ((await answer.json()) as Told).ranges[0] : undefined;
  return first ? Date.parse(first.start) : null;
}
