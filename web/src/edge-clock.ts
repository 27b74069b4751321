/** The time of day by the edge's clock: this machine's may be wrong. */

/** A clock that is off by less is believed: the asking itself takes time. */
const OFF_MS = 1000;
const AGAIN_MS = 600_000;
const PATIENCE_MS = 2000;

let off_ms = 0;
let asked: Promise<void> | null = null;

/** Unix ms. */
export const edgeNow = (): number => Date.now() - off_ms;

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
  try {
    const begun_ms = Date.now();
    const answer = await fetch("/time", { signal: AbortSignal.timeout(PATIENCE_MS) });
    if (answer.ok) off_ms = offBy(await answer.text(), begun_ms, Date.now());
  } catch {
    // this machine's is the best that there is
  }
}
