import type { ComponentChildren } from "preact";
import type { Stream } from "../api";
import { codecName } from "../format";
import type { Phase } from "../recovery";
import { mediaPath } from "../router";
import { Icon } from "./icons";

interface Props {
  phase: Phase;
  stream: Stream | null;
  collection: string;
  name: string;
  unsupported: string | null;
  onPlay: () => void;
}

/** What lies over the picture while it does not play, in words that say what happens next. */
export function Overlay(props: Props) {
  const { phase, collection, name } = props;
  if (phase === "playing") return null;
  if (phase === "loading" || phase === "buffering") {
    return (
      <Veil quiet={phase === "buffering"}>
        <Spinner />
        <span class="off-screen">{phase === "loading" ? "Loading" : "Buffering"}</span>
      </Veil>
    );
  }
  if (phase === "paused") {
    return (
      <div class="veil veil-clear">
        <button type="button" class="big-play" onClick={props.onPlay} aria-label="Play">
          <Icon name="play" />
        </button>
      </div>
    );
  }
  if (phase === "away") {
    return (
      <Veil>
        <Spinner />
        <h2>The publisher is away; waiting</h2>
        <p>Playback goes on by itself when it is back.</p>
      </Veil>
    );
  }
  if (phase === "unreachable") {
    return (
      <Veil>
        <Spinner />
        <h2>The server does not answer; trying again</h2>
        <p>Playback goes on by itself when it is back.</p>
      </Veil>
    );
  }
  if (phase === "undecodable") {
    return (
      <Veil>
        <Spinner />
        <h2>This browser cannot decode what is here</h2>
        <p>
          Its decoder fails each time: some do where H.264 has open GOPs. Go to another moment, or to the
          beginning.
        </p>
        <p class="veil-wide">Another player may play it:</p>
        <code class="veil-code veil-wide">
          ffplay {location.origin}
          {mediaPath({ collection, name })}/index.m3u8
        </code>
      </Veil>
    );
  }
  if (phase === "ended") {
    return (
      <Veil>
        <h2>The broadcast has ended</h2>
        <p>If it starts again, this page plays it.</p>
        <button type="button" class="button" onClick={props.onPlay}>
          <Icon name="replay" />
          Watch what is kept
        </button>
      </Veil>
    );
  }
  if (phase === "missing") {
    return (
      <Veil>
        <h2>
          There is no stream {collection}/{name}
        </h2>
        <p>Once somebody publishes it, it plays here.</p>
        <a class="button" href="/">
          All streams
        </a>
      </Veil>
    );
  }
  const codec = props.unsupported ?? "this stream";
  const readable = codecName(codec);
  return (
    <Veil>
      <h2>This browser does not play {readable}</h2>
      <p>
        {readable === codec ? "" : `The stream is in ${codec}. `}
        {readable === "H.265" ? "Safari plays it, and so does any player:" : "Another player may:"}
      </p>
      <code class="veil-code">
        ffplay {location.origin}
        {mediaPath({ collection, name })}/index.m3u8
      </code>
    </Veil>
  );
}

function Veil({ children, quiet }: { children: ComponentChildren; quiet?: boolean }) {
  return (
    <div class={`veil ${quiet ? "veil-clear" : ""}`} role="status" aria-live="polite">
      {children}
    </div>
  );
}

/** Three records on their way. */
function Spinner() {
  return (
    <span class="spinner" aria-hidden="true">
      <i />
      <i />
      <i />
    </span>
  );
}
