import { expect, test } from "vitest";
import { offBy } from "./edge-clock";

const TOLD = "2026-11-27T12:00:00.250Z";
const AT = Date.parse(TOLD);

test.each([
  ["an hour ahead", AT + 3_599_990, AT + 3_600_010, 3_600_000],
  ["a minute behind", AT - 60_010, AT - 59_990, -60_000],
  ["right", AT - 10, AT + 10, 0],
  ["off by what may be the network's", AT, AT + 3000, 0],
  ["off by more than that", AT + 5000, AT + 8000, 6500],
])("%s", (_, begun, ended, off) => {
  expect(offBy(TOLD, begun, ended)).toBe(off);
});

test("what is not a time is passed over", () => {
  expect(offBy("<html>", AT, AT)).toBe(0);
});
