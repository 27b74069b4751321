import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { quality, readViewers } from "./parts/viewers";
import type { Stats } from "./video-player";
import { Reporting, contentId, customData, reportOf, sessionId, stateOf } from "./reporting";

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

describe("a player without CMCD of its own", () => {
  let posted: string[];
  let status = 204;
  const shown = (phase: Stats["phase"], some: Partial<Stats> = {}): Stats =>
    stats({ phase, buffer_s: 0.25, bitrate_bps: 900_400, playback_rate: 1, ...some });
  const events = (): string[] =>
    posted.map((one) => `${/e=(\w+)/.exec(one)?.[1]} ${/sta=(\w)/.exec(one)?.[1]}`);

  beforeEach(() => {
    posted = [];
    status = 204;
    vi.useFakeTimers();
    vi.stubGlobal("location", { href: "https://edge.example/watch/demo/cam" });
    vi.stubGlobal("addEventListener", vi.fn());
    vi.stubGlobal("document", { hidden: false });
    vi.stubGlobal("navigator", { sendBeacon: (_: string, body: string) => posted.push(body) });
    vi.stubGlobal("fetch", async (_: string, { body }: RequestInit) => {
      posted.push(body as string);
      return new Response(null, { status });
    });
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it("tells what it does when that changes, and every ten seconds", () => {
    const reporting = new Reporting("ws://edge/media/demo/cam/ws", "abc");
    const born = Date.now();
    vi.advanceTimersByTime(700);
    reporting.tell(shown("loading"), false);
    expect(posted).toHaveLength(1);
    expect(posted[0]).toContain(`cid="demo/cam",sid="abc",sn=1,ts=${born},v=2`);
    reporting.tell(shown("playing"), false);
    for (let tick = 0; tick < 20; tick += 1) {
      reporting.tell(shown("playing"), false);
      vi.advanceTimersByTime(500);
    }
    reporting.tell(shown("playing"), false);
    reporting.tell(shown("buffering"), false);
    reporting.tell(shown("playing"), false);
    reporting.tell(shown("buffering"), true);
    reporting.tell(shown("paused"), false);
    reporting.leave();
    expect(events()).toEqual(["ps s", "ps p", "t p", "ps r", "ps p", "ps k", "ps a", "ps q"]);
  });

  it("stops where it is not wanted, and says nothing of what never was", async () => {
    const reporting = new Reporting("ws://edge/media/demo/cam/ws");
    status = 410;
    reporting.tell(shown("playing"), false);
    await vi.advanceTimersByTimeAsync(1);
    const count = posted.length;
    reporting.tell(shown("buffering"), false);
    expect(posted).toHaveLength(count);
    new Reporting("ws://edge/media/demo/other/ws").leave();
    expect(posted.filter((one) => one.includes("other"))).toEqual([]);
  });

  it("tells what it measures", () => {
    const words = reportOf("t", "p", shown("playing", { latency_s: 0.1234 }), true);
    expect(words).toBe("e=t,sta=p,sf=o,st=l,br=(900),bl=(250),dfa=3,ltc=123,pr=1,bg");
    expect(reportOf("ps", "s", null, false)).toBe("e=ps,sta=s,sf=o");
    expect(reportOf("t", "p", shown("playing", { following: false }), false)).not.toContain("ltc");
    expect(stateOf("away", false)).toBe("r");
    expect(stateOf("unsupported", false)).toBe("f");
    expect(stateOf("undecodable", true)).toBe("f");
  });
});

describe("viewers", () => {
  it("are read by stream", () => {
    const one = { stream: "a/b", viewers: 2, rebuffer_ratio: 0.0123, startup_ms: null, latency_ms: null };
    expect(readViewers({ streams: [one] }).get("a/b")).toBe(one);
    expect(readViewers(null).size).toBe(0);
    expect(readViewers({ streams: "?" }).size).toBe(0);
    expect(quality(one)).toBe("1.2 % waiting");
    const alike = { p50: 1500, p95: 1500, p99: 1500 };
    expect(quality({ ...one, latency_ms: alike })).toBe("behind live by 1.50 s, 1.2 % waiting");
    expect(quality({ ...one, latency_ms: alike, startup_ms: { p50: 400, p95: 900, p99: 2100 } })).toBe(
      "started after 0.40 s (p95 0.90 s, p99 2.10 s), behind live by 1.50 s, 1.2 % waiting",
    );
  });
});
