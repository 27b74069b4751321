import { describe, expect, it } from "vitest";
import { MediaTime, ServerClock } from "./media-time";
import { Cushion, Failures, leapTo, liveRate, waitMs } from "./pacing";
import { HEAD_BYTES, type Track, mimeOf, parsePacket, playedTracks } from "./protocol";

function packet(version: number, kind: number, flags: number, body: number[]): ArrayBuffer {
  const data = new ArrayBuffer(HEAD_BYTES + body.length);
  const view = new DataView(data);
  [version, kind, 7, flags].forEach((byte, at) => view.setUint8(at, byte));
  [3, 21, 3000].forEach((value, index) => view.setUint32(4 + 4 * index, value));
  [1_767_225_600_000, 12, 9_000_000_000, 1_767_225_611_200].forEach((value, index) =>
    view.setBigUint64(16 + 8 * index, BigInt(value)),
  );
  new Uint8Array(data).set(body, HEAD_BYTES);
  return data;
}

describe("parsePacket", () => {
  it("takes a chunk apart", () => {
    const found = parsePacket(packet(1, 2, 3, [1, 2, 3]));
    expect(found).toMatchObject({
      kind: "chunk",
      track: 7,
      independent: true,
      discontinuity: true,
      part: 3,
      chunk: 21,
      dur: 3000,
      epoch: 1_767_225_600_000,
      msn: 12,
      dts: 9_000_000_000,
      wall_ms: 1_767_225_611_200,
    });
    expect([...(found?.body ?? [])]).toEqual([1, 2, 3]);
  });
  it("tells an init segment, and what follows what was before", () => {
    expect(parsePacket(packet(1, 1, 0, []))).toMatchObject({
      kind: "init",
      independent: false,
      discontinuity: false,
    });
  });
  it("passes over what it does not know", () => {
    expect(parsePacket(packet(2, 2, 0, []))).toBeNull();
    expect(parsePacket(packet(1, 9, 0, []))).toBeNull();
    expect(parsePacket(new ArrayBuffer(47))).toBeNull();
  });
});

describe("tracks", () => {
  const track = (number: number, kind: "video" | "audio", codec: string): Track => ({
    number,
    name: `${kind}-${number}`,
    kind,
    codec,
    timescale: 90_000,
    language: "und",
  });
  it("plays the first of each kind", () => {
    const tracks = [track(0, "audio", "opus"), track(1, "video", "vp09"), track(2, "audio", "opus")];
    expect(playedTracks(tracks).map(({ number }) => number)).toEqual([1, 0]);
    expect(playedTracks([])).toEqual([]);
  });
  it("has a type for the browser", () => {
    expect(mimeOf(track(0, "video", "avc1.64001F"))).toBe('video/mp4; codecs="avc1.64001F"');
  });
});

describe("MediaTime", () => {
  it("puts an epoch where it was captured, and its tracks at one offset", () => {
    const time = new MediaTime(0);
    expect(time.offset(1, 100, 50_000)).toBe(-100);
    time.placed(0, 2, 50_000);
    expect(time.offset(1, 103, 53_000)).toBe(-100);
    time.placed(3, 1, 53_000);
    expect(time.offset(2, 7, 60_000)).toBe(10 - 7);
    expect(time.captured(3.5)).toBe(53_500);
  });
  it("does not let an epoch begin before the one before has ended", () => {
    const time = new MediaTime(0);
    time.offset(1, 0, 50_000);
    time.placed(0, 10, 50_000);
    expect(time.offset(2, 0, 59_000)).toBeCloseTo(10.02);
    expect(time.end).toBe(10);
  });
  it("knows nothing before the first chunk", () => {
    expect(new MediaTime(5).captured(5)).toBeNull();
  });

  it("places the moment that was asked for, where something was captured then", () => {
    const time = new MediaTime(10);
    time.placed(time.offset(7, 0, 50_000), 1, 50_000);
    expect(time.placeOf(51_500, 10)).toBeCloseTo(11.5);
    expect(time.placeOf(49_000, 10)).toBe(10);
    expect(time.placeOf(90_000, 10)).toBeCloseTo(50);
    expect(new MediaTime(3).placeOf(50_000, 3)).toBe(3);
  });
});

it("ServerClock believes the message that was under way for the shortest time", () => {
  const clock = new ServerClock();
  expect(clock.now(1000)).toBe(1000);
  clock.heard(5000, 1000);
  clock.heard(6100, 2000);
  clock.heard(6900, 3000);
  expect(clock.now(10_000)).toBe(14_100);
});

describe("Cushion", () => {
  const noted = (cushion: Cushion, aheads: number[]) =>
    aheads.forEach((ahead_s, index) => cushion.note(100 + index / 10, ahead_s));
  it("goes by the least that was ahead", () => {
    const cushion = new Cushion(0.05);
    noted(cushion, [0.3, 0.25, 0.2, 0.15, 0.35, 0.3, 0.25, 0.2]);
    expect(cushion.least_s).toBe(0.15);
    expect(cushion.spare_s).toBeCloseTo(0.1, 2);
  });
  it("says nothing before it has watched", () => {
    const cushion = new Cushion();
    cushion.note(0, 0.1);
    expect(cushion.spare_s).toBeNull();
  });
  it("has nothing to spare once it ran dry, until it has watched again", () => {
    const cushion = new Cushion(0.06);
    noted(cushion, [0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3]);
    // Stalls that follow each other sooner than half of what is watched.
    for (let n = 0; n < 20; n += 1) {
      cushion.stalled();
      expect(liveRate(1.1, cushion.spare_s)).toBe(0.95);
      noted(cushion, [0.03, 0.03, 0.03]);
      expect(liveRate(1, cushion.spare_s)).toBe(0.95);
    }
    cushion.stalled();
    noted(cushion, [0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2]);
    expect(cushion.spare_s).toBeCloseTo(0.2 - cushion.margin_s);
    cushion.stalled();
    cushion.moved();
    expect(cushion.spare_s).toBeNull();
  });
  it("widens at a stall, and narrows with time", () => {
    const cushion = new Cushion(0.06);
    cushion.note(0, 1);
    cushion.note(10, 1);
    const before = cushion.margin_s;
    cushion.stalled();
    expect(cushion.margin_s).toBeCloseTo(before + 0.04);
    cushion.note(20, 1);
    expect(cushion.margin_s).toBeCloseTo(0.025 + (before + 0.04 - 0.025) * Math.exp(-10 / 12));
    cushion.note(3000, 1);
    expect(cushion.margin_s).toBeCloseTo(0.025);
    for (let n = 0; n < 200; n += 1) {
      cushion.note(3000 + 1.1 * n, 1);
      cushion.stalled();
    }
    expect(cushion.margin_s).toBeGreaterThan(0.3);
    expect(cushion.margin_s).toBeLessThanOrEqual(1);
  });
  it("learns nothing from a browser that begins, and something afterwards", () => {
    const cushion = new Cushion(0.06);
    cushion.stalled();
    cushion.note(0, 1);
    cushion.note(2, 1);
    cushion.stalled();
    expect(cushion.margin_s).toBeLessThanOrEqual(0.06);
    cushion.note(3.5, 1);
    cushion.stalled();
    expect(cushion.margin_s).toBeGreaterThan(0.09);
  });
  it("takes what is ahead at a stall for no dip, and one stall a second for one", () => {
    const cushion = new Cushion(0.06);
    cushion.note(0, 0.2);
    for (let second = 4; second < 10; second += 1) cushion.note(second, 0.2);
    cushion.note(9.5, 0);
    cushion.stalled();
    const taught = cushion.margin_s;
    cushion.note(9.6, 0);
    cushion.stalled();
    expect(cushion.margin_s).toBeLessThanOrEqual(taught);
    for (let second = 11; second < 39; second += 1) cushion.note(second, 0.2);
    expect(cushion.margin_s).toBeLessThan(0.04);
  });
  it("stays as wide as the dips of the last half minute", () => {
    const cushion = new Cushion(0.06);
    cushion.note(0, 0.2);
    for (let second = 4; second < 10; second += 1) cushion.note(second, 0.2);
    cushion.stalled();
    cushion.note(10, 0.05);
    for (let second = 11; second < 39; second += 1) cushion.note(second, 0.2);
    const held = cushion.margin_s;
    expect(held).toBeGreaterThan(0.08);
    for (let second = 39; second < 140; second += 1) cushion.note(second, 0.2);
    expect(cushion.margin_s).toBeCloseTo(0.025);
  });
});

describe("liveRate", () => {
  it("is calm near the margin, and does not hunt", () => {
    expect(liveRate(1, 0.01)).toBe(1);
    expect(liveRate(1.05, 0.02)).toBe(1.02);
    expect(liveRate(1.05, 0.005)).toBe(1);
    expect(liveRate(1.05, null)).toBe(1.05);
  });
  it("is at most a quarter faster, a twentieth slower", () => {
    expect(liveRate(1, 0.2)).toBe(1.1);
    expect(liveRate(1, 9)).toBe(1.25);
    expect(liveRate(1, -9)).toBe(0.95);
  });
});

describe("leapTo", () => {
  it("goes to the newest independent chunk that leaves the margin", () => {
    expect(leapTo(10, 5, 15.5, 0.1, [11, 13, 15, 15.45])).toBe(15);
  });
  it("stays where playing faster does, or nothing better is buffered", () => {
    expect(leapTo(10, 0.8, 11, 0.1, [10.8])).toBeNull();
    expect(leapTo(10, 5, 15, 0.1, [9, 10.1])).toBeNull();
    expect(leapTo(10, null, 15, 0.1, [14])).toBeNull();
  });
});

it("waits longer each time, but not for ever", () => {
  const waits = [0, 1, 2, 3, 4, 50].map((attempt) => waitMs(attempt, 1));
  expect(waits).toEqual([250, 500, 1000, 2000, 4000, 4000]);
  expect(waitMs(0, 0)).toBe(125);
});

describe("Failures", () => {
  const failed = (...at: number[]) => {
    const failures = new Failures();
    for (const one of at) failures.note(one);
    return failures;
  };

  it("last from the third on, each within twenty seconds of the one before", () => {
    expect(failed(0, 5000).lasting(5000)).toBe(false);
    expect(failed(0, 5000, 24_000).lasting(24_000)).toBe(true);
    expect(failed(0, 5000, 26_000).lasting(26_000)).toBe(false);
  });

  it("are over after twenty seconds without", () => {
    expect(failed(0, 5000, 9000).lasting(28_999)).toBe(true);
    expect(failed(0, 5000, 9000).lasting(29_000)).toBe(false);
  });

  it("are forgotten where it plays for two seconds, or is sent elsewhere", () => {
    const plays = failed(0, 5000, 9000);
    plays.played(1.5);
    expect(plays.lasting(9500)).toBe(true);
    plays.played(0.6);
    expect(plays.lasting(9500)).toBe(false);
    const sent = failed(0, 5000, 9000);
    sent.forget();
    expect(sent.lasting(9000)).toBe(false);
  });

  it("count what was played since the last alone", () => {
    const failures = failed(0);
    failures.played(1.5);
    failures.note(3000);
    failures.played(1.5);
    failures.note(6000);
    expect(failures.lasting(6000)).toBe(true);
  });
});
