/** When media were captured, by the producer reference times (prft) of what was loaded. */

/** Unix seconds as they are in the media, and by how much the time of day is ahead of them, in ms. */
export interface Captured {
  media_s: number;
  ahead_ms: number;
}

const NTP_EPOCH_S = 2_208_988_800;
const MOST = 500;

/** Of a segment that begins with a prft box (ISO/IEC 14496-12, 8.16.5, version 1); null where it does not. */
export function captured(data: ArrayBuffer, timescale: number): Captured | null {
  const view = new DataView(data);
  if (view.byteLength < 32 || view.getUint32(4) !== 0x70726674 || view.getUint8(8) !== 1) return null;
  const wall_s = view.getUint32(16) - NTP_EPOCH_S + view.getUint32(20) / 2 ** 32;
  const media_s = Number(view.getBigUint64(24)) / timescale;
  return { media_s, ahead_ms: Math.round(1000 * (wall_s - media_s)) };
}

/** What is known, by place. The media follow the source's clock, and dates ingest's: they part slowly. */
export class WallTimes {
  private known: Captured[] = [];

  add(one: Captured): void {
    const at = this.known.findIndex(({ media_s }) => media_s >= one.media_s);
    const same = at >= 0 && this.known[at]?.media_s === one.media_s;
    this.known.splice(at < 0 ? this.known.length : at, same ? 1 : 0, one);
    if (this.known.length > MOST) this.known.splice(at < MOST / 2 && at >= 0 ? -1 : 0, 1);
  }

  /** The time of day (Unix ms) of a place in the media (Unix s as they are there). */
  date(media_s: number): number {
    const before = this.known.findLast((one) => one.media_s <= media_s) ?? this.known[0];
    return 1000 * media_s + (before?.ahead_ms ?? 0);
  }

  /** The place of a time of day. */
  place(date_ms: number): number {
    const begins = (one: Captured) => 1000 * one.media_s + one.ahead_ms;
    const before = this.known.findLast((one) => begins(one) <= date_ms) ?? this.known[0];
    return (date_ms - (before?.ahead_ms ?? 0)) / 1000;
  }
}
