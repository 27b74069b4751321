/** Marks on a stream's time: no DOM, no player. Times are Unix ms. */

import { postJson, sentence } from "./asking";
import { type View, seconds, span, xOf } from "./timeline-view";

export interface Mark {
  id: string;
  at: number;
  /** Until when it lasts; null for a moment. */
  end: number | null;
  kind: string;
  text: string;
  /** How many the edge told of as one, and when the last of them is. */
  count: number;
  last: number;
  /** The most frequent words of those that are told of as one. */
  words: Record<string, number>;
}

/** What `events` at an edge says of a stream. */
export interface ToldMarks {
  complete: boolean;
  /** Whether the edge takes more. */
  takes?: boolean;
  marks: {
    id: string;
    at: string;
    end?: string;
    kind: string;
    text?: string;
    count?: number;
    last?: string;
    words?: Record<string, number>;
  }[];
}

export const marksOf = (told: ToldMarks): Mark[] =>
  told.marks.map(({ id, at, end, kind, text, count, last, words }) => ({
    id,
    at: Date.parse(at),
    end: end === undefined ? null : Date.parse(end),
    kind,
    text: text ?? "",
    count: count ?? 1,
    last: Date.parse(last ?? at),
    words: words ?? { [text || kind]: count ?? 1 },
  }));

/** Write a mark; as it was written, once it is in the log. Rejects with the edge's sentence. */
export async function setMark(path: string, at: number, text: string): Promise<Mark> {
  const answer = await postJson(`${path}/events`, { at: Number(seconds(at)), ...(text ? { text } : {}) });
  if (!answer.ok) throw new Error(await sentence(answer));
  const [made] = marksOf((await answer.json()) as ToldMarks);
  if (!made) throw new Error("the edge told of no mark");
  return made;
}

/** What an edge tells of, with marks of one's own that it has not told of yet. */
export const withOwn = (told: readonly Mark[], own: readonly Mark[]): Mark[] =>
  [...told, ...own.filter(({ id }) => !told.some((one) => one.id === id))].sort((a, b) => a.at - b.at);

/** Marks that are too near to each other to be told apart at this zoom. */
export interface Cluster {
  marks: Mark[];
  count: number;
  at: number;
  last: number;
  end: number | null;
}

/** Marks by time, those within `apart` pixels of the first of theirs together. */
export function clustered(marks: readonly Mark[], view: View, width: number, apart = 30): Cluster[] {
  const found: Cluster[] = [];
  for (const mark of marks) {
    const open = found.at(-1);
    if (open && xOf(view, mark.at, width) - xOf(view, open.at, width) < apart) {
      open.marks.push(mark);
      open.count += mark.count;
      open.last = Math.max(open.last, mark.last);
      open.end = later(open.end, mark.end);
    } else {
      found.push({ marks: [mark], count: mark.count, at: mark.at, last: mark.last, end: mark.end });
    }
  }
  return found.filter(({ at, last, end }) => at < view.to && Math.max(last, end ?? 0) > view.from);
}

const later = (one: number | null, other: number | null): number | null =>
  one === null || other === null ? (one ?? other) : Math.max(one, other);

/** A cluster in words: each text once, most frequent first. */
export function wordsOf(cluster: Cluster, most = 3): string {
  const counts = new Map<string, number>();
  for (const mark of cluster.marks) {
    for (const [words, count] of Object.entries(mark.words)) {
      counts.set(words, (counts.get(words) ?? 0) + count);
    }
  }
  const listed = [...counts].sort(([, a], [, b]) => b - a).slice(0, most);
  const left = cluster.count - listed.reduce((sum, [, count]) => sum + count, 0);
  const shown = listed.map(([words, count]) => (count > 1 ? `${words} ×${count}` : words)).join(", ");
  return left > 0 ? `${shown} and ${left} more` : shown;
}

/** The cluster at a moment, within so many pixels; the nearest of several. */
export function near(
  clusters: readonly Cluster[],
  time: number,
  view: View,
  width: number,
  within = 9,
): Cluster | null {
  const away = (one: Cluster) => Math.abs(one.at - time);
  const found = [...clusters].sort((a, b) => away(a) - away(b))[0];
  return found && (away(found) / span(view)) * width <= within ? found : null;
}

/** What a viewer at `time` takes for the mark that is played, and not for the next or the one before. */
const HERE_MS = 1_000;

/** The next mark after a moment; null where none is known. */
export const nextMark = (marks: readonly Mark[], time: number): Mark | null =>
  marks.find(({ at }) => at > time + HERE_MS / 2) ?? null;

/** The mark before a moment, and not the one that is being played. */
export const markBefore = (marks: readonly Mark[], time: number): Mark | null =>
  marks.findLast(({ at }) => at < time - HERE_MS) ?? null;

/** The mark whose moment is played. */
export const markAt = (marks: readonly Mark[], time: number): Mark | null =>
  marks.findLast(({ at, end }) => at <= time + HERE_MS / 2 && time < Math.max(at + 3 * HERE_MS, end ?? 0)) ?? null;

export interface Asked {
  start: number;
  end: number;
  resolution: number;
}

/**
 * What to ask an edge for so that a view, and as much on both sides, can be drawn. Round numbers, so that
 * viewers who look at about the same ask the same.
 */
export function askFor(view: View): Asked {
  const grid = 2 ** Math.ceil(Math.log2(span(view) / 2));
  return {
    start: Math.max(0, Math.floor(view.from / grid - 1) * grid),
    end: Math.ceil(view.to / grid + 1) * grid,
    resolution: Math.max(1, Math.round(grid / 256)),
  };
}
