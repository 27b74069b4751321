import { describe, expect, it } from "vitest";
import { automatic, chosen, modeOf, possible } from "./modes";

const CHROME = { mse: true, nativeHls: false };
const OLD_IPHONE = { mse: false, nativeHls: true };

describe("the mode", () => {
  it("is HLS by itself, and frame by frame where the stream is published so", () => {
    expect(automatic("low", CHROME)).toBe("hls");
    expect(automatic(undefined, CHROME)).toBe("hls");
    expect(automatic("frame", CHROME)).toBe("ws");
    expect(automatic("frame", OLD_IPHONE)).toBe("hls");
  });

  it("is what the address says, else what was chosen last", () => {
    expect(chosen("?mode=dash", "ws", CHROME)).toBe("dash");
    expect(chosen("", "ws", CHROME)).toBe("ws");
    expect(chosen("?mode=auto", "ws", CHROME)).toBeNull();
    expect(chosen("", null, CHROME)).toBeNull();
    expect(chosen("?mode=rtsp", null, CHROME)).toBeNull();
  });

  it("is one that this browser has", () => {
    expect(possible(OLD_IPHONE)).toEqual(["hls"]);
    expect(chosen("?mode=dash", null, OLD_IPHONE)).toBeNull();
    expect(chosen("", "ws", OLD_IPHONE)).toBeNull();
    expect(modeOf("constructor")).toBeNull();
  });
});
