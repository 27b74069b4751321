/** What the edge answers at /api/streams, and one poller for the whole page. */

import { useEffect, useState } from "preact/hooks";

export type StreamState = "live" | "away" | "ended";

/** How long the stream's chunks are: a frame, about 100 ms, a part. */
export type Profile = "frame" | "low" | "standard";

export interface Track {
  name: string;
  kind: "video" | "audio";
  codec: string;
  width?: number;
  height?: number;
  frame_rate?: number;
  sample_rate?: number;
  channels?: number;
  language?: string;
  bitrate_bps?: number;
}

export interface Stream {
  collection: string;
  name: string;
  state: StreamState;
  since_ms: number;
  epoch: number;
  profile?: Profile;
  tracks: Track[];
  last_ms: number;
}

export interface Ingest {
  rtmp_port?: number | null;
  http_port?: number | null;
}

export interface Answer {
  streams: Stream[];
  ingest: Ingest;
}

export interface Feed extends Answer {
  /** False until the first answer. */
  loaded: boolean;
  /** How many polls in a row went unanswered. */
  failures: number;
}

export const POLL_MS = 2000;
const PATIENCE_MS = 8000;

export const streamKey = (stream: { collection: string; name: string }): string =>
  `${stream.collection}/${stream.name}`;

/** The answer as this page needs it: what is missing is empty, what is unknown is left out. */
export function readAnswer(json: unknown): Answer {
  const body = (json ?? {}) as Partial<Answer>;
  const streams = Array.isArray(body.streams) ? body.streams : [];
  return {
    streams: streams
      .filter((stream) => stream && stream.collection && stream.name)
      .map((stream) => ({ ...stream, tracks: stream.tracks ?? [] })),
    ingest: body.ingest ?? {},
  };
}

type Listener = (feed: Feed) => void;

/** Asks while somebody listens and the tab is seen; an unchanged list costs a 304. */
export class StreamFeed {
  private feed: Feed = { streams: [], ingest: {}, loaded: false, failures: 0 };
  private readonly listeners = new Set<Listener>();
  private etag = "";
  private timer: ReturnType<typeof setTimeout> | undefined;
  private asking = false;

  constructor(
    private readonly url = "/api/streams",
    private readonly ask: typeof fetch = (...words) => fetch(...words),
  ) {}

  get current(): Feed {
    return this.feed;
  }

  subscribe(listener: Listener): () => void {
    this.listeners.add(listener);
    if (this.listeners.size === 1) void this.poll();
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size === 0) clearTimeout(this.timer);
    };
  }

  /** Ask now, and again after POLL_MS. */
  async poll(): Promise<void> {
    clearTimeout(this.timer);
    if (this.asking) return;
    this.asking = true;
    try {
      await this.once();
    } finally {
      this.asking = false;
    }
    clearTimeout(this.timer);
    const hidden = typeof document !== "undefined" && document.hidden;
    if (this.listeners.size > 0 && !hidden) {
      this.timer = setTimeout(() => void this.poll(), POLL_MS);
    }
  }

  private async once(): Promise<void> {
    try {
      const response = await this.ask(this.url, {
        headers: this.etag ? { "If-None-Match": this.etag } : {},
        cache: "no-store",
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
      if (response.status === 304) {
        if (this.feed.failures > 0) this.publish({ ...this.feed, failures: 0 });
        return;
      }
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      const answer = readAnswer(await response.json());
      this.etag = response.headers.get("ETag") ?? "";
      this.publish({ ...answer, loaded: true, failures: 0 });
    } catch {
      this.publish({ ...this.feed, failures: this.feed.failures + 1 });
    }
  }

  private publish(feed: Feed): void {
    this.feed = feed;
    for (const listener of this.listeners) listener(feed);
  }
}

export const streamFeed = new StreamFeed();

if (typeof document !== "undefined") {
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) void streamFeed.poll();
  });
}

export function useFeed(): Feed {
  const [feed, setFeed] = useState(streamFeed.current);
  useEffect(() => {
    setFeed(streamFeed.current);
    return streamFeed.subscribe(setFeed);
  }, []);
  return feed;
}
