/** What an edge says of a clip before it is downloaded: that it cannot be one file, or where players may stop. */

import { ask, sentence } from "./asking";

export interface Offer {
  /** Why there is no such file; empty where there is one. */
  refused: string;
  /** When the codec's parameters change in it, Unix ms. */
  changes: number[];
}

/** The edge reads the index of all of the range for its answer, and has it then for the download. */
const PATIENCE_MS = 120_000;

/** Ask for the first byte: a refusal has its sentence then, which it has not by HEAD. */
export async function offer(url: string, ending?: AbortSignal): Promise<Offer> {
  const patience = AbortSignal.timeout(PATIENCE_MS);
  const answer = await ask(url, {
    headers: { range: "bytes=0-0" },
    signal: ending ? AbortSignal.any([ending, patience]) : patience,
  });
  if (!answer.ok) return { refused: await sentence(answer), changes: [] };
  await answer.body?.cancel();
  const told = answer.headers.get("kinolog-changes") ?? "";
  return { refused: "", changes: told.split(",").map((one) => Date.parse(one.trim())).filter(Number.isFinite) };
}
