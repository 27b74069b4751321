import { useRef, useState } from "preact/hooks";
import type { Ingest } from "../api";
import { publishWays } from "../publish";
import { Command } from "./copy-button";

const TABS = ["OBS", "ffmpeg", "kinolog"] as const;
type Tab = (typeof TABS)[number];

/** OBS settings and commands that publish to this edge, with its own host and ports in them. */
export function PublishGuide({ ingest }: { ingest: Ingest }) {
  const [tab, setTab] = useState<Tab>("ffmpeg");
  const list = useRef<HTMLDivElement>(null);
  const ways = publishWays(ingest, location.hostname, location.protocol);

  const step = (event: KeyboardEvent) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const at = (TABS.indexOf(tab) + by + TABS.length) % TABS.length;
    setTab(TABS[at] ?? "ffmpeg");
    list.current?.querySelectorAll("button")[at]?.focus();
  };

  return (
    <div class="guide">
      <div class="tabs" role="tablist" aria-label="Publish with" ref={list} onKeyDown={step}>
        {TABS.map((name) => (
          <button
            type="button"
            key={name}
            role="tab"
            id={`tab-${name}`}
            aria-selected={name === tab}
            aria-controls="tab-panel"
            tabIndex={name === tab ? 0 : -1}
            onClick={() => setTab(name)}
          >
            {name}
          </button>
        ))}
      </div>
      <div role="tabpanel" id="tab-panel" aria-labelledby={`tab-${tab}`}>
        {tab === "OBS" && (
          <>
            <p>In OBS: Settings, Stream, Service “Custom…”.</p>
            <dl class="fields">
              <dt>Server</dt>
              <dd>
                <Command text={ways.rtmpServer} what="the server" />
              </dd>
              <dt>Stream key</dt>
              <dd>
                <Command text={ways.rtmpKey} what="the stream key" />
              </dd>
            </dl>
            <p class="hint">
              Output: keyframe interval 2 s, tune <code>zerolatency</code> for the lowest latency.
            </p>
          </>
        )}
        {tab === "ffmpeg" && (
          <>
            <p>Over RTMP:</p>
            <Command text={ways.ffmpegRtmp} what="the ffmpeg command for RTMP" />
            <p>Or as MPEG-TS over HTTP:</p>
            <Command text={ways.ffmpegHttp} what="the ffmpeg command for HTTP" />
          </>
        )}
        {tab === "kinolog" && (
          <>
            <p>Straight into Kafka: a file, an RTSP camera, a webcam or a synthetic camera.</p>
            <Command text={ways.kinolog} what="the kinolog command" />
            <Command text="kinolog publish test: demo/camera-2" what="the synthetic camera" />
          </>
        )}
      </div>
    </div>
  );
}
