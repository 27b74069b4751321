import { describe, expect, it } from "vitest";
import { between, doubt, extentText, filled, guess, lengthText, sizeText, withEdge } from "./clip-range";

const NOW = 1_000_000_000;

describe("a clip's range", () => {
  it("is between two moments, in either order, and ends now at the latest", () => {
    expect(between(5_000, 1_000, NOW)).toEqual({ start: 1_000, end: 5_000 });
    expect(between(NOW - 1_000, NOW + 9_000, NOW)).toEqual({ start: NOW - 1_000, end: NOW });
    expect(between(NOW + 1, NOW + 9_000, NOW)).toBeNull();
    expect(between(5_000, 5_100, NOW)).toBeNull();
  });

  it("may be as long as one likes", () => {
    const days = 12 * 86_400_000;
    expect(between(NOW - days, NOW, NOW)).toEqual({ start: NOW - days, end: NOW });
    expect(doubt({ start: 0, end: days })).toBe("");
    expect(doubt({ start: 0, end: 14 * 86_400_000 })).not.toBe("");
  });

  it("gets another beginning or end", () => {
    const range = { start: 100_000, end: 200_000 };
    expect(withEdge(range, "start", 150_000, NOW)).toEqual({ start: 150_000, end: 200_000 });
    expect(withEdge(range, "end", 150_000, NOW)).toEqual({ start: 100_000, end: 150_000 });
    expect(withEdge(range, "start", 300_000, NOW)).toEqual({ start: 300_000, end: 330_000 });
    expect(withEdge(range, "end", 50_000, NOW)).toEqual({ start: 20_000, end: 50_000 });
    expect(withEdge(null, "end", 100_000, NOW)).toEqual({ start: 70_000, end: 100_000 });
    expect(withEdge(null, "start", NOW - 5_000, NOW)).toEqual({ start: NOW - 5_000, end: NOW });
  });

  it("has the size of what is there", () => {
    const there = [
      { start: 0, end: 10_000 },
      { start: 20_000, end: 30_000 },
    ];
    expect(filled(there, { start: 5_000, end: 25_000 })).toBe(10_000);
    expect(filled(there, { start: 10_000, end: 20_000 })).toBe(0);
    expect(guess(there, { start: 0, end: 30_000 }, 8_000_000)).toBe(20_000_000);
  });

  it("is as long as what is there, where there are gaps in it", () => {
    const there = [
      { start: 0, end: 60_000 },
      { start: 239_000, end: 300_000 },
    ];
    expect(extentText(there, { start: 0, end: 269_000 })).toBe("1:30 min of 4:29 min");
    expect(extentText(there, { start: 100_000, end: 200_000 })).toBe("0.0 s of 1:40 min");
    expect(extentText(there, { start: 10_000, end: 50_000 })).toBe("40.0 s");
    expect(extentText(there, { start: 20_000, end: 60_040 })).toBe("40.0 s");
  });

  it("is told of in words", () => {
    expect(lengthText(40_040)).toBe("40.0 s");
    expect(lengthText(754_000)).toBe("12:34 min");
    expect(lengthText(2 * 3_600_000)).toBe("2 h");
    expect(lengthText(26.1 * 3_600_000)).toBe("1 d 2 h");
    expect(lengthText(13 * 86_400_000)).toBe("13 d");
    expect([812_400, 12_345_678, 1_440_000_000, 3_000_000].map(sizeText)).toEqual([
      "812 kB", "12 MB", "1.4 GB", "3.0 MB",
    ]);
  });
});
