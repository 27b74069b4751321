/** How many watch a stream, by what their players report (`/viewers`); one poller for the whole page. */

import { useEffect, useState } from "preact/hooks";
import { streamKey } from "../api";
import { seconds } from "../format";

const POLL_MS = 5000;

/** Percentiles over sessions, in ms. */
interface Spread {
  p50: number;
  p95: number;
  p99: number;
}

export interface Watched {
  stream: string;
  viewers: number;
  rebuffer_ratio: number;
  startup_ms: Spread | null;
  latency_ms: Spread | null;
}

type Listener = (watched: Map<string, Watched>) => void;
const listeners = new Set<Listener>();
let watched = new Map<string, Watched>();
let timer: ReturnType<typeof setTimeout> | undefined;

/** The answer by stream; empty where it is something else. */
export function readViewers(json: unknown): Map<string, Watched> {
  const streams = (json as { streams?: Watched[] } | null)?.streams;
  return new Map(Array.isArray(streams) ? streams.map((one) => [one.stream, one]) : []);
}

async function poll(): Promise<void> {
  clearTimeout(timer);
  if (!document.hidden) {
    try {
      const answer = await fetch("/viewers", { signal: AbortSignal.timeout(POLL_MS) });
      watched = readViewers(answer.ok ? await answer.json() : null);
    } catch {
      watched = new Map();
    }
    for (const listener of listeners) listener(watched);
  }
  clearTimeout(timer);
  if (listeners.size > 0) timer = setTimeout(() => void poll(), POLL_MS);
}

function useViewers(): Map<string, Watched> {
  const [found, setFound] = useState(watched);
  useEffect(() => {
    listeners.add(setFound);
    if (listeners.size === 1) void poll();
    return () => {
      listeners.delete(setFound);
      if (listeners.size === 0) clearTimeout(timer);
    };
  }, []);
  return found;
}

/** How they fare, in a line for a person: medians, with the percentiles where viewers differ. */
export function quality(one: Watched): string {
  const words = [
    one.startup_ms && `started after ${spread(one.startup_ms)}`,
    one.latency_ms && `behind live by ${spread(one.latency_ms)}`,
    `${(one.rebuffer_ratio * 100).toFixed(1)} % waiting`,
  ];
  return words.filter(Boolean).join(", ");
}

function spread(of: Spread): string {
  const [p50, p95, p99] = [of.p50, of.p95, of.p99].map((ms) => seconds(ms / 1000));
  return p50 === p99 ? `${p50}` : `${p50} (p95 ${p95}, p99 ${p99})`;
}

export function Viewers({
  stream,
  full = false,
}: {
  stream: { collection: string; name: string };
  full?: boolean;
}) {
  const one = useViewers().get(streamKey(stream));
  if (!one || one.viewers === 0) return null;
  return (
    <>
      <span class="viewers" title={quality(one)}>
        {one.viewers} watching
      </span>
      {full && <span class="quality">{quality(one)}</span>}
    </>
  );
}
