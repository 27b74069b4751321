import { afterEach, describe, expect, it, vi } from "vitest";
import { backBy, backFrom } from "./back";

const TWO = [
  { start: 0, end: 90_000 },
  { start: 120_000, end: 180_000 },
];

describe("backFrom", () => {
  it("counts playing time alone", () => {
    expect(backFrom(TWO, 130_000, 5000)).toBe(125_000);
    expect(backFrom(TWO, 122_000, 5000)).toBe(87_000);
    expect(backFrom(TWO, 120_000, 5000)).toBe(85_000);
    expect(backFrom(TWO, 100_000, 5000)).toBe(85_000);
    expect(backFrom(TWO, 200_000, 5000)).toBe(175_000);
  });

  it("does not go back further than there is something", () => {
    expect(backFrom(TWO, 3000, 5000)).toBeNull();
    expect(backFrom([], 3000, 5000)).toBeNull();
  });
});

describe("backBy", () => {
  afterEach(() => vi.unstubAllGlobals());

  let state = "away";
  const edge = (...answers: ([number, number][] | null)[]) => {
    const asked: string[] = [];
    vi.stubGlobal("fetch", async (url: string) => {
      asked.push(url);
      const ranges = answers.shift()?.map(([start, end]) => ({
        start: new Date(start).toISOString(),
        end: new Date(end).toISOString(),
      }));
      return { ok: ranges !== undefined, json: async () => ({ ranges, state }) };
    });
    return asked;
  };
  const DAY = 86_400_000;
  const { signal } = new AbortController();

  it("asks of the last hour first", async () => {
    const asked = edge([[DAY, DAY + 90_000], [DAY + 120_000, DAY + 122_000]]);
    expect(await backBy("/t", DAY + 122_000, 5000, signal)).toBe(DAY + 87_000);
    expect(asked).toEqual([`/t?start=${(DAY + 122_000 - 3_600_000) / 1000}&end=86522&resolution=100ms`]);
  });

  it("goes over an absence of days", async () => {
    const asked = edge([[9 * DAY, 9 * DAY + 2000]], [[DAY, 2 * DAY], [9 * DAY, 9 * DAY + 2000]]);
    expect(await backBy("/t", 9 * DAY + 2000, 5000, signal)).toBe(2 * DAY - 3000);
    expect(asked).toHaveLength(2);
  });

  it("counts what is being published", async () => {
    state = "live";
    edge([[DAY, DAY + 90_000]]);
    expect(await backBy("/t", DAY + 94_000, 5000, signal)).toBe(DAY + 89_000);
    state = "away";
    edge([[DAY, DAY + 90_000]]);
    expect(await backBy("/t", DAY + 94_000, 5000, signal)).toBe(DAY + 85_000);
  });

  it("stops at the begin", async () => {
    edge([[DAY, DAY + 2000]], [[DAY, DAY + 2000]]);
    expect(await backBy("/t", DAY + 2000, 5000, signal)).toBe(DAY);
  });

  it("goes by the clock where nothing is known", async () => {
    edge(null, null);
    expect(await backBy("/t", DAY, 5000, signal)).toBe(DAY - 5000);
  });
});
