import { expect, test } from "vitest";
import { WallTimes, captured } from "./wall-times";

function prft(wall_s: number, media: bigint, version = 1): ArrayBuffer {
  const view = new DataView(new ArrayBuffer(40));
  view.setUint32(0, 32);
  view.setUint32(4, 0x70726674);
  view.setUint32(8, version * 2 ** 24 + 24);
  view.setUint32(16, Math.floor(wall_s) + 2_208_988_800);
  view.setUint32(20, (wall_s % 1) * 2 ** 32);
  view.setBigUint64(24, media);
  return view.buffer;
}

test("a segment tells by how much the time of day is ahead of its media", () => {
  const media = 90_000n * 1_795_000_000n;
  expect(captured(prft(1_795_000_000.25, media), 90_000)).toEqual({ media_s: 1_795_000_000, ahead_ms: 250 });
  expect(captured(prft(1_794_999_999.5, media), 90_000)?.ahead_ms).toBe(-500);
});

test("one without tells nothing", () => {
  expect(captured(new ArrayBuffer(40), 90_000)).toBeNull();
  expect(captured(new ArrayBuffer(3), 90_000)).toBeNull();
  expect(captured(prft(1, 1n, 0), 90_000)).toBeNull();
});

test("a date goes by the segment that it lies in, and a place by the same", () => {
  const times = new WallTimes();
  expect(times.date(5)).toBe(5000);
  expect(times.place(5000)).toBe(5);
  times.add({ media_s: 20, ahead_ms: 40 });
  times.add({ media_s: 10, ahead_ms: -500 });
  expect(times.date(12)).toBe(11_500);
  expect(times.date(21)).toBe(21_040);
  expect(times.date(9)).toBe(8500);
  for (const media_s of [9, 10, 12, 20, 25]) expect(times.place(times.date(media_s))).toBe(media_s);
  times.add({ media_s: 10, ahead_ms: 100 });
  expect(times.date(12)).toBe(12_100);
});

test("what is far from what was loaded last is forgotten", () => {
  const times = new WallTimes();
  for (let n = 0; n < 1200; n += 1) times.add({ media_s: n, ahead_ms: n });
  expect(times.date(1199)).toBe(1_200_199);
  expect(times.date(0)).toBe(700);
  times.add({ media_s: -5, ahead_ms: 7 });
  expect(times.date(-4)).toBe(-3993);
});
