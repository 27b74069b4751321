import { describe, expect, it, test } from "vitest";
import {
  LEAST_MS,
  bounded,
  grown,
  has,
  moved,
  nearest,
  pinched,
  showing,
  span,
  ticks,
  timeAt,
  xOf,
  zoomed,
} from "./timeline-view";

const VIEW = { from: 1_000_000, to: 1_100_000 };

test("pixels and times are each other's inverse", () => {
  expect(xOf(VIEW, 1_050_000, 800)).toBe(400);
  expect(timeAt(VIEW, 400, 800)).toBe(1_050_000);
});

test("zooming keeps the moment under the pointer", () => {
  const near = zoomed(VIEW, 0.5, 1_025_000);
  expect(span(near)).toBe(50_000);
  expect(xOf(near, 1_025_000, 800)).toBeCloseTo(xOf(VIEW, 1_025_000, 800));
  expect(span(zoomed(VIEW, 1e-9, 1_025_000))).toBe(LEAST_MS);
});

test("a moment out of sight is brought into it", () => {
  expect(showing(VIEW, 1_050_000)).toEqual(VIEW);
  expect(showing(VIEW, 1_200_000)).toEqual({ from: 1_110_000, to: 1_210_000 });
  expect(showing(VIEW, 900_000)).toEqual({ from: 890_000, to: 990_000 });
});

test("nobody is lost before the beginning or behind the present", () => {
  expect(bounded(moved(VIEW, -1e7), 1_000_000, 2_000_000).from).toBe(910_000);
  expect(bounded(moved(VIEW, 1e7), 1_000_000, 2_000_000).to).toBe(2_010_000);
  expect(bounded(VIEW, 1_000_000, 2_000_000)).toEqual(VIEW);
});

test("ticks stand at round times, apart enough to be read", () => {
  for (const length of [10_000, 600_000, 86_400_000, 30 * 86_400_000]) {
    const view = { from: 1_700_000_000_123, to: 1_700_000_000_123 + length };
    const found = ticks(view, 900, 90, () => 0);
    expect(found.length).toBeGreaterThan(1);
    expect(found.length).toBeLessThan(11);
    const step = (found[1]?.time ?? 0) - (found[0]?.time ?? 0);
    for (const { time } of found) expect(time % step).toBe(0);
  }
});

test("a moment without media leads to the next that has some", () => {
  const ranges = [
    { start: 10_000, end: 20_000 },
    { start: 30_000, end: 40_000 },
  ];
  expect(has(ranges, 19_999)).toBe(true);
  expect(nearest(ranges, 15_000)).toBe(15_000);
  expect(nearest(ranges, 25_000)).toBe(30_000);
  expect(nearest(ranges, 90_000)).toBe(39_000);
  expect(nearest(ranges, 25_000, true)).toBe(19_000);
  expect(nearest(ranges, 15_000, true)).toBe(15_000);
  expect(nearest(ranges, 1, true)).toBe(ranges[0]?.start);
  expect(nearest([], 1)).toBeNull();
  expect(nearest([], 1, true)).toBeNull();
});

test("a live stream's last range reaches to now, where it is the one that grows", () => {
  const ranges = [
    { start: 10_000, end: 20_000 },
    { start: 30_000, end: 40_000 },
  ];
  expect(grown(ranges, 44_000)).toEqual([ranges[0], { start: 30_000, end: 44_000 }]);
  expect(grown(ranges, 39_000)).toEqual(ranges);
  expect(grown(ranges, 400_000)).toEqual(ranges);
  expect(grown([], 1)).toEqual([]);
});

describe("two fingers", () => {
  const view = { from: 0, to: 100_000 };

  it("keep the moments under them", () => {
    const next = pinched(view, [40_000, 60_000], [200, 800], 1000);
    expect(timeAt(next, 200, 1000)).toBeCloseTo(40_000);
    expect(timeAt(next, 800, 1000)).toBeCloseTo(60_000);
  });

  it("move the view where they stay as far apart", () => {
    const next = pinched(view, [40_000, 60_000], [500, 700], 1000);
    expect(next).toEqual({ from: -10_000, to: 90_000 });
  });

  it("stop at the closest view, and do not turn time around", () => {
    const close = pinched(view, [49_999, 50_001], [0, 1000], 1000);
    expect(close.to - close.from).toBe(LEAST_MS);
    expect(pinched(view, [40_000, 60_000], [503, 500], 1000)).toBe(view);
    expect(pinched(view, [40_000, 60_000], [700, 300], 1000)).toBe(view);
  });
});
