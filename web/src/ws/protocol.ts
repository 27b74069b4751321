/** The messages of kinolog's WebSocket, taken apart; pure (docs/reference/websocket.md). */

export const VERSION = 1;
export const HEAD_BYTES = 48;
const INIT = 1;
const CHUNK = 2;
const INDEPENDENT = 1;
const DISCONTINUITY = 2;

/** A binary message. Times: `dts`, `dur` ticks of the track, `wall_ms` Unix ms. */
export interface Packet {
  kind: "init" | "chunk";
  track: number;
  independent: boolean;
  discontinuity: boolean;
  part: number;
  chunk: number;
  dur: number;
  epoch: number;
  msn: number;
  dts: number;
  wall_ms: number;
  body: Uint8Array<ArrayBuffer>;
}

export interface Track {
  number: number;
  name: string;
  kind: "video" | "audio";
  codec: string;
  timescale: number;
  language: string;
  width?: number;
  height?: number;
  frame_rate?: number;
  sample_rate?: number;
  channels?: number;
}

export interface Session {
  epoch: number;
  profile: "frame" | "low" | "standard";
  target_ms: number;
  part_ms: number;
  tracks: Track[];
}

export type Told =
  | { type: "hello"; version: number; stream: string; state: string; server_ms: number; session: Session | null }
  | ({ type: "epoch" } & Session)
  | { type: "position"; id: number; at_ms: number | null; live: boolean; speed: number | "max" }
  | { type: "beat"; server_ms: number; sent_ms: number; live: boolean }
  | { type: "away"; epoch: number; reason?: string }
  | { type: "ended"; epoch: number }
  | { type: "end"; at_ms: number }
  | { type: "gone"; stream: string }
  | { type: "gap" }
  | { type: "skipped"; chunks: number; resumes_ms: number }
  | { type: "error"; code: number; message: string };

/** Null for what is no message of this version. */
export function parsePacket(data: ArrayBuffer): Packet | null {
  if (data.byteLength < HEAD_BYTES) return null;
  const view = new DataView(data);
  const kind = view.getUint8(1);
  if (view.getUint8(0) !== VERSION || (kind !== INIT && kind !== CHUNK)) return null;
  const flags = view.getUint8(3);
  const number = (at: number) => Number(view.getBigUint64(at));
  return {
    kind: kind === INIT ? "init" : "chunk",
    track: view.getUint8(2),
    independent: (flags & INDEPENDENT) !== 0,
    discontinuity: (flags & DISCONTINUITY) !== 0,
    part: view.getUint32(4),
    chunk: view.getUint32(8),
    dur: view.getUint32(12),
    epoch: number(16),
    msn: number(24),
    dts: number(32),
    wall_ms: number(40),
    body: new Uint8Array(data, HEAD_BYTES),
  };
}

/** What a SourceBuffer is made for. */
export const mimeOf = (track: Track): string => `${track.kind}/mp4; codecs="${track.codec}"`;

/** The tracks that are played: the first of each kind, as the server sends them. */
export function playedTracks(tracks: Track[]): Track[] {
  const first = (kind: Track["kind"]) => tracks.find((track) => track.kind === kind);
  return [first("video"), first("audio")].filter((track) => track !== undefined);
}
