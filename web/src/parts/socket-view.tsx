import { useEffect, useRef, useState } from "preact/hooks";
import type { Stats } from "../player";
import { mediaPath } from "../router";
import { SocketPlayer, type Status } from "../ws/player";

interface Props {
  collection: string;
  name: string;
  onStats: (stats: Stats) => void;
}

const SAYS: Partial<Record<Status["phase"], string>> = {
  connecting: "Connecting…",
  buffering: "Waiting for the picture…",
  away: "The publisher is away",
  ended: "The stream has ended",
  missing: "There is no such stream",
  unsupported: "This browser does not play",
  failed: "This cannot be played",
};

/** The stream frame by frame over a WebSocket: `?mode=ws`. */
export function SocketView({ collection, name, onStats }: Props) {
  const video = useRef<HTMLVideoElement>(null);
  const [status, setStatus] = useState<Status | null>(null);

  useEffect(() => {
    if (!video.current) return;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const url = `${scheme}://${location.host}${mediaPath({ collection, name })}/ws`;
    const made = new SocketPlayer(video.current, url, {
      onStatus: (next) => {
        setStatus(next);
        onStats(statsOf(next, made.video));
      },
    });
    window.kinolog = {
      hls: null,
      socket: made,
      video: made.video,
      stats: () => statsOf(made.status(), made.video),
    };
    return () => {
      delete window.kinolog;
      made.destroy();
    };
  }, [collection, name]);

  const says = status && SAYS[status.phase];
  return (
    <div class="player" role="region" aria-label={`Player of ${collection}/${name}`}>
      <video ref={video} muted playsInline autoPlay controls aria-label={`${collection}/${name}`} />
      {says && (
        <p class="pause-note" role="status">
          {status.message ? `${says}: ${status.message}` : says}
        </p>
      )}
    </div>
  );
}

function statsOf(status: Status, video: HTMLVideoElement): Stats {
  const quality = video.getVideoPlaybackQuality?.();
  const { phase } = status;
  return {
    phase: phase === "connecting" ? "loading" : phase === "failed" ? "unreachable" : phase,
    currentTime: video.currentTime,
    latency_s: status.latency_s,
    behind_live_s: status.live ? status.ahead_s : null,
    target_latency_s: null,
    buffer_s: status.ahead_s,
    bitrate_bps: status.bitrate_bps,
    stalls: status.stalls,
    stalls_at_edge: 0,
    stalled_s: 0,
    dropped: quality?.droppedVideoFrames ?? 0,
    decoded: quality?.totalVideoFrames ?? 0,
    frame_rate: 0,
    width: video.videoWidth,
    height: video.videoHeight,
    codecs: status.codecs,
    playback_rate: status.rate,
    recoveries: status.connections - 1,
    playing_date: status.captured_ms === null ? null : new Date(status.captured_ms).toISOString(),
    following: status.live,
    alone: null,
    engine: "socket",
  };
}
