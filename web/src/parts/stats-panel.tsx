import type { Stream } from "../api";
import { bitrate, codecName, seconds } from "../format";
import type { Stats } from "../player";

interface Props {
  stats: Stats;
  stream: Stream | null;
  onClose: () => void;
}

/** The player's figures for who wants to know; toggled by key i. */
export function StatsPanel({ stats, stream, onClose }: Props) {
  return (
    <section class="stats" aria-label="Stats">
      <button type="button" class="stats-close" aria-label="Close the stats (i)" onClick={onClose}>
        ×
      </button>
      <dl>
        {rows(stats, stream).map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function rows(stats: Stats, stream: Stream | null): [string, string][] {
  const picture = stats.width ? `${stats.width}×${stats.height}` : "none";
  const codecs = stats.codecs.split(",").map((codec) => codec.trim());
  const stalled = stats.stalls ? `${stats.stalls}, ${seconds(stats.stalled_s, 1)} in all` : "0";
  return [
    ["Latency, capture to screen", seconds(stats.latency_s)],
    ["Behind the live edge", `${seconds(stats.behind_live_s)}, aim ${seconds(stats.target_latency_s)}`],
    ["Buffer ahead", seconds(stats.buffer_s)],
    ["Bit rate", bitrate(stats.bitrate_bps) || "–"],
    ["Picture", `${picture}, ${stats.frame_rate.toFixed(1)} fps`],
    ["Codecs", codecs.map((codec) => `${codecName(codec)} ${codec}`.trim()).join(", ") || "–"],
    ["Frames dropped", `${stats.dropped} of ${stats.decoded}`],
    ["Stalls", stalled],
    ["Speed", `${stats.playback_rate.toFixed(2)}×`],
    ["Captured at", stats.playing_date?.slice(11, 23) ?? "–"],
    ["Stream epoch", stream ? String(stream.epoch) : "–"],
    ["Recoveries", String(stats.recoveries)],
    ["Player", stats.engine],
  ];
}
