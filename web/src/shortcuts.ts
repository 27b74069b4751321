/** The player's keys, as on other players. */

export type Action =
  | "toggle"
  | "mute"
  | "live"
  | "stats"
  | "fullscreen"
  | "pip"
  | "back"
  | "step-back"
  | "step-on"
  | "slower"
  | "faster"
  | "mark-back"
  | "mark-on"
  | "mark-set"
  | "forward"
  | "louder"
  | "quieter"
  | "help";

const KEYS: Record<string, Action> = {
  " ": "toggle",
  k: "toggle",
  m: "mute",
  l: "live",
  i: "stats",
  f: "fullscreen",
  p: "pip",
  ",": "step-back",
  ".": "step-on",
  "[": "mark-back",
  "]": "mark-on",
  b: "mark-set",
  "<": "slower",
  ">": "faster",
  ArrowLeft: "back",
  ArrowRight: "forward",
  ArrowUp: "louder",
  ArrowDown: "quieter",
  "?": "help",
};

/** What the keys do, for people. */
export const KEY_HELP: [keys: string[], does: string][] = [
  [["k", "Space"], "play or pause"],
  [["l"], "go to live"],
  [["←", "→"], "5 s back or on"],
  [[",", "."], "one picture back or on"],
  [["<", ">"], "slower or faster"],
  [["[", "]"], "the mark before or after"],
  [["b"], "set a mark"],
  [["m"], "mute"],
  [["↑", "↓"], "louder or quieter"],
  [["f"], "full screen"],
  [["p"], "picture in picture"],
  [["i"], "figures"],
  [["?"], "these keys"],
  [["+", "−"], "on the timeline: closer or farther"],
  [["PageUp", "PageDown"], "on the timeline: a tenth of it on or back"],
  [["Home", "End"], "on the timeline: the oldest, or live"],
];

/** What a key press asks of the player; null where it belongs to something else. */
export function keyAction(event: KeyboardEvent): Action | null {
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  const target = event.target as Element | null;
  if (target?.closest?.("input:not([type=range]), textarea, select, [role=tab], dialog")) return null;
  const action = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key] ?? null;
  const inPlayer = target?.closest?.(".player") != null;
  // Space presses the focused button, and arrows scroll the page or move a slider.
  if (event.key === " " && target?.closest?.("button, a, summary")) return null;
  if (event.key.startsWith("Arrow")) {
    if (target?.closest?.("input")) return null;
    if (!inPlayer && (event.key === "ArrowUp" || event.key === "ArrowDown")) return null;
  }
  return action;
}
