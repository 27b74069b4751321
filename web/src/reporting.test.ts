import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { quality, readViewers } from "./parts/viewers";
import type { Stats } from "./video-player";
import { Reporting, contentId, customData, sessionId } from "./reporting";

const stats = (some: Partial<Stats>): Stats =>
  ({ following: true, latency_s: 1.2345, dropped: 3, ...some }) as Stats;

describe("reports", () => {
  const sent: [string, string][] = [];
  const on = vi.fn();

  beforeEach(() => {
    sent.length = 0;
    vi.stubGlobal("location", { href: "https://edge.example/watch/demo/cam" });
    vi.stubGlobal("addEventListener", on);
    vi.stubGlobal("navigator", { sendBeacon: (url: string, body: string) => sent.push([url, body]) });
  });
  afterEach(() => vi.unstubAllGlobals());

  it("name the stream, and go to the edge that the page is from", () => {
    const { config } = new Reporting("/media/demo/cam/index.m3u8");
    expect(config.contentId).toBe("demo/cam");
    expect(config.eventTargets?.[0]?.url).toBe("https://edge.example/cmcd");
    expect(config.includeKeys).toEqual([]);
  });

  it("are dash.js's, too, of the same session, and not in requests", () => {
    const { dash } = new Reporting("https://edge.example/media/demo/cam/manifest.mpd", "abc");
    expect([dash.sid, dash.cid, dash.enabledKeys]).toEqual(["abc", "demo/cam", []]);
    expect(dash.eventTargets?.[0]?.url).toBe("https://edge.example/cmcd");
  });

  it("have a session that is new each time", () => {
    expect(sessionId()).toMatch(/^[0-9a-f]{32}$/);
    expect(sessionId()).not.toBe(sessionId());
    expect(contentId("/media/a/b/video.m3u8?start=1")).toBe("a/b");
    expect(contentId("http://edge:8080/media/a/b/manifest.mpd")).toBe("a/b");
  });

  it("tell the latency only of who follows the live edge", () => {
    expect(customData(stats({}))["kinolog-ltc"]).toBe(1235);
    expect(customData(stats({ following: false }))["kinolog-ltc"]).toBeUndefined();
    expect(customData(stats({ latency_s: null }))["kinolog-ltc"]).toBeUndefined();
    expect(customData(stats({}))["kinolog-dfa"]).toBe(3);
  });

  it("say good-bye where there was somebody", () => {
    const reporting = new Reporting("/media/demo/cam/index.m3u8", "abc");
    reporting.leave();
    expect(sent).toEqual([]);
    const updateCustomData = vi.fn();
    reporting.config.reporterCallback?.({ updateCustomData, recordCustomEvent: vi.fn() });
    reporting.observe(stats({}));
    expect(updateCustomData).toHaveBeenLastCalledWith(customData(stats({})));
    reporting.leave();
    expect(sent[0]?.[0]).toBe("/cmcd");
    expect(sent[0]?.[1]).toMatch(/^cid="demo\/cam",e=ps,sid="abc",sta=q,ts=\d+,v=2$/);
  });
});

describe("viewers", () => {
  it("are read by stream", () => {
    const one = { stream: "a/b", viewers: 2, rebuffer_ratio: 0.0123, startup_ms: null, latency_ms: null };
    expect(readViewers({ streams: [one] }).get("a/b")).toBe(one);
    expect(readViewers(null).size).toBe(0);
    expect(readViewers({ streams: "?" }).size).toBe(0);
    expect(quality(one)).toBe("1.2 % waiting");
    expect(quality({ ...one, latency_ms: { p50: 1500, p95: 2000 } })).toMatch(/behind live, 1.2 % waiting/);
  });
});
