/** What the player says of itself to the edge (CMCD, CTA-5004-B): by events, never in the address of media. */

import type { MediaPlayerSettingClass } from "dashjs";
import type { CMCDControllerConfig, CmcdCustomReporter } from "hls.js";
import type { Phase } from "./recovery";
import type { Stats } from "./video-player";

const EVERY_S = 10;

/** A random ID for one stream played once; nothing in it is of the person or the browser. */
export function sessionId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** `collection/name` of an address below /media/, with or without a host. */
export const contentId = (url: string): string => /\/media\/([^/]+\/[^/]+)\//.exec(url)?.[1] ?? "";

/** What CMCD has a key for and hls.js does not send, under keys of our own. */
export function customData(stats: Stats): Record<`kinolog-${string}`, number | string | undefined> {
  const latency_s = stats.following ? stats.latency_s : null;
  return {
    "kinolog-player": "page",
    "kinolog-ltc": latency_s !== null && latency_s >= 0 ? Math.round(latency_s * 1000) : undefined,
    "kinolog-dfa": stats.dropped,
  };
}

/** What the player does, in CMCD's letters. */
export type State = "s" | "p" | "k" | "r" | "a" | "e" | "f";

/** `sought`: it was sent elsewhere, and does not play there yet. */
export function stateOf(phase: Phase, sought: boolean): State {
  switch (phase) {
    case "playing":
      return "p";
    case "paused":
      return "a";
    case "ended":
      return "e";
    case "unsupported":
    case "undecodable":
      return "f";
    case "loading":
    case "missing":
      return "s";
    case "buffering":
    case "away":
    case "unreachable":
      return sought ? "k" : "r";
  }
}

/** One report, as a dictionary of Structured Fields (RFC 9651). */
export function reportOf(event: "ps" | "t" | "e", state: State, stats: Stats | null, hidden: boolean): string {
  const latency_s = stats?.following ? stats.latency_s : null;
  const fields: Record<string, string | number | null | undefined> = {
    e: event,
    sta: state,
    sf: "o",
    st: stats && (stats.following ? "l" : "v"),
    br: stats?.bitrate_bps ? `(${Math.round(stats.bitrate_bps / 1000)})` : null,
    bl: stats && `(${Math.max(0, Math.round(stats.buffer_s * 1000))})`,
    dfa: stats?.dropped,
    ltc: latency_s !== null && latency_s >= 0 ? Math.round(latency_s * 1000) : null,
    pr: stats && Math.round(stats.playback_rate * 100) / 100,
  };
  const said = Object.entries(fields).filter(([, value]) => value !== null && value !== undefined);
  return [...said.map(([key, value]) => `${key}=${value}`), ...(hidden ? ["bg"] : [])].join(",");
}

type DashConfig = NonNullable<NonNullable<MediaPlayerSettingClass["streaming"]>["cmcd"]>;

export class Reporting {
  /** For hls.js. */
  readonly config: CMCDControllerConfig;
  /** For dash.js, which sends the latency and dropped frames by itself. */
  readonly dash: DashConfig;
  private begun = false;
  private reporter: CmcdCustomReporter | null = null;
  private state: State | null = null;
  private toldAt = Date.now();
  private count = 0;
  /** The edge keeps no reports. */
  private unwanted = false;
  private readonly bornAt = Date.now();
  private readonly leaving = new AbortController();

  constructor(
    url: string,
    private readonly sid = sessionId(),
  ) {
    this.config = {
      version: 2,
      sessionId: sid,
      contentId: contentId(url),
      includeKeys: [], // no CMCD in requests: caches go by the whole address
      eventTargets: [
        {
          url: new URL("/cmcd", location.href).href,
          events: ["ps", "t", "e"],
          interval: EVERY_S,
          batchSize: 1,
          includeKeys: [
            ...(["sid", "cid", "sta", "br", "bl", "mtp", "sf", "st", "sn", "pr", "bg", "ec"] as const),
            ...(["kinolog-player", "kinolog-ltc", "kinolog-dfa"] as const),
          ],
        },
      ],
      reporterCallback: (reporter) => {
        this.begins();
        this.reporter = reporter;
        reporter.updateCustomData({ "kinolog-player": "page" });
      },
    };
    this.dash = {
      enabled: true,
      version: 2,
      sid,
      cid: contentId(url),
      // None in requests; of each that might have some dash.js 5.2 sends a copy, which it cannot abort. And a
      // target that names none is off.
      includeInRequests: [],
      enabledKeys: [],
      eventTargets: [
        {
          enabled: true,
          includeInRequests: ["segment"],
          url: new URL("/cmcd", location.href).href,
          events: ["ps", "t", "e"],
          interval: EVERY_S,
          batchSize: 1,
          enabledKeys: ["sid", "cid", "sta", "ltc", "br", "bl", "mtp", "dfa", "sf", "st", "sn", "pr", "bg", "ec"],
        },
      ],
    };
    addEventListener("pagehide", () => this.quit(), { signal: this.leaving.signal });
  }

  observe(stats: Stats): void {
    this.reporter?.updateCustomData(customData(stats));
  }

  /**
   * For a player without CMCD of its own, at each of its ticks, once there is something to play: what it does,
   * when that changes, and every EVERY_S.
   */
  tell(stats: Stats, sought: boolean): void {
    const state = stateOf(stats.phase, sought && this.state !== "s");
    if (!this.begun) {
      this.begins();
      if (stats.phase !== "paused") this.enter("s", null, this.bornAt);
    }
    if (state !== this.state) {
      this.enter(state, stats);
      if (state === "f") this.send("e", state, stats);
    } else if (Date.now() - this.toldAt >= 1000 * EVERY_S && state !== "e" && state !== "f") {
      this.toldAt = Date.now();
      this.send("t", state, stats);
    }
  }

  private enter(state: State, stats: Stats | null, at = Date.now()): void {
    this.state = state;
    this.send("ps", state, stats, at);
  }

  private send(event: "ps" | "t" | "e", state: State, stats: Stats | null, at = Date.now()): void {
    if (this.unwanted) return;
    this.count += 1;
    const session = `cid="${this.config.contentId}",sid="${this.sid}",sn=${this.count},ts=${at},v=2`;
    const body = `${session},kinolog-player="page",${reportOf(event, state, stats, document.hidden)}`;
    const headers = { "content-type": "application/cmcd" };
    fetch("/cmcd", { method: "POST", headers, body, keepalive: true }).then(
      ({ status }) => {
        if (status === 410) this.unwanted = true;
      },
      () => undefined, // the next one may get through
    );
  }

  /** The edge is told of this session from here on. */
  begins(): void {
    this.begun = true;
  }

  /** The viewer goes elsewhere. */
  leave(): void {
    this.leaving.abort();
    this.quit();
  }

  private quit(): void {
    if (!this.begun) return; // nobody knows of this session
    const cid = this.config.contentId;
    const report = `cid="${cid}",e=ps,sid="${this.sid}",sta=q,ts=${Date.now()},v=2`;
    // As plain text, which needs no preflight: the page may be gone before its answer.
    navigator.sendBeacon("/cmcd", report);
  }
}
