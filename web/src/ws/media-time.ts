/** Where on the one timeline of a <video> the chunks of a stream's epochs are; pure. */

/** An epoch that begins before the end of the one before, by the clocks, follows it at once. */
const APART_S = 0.02;

/**
 * Epochs count their own time: each is put where its capture time says, relative to the first, so that an
 * absence of the publisher is as long as it was. Tracks of an epoch have one offset, and stay in sync.
 */
export class MediaTime {
  private readonly offsets = new Map<number, number>();
  private origin_ms: number | null = null;
  private end_s = 0;
  private newest: { at_s: number; wall_ms: number } | null = null;

  /** `begin_s`: where the first chunk goes. */
  constructor(readonly begin_s: number) {}

  /** Where an epoch's zero is, in seconds; decided by the first of its chunks. */
  offset(epoch: number, dts_s: number, wall_ms: number): number {
    const known = this.offsets.get(epoch);
    if (known !== undefined) return known;
    this.origin_ms ??= wall_ms;
    const wanted_s = this.begin_s + (wall_ms - this.origin_ms) / 1000;
    const at_s = this.offsets.size ? Math.max(wanted_s, this.end_s + APART_S) : this.begin_s;
    this.offsets.set(epoch, at_s - dts_s);
    return at_s - dts_s;
  }

  /** Nothing was placed yet. */
  get empty(): boolean {
    return this.newest === null;
  }

  /** A chunk was placed. */
  placed(start_s: number, dur_s: number, wall_ms: number): void {
    this.end_s = Math.max(this.end_s, start_s + dur_s);
    if (!this.newest || start_s >= this.newest.at_s) this.newest = { at_s: start_s, wall_ms };
  }

  /** When what is shown at this time was captured, Unix ms; null before the first chunk. */
  captured(at_s: number): number | null {
    return this.newest && this.newest.wall_ms + (at_s - this.newest.at_s) * 1000;
  }

  /** Where what was captured then is to be shown: not before `first_s`, the first that there is. */
  placeOf(unix_ms: number, first_s: number): number {
    if (!this.newest) return first_s;
    const at_s = this.newest.at_s + (unix_ms - this.newest.wall_ms) / 1000;
    return Math.max(at_s, first_s);
  }

  /** Where the next run can begin without touching this one. */
  get end(): number {
    return this.end_s;
  }
}

/** How far the server's clock is ahead: what comes latest says least, so the greatest counts. */
export class ServerClock {
  private readonly found: number[] = [];

  heard(server_ms: number, here_ms: number): void {
    this.found.push(server_ms - here_ms);
    if (this.found.length > 12) this.found.shift();
  }

  /** The server has told. */
  get known(): boolean {
    return this.found.length > 0;
  }

  now(here_ms: number): number {
    return here_ms + (this.found.length ? Math.max(...this.found) : 0);
  }
}
