/** Clips that an edge keeps: listed, made, deleted. No DOM. */

import { ask, postJson, sentence } from "./asking";
import { type Range, seconds } from "./timeline-view";

/** A kept clip, as an edge tells of it. */
export interface Card {
  id: string;
  name: string;
  start_ms: number;
  end_ms: number;
  /** When its first picture was taken: later than `start_ms`, where there was nothing at that. */
  begins_ms: number;
  seconds: number;
  bytes: number;
  /** Of the file, and of this card: below the edge's address. */
  url: string;
  card: string;
}

export interface Shelf {
  /** Whether this edge keeps more, and deletes. */
  takes: boolean;
  clips: Card[];
  /** Where there are more. */
  next?: string;
}

/** How far a clip is that is being made; `of` is 0 where that is not known yet. */
export interface Making {
  bytes: number;
  of: number;
}

type Told = (Card & { state: "kept" }) | ({ state: "making"; url: string } & Making) | { state: "failed"; error: string };

const AGAIN_MS = 500;
/** A clip is made on while so many questions in a row go unanswered. */
const UNANSWERED = 10;

const pause = (ms: number): Promise<void> => new Promise((go) => setTimeout(go, ms));

/** What is kept of a stream, newest first; null where the edge has no place for clips. */
export async function shelf(path: string): Promise<Shelf | null> {
  const answer = await ask(`${path}/clips`, { cache: "no-store" });
  if (answer.status === 400) return null;
  if (!answer.ok) throw new Error(await sentence(answer));
  return (await answer.json()) as Shelf;
}

/** The next hundred. */
export async function moreOf(found: Shelf): Promise<Shelf> {
  const answer = await ask(found.next ?? "");
  if (!answer.ok) throw new Error(await sentence(answer));
  const more = (await answer.json()) as Shelf;
  return { ...more, clips: [...found.clips, ...more.clips] };
}

/**
 * Keep a range. Resolves with its card once it is kept; rejects with the edge's sentence. The edge makes it
 * on when nobody asks any more.
 */
export async function keep(
  path: string,
  { start, end }: Range,
  name: string,
  onMaking: (making: Making) => void,
  ending: AbortSignal,
): Promise<Card> {
  const wish = { start: Number(seconds(start)), end: Number(seconds(end)), ...(name ? { name } : {}) };
  let answer = await postJson(`${path}/clips`, wish);
  let unanswered = 0;
  for (;;) {
    if (!answer.ok) {
      const gone = answer.status === 404 && answer.url.includes("/clips/");
      throw new Error(gone ? "whoever made it is gone: keep it again" : await sentence(answer));
    }
    const told = (await answer.json()) as Told;
    if (told.state === "kept") return told;
    if (told.state === "failed") throw new Error(told.error);
    onMaking({ bytes: told.bytes, of: told.of });
    for (let known = false; !known; ) {
      await pause(AGAIN_MS);
      ending.throwIfAborted();
      try {
        answer = await ask(told.url, { cache: "no-store" });
        known = answer.status < 500;
      } catch {
        known = false;
      }
      unanswered = known ? 0 : unanswered + 1;
      if (unanswered >= UNANSWERED) throw new Error("the edge does not answer");
    }
  }
}

/** Delete a kept clip; one that is gone already is none that is left. */
export async function forget(card: Card): Promise<void> {
  const answer = await ask(card.card, { method: "DELETE" });
  if (!answer.ok && answer.status !== 404) throw new Error(await sentence(answer));
}
