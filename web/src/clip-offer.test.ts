import { afterEach, describe, expect, it, vi } from "vitest";
import { offer } from "./clip-offer";

const URL = "/media/cams/gate/clip.mp4?start=1&end=9";

function edge(answer: Response): RequestInit[] {
  const asked: RequestInit[] = [];
  vi.stubGlobal("fetch", async (_: string, options: RequestInit) => {
    asked.push(options);
    return answer;
  });
  return asked;
}

const first = (headers: Record<string, string>): Response => new Response("x", { status: 206, headers });

describe("what an edge says of a clip", () => {
  afterEach(() => void vi.unstubAllGlobals());

  it("asks for one byte", async () => {
    const asked = edge(first({}));
    expect(await offer(URL)).toEqual({ refused: "", changes: [] });
    expect(asked[0]?.headers).toEqual({ range: "bytes=0-0" });
  });

  it("has the moments of changes", async () => {
    edge(first({ "kinolog-changes": "2026-01-01T12:00:00.123Z, 2026-01-01T13:00:00.000Z" }));
    const { changes } = await offer(URL);
    expect(changes).toEqual([Date.UTC(2026, 0, 1, 12, 0, 0, 123), Date.UTC(2026, 0, 1, 13)]);
  });

  it("has the edge's sentence where it is refused", async () => {
    edge(new Response("the codec of video changes\n", { status: 400, headers: { "content-type": "text/plain" } }));
    expect(await offer(URL)).toEqual({ refused: "the codec of video changes", changes: [] });
  });

  it("says so where nobody answers", async () => {
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("failed")));
    await expect(offer(URL)).rejects.toThrow("the edge does not answer");
  });
});
