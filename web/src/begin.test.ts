import { expect, test } from "vitest";
import { momentLink, momentOf } from "./begin";

const NOW = Date.UTC(2026, 10, 27, 12);

test.each([
  ["2026-11-27T11:59:00Z", NOW - 60_000],
  ["2026-11-27t11:59:00.250z", NOW - 59_750],
  ["2026-11-27 12:59:00+01:00", NOW - 60_000],
  [String((NOW - 500) / 1000), NOW - 500],
  ["-10m", NOW - 600_000],
  ["-1.5h", NOW - 5_400_000],
  ["-250ms", NOW - 250],
])("the moment %s", (text, at) => {
  expect(momentOf(text, NOW)).toBe(at);
});

test.each(["", "now!", "10m", "+5", "-10", "1e9", "2026-11-27", "2026-11-27T11:59:00", "99999999999999", "-9999999w"])(
  "%s is none",
  (text) => {
    expect(momentOf(text, NOW)).toBeNull();
  },
);

test("a moment's address has nothing else of this page's", () => {
  const here = "http://127.0.0.1:8080/watch/a/b?mode=dash&at=-5m#x";
  expect(momentLink(here, NOW + 250)).toBe("http://127.0.0.1:8080/watch/a/b?at=2026-11-27T12:00:00.250Z");
});
