import type { Stream } from "../api";
import { bitrate, codecName, seconds } from "../format";
import { MODE_NAMES } from "../modes";
import type { Stats } from "../video-player";
import { CopyButton } from "./copy-button";

interface Props {
  stats: Stats;
  stream: Stream | null;
  onClose: () => void;
}

/** The player's figures for who wants to know; toggled by key i. */
export function StatsPanel({ stats, stream, onClose }: Props) {
  const found = rows(stats, stream);
  return (
    <section class="stats" aria-label="Stats">
      <button type="button" class="stats-close" aria-label="Close the stats (i)" onClick={onClose}>
        ×
      </button>
      <dl>
        {found.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <CopyButton text={asText(found)} what="the stats" />
    </section>
  );
}

/** What is copied: a line a figure, with where and when. */
const asText = (found: [string, string][]): string =>
  [["Page", location.href], ["At", new Date().toISOString()], ["Browser", navigator.userAgent], ...found]
    .map(([name, value]) => `${name}: ${value}`)
    .join("\n");

const ENGINES: Record<Stats["engine"], string> = {
  "hls.js": "hls.js",
  "dash.js": "dash.js",
  native: "the browser's own",
  socket: "frame by frame",
  none: "not loaded yet",
};

export function rows(stats: Stats, stream: Stream | null): [string, string][] {
  const picture = stats.width ? `${stats.width}×${stats.height}` : "none";
  const codecs = stats.codecs.split(",").map((codec) => codec.trim());
  const stalled = stats.stalls ? `${stats.stalls}, ${seconds(stats.stalled_s, 1)} in all` : "0";
  const aim = stats.target_latency_s === null ? "" : `, aim ${seconds(stats.target_latency_s)}`;
  return [
    ["Mode", `${MODE_NAMES[stats.mode]}, ${ENGINES[stats.engine]}`],
    ["Latency", seconds(stats.latency_s)],
    ["Behind live", `${seconds(stats.behind_live_s)}${aim}`],
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
  ];
}
