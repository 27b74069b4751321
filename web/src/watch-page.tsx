import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { type Stream, streamKey, useFeed } from "./api";
import { edgeNow } from "./edge-clock";
import { bitrate, clock, inOrder, makeup, seconds, sinceText } from "./format";
import { Badge } from "./parts/badge";
import { Command } from "./parts/copy-button";
import { Gauge } from "./parts/gauge";
import { Icon } from "./parts/icons";
import { PlayerView } from "./parts/player-view";
import { StreamCard } from "./parts/stream-card";
import { Viewers } from "./parts/viewers";
import { mediaPath } from "./router";
import { useNow } from "./use-now";
import type { Stats } from "./video-player";

const OTHERS = 8;

export function WatchPage({ collection, name }: { collection: string; name: string }) {
  const feed = useFeed();
  const now = useNow();
  const [stats, setStats] = useState<Stats | null>(null);
  const key = streamKey({ collection, name });
  const stream = feed.streams.find((one) => streamKey(one) === key) ?? null;
  const others = inOrder(feed.streams.filter((one) => streamKey(one) !== key)).slice(0, OTHERS);

  useEffect(() => {
    document.title = `${key} · kinolog`;
  }, [key]);

  return (
    <div class="page watch">
      <PlayerView
        key={key}
        collection={collection}
        name={name}
        feed={feed}
        stream={stream}
        onStats={setStats}
      />
      <div class="watch-head">
        <div class="watch-title">
          <a class="crumb" href="/">
            <Icon name="back" />
            All streams
          </a>
          <h1>
            <span class="of">{collection}/</span>
            {name}
          </h1>
          {stream && <About stream={stream} now={now} />}
        </div>
        <Gauges stats={stats} />
      </div>
      <Elsewhere collection={collection} name={name} />
      {others.length > 0 && (
        <section aria-labelledby="others">
          <h2 class="collection" id="others">
            Also here
          </h2>
          <ul class="grid grid-small">
            {others.map((one) => (
              <StreamCard key={streamKey(one)} stream={one} now={now} />
            ))}
          </ul>
        </section>
      )}
    </div>
  );
}

function About({ stream, now }: { stream: Stream; now: number }) {
  return (
    <p class="about">
      <Badge state={stream.state} />
      <span>{sinceText(stream, now)}</span>
      {makeup(stream).map((word) => (
        <span key={word}>{word}</span>
      ))}
      <Viewers stream={stream} full />
    </p>
  );
}

function Gauges({ stats }: { stats: Stats | null }) {
  const date = stats && !stats.following ? stats.playing_date : null;
  return (
    <dl class="gauges" aria-label="Playback">
      {date ? (
        <Gauge
          key="behind"
          label="Behind live"
          value={(edgeNow() - Date.parse(date)) / 1000}
          show={(v) => clock(v ?? 0)}
        />
      ) : (
        <Gauge key="latency" label="Latency" value={stats?.latency_s ?? null} show={(v) => seconds(v)} />
      )}
      <Gauge label="Buffer" value={stats?.buffer_s ?? null} show={(v) => seconds(v)} />
      <Gauge
        label="Bit rate"
        value={stats?.bitrate_bps ?? null}
        show={(v) => bitrate(v ?? 0) || "–"}
      />
    </dl>
  );
}

/** The same stream in other players. */
function Elsewhere({ collection, name }: { collection: string; name: string }) {
  const [open, setOpen] = useState(false);
  const toggled = useCallback((event: Event) => {
    setOpen((event.currentTarget as HTMLDetailsElement).open);
  }, []);
  const details = useRef<HTMLDetailsElement>(null);
  const media = `${location.origin}${mediaPath({ collection, name })}`;
  return (
    <details class="elsewhere" ref={details} onToggle={toggled}>
      <summary>Play it elsewhere</summary>
      {open && (
        <dl class="fields">
          <dt>HLS, for VLC, Safari, phones</dt>
          <dd>
            <Command text={`${media}/index.m3u8`} what="the HLS address" />
          </dd>
          <dt>DASH, for dash.js and Shaka</dt>
          <dd>
            <Command text={`${media}/manifest.mpd`} what="the DASH address" />
          </dd>
          <dt>From the log, at any moment</dt>
          <dd>
            <Command
              text={`kinolog play ${collection}/${name} --from -10m | ffplay -`}
              what="the kinolog command"
            />
          </dd>
          <dt>Frames in Python</dt>
          <dd>
            <Command
              text={`for frame in kinolog.frames("${collection}/${name}", start="-10m"): ...`}
              what="the Python line"
            />
          </dd>
        </dl>
      )}
    </details>
  );
}
