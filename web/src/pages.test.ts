import { describe, expect, it } from "vitest";
import { publishWays } from "./publish";
import { mediaPath, parseRoute, watchPath } from "./router";
import { keyAction } from "./shortcuts";
import { nextTheme } from "./theme";

describe("routes", () => {
  it.each([
    ["/", { page: "list" }],
    ["/watch/demo/camera", { page: "watch", collection: "demo", name: "camera" }],
    ["/watch/demo/camera/", { page: "watch", collection: "demo", name: "camera" }],
    ["/watch/demo", { page: "unknown" }],
    ["/watch/demo/camera/more", { page: "unknown" }],
    ["/watch/%zz/camera", { page: "unknown" }],
  ])("%s", (path, route) => expect(parseRoute(path)).toEqual(route));

  it("go both ways", () => {
    const stream = { collection: "demo", name: "camera-2" };
    expect(parseRoute(watchPath(stream))).toEqual({ page: "watch", ...stream });
    expect(mediaPath(stream)).toBe("/media/demo/camera-2");
  });
});

describe("how to publish", () => {
  it("leaves out the ports that everybody assumes", () => {
    const ways = publishWays({ rtmp_port: 1935, http_port: 80 }, "cam.example");
    expect(ways.rtmpServer).toBe("rtmp://cam.example/demo");
    expect(ways.ffmpegHttp).toMatch(/ http:\/\/cam\.example\/ingest\/demo\/my-stream$/);
  });

  it("names the others, and brackets IPv6", () => {
    const ways = publishWays({ rtmp_port: 21935, http_port: 18080 }, "::1");
    expect(ways.ffmpegRtmp).toMatch(/ -f flv rtmp:\/\/\[::1\]:21935\/demo\/my-stream$/);
    expect(ways.ffmpegHttp).toMatch(/ http:\/\/\[::1\]:18080\/ingest\/demo\/my-stream$/);
  });
});

describe("keys", () => {
  const press = (key: string, within: string[] = [], ctrlKey = false) =>
    keyAction({
      key,
      ctrlKey,
      metaKey: false,
      altKey: false,
      target: { closest: (selector: string) => (within.some((one) => selector.includes(one)) ? {} : null) },
    } as unknown as KeyboardEvent);

  it("are those of other players", () => {
    expect(["k", "K", " ", "m", "i", "ArrowLeft"].map((key) => press(key))).toEqual([
      "toggle", "toggle", "toggle", "mute", "stats", "back",
    ]);
  });

  it("belong to a text field, a focused button and the browser first", () => {
    expect(press("k", ["textarea"])).toBeNull();
    expect(press(" ", ["button"])).toBeNull();
    expect(press("l", [], true)).toBeNull();
    expect(press("ArrowUp")).toBeNull();
    expect(press("ArrowUp", [".player"])).toBe("louder");
  });
});

it("themes turn in a circle", () => {
  expect(nextTheme(nextTheme(nextTheme("system")))).toBe("system");
});
