/** Where a watch page begins: live, or at the moment that its address asks for (`?at=`). */

import { useEffect, useState } from "preact/hooks";
import { edgeClock, edgeNow } from "./edge-clock";
import { type Told, nearest, rangesOf } from "./timeline-view";
import { AT_LIVE, type Begin } from "./video-player";

const UNITS_MS: Record<string, number> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};
const LAST_MS = Date.UTC(2200, 0, 1);
const LIVE_MS = 3000;

const isNow = (time: number): boolean => time > edgeNow() - LIVE_MS;

/** Unix ms of RFC 3339 with a zone, Unix seconds, or a time before `now` (`-10m`), as the edge reads them; null: none. */
export function momentOf(text: string, now: number): number | null {
  const before = text.match(/^-(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)$/);
  const zoned = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d)$/;
  let found = Number.NaN;
  if (before) found = now - Number(before[1]) * (UNITS_MS[before[2] ?? ""] ?? 0);
  else if (/^\d+(\.\d+)?$/.test(text)) found = 1000 * Number(text);
  else if (zoned.test(text)) found = Date.parse(text.toUpperCase().replace(" ", "T"));
  return found >= 0 && found < LAST_MS ? Math.round(found) : null;
}

/** The address of a moment. */
export function momentLink(address: string, at: number): string {
  const link = new URL(address);
  link.search = `?at=${new Date(at).toISOString()}`;
  link.hash = "";
  return link.href;
}

/** `from`: null until it is known what there is. `note`: what the address asks for cannot be understood. */
export function useBegin(path: string): { from: Begin | null; note: string } {
  const [asked] = useState(() => new URLSearchParams(location.search).get("at"));
  const [readable] = useState(() => asked === null || momentOf(asked, edgeNow()) !== null);
  const [from, setFrom] = useState<Begin | null>(() => (asked === null || !readable ? AT_LIVE : null));
  useEffect(() => {
    if (asked === null || from) return;
    let over = false;
    const begin = (to: number | null) => {
      if (!over) setFrom(to === null || isNow(to) ? AT_LIVE : { ...AT_LIVE, at: to });
    };
    const look = async () => {
      await edgeClock();
      const at = momentOf(asked, edgeNow());
      if (at === null || isNow(at)) return begin(null);
      try {
        const answer = await fetch(`${path}/timeline`);
        if (!answer.ok) throw new Error(String(answer.status));
        begin(nearest(rangesOf((await answer.json()) as Told), at));
      } catch {
        begin(at); // the player says what is the matter
      }
    };
    void look();
    return () => {
      over = true;
    };
  }, []);
  return { from, note: asked !== null && !readable ? `“${asked.slice(0, 40)}” is not a time` : "" };
}
