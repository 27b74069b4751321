/** What the player says of itself to the edge (CMCD, CTA-5004-B): by events, never in the address of media. */

import type { MediaPlayerSettingClass } from "dashjs";
import type { CMCDControllerConfig, CmcdCustomReporter } from "hls.js";
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

type DashConfig = NonNullable<NonNullable<MediaPlayerSettingClass["streaming"]>["cmcd"]>;

export class Reporting {
  /** For hls.js. */
  readonly config: CMCDControllerConfig;
  /** For dash.js, which sends the latency and dropped frames by itself. */
  readonly dash: DashConfig;
  private begun = false;
  private reporter: CmcdCustomReporter | null = null;
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
      enabledKeys: [], // of requests
      eventTargets: [
        {
          enabled: true,
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
