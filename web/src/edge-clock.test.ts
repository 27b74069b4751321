import { afterEach, expect, test, vi } from "vitest";
import { offBy } from "./edge-clock";

const TOLD = "2026-11-27T12:00:00.250Z";
const AT = Date.parse(TOLD);

test.each([
  ["an hour ahead", AT + 3_599_990, AT + 3_600_010, 3_600_000],
  ["a minute behind", AT - 60_010, AT - 59_990, -60_000],
  ["right", AT - 10, AT + 10, 0],
  ["off by what may be the network's", AT, AT + 3000, 0],
  ["off by more than that", AT + 5000, AT + 8000, 6500],
])("%s", (_, begun, ended, off) => {
  expect(offBy(TOLD, begun, ended)).toBe(off);
});

test("what is not a time is passed over", () => {
  expect(offBy("<html>", AT, AT)).toBe(0);
});

afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** A page of a machine whose clock is ahead by `ahead_ms`, and an edge whose clock is right. */
async function page(ahead_ms: number, answers: () => boolean = () => true) {
  vi.resetModules();
  vi.useFakeTimers();
  const here = { ahead_ms };
  const right = () => performance.now() + 1_700_000_000_000;
  vi.spyOn(Date, "now").mockImplementation(() => right() + here.ahead_ms);
  vi.stubGlobal("fetch", async () => {
    if (!answers()) throw new TypeError("not there");
    return new Response(new Date(right()).toISOString());
  });
  const { edgeClock, edgeNow } = await import("./edge-clock");
  await edgeClock();
  return { here, off: () => Math.round(edgeNow() - right()) };
}

test("a clock that is set right meanwhile is gone by at once", async () => {
  const { here, off } = await page(3_600_000);
  expect(off()).toBe(0);
  here.ahead_ms = 0;
  off(); // so it is noticed
  await vi.advanceTimersByTimeAsync(10);
  expect(off()).toBe(0);
});

test("an edge that does not tell is asked again soon", async () => {
  let there = false;
  const { off } = await page(60_000, () => there);
  expect(off()).toBe(60_000);
  there = true;
  await vi.advanceTimersByTimeAsync(10_000);
  expect(off()).toBe(0);
});
