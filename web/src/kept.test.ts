import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Card, type Making, forget, keep, moreOf, shelf } from "./kept";

const PATH = "/media/cams/gate";
const CARD = { state: "kept", id: "a1", name: "it", url: `${PATH}/clips/a1.mp4`, card: `${PATH}/clips/a1` };
const RANGE = { start: 1_000_000, end: 1_030_500 };

/** An edge that gives these answers, one after another; and what it was asked. */
function edge(...answers: (Response | Error)[]): [string, RequestInit][] {
  const asked: [string, RequestInit][] = [];
  vi.stubGlobal("fetch", async (url: string, options: RequestInit = {}) => {
    asked.push([url, options]);
    const next = answers.shift();
    if (!next || next instanceof Error) throw next ?? new Error("asked too often");
    Object.defineProperty(next, "url", { value: `http://edge${url}` });
    return next;
  });
  return asked;
}

const json = (body: unknown, status = 200): Response => Response.json(body, { status });
const says = (text: string, status: number): Response =>
  new Response(`${text}\n`, { status, headers: { "content-type": "text/plain; charset=utf-8" } });

describe("kept clips", () => {
  const never = new AbortController().signal;
  let made: Making[];
  const keeps = (name = "") => {
    const done = keep(PATH, RANGE, name, (making) => made.push(making), never);
    done.catch(() => undefined);
    return done;
  };

  beforeEach(() => {
    made = [];
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it("are listed, or are none where there is no place for them", async () => {
    edge(json({ takes: false, clips: [CARD] }), says("no place is set", 400), says("too many ask", 503));
    expect(await shelf(PATH)).toEqual({ takes: false, clips: [CARD] });
    expect(await shelf(PATH)).toBeNull();
    await expect(shelf(PATH)).rejects.toThrow("too many ask");
  });

  it("are listed on where there are more", async () => {
    const asked = edge(json({ takes: true, clips: [{ ...CARD, id: "a2" }] }));
    const all = await moreOf({ takes: true, clips: [CARD as unknown as Card], next: `${PATH}/clips?after=a1` });
    expect(asked[0]?.[0]).toBe(`${PATH}/clips?after=a1`);
    expect(all.clips.map(({ id }) => id)).toEqual(["a1", "a2"]);
    expect(all.next).toBeUndefined();
  });

  it("are made while it is told how far they are, whatever happens on the way", async () => {
    const making = (bytes: number) => json({ state: "making", url: CARD.card, bytes, of: 90 }, 202);
    const asked = edge(making(0), making(40), new Error("the network"), says("busy", 503), json(CARD));
    const done = keeps("it");
    await vi.runAllTimersAsync();
    expect(await done).toEqual(CARD);
    expect(made).toEqual([{ bytes: 0, of: 90 }, { bytes: 40, of: 90 }]);
    expect(asked[0]?.[1].method).toBe("POST");
    expect(JSON.parse(asked[0]?.[1].body as string)).toEqual({ start: 1000, end: 1030.5, name: "it" });
    expect(asked.slice(1).every(([url]) => url === CARD.card)).toBe(true);
  });

  it("say why there is none", async () => {
    edge(says("nothing is kept of this range", 404));
    await expect(keeps()).rejects.toThrow("nothing is kept of this range");
    edge(json({ state: "failed", error: "the place is full" }, 202));
    await expect(keeps()).rejects.toThrow("the place is full");
    edge(new Response("<html>", { status: 502, headers: { "content-type": "text/html" } }));
    await expect(keeps()).rejects.toThrow("the edge answered 502");
    edge(json({ state: "making", url: CARD.card, bytes: 1, of: 2 }, 202), says("no kept clip", 404));
    const gone = keeps();
    await vi.runAllTimersAsync();
    await expect(gone).rejects.toThrow("keep it again");
    edge(json({ state: "making", url: CARD.card, bytes: 1, of: 2 }, 202));
    const silent = keeps();
    await vi.runAllTimersAsync();
    await expect(silent).rejects.toThrow("does not answer");
  });

  it("are deleted once", async () => {
    const asked = edge(new Response(null, { status: 204 }), says("no kept clip", 404), says("no leave", 403));
    const card = CARD as unknown as Card;
    await forget(card);
    await forget(card);
    await expect(forget(card)).rejects.toThrow("no leave");
    expect(asked[0]).toEqual([CARD.card, expect.objectContaining({ method: "DELETE" })]);
  });
});
