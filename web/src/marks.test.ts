import { afterEach, describe, expect, it, vi } from "vitest";
import {
  type Mark,
  askFor,
  clustered,
  markAt,
  markBefore,
  marksOf,
  near,
  nextMark,
  setMark,
  withOwn,
  wordsOf,
} from "./marks";

const mark = (at: number, words: Partial<Mark> = {}): Mark => ({
  id: String(at),
  at,
  end: null,
  kind: "marker",
  text: "",
  count: 1,
  last: at,
  words: { [words.text || words.kind || "marker"]: words.count ?? 1 },
  ...words,
});

describe("marks", () => {
  it("are read from what an edge says", () => {
    const [one, several] = marksOf({
      complete: true,
      marks: [
        { id: "a", at: "2026-01-01T00:00:00.500Z", end: "2026-01-01T00:00:02Z", kind: "k", text: "t" },
        { id: "b", at: "2026-01-01T00:00:03Z", kind: "k", count: 4, last: "2026-01-01T00:00:04Z" },
      ],
    });
    const begin = Date.parse("2026-01-01T00:00:00Z");
    expect(one).toEqual({
      id: "a", at: begin + 500, end: begin + 2000, kind: "k", text: "t", count: 1, last: begin + 500, words: { t: 1 },
    });
    expect(several).toMatchObject({ count: 4, last: begin + 4000, end: null, text: "" });
  });

  it("are told apart by zooming in", () => {
    const marks = [mark(0), mark(500), mark(900), mark(60_000, { count: 3, last: 61_000 })];
    const far = clustered(marks, { from: -1000, to: 99_000 }, 1000);
    expect(far.map(({ count }) => count)).toEqual([3, 3]);
    const close = clustered(marks, { from: -1000, to: 1000 }, 1000);
    expect(close.map(({ at }) => at)).toEqual([0, 500, 900]);
  });

  it("that begin before the view are in it while they last", () => {
    const lasting = mark(0, { end: 5000 });
    expect(clustered([lasting], { from: 4000, to: 9000 }, 100)).toHaveLength(1);
    expect(clustered([lasting], { from: 5000, to: 9000 }, 100)).toHaveLength(0);
  });

  it("are put in words, the most frequent first", () => {
    const marks = [mark(0, { text: "a door" }), mark(1, { kind: "person", count: 2 }), mark(2, { kind: "person" })];
    const [cluster] = clustered(marks, { from: -1, to: 100_000 }, 100);
    expect(cluster && wordsOf(cluster)).toBe("person ×3, a door");
    expect(cluster && wordsOf(cluster, 1)).toBe("person ×3 and 1 more");
    const several = mark(0, { count: 40, words: { "a person": 26, "a dog": 11 } });
    const [told] = clustered([several], { from: -1, to: 100_000 }, 100);
    expect(told && wordsOf(told)).toBe("a person ×26, a dog ×11 and 3 more");
  });

  it("are found near the pointer", () => {
    const view = { from: 0, to: 100_000 };
    const clusters = clustered([mark(10_000), mark(50_000)], view, 1000);
    expect(near(clusters, 50_800, view, 1000)?.at).toBe(50_000);
    expect(near(clusters, 52_000, view, 1000)).toBeNull();
    expect(near([], 0, view, 1000)).toBeNull();
  });

  it("are gone through one by one", () => {
    const marks = [mark(1000), mark(5000), mark(9000)];
    expect(nextMark(marks, 5000)?.at).toBe(9000);
    expect(markBefore(marks, 5200)?.at).toBe(1000);
    expect(markBefore(marks, 7000)?.at).toBe(5000);
    expect(nextMark(marks, 9000)).toBeNull();
    expect(markBefore(marks, 900)).toBeNull();
    expect(markAt(marks, 5900)?.at).toBe(5000);
    expect(markAt(marks, 8200)).toBeNull();
  });

  it("are asked for in round numbers, a view's length around it", () => {
    const view = { from: 1_000_000, to: 1_060_000 };
    const asked = askFor(view);
    expect(asked).toEqual(askFor({ from: 1_000_100, to: 1_060_100 }));
    expect(asked.start).toBeLessThanOrEqual(view.from - 30_000);
    expect(asked.end).toBeGreaterThanOrEqual(view.to + 30_000);
    expect((asked.end - asked.start) / asked.resolution).toBeLessThan(2000);
  });
});

describe("a mark of one's own", () => {
  afterEach(() => vi.unstubAllGlobals());
  const PATH = "/media/cams/gate";

  it("is shown at once, and once", () => {
    const told = [mark(1000), mark(3000)];
    const own = mark(2000, { id: "own" });
    expect(withOwn(told, [own]).map(({ at }) => at)).toEqual([1000, 2000, 3000]);
    expect(withOwn([...told, own], [own])).toHaveLength(3);
  });

  it("is written with its moment, to the millisecond, and a text where there is one", async () => {
    const sent: [string, RequestInit][] = [];
    vi.stubGlobal("fetch", async (url: string, options: RequestInit) => {
      sent.push([url, options]);
      const marks = [{ id: "x", at: "2026-01-01T00:00:00.250Z", kind: "marker", text: "here" }];
      return Response.json({ stream: "cams/gate", marks }, { status: 201 });
    });
    const at = Date.parse("2026-01-01T00:00:00.250Z");
    expect(await setMark(PATH, at, "here")).toMatchObject({ id: "x", at, text: "here" });
    await setMark(PATH, at, "");
    expect(sent.map(([url, { method }]) => [url, method])).toEqual(Array(2).fill([`${PATH}/events`, "POST"]));
    expect(sent.map(([, { body }]) => JSON.parse(body as string))).toEqual([
      { at: at / 1000, text: "here" },
      { at: at / 1000 },
    ]);
  });

  it("is refused in the edge's words", async () => {
    const refusal = new Response("this edge takes no marks\n", {
      status: 403,
      headers: { "content-type": "text/plain; charset=utf-8" },
    });
    vi.stubGlobal("fetch", async () => refusal);
    await expect(setMark(PATH, 1, "")).rejects.toThrow("this edge takes no marks");
  });
});
