import { describe, expect, it } from "vitest";
import {
  type Facts,
  type Kind,
  RateWindow,
  type Stuck,
  backoffMs,
  catchUpRate,
  lastMedia,
  nudgeFor,
  phaseOf,
  starvingKind,
} from "./recovery";

const facts = (over: Partial<Facts> = {}): Facts => ({
  state: "live",
  listed: true,
  failures: 0,
  playlist: "here",
  unsupported: null,
  undecodable: false,
  advancing: false,
  started: true,
  paused: false,
  finished: false,
  more: false,
  ...over,
});

describe("what a viewer is told", () => {
  it.each<[string, Partial<Facts>, string]>([
    ["it plays, whatever the list says", { advancing: true, state: "away" }, "playing"],
    ["it plays what is buffered though the server is gone", { advancing: true, failures: 9 }, "playing"],
    ["a stall of a live stream", {}, "buffering"],
    ["before the first picture", { started: false }, "loading"],
    ["the publisher is gone", { state: "away" }, "away"],
    ["gone before the first picture", { state: "away", started: false }, "away"],
    ["404 and not listed", { state: null, playlist: "missing" }, "missing"],
    ["404, but listed as live: it is only beginning", { playlist: "missing" }, "loading"],
    ["404 of what has ended", { state: "ended", playlist: "missing" }, "ended"],
    ["the viewer paused", { paused: true }, "paused"],
    ["autoplay was refused", { paused: true, started: false }, "loading"],
    ["one poll lost is nothing", { failures: 1 }, "buffering"],
    ["the server is gone", { failures: 2 }, "unreachable"],
    ["a stall amid what has ended", { state: "ended", more: true }, "buffering"],
    ["a stall amid what is there while the publisher is gone", { state: "away", more: true }, "buffering"],
    ["it stands at the end", { state: "ended" }, "ended"],
    ["played to its end", { finished: true, state: "ended" }, "ended"],
    ["a codec is refused, which matters most", { unsupported: "hvc1", advancing: true }, "unsupported"],
    ["the decoder fails each time", { undecodable: true, advancing: true, started: true }, "undecodable"],
    ["who paused cannot see it either", { undecodable: true, paused: true, started: true }, "undecodable"],
  ])("%s", (_, over, phase) => expect(phaseOf(facts(over))).toBe(phase));
});

describe("back-off", () => {
  it("doubles to two seconds and stays there", () => {
    expect([0, 1, 2, 3, 4, 1000].map((attempt) => backoffMs(attempt, 0.5))).toEqual([
      250, 500, 1000, 2000, 2000, 2000,
    ]);
  });

  it("spreads viewers over 20 % either way", () => {
    expect(backoffMs(1, 0)).toBe(400);
    expect(backoffMs(1, 1)).toBe(600);
  });
});

describe("a stuck player", () => {
  const stuck = (over: Partial<Stuck>): Stuck => ({
    still_s: 4,
    ahead_s: 0,
    next_start: null,
    playlist_age_s: 1,
    live: true,
    ...over,
  });

  it.each<[string, Partial<Stuck>, string]>([
    ["a short stall is hls.js's", { still_s: 2, next_start: 9 }, "none"],
    ["a hole is jumped", { next_start: 9 }, "jump"],
    ["media is there, so play", { ahead_s: 3 }, "play"],
    ["media is there and playing did not help", { ahead_s: 3, still_s: 9 }, "rebuild"],
    ["nothing comes since a moment", { playlist_age_s: 3 }, "none"],
    ["playlists dried up", { playlist_age_s: 7 }, "reload-playlist"],
    ["and stay dry", { playlist_age_s: 16, still_s: 20 }, "rebuild"],
    ["but not while the publisher is away", { playlist_age_s: 600, live: false }, "none"],
  ])("%s", (_, over, nudge) => expect(nudgeFor(stuck(over))).toBe(nudge));
});

describe("a track that pauses", () => {
  it.each<[string, number, number | null, number | null, Kind | null]>([
    ["sound has paused", 2.5, 3, 0.1, "audio"],
    ["the picture has", 2.5, -0.1, 2, "video"],
    ["a moment is nothing", 1.5, 3, 0.1, null],
    ["both have: the publisher is away", 9, 0.1, 0, null],
    ["it is listed, and not yet loaded: a slow network", 9, 3, 2.5, null],
    ["there is no sound at all", 9, 3, null, null],
  ])("%s", (_, still_s, video, audio, kind) => {
    expect(starvingKind(still_s, { video, audio })).toBe(kind);
  });

  it("is back when its playlist names something new", () => {
    const head = "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:4\n#EXTINF:2.0,\naudio/17/4.m4s\n";
    const part = '#EXT-X-PART:DURATION=0.2,URI="audio/17/5.0.m4s",INDEPENDENT=YES\n';
    const hint = '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="audio/17/5.1.m4s"\n';
    const report = '#EXT-X-RENDITION-REPORT:URI="video.m3u8",LAST-MSN=9,LAST-PART=1\n';
    expect(lastMedia(head)).toBe("audio/17/4.m4s");
    expect(lastMedia(head + part + hint + report)).toBe("audio/17/5.0.m4s");
    expect(lastMedia("")).toBe("");
  });
});

describe("catching up", () => {
  it.each<[string, number, number, number, number, number]>([
    ["near enough", 1, 0.7, 0.6, 0.5, 1],
    ["too late", 1, 1.2, 0.6, 1, 1.06],
    ["a little late", 1, 0.8, 0.6, 0.6, 1.03],
    ["on until it is near", 1.03, 0.7, 0.6, 0.5, 1.03],
    ["far behind, no faster", 1, 5, 0.6, 4, 1.1],
    ["nothing is spent that the buffer lacks", 1, 5, 0.6, 0.3, 1],
  ])("%s", (_, rate, latency_s, target_s, ahead_s, expected) => {
    expect(catchUpRate(rate, latency_s, target_s, ahead_s)).toBe(expected);
  });
});

describe("the bit rate", () => {
  it("is that of the last seconds of media", () => {
    const window = new RateWindow(2);
    expect(window.bps).toBe(0);
    for (let n = 0; n < 10; n += 1) window.add(25_000, 0.2);
    expect(window.bps).toBeCloseTo(1e6);
    for (let n = 0; n < 20; n += 1) window.add(50_000, 0.2);
    expect(window.bps).toBeCloseTo(2e6);
  });

  it("leaves out what has no length", () => {
    const window = new RateWindow();
    window.add(800, 0);
    window.add(0, 1);
    expect(window.bps).toBe(0);
  });
});
