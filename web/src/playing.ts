/** A player for each mode, behind one interface. */

import { DashPlayer } from "./dash-player";
import type { Mode } from "./modes";
import { Player } from "./player";
import { SocketModePlayer } from "./socket-player";
import type { Begin, Snapshot, VideoPlayer } from "./video-player";

/** Plays the stream at this path. */
export function playing(
  mode: Mode,
  video: HTMLVideoElement,
  path: string,
  onTick: (snapshot: Snapshot) => void,
  begin: Begin,
): VideoPlayer {
  // dash.js makes URL objects of it, which want an origin.
  if (mode === "dash") return new DashPlayer(video, `${location.origin}${path}/manifest.mpd`, onTick, begin);
  if (mode === "ws") {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    return new SocketModePlayer(video, `${scheme}://${location.host}${path}/ws`, onTick, begin);
  }
  return new Player(video, `${path}/index.m3u8`, onTick, begin);
}
