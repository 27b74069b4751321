import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import type { Feed, Stream } from "../api";
import { useBegin } from "../begin";
import { audioOf, videoOf } from "../format";
import { type Mode, abilities, automatic, chosen, keepMode, keptMode, possible } from "../modes";
import { DashPlayer } from "../dash-player";
import { Player } from "../player";
import { playing as playerOf } from "../playing";
import { mediaPath } from "../router";
import { keyAction } from "../shortcuts";
import { SocketModePlayer } from "../socket-player";
import type { Begin, Snapshot, Stats, VideoPlayer } from "../video-player";
import type { SocketPlayer } from "../ws/player";
import { Controls, nextSpeed } from "./controls";
import { Icon } from "./icons";
import { KeyHelp } from "./key-help";
import { Overlay } from "./overlay";
import { StatsPanel } from "./stats-panel";
import { Timeline } from "./timeline";

declare global {
  interface Window {
    /** For tests and for the curious: the player on this page. */
    kinolog?: {
      readonly mode: Mode;
      readonly hls: unknown;
      readonly dash: unknown;
      readonly socket: SocketPlayer | null;
      readonly video: HTMLVideoElement;
      goTo(unix_ms: number): void;
      stats(): Stats;
    };
    ManagedMediaSource?: typeof MediaSource;
  }
}

const IDLE_MS = 2500;

interface Props {
  collection: string;
  name: string;
  feed: Feed;
  stream: Stream | null;
  onStats: (stats: Stats) => void;
}

export function PlayerView({ collection, name, feed, stream, onStats }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const video = useRef<HTMLVideoElement>(null);
  const [player, setPlayer] = useState<VideoPlayer | null>(null);
  const [snapshot, setSnapshot] = useState<Snapshot | null>(null);
  const [showStats, setShowStats] = useState(false);
  const [showKeys, setShowKeys] = useState(false);
  const [soundAsked, setSoundAsked] = useState(false);
  const [idle, stir] = useIdle();
  const choice = useMode(stream, feed);
  const { mode } = choice;
  const path = mediaPath({ collection, name });
  const { from, note } = useBegin(path);
  /** Where another player was, whose place one takes. */
  const left = useRef<Begin | null>(null);

  useEffect(() => {
    if (!video.current || !mode || !from) return;
    const made = playerOf(
      mode,
      video.current,
      path,
      (next) => {
        setSnapshot(next);
        onStats(next.stats);
      },
      left.current ?? from,
    );
    setPlayer(made);
    window.kinolog = {
      mode,
      get hls() {
        return made instanceof Player ? made.hls : null;
      },
      get dash() {
        return made instanceof DashPlayer ? made.dash : null;
      },
      socket: made instanceof SocketModePlayer ? made.socket : null,
      video: made.video,
      goTo: (unix_ms) => made.goTo(unix_ms),
      stats: () => made.stats(),
    };
    return () => {
      delete window.kinolog;
      left.current = made.where();
      made.destroy();
    };
  }, [mode, path, from]);

  useEffect(() => {
    if (player instanceof SocketModePlayer && player.hopeless) choice.failed();
  }, [player, snapshot]);

  useEffect(() => {
    player?.observe(stream, feed.loaded, feed.failures);
  }, [player, stream, feed]);

  const fullscreen = useCallback(() => toggleFullscreen(frame.current, video.current), []);
  const pip = useCallback(() => void togglePip(video.current), []);

  useEffect(() => {
    if (!player) return;
    const press = (event: KeyboardEvent) => {
      const action = keyAction(event);
      if (!action) return;
      event.preventDefault();
      stir();
      const { volume, muted } = player.video;
      if (action === "toggle") player.toggle();
      else if (action === "mute") player.setMuted(!muted);
      else if (action === "live") player.toLive();
      else if (action === "stats") setShowStats((shown) => !shown);
      else if (action === "help") setShowKeys(true);
      else if (action === "fullscreen") fullscreen();
      else if (action === "pip") pip();
      else if (action.startsWith("mark-")) return; // the timeline's
      else if (action === "step-back") player.step(-1);
      else if (action === "step-on") player.step(1);
      else if (action === "slower" || action === "faster") {
        player.setSpeed(nextSpeed(player.chosenSpeed, action === "faster", player.fastest));
      } else if (action === "back") player.skip(-5);
      else if (action === "forward") player.skip(5);
      else if (action === "louder") player.setVolume(volume + 0.1);
      else if (action === "quieter") player.setVolume(volume - 0.1);
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, [player]);

  useEffect(() => {
    if (snapshot?.muted === false) setSoundAsked(true);
  }, [snapshot?.muted]);

  const phase = snapshot?.stats.phase ?? "loading";
  const hopeless = phase === "missing" || phase === "unsupported";
  const silent = stream !== null && !audioOf(stream);
  const playing = phase === "playing";
  const pictureless = stream !== null && stream.tracks.length > 0 && !videoOf(stream);
  const alone = snapshot?.stats.alone ?? null;
  const audioOnly = pictureless || alone === "audio";
  return (
    <>
    <div
      class={`player ${idle && playing ? "player-idle" : ""} ${audioOnly ? "player-audio" : ""}`}
      ref={frame}
      onPointerMove={stir}
      onPointerDown={stir}
      onFocusIn={stir}
      role="region"
      aria-label={`Player of ${collection}/${name}`}
    >
      <video
        ref={video}
        muted
        playsInline
        autoPlay
        onClick={() => player?.toggle()}
        onDblClick={fullscreen}
        aria-label={`${collection}/${name}`}
      />
      {audioOnly && (
        <div class="audio-only" aria-hidden="true">
          <Icon name="wave" />
        </div>
      )}
      <Overlay
        phase={phase}
        stream={stream}
        collection={collection}
        name={name}
        unsupported={snapshot?.unsupported ?? null}
        onPlay={() => player?.toggle()}
      />
      {playing && alone && (
        <p class="pause-note" role="status">
          {alone === "video" ? "The sound has paused" : "The picture has paused"}
        </p>
      )}
      {playing && snapshot?.muted && !soundAsked && !silent && (
        <button type="button" class="unmute" onClick={() => player?.setMuted(false)}>
          <Icon name="muted" />
          Turn the sound on
        </button>
      )}
      {showStats && snapshot && (
        <StatsPanel stats={snapshot.stats} stream={stream} onClose={() => setShowStats(false)} />
      )}
      {showKeys && <KeyHelp onClose={() => setShowKeys(false)} />}
      {player && snapshot && !hopeless && (
        <Controls
          player={player}
          snapshot={snapshot}
          choice={choice}
          showStats={showStats}
          onStats={() => setShowStats((shown) => !shown)}
          onFullscreen={fullscreen}
          onPip={pip}
        />
      )}
    </div>
    {player && snapshot && phase !== "missing" && (
      <Timeline path={path} player={player} snapshot={snapshot} note={note} />
    )}
    </>
  );
}

/** How it is played, and how that is chosen. */
export interface ModeChoice {
  /** Null until it is known how the stream is published. */
  mode: Mode | null;
  /** What it would be, and is where nobody chose. */
  automatic: Mode | null;
  byHand: Mode | null;
  possible: Mode[];
  choose(mode: Mode | null): void;
  /** What was chosen by itself does not work here. */
  failed(): void;
}

function useMode(stream: Stream | null, feed: Feed): ModeChoice {
  const [can] = useState(abilities);
  const [byHand, setByHand] = useState(() => chosen(location.search, keptMode(), can));
  const [itself, setItself] = useState<Mode | null>(null);
  const known = feed.loaded || feed.failures > 0;
  // Decided once: a publisher that comes back in another way takes no viewer by surprise.
  useEffect(() => {
    if (known) setItself((before) => before ?? automatic(stream?.profile, can));
  }, [known]);
  return {
    mode: byHand ?? itself,
    automatic: itself,
    byHand,
    possible: possible(can),
    choose: (mode) => {
      keepMode(mode);
      setByHand(mode);
    },
    failed: () => {
      setItself("hls");
      setByHand(null); // here; what was chosen is kept
    },
  };
}

/** True once nobody has moved for a while; `stir` starts anew. */
function useIdle(): [boolean, () => void] {
  const [idle, setIdle] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const stir = useCallback(() => {
    setIdle(false);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setIdle(true), IDLE_MS);
  }, []);
  useEffect(() => {
    stir();
    return () => clearTimeout(timer.current);
  }, []);
  return [idle, stir];
}

function toggleFullscreen(frame: HTMLElement | null, video: HTMLVideoElement | null): void {
  if (document.fullscreenElement) void document.exitFullscreen();
  else if (frame?.requestFullscreen) void frame.requestFullscreen().catch(() => undefined);
  // An iPhone shows only the video itself in full.
  else (video as { webkitEnterFullscreen?: () => void } | null)?.webkitEnterFullscreen?.();
}

async function togglePip(video: HTMLVideoElement | null): Promise<void> {
  try {
    if (document.pictureInPictureElement) await document.exitPictureInPicture();
    else await video?.requestPictureInPicture();
  } catch {
    // refused by the browser (no picture yet, or no gesture): nothing changes
  }
}
