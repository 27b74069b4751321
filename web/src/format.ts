/** Numbers and names as a person reads them. */

import type { Stream, StreamState, Track } from "./api";

const CODECS: [RegExp, string][] = [
  [/^avc[13]/i, "H.264"],
  [/^(hvc1|hev1)/i, "H.265"],
  [/^vp09|^vp9/i, "VP9"],
  [/^vp08|^vp8/i, "VP8"],
  [/^av01/i, "AV1"],
  [/^mp4a\.40/i, "AAC"],
  [/^mp4a\.(69|6b)|^mp3/i, "MP3"],
  [/^opus/i, "Opus"],
  [/^flac/i, "FLAC"],
  [/^ac-3/i, "AC-3"],
  [/^ec-3/i, "E-AC-3"],
];

export function codecName(codec: string): string {
  return CODECS.find(([pattern]) => pattern.test(codec))?.[1] ?? codec;
}

export function bitrate(bps: number | undefined): string {
  if (!bps || bps <= 0) return "";
  if (bps < 999_500) return `${Math.round(bps / 1000)} kb/s`;
  return `${(bps / 1e6).toFixed(bps < 9.95e6 ? 1 : 0)} Mb/s`;
}

export function resolution(track: Track | undefined): string {
  return track?.width && track.height ? `${track.width}×${track.height}` : "";
}

export function frameRate(track: Track | undefined): string {
  const rate = track?.frame_rate;
  if (!rate) return "";
  return `${Number.isInteger(Math.round(rate * 100) / 100) ? Math.round(rate) : rate.toFixed(2)} fps`;
}

/** "12 min", "3 h 5 min", "2 d 4 h". */
export function age(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  const days = Math.floor(hours / 24);
  return hours % 24 ? `${days} d ${hours % 24} h` : `${days} d`;
}

/** "0:07", "12:34", "1:02:03". */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [Math.floor(whole / 60) % 60, whole % 60];
  const hours = Math.floor(whole / 3600);
  const tail = parts.map((part) => String(part).padStart(2, "0")).join(":");
  return hours ? `${hours}:${tail}` : tail.replace(/^0/, "");
}

export function seconds(value: number | null | undefined, digits = 2): string {
  return value == null || !Number.isFinite(value) ? "–" : `${value.toFixed(digits)} s`;
}

/** How far behind live, "−1.6 s" or "−2:05", never less than nothing; null for a viewer of the live
 * edge while nothing is published: there is no edge. */
export function behindText(behind_s: number, live: boolean, following: boolean): string | null {
  if (!live && following) return null;
  const least = Math.max(0, behind_s);
  return `−${least < 60 ? seconds(least, 1) : clock(least)}`;
}

export const STATE_LABELS: Record<StreamState, string> = {
  live: "Live",
  away: "Offline",
  ended: "Ended",
};

export function sinceText(stream: Stream, nowMs: number): string {
  if (stream.state === "live") return `live for ${age(nowMs - stream.since_ms)}`;
  if (!stream.last_ms) return stream.epoch ? "nothing of it is kept" : "not published yet";
  const ago = `${age(nowMs - stream.last_ms)} ago`;
  return stream.state === "away" ? `publisher left ${ago}` : `ended ${ago}`;
}

export const videoOf = (stream: Stream): Track | undefined =>
  stream.tracks.find((track) => track.kind === "video");

export const audioOf = (stream: Stream): Track | undefined =>
  stream.tracks.find((track) => track.kind === "audio");

export function totalBitrate(stream: Stream): number {
  return stream.tracks.reduce((sum, track) => sum + (track.bitrate_bps ?? 0), 0);
}

/** The line under a stream's name: what it is made of, most telling first. */
export function makeup(stream: Stream): string[] {
  const video = videoOf(stream);
  const codecs = [...new Set(stream.tracks.map((track) => codecName(track.codec)))];
  return [
    video ? resolution(video) : "audio only",
    frameRate(video),
    codecs.join(" + "),
    bitrate(totalBitrate(stream)),
  ].filter(Boolean);
}

/** Live first, then who may come back, then the past; by name within. */
export function inOrder(streams: Stream[]): Stream[] {
  const rank: Record<StreamState, number> = { live: 0, away: 1, ended: 2 };
  return [...streams].sort(
    (a, b) => (rank[a.state] ?? 3) - (rank[b.state] ?? 3) || a.name.localeCompare(b.name),
  );
}
