/** What a timeline shows, as arithmetic: no DOM, no player. Times are Unix ms. */

export interface View {
  from: number;
  to: number;
}

export interface Range {
  start: number;
  end: number;
}

/** What `timeline` at an edge says of a stream. */
export interface Told {
  state: string;
  ranges: { start: string; end: string; epoch: number }[];
  gaps: { start: string; end: string }[];
}

export const LEAST_MS = 4_000;
export const MOST_MS = 400 * 86_400_000;
const STEPS_MS = [
  ...[100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000],
  ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * 60_000),
  ...[1, 2, 3, 6, 12].map((hours) => hours * 3_600_000),
  ...[1, 2, 7, 14, 30].map((days) => days * 86_400_000),
];

export const span = (view: View): number => view.to - view.from;

export const xOf = (view: View, time: number, width: number): number =>
  ((time - view.from) / span(view)) * width;

export const timeAt = (view: View, x: number, width: number): number =>
  view.from + (x / width) * span(view);

/** Closer (factor below 1) or further, with the moment `around` staying where it is. */
export function zoomed(view: View, factor: number, around: number): View {
  const length = Math.min(MOST_MS, Math.max(LEAST_MS, span(view) * factor));
  const share = (around - view.from) / span(view);
  const from = around - share * length;
  return { from, to: from + length };
}

export function moved(view: View, by: number): View {
  return { from: view.from + by, to: view.to + by };
}

/** The view in which two moments are under two fingers, at these pixels. */
export function pinched(
  view: View,
  [one, other]: [number, number],
  [oneX, otherX]: [number, number],
  width: number,
): View {
  const apart = otherX - oneX;
  if (Math.abs(apart) < 8) return view; // crossing fingers would turn time around
  const wanted = ((other - one) / apart) * width;
  if (wanted <= 0) return view;
  const length = Math.min(MOST_MS, Math.max(LEAST_MS, wanted));
  const middle = (one + other) / 2;
  const from = middle - ((oneX + otherX) / 2 / width) * length;
  return { from, to: from + length };
}

/** So that a moment is in sight, with a tenth of the view around it. */
export function showing(view: View, time: number): View {
  const margin = span(view) / 10;
  if (time < view.from + margin) return moved(view, time - view.from - margin);
  if (time > view.to - margin) return moved(view, time - view.to + margin);
  return view;
}

/** Not so far that what is kept leaves the view, nor with more of the future in it than a tenth. */
export function bounded(view: View, oldest: number, newest: number): View {
  const length = span(view);
  const least = oldest - 0.9 * length;
  const most = newest + length / 10;
  if (view.from < least && view.to < most) return { from: least, to: least + length };
  if (view.to > most && view.from > least) return { from: most - length, to: most };
  return view;
}

export interface Tick {
  time: number;
  label: string;
}

/** Marks at round local times, at least `apart` pixels from each other. */
export function ticks(view: View, width: number, apart = 90, zoneAt = zoneOffset): Tick[] {
  const least = (span(view) / width) * apart;
  const step = STEPS_MS.find((one) => one >= least) ?? (STEPS_MS.at(-1) as number);
  const made: Tick[] = [];
  for (let local = Math.ceil((view.from + zoneAt(view.from)) / step) * step; ; local += step) {
    // When clocks are changed in between, what is round then is another time.
    const near = local - zoneAt(view.from);
    const time = local - zoneAt(local - zoneAt(near));
    if (!(time <= view.to)) break;
    if (time >= view.from && time > (made.at(-1)?.time ?? 0)) made.push({ time, label: label(time, step) });
  }
  return made;
}

const zoneOffset = (time: number): number => -new Date(time).getTimezoneOffset() * 60_000;
const two = (value: number): string => String(value).padStart(2, "0");

function label(time: number, step: number): string {
  const at = new Date(time);
  const day = at.toLocaleDateString(undefined, { day: "numeric", month: "short" });
  if (step >= 86_400_000) return day;
  const midnight = at.getHours() === 0 && at.getMinutes() === 0 && at.getSeconds() === 0;
  if (midnight && step >= 60_000) return day;
  const minute = `${two(at.getHours())}:${two(at.getMinutes())}`;
  if (step >= 60_000) return minute;
  const second = `${minute}:${two(at.getSeconds())}`;
  return step >= 1000 ? second : `${second}.${Math.floor(at.getMilliseconds() / 100)}`;
}

/** A moment for a person: the day too where it is not today. */
export function moment(time: number, now: number, precise = false): string {
  const at = new Date(time);
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  const fine = precise ? `${clock}.${String(at.getMilliseconds()).padStart(3, "0")}` : clock;
  const today = new Date(now).toDateString() === at.toDateString();
  const day = at.toLocaleDateString(undefined, { day: "numeric", month: "short" });
  return today ? fine : `${day}, ${fine}`;
}

export const rangesOf = (told: Told): Range[] =>
  told.ranges.map(({ start, end }) => ({ start: Date.parse(start), end: Date.parse(end) }));

/** Whether there is something at a moment; a growing stream's present counts. */
export const has = (ranges: Range[], time: number): boolean =>
  ranges.some(({ start, end }) => start <= time && time < end);

/** The moment, or the next at which there is something, or, on the way back, the last; null where there is none. */
export function nearest(ranges: Range[], time: number, back = false): number | null {
  if (has(ranges, time)) return time;
  const next = ranges.find(({ start }) => start > time);
  const last = ranges.findLast(({ end }) => end <= time);
  if (next && !(back && last)) return next.start;
  return last ? Math.max(last.start, last.end - 1000) : null;
}

/** What is told of a live stream is so old at most: its segments, and the time between two questions. */
const LATE_MS = 15_000;

/** With the last range of a live stream reaching to now, where it is the one that grows. */
export const grown = (ranges: Range[], now: number): Range[] =>
  ranges.map((one, n) =>
    n === ranges.length - 1 && one.end < now && now - one.end < LATE_MS ? { ...one, end: now } : one,
  );

/** Unix seconds for a URL, to the millisecond. */
export const seconds = (time: number): string => String(Math.round(time) / 1000);
