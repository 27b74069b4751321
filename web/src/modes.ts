/** Which way a stream is played: chosen by itself, or by hand. Pure, save for what is remembered. */

import type { Profile } from "./api";

export type Mode = "hls" | "dash" | "ws";

export const MODES: Mode[] = ["hls", "dash", "ws"];

export const MODE_NAMES: Record<Mode, string> = {
  hls: "LL-HLS",
  dash: "DASH",
  ws: "WebSocket",
};

/** What this browser can. */
export interface Abilities {
  /** Media Source Extensions, Apple's managed ones too. */
  mse: boolean;
  nativeHls: boolean;
}

export function abilities(): Abilities {
  const mse = "MediaSource" in window || "ManagedMediaSource" in window;
  const probe = document.createElement("video");
  return { mse, nativeHls: probe.canPlayType("application/vnd.apple.mpegurl") !== "" };
}

/** A mode by name; null for anything else. */
export const modeOf = (name: string | null | undefined): Mode | null =>
  MODES.find((mode) => mode === name) ?? null;

/** Those that can be chosen: without Media Source Extensions the browser's own HLS alone. */
export const possible = (can: Abilities): Mode[] => (can.mse ? MODES : ["hls"]);

/**
 * The mode without anybody's choice: frame by frame where the stream is published so, else HLS, which
 * caches and fails best.
 */
export function automatic(profile: Profile | undefined, can: Abilities): Mode {
  return profile === "frame" && can.mse ? "ws" : "hls";
}

/** What was chosen by hand: in the address, else the last time; null: nothing, or not for this browser. */
export function chosen(query: string, kept: string | null, can: Abilities): Mode | null {
  const asked = new URLSearchParams(query).get("mode");
  const mode = asked === null ? modeOf(kept) : modeOf(asked);
  return mode && possible(can).includes(mode) ? mode : null;
}

const KEY = "kinolog.mode";

export function keptMode(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // storage is refused in some private windows
  }
}

/** Remember a choice, here and in the address; null: choose by itself again. */
export function keepMode(mode: Mode | null): void {
  const address = new URL(location.href);
  if (mode) address.searchParams.set("mode", mode);
  else address.searchParams.delete("mode");
  history.replaceState(history.state, "", address);
  try {
    if (mode) localStorage.setItem(KEY, mode);
    else localStorage.removeItem(KEY);
  } catch {
    // kept in the address only
  }
}
