/** How fast to play what comes live, so that it is shown soon and does not stall; pure. */

const FIRST_MARGIN_S = 0.06;
const LEAST_MARGIN_S = 0.025;
const MOST_MARGIN_S = 1;
/** What a stall teaches, and in what time two thirds of that are forgotten, down to what jitter needs. */
const LESSON_S = 0.04;
const FORGOTTEN_S = 12;
/** A browser that begins stalls for reasons of its own, which say nothing about the way of the media. */
const SETTLING_S = 3;
/** What is ahead so soon after a stall says nothing of jitter, and another stall nothing new. */
const RECOVERING_S = 1;
/** For how many seconds the least of each is remembered. */
const REMEMBERED = 30;
const WATCHED_S = 1.2;
const LEAP_S = 1.2;
const MUCH_S = 0.3;
const MUCH_FASTER = 0.25;
const FASTER = 0.1;
const SLOWER = 0.05;

/**
 * The cushion: what is buffered ahead when it is least, just before a chunk comes. It is held at a margin,
 * whatever the length of the chunks; a stall makes the margin wider, and time narrower again, but not
 * narrower than the dips of the last half minute.
 */
export class Cushion {
  private readonly seen: { at_s: number; ahead_s: number }[] = [];
  /** The least of each second lately, oldest first. */
  private readonly leasts: { second: number; ahead_s: number }[] = [];
  private margin: number;
  private taught_s: number | null = null;
  private settled_s: number | null = null;
  /** It ran dry, and what is ahead since then was not watched for long enough. */
  private dry = false;

  constructor(first_s: number = FIRST_MARGIN_S) {
    this.margin = first_s;
  }

  /** So much is buffered ahead now. */
  note(now_s: number, ahead_s: number): void {
    this.seen.push({ at_s: now_s, ahead_s });
    while (this.seen.length && (this.seen[0]?.at_s ?? now_s) < now_s - WATCHED_S) this.seen.shift();
    if (this.watched) this.dry = false;
    this.settled_s ??= now_s + SETTLING_S;
    if (now_s >= this.settled_s) this.remember(Math.floor(now_s), ahead_s);
    if (this.taught_s !== null) {
      const left = Math.exp((this.taught_s - now_s) / FORGOTTEN_S);
      const floor_s = Math.min(this.margin, LEAST_MARGIN_S + this.dip_s);
      this.margin = floor_s + left * (this.margin - floor_s);
    }
    this.taught_s = now_s;
  }

  private remember(second: number, ahead_s: number): void {
    const last = this.leasts.at(-1);
    if (last?.second === second) last.ahead_s = Math.min(last.ahead_s, ahead_s);
    else this.leasts.push({ second, ahead_s });
    while ((this.leasts[0]?.second ?? second) <= second - REMEMBERED) this.leasts.shift();
  }

  /** How far the worst second lately was below the usual one. */
  private get dip_s(): number {
    const sorted = this.leasts.map(({ ahead_s }) => ahead_s).sort((a, b) => a - b);
    return (sorted[sorted.length >> 1] ?? 0) - (sorted[0] ?? 0);
  }

  /** Playback ran dry. */
  stalled(): void {
    this.seen.length = 0;
    this.dry = true;
    const now_s = this.taught_s ?? 0;
    if (this.settled_s === null || now_s < this.settled_s) return;
    this.margin = Math.min(MOST_MARGIN_S, this.margin + LESSON_S);
    // The lesson stands for this second: as a dip, it would hold the margin for half a minute.
    if (this.leasts.at(-1)?.second === Math.floor(now_s)) this.leasts.pop();
    this.settled_s = now_s + RECOVERING_S;
  }

  /** Playback went somewhere else: what was seen before counts no more. */
  moved(): void {
    this.seen.length = 0;
    this.leasts.length = 0;
    this.settled_s = null;
    this.dry = false;
  }

  get margin_s(): number {
    return this.margin;
  }

  private get watched(): boolean {
    const [first] = this.seen;
    const last = this.seen.at(-1);
    return first !== undefined && last !== undefined && last.at_s - first.at_s >= WATCHED_S / 2;
  }

  /** The least that was ahead lately; null where it was not watched for long enough. */
  get least_s(): number | null {
    if (!this.watched) return null;
    return Math.min(...this.seen.map(({ ahead_s }) => ahead_s));
  }

  /**
   * How much more is ahead than need be; null where that is not known. Who ran dry has nothing to spare: at the
   * rate of before, stalls that follow each other sooner than they can be watched would never end.
   */
  get spare_s(): number | null {
    const least = this.least_s;
    if (least !== null) return least - this.margin;
    return this.dry ? -this.margin : null;
  }
}

/**
 * The playback rate for so much to spare: a tenth faster at most, a quarter where much is to be made good;
 * a little slower to fill up.
 */
export function liveRate(rate: number, spare_s: number | null): number {
  if (spare_s === null) return rate;
  const calm_s = rate === 1 ? 0.012 : 0.006;
  if (Math.abs(spare_s) < calm_s) return 1;
  const most = spare_s > MUCH_S ? MUCH_FASTER : FASTER;
  const step = spare_s > 0 ? Math.max(0.02, Math.min(most, spare_s)) : Math.max(-SLOWER, spare_s);
  return Math.round(100 * (1 + step)) / 100;
}

/**
 * Where to go when far behind: the newest independent chunk that leaves the margin ahead; null where playing
 * faster does. `independent_s`: where those are that are buffered, in order.
 */
export function leapTo(
  now_s: number,
  spare_s: number | null,
  end_s: number,
  margin_s: number,
  independent_s: readonly number[],
): number | null {
  if (spare_s === null || spare_s < LEAP_S) return null;
  const found = independent_s.findLast((at_s) => at_s <= end_s - margin_s);
  return found !== undefined && found > now_s + 0.2 ? found : null;
}

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 4000;

/** How long to wait before connecting again for the nth time (0, 1, …). `chance`: 0 to 1, spreads viewers. */
export function waitMs(attempt: number, chance: number): number {
  const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(attempt, 8));
  return Math.round(longest * (0.5 + 0.5 * chance));
}

/** So far before the end lies a picture that a browser shows though its decoder may still reorder the last. */
export const LAST_PICTURE_S = 0.2;

/** What a decoder has failed at so often, each so soon after the one before, it cannot decode. */
const FAILURES = 3;
const FAILS_MS = 20_000;
/** What it has played so much of it can decode. */
const DECODES_S = 2;
/** What a decoder fails at again and again is left alone so long. */
export const UNDECODABLE_MS = 8000;

/** How often a decoder has failed at what is here, and all was begun anew. Times are of one clock, ms. */
export class Failures {
  private times = 0;
  private at = Number.NEGATIVE_INFINITY;
  private played_s = 0;

  note(now_ms: number): void {
    this.times = now_ms - this.at < FAILS_MS ? this.times + 1 : 1;
    this.at = now_ms;
    this.played_s = 0;
  }

  /** So much more was played. */
  played(seconds: number): void {
    this.played_s += seconds;
    if (this.played_s > DECODES_S) this.forget();
  }

  /** It is sent elsewhere. */
  forget(): void {
    this.times = 0;
  }

  /** It fails again and again: what begins here lacks what it is decoded from. */
  lasting(now_ms: number): boolean {
    return this.times >= FAILURES && now_ms - this.at < FAILS_MS;
  }
}
