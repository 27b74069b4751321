import { describe, expect, it } from "vitest";
import { type Feed, StreamFeed, readAnswer } from "./api";

const LISTED = {
  streams: [{ collection: "demo", name: "camera", state: "live", since_ms: 1, epoch: 1, tracks: [], last_ms: 2 }],
  ingest: { rtmp_port: 1935, http_port: 8080 },
};

/** An edge that gives these answers in turn, and what it was asked with. */
function edge(...answers: (() => Response)[]) {
  const asked: (string | null)[] = [];
  const ask = (async (_: unknown, init?: RequestInit) => {
    asked.push(new Headers(init?.headers).get("If-None-Match"));
    const answer = answers.shift();
    if (!answer) throw new TypeError("failed to fetch");
    return answer();
  }) as typeof fetch;
  return { asked, feed: new StreamFeed("/api/streams", ask) };
}

describe("the feed of streams", () => {
  it("asks with the last tag, and a 304 leaves the list alone", async () => {
    const { asked, feed } = edge(
      () => Response.json(LISTED, { headers: { ETag: '"a"' } }),
      () => new Response(null, { status: 304 }),
    );
    await feed.poll();
    const first = feed.current;
    await feed.poll();
    expect(asked).toEqual([null, '"a"']);
    expect(feed.current).toBe(first);
    expect(first.streams[0]?.name).toBe("camera");
    expect(first.loaded).toBe(true);
  });

  it("keeps the list while the server is away, counts, and recovers", async () => {
    const { feed } = edge(
      () => Response.json(LISTED),
      () => new Response("no", { status: 503 }),
      () => new Response("{", { status: 200 }),
      () => Response.json({ streams: [] }),
    );
    await feed.poll();
    await feed.poll();
    await feed.poll();
    expect(feed.current.failures).toBe(2);
    expect(feed.current.streams).toHaveLength(1);
    await feed.poll();
    expect(feed.current).toEqual({ streams: [], ingest: {}, loaded: true, failures: 0 });
  });

  it("tells its listeners until they leave", async () => {
    const { feed } = edge(() => Response.json(LISTED), () => Response.json({ streams: [] }));
    const seen: Feed[] = [];
    const first = new Promise<void>((resolve) => {
      const leave = feed.subscribe((one) => {
        seen.push(one);
        leave();
        resolve();
      });
    });
    await first;
    await feed.poll();
    expect(seen).toHaveLength(1);
  });
});

describe("an answer", () => {
  it("is read with what is missing left empty", () => {
    expect(readAnswer(null)).toEqual({ streams: [], ingest: {} });
    const [one] = readAnswer({ streams: [{ collection: "a", name: "b" }, {}, null] }).streams;
    expect(one?.tracks).toEqual([]);
  });
});
