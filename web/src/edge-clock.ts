/** The time of day by the edge's clock: this machine's may be wrong. */

/** A clock that is off by less is believed: the asking itself takes time. */
const OFF_MS = 1000;
const AGAIN_MS = 600_000;
const SOON_MS = 10_000;
const PATIENCE_MS = 2000;

let off_ms = 0;
let asked: Promise<void> | null = null;
let looks = false;
let again: ReturnType<typeof setTimeout> | undefined;
/** This machine's clock less the page's own, when the edge was asked last: it moves where the clock is set. */
let apart_ms = 0;

const apart = (): number => Date.now() - performance.now();

/** Unix ms. */
export function edgeNow(): number {
  if (asked !== null && Math.abs(apart() - apart_ms) > OFF_MS) void look();
  return Date.now() - off_ms;
}

/** How far `here` is ahead of what the edge told, asked and answered at those times here; 0 for next to nothing. */
export function offBy(told: string, begun_ms: number, ended_ms: number): number {
  const off = (begun_ms + ended_ms) / 2 - Date.parse(told);
  return Math.abs(off) > OFF_MS + (ended_ms - begun_ms) / 2 ? Math.round(off) : 0;
}

/** The edge has told, or does not soon. It is asked again and again: clocks are set, and machines sleep. */
export function edgeClock(): Promise<void> {
  asked ??= follow();
  return asked;
}

async function follow(): Promise<void> {
  setInterval(() => void look(), AGAIN_MS);
  await look();
}

async function look(): Promise<void> {
  if (looks) return;
  looks = true;
  let told = false;
  try {
    const begun_ms = Date.now();
    apart_ms = apart();
    const answer = await fetch("/time", { signal: AbortSignal.timeout(PATIENCE_MS) });
    told = answer.ok;
    if (told) off_ms = offBy(await answer.text(), begun_ms, Date.now());
  } catch {
    told = false; // this machine's is the best that there is, for now
  }
  looks = false;
  clearTimeout(again);
  if (!told) again = setTimeout(() => void look(), SOON_MS);
}
