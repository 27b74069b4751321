import { describe, expect, it } from "vitest";
import type { Stream } from "./api";
import { age, behindText, bitrate, clock, codecName, frameRate, inOrder, makeup, sinceText } from "./format";

const stream = (over: Partial<Stream> = {}): Stream => ({
  collection: "demo",
  name: "camera",
  state: "live",
  since_ms: 1_000_000,
  epoch: 1_000_000,
  last_ms: 1_000_000,
  tracks: [
    { name: "video", kind: "video", codec: "avc1.64001f", width: 1280, height: 720, frame_rate: 30, bitrate_bps: 3e6 },
    { name: "audio", kind: "audio", codec: "mp4a.40.2", bitrate_bps: 128_000 },
  ],
  ...over,
});

describe("codecs", () => {
  it.each([
    ["avc1.64001f", "H.264"],
    ["avc3.42e01e", "H.264"],
    ["hvc1.1.6.L93.B0", "H.265"],
    ["hev1.1.6.L93.B0", "H.265"],
    ["vp09.00.31.08", "VP9"],
    ["av01.0.04M.08", "AV1"],
    ["mp4a.40.2", "AAC"],
    ["Opus", "Opus"],
    ["opus", "Opus"],
    ["xyz1.2", "xyz1.2"],
  ])("%s is %s", (codec, name) => expect(codecName(codec)).toBe(name));
});

describe("figures", () => {
  it.each([
    [0, ""],
    [128_000, "128 kb/s"],
    [999_499, "999 kb/s"],
    [999_500, "1.0 Mb/s"],
    [3_128_000, "3.1 Mb/s"],
    [12_400_000, "12 Mb/s"],
  ])("%d b/s", (bps, text) => expect(bitrate(bps)).toBe(text));

  it.each([
    [-5000, "0 s"],
    [59_999, "59 s"],
    [60_000, "1 min"],
    [3_599_000, "59 min"],
    [3_600_000, "1 h"],
    [11_100_000, "3 h 5 min"],
    [86_400_000, "1 d"],
    [187_200_000, "2 d 4 h"],
  ])("%d ms is an age", (ms, text) => expect(age(ms)).toBe(text));

  it.each([
    [7, "0:07"],
    [754, "12:34"],
    [3723, "1:02:03"],
  ])("%d s on a clock", (s, text) => expect(clock(s)).toBe(text));

  it("keeps the fractions of NTSC", () => {
    expect(frameRate({ name: "v", kind: "video", codec: "", frame_rate: 30000 / 1001 })).toBe("29.97 fps");
    expect(frameRate({ name: "v", kind: "video", codec: "", frame_rate: 25 })).toBe("25 fps");
    expect(frameRate({ name: "v", kind: "video", codec: "" })).toBe("");
  });
});

describe("streams", () => {
  it("says what a stream is made of", () => {
    expect(makeup(stream())).toEqual(["1280×720", "30 fps", "H.264 + AAC", "3.1 Mb/s"]);
    const radio = stream({ tracks: [{ name: "audio", kind: "audio", codec: "opus" }] });
    expect(makeup(radio)).toEqual(["audio only", "Opus"]);
  });

  it("says since when", () => {
    expect(sinceText(stream(), 1_000_000 + 720_000)).toBe("live for 12 min");
    expect(sinceText(stream({ state: "away" }), 1_030_000)).toBe("publisher left 30 s ago");
    expect(sinceText(stream({ state: "ended" }), 1_030_000)).toBe("ended 30 s ago");
  });

  it("says nothing of when where nothing is kept", () => {
    expect(sinceText(stream({ state: "away", last_ms: 0 }), 1_030_000)).toBe("nothing of it is kept");
    expect(sinceText(stream({ state: "away", last_ms: 0, epoch: 0 }), 1_030_000)).toBe("not published yet");
  });

  it("shows who is live first, then by name", () => {
    const names = inOrder([
      stream({ name: "c", state: "ended" }),
      stream({ name: "b", state: "away" }),
      stream({ name: "z" }),
      stream({ name: "a" }),
    ]).map((one) => one.name);
    expect(names).toEqual(["a", "z", "b", "c"]);
  });
});

describe("how far behind live", () => {
  it("is told while something is published, and in the past", () => {
    expect(behindText(1.62, true, true)).toBe("−1.6 s");
    expect(behindText(125, false, false)).toBe("−2:05");
  });
  it("is never negative", () => expect(behindText(-1.6, true, true)).toBe("−0.0 s"));
  it("is not told at the live edge of what is away", () => expect(behindText(1.6, false, true)).toBeNull());
});
