import { describe, expect, it } from "vitest";
import { HeldRequests } from "./held-requests";

/** As dash.js makes them. */
function request(type: string, period_s: number, startTime?: number) {
  const representation = { adaptation: { period: { start: period_s } } };
  const customData: { abort?: () => void; request: object } = {
    request: { type, startTime, duration: 2, representation },
  };
  return { customData };
}

const media = (period_s: number, begin_s: number) => request("MediaSegment", period_s, begin_s);

/** What has been sent so far. */
function sending(held: HeldRequests) {
  const sent: object[] = [];
  return {
    sent,
    send: (one: object) => void held.intercept(one).then((found) => sent.push(found)),
    settled: () => new Promise((resolve) => setTimeout(resolve)),
  };
}

describe("HeldRequests", () => {
  it("holds what is early, media and init segments, until it is time", async () => {
    let now_s = 0;
    const held = new HeldRequests(({ period_s }) => now_s < period_s);
    const { sent, send, settled } = sending(held);
    const [here, init, next] = [media(0, 4), request("InitializationSegment", 100), media(100, 100)];
    for (const one of [here, init, next]) send(one);
    await settled();
    expect(sent).toEqual([here]);
    held.look();
    await settled();
    expect(sent).toEqual([here]);
    now_s = 100;
    held.look();
    await settled();
    expect(sent).toEqual([here, init, next]);
  });

  it("never sends what is aborted meanwhile, nor what is of another source", async () => {
    let early = true;
    const held = new HeldRequests(() => early);
    const { sent, send, settled } = sending(held);
    const [aborted, of_before, wanted] = [media(0, 0), media(0, 2), media(0, 0)];
    send(aborted);
    aborted.customData.abort?.();
    send(of_before);
    held.drop();
    send(wanted);
    early = false;
    held.look();
    await settled();
    expect(sent).toEqual([wanted]);
  });

  it("lets everything else pass", async () => {
    const held = new HeldRequests(() => true);
    const { sent, send, settled } = sending(held);
    const others = [{}, { customData: {} }, { customData: { request: { type: "MPD" } } }, request("other", 0)];
    for (const one of others) send(one);
    await settled();
    expect(sent).toEqual(others);
  });

  it("tells what was asked of a Period and of the one before", () => {
    const held = new HeldRequests(() => false);
    for (const one of [media(0, 4), media(0, 2), media(50, 50), media(100, 101), media(100, 103)])
      void held.intercept(one);
    void held.intercept(request("InitializationSegment", 200));
    expect(held.asked(100)).toEqual({ here: { begin_s: 101, end_s: 105 }, before: { begin_s: 50, end_s: 52 } });
    expect(held.asked(0)).toEqual({ here: { begin_s: 2, end_s: 6 }, before: null });
    expect(held.asked(200)).toEqual({ here: null, before: { begin_s: 101, end_s: 105 } });
    held.drop();
    expect(held.asked(100)).toEqual({ here: null, before: null });
  });
});
