import { edgeNow } from "../edge-clock";
import { behindText, clock } from "../format";
import { MODE_NAMES, modeOf } from "../modes";
import type { Choice, Snapshot, VideoPlayer } from "../video-player";
import { Icon, type IconName } from "./icons";
import type { ModeChoice } from "./player-view";

interface Props {
  player: VideoPlayer;
  snapshot: Snapshot;
  choice: ModeChoice;
  showStats: boolean;
  onStats: () => void;
  onFullscreen: () => void;
  onPip: () => void;
}

/** A window shorter than this is not worth a bar to seek in. */
const SEEKABLE_S = 10;

const SPEEDS = [0.25, 0.5, 1, 1.5, 2, 4, 8];

/** The next faster or slower speed that is offered. */
export function nextSpeed(now: number, faster: boolean, fastest = 8): number {
  const others = faster
    ? SPEEDS.filter((one) => one > now + 0.06 && one <= fastest)
    : SPEEDS.filter((one) => one < now - 0.06);
  return (faster ? others[0] : others.at(-1)) ?? now;
}

export function Controls({ player, snapshot, choice, showStats, onStats, onFullscreen, onPip }: Props) {
  const { paused, muted, volume } = snapshot;
  const pipWorks = "pictureInPictureEnabled" in document && document.pictureInPictureEnabled;
  return (
    <div class="controls" title="? shows the keys">
      <SeekBar player={player} snapshot={snapshot} />
      <div class="control-row">
        <Button
          icon={paused ? "play" : "pause"}
          label={paused ? "Play (k)" : "Pause (k)"}
          onClick={() => player.toggle()}
        />
        <Button
          icon={muted ? "muted" : "volume"}
          label={muted ? "Unmute (m)" : "Mute (m)"}
          onClick={() => player.setMuted(!muted)}
        />
        <input
          class="volume"
          type="range"
          min="0"
          max="1"
          step="0.05"
          value={muted ? 0 : volume}
          aria-label="Volume"
          onInput={(event) => player.setVolume(Number(event.currentTarget.value))}
        />
        <LiveButton player={player} snapshot={snapshot} />
        <span class="spacer" />
        <select
          class="choice choice-speed"
          aria-label="Speed"
          value={String(snapshot.speed)}
          onChange={(event) => player.setSpeed(Number(event.currentTarget.value))}
        >
          {SPEEDS.filter((speed) => speed <= player.fastest).map((speed) => (
            <option key={speed} value={String(speed)}>
              {speed}×
            </option>
          ))}
        </select>
        <Select
          label="Audio track"
          choices={snapshot.audioTracks}
          value={snapshot.audioTrack}
          onChange={(id) => player.setAudioTrack(id)}
        />
        <Select
          label="Quality"
          choices={snapshot.qualities}
          auto
          value={snapshot.quality}
          onChange={(id) => player.setQuality(id)}
        />
        <ModeMenu choice={choice} />
        <Button icon="stats" label="Stats (i)" pressed={showStats} onClick={onStats} />
        {pipWorks && <Button icon="pip" label="Picture in picture (p)" onClick={onPip} />}
        <Button
          icon={document.fullscreenElement ? "shrink" : "expand"}
          label="Full screen (f)"
          onClick={onFullscreen}
        />
      </div>
    </div>
  );
}

/** How the stream comes: chosen by itself, or by hand. */
function ModeMenu({ choice }: { choice: ModeChoice }) {
  if (choice.possible.length < 2) return null;
  const narrow = matchMedia("(max-width: 640px)").matches;
  return (
    <select
      class="choice choice-mode"
      aria-label="Mode"
      title="How the stream comes"
      value={choice.byHand ?? "auto"}
      onChange={(event) => choice.choose(modeOf(event.currentTarget.value))}
    >
      <option value="auto">
        {choice.automatic && !narrow ? `Auto: ${MODE_NAMES[choice.automatic]}` : "Auto"}
      </option>
      {choice.possible.map((mode) => (
        <option key={mode} value={mode}>
          {MODE_NAMES[mode]}
        </option>
      ))}
    </select>
  );
}

function SeekBar({ player, snapshot }: { player: VideoPlayer; snapshot: Snapshot }) {
  const { window, stats } = snapshot;
  if (!window || window.end - window.start < SEEKABLE_S) return null;
  const span = window.end - window.start;
  const at = Math.max(0, Math.min(span, stats.currentTime - window.start));
  const behind = span - at;
  return (
    <input
      class="seek"
      type="range"
      min="0"
      max={span}
      step="0.1"
      value={at}
      aria-label="Position"
      aria-valuetext={behind < 2 ? "at the live edge" : `${clock(behind)} behind live`}
      ref={(input) => input?.style.setProperty("--done", `${(at / span) * 100}%`)}
      onInput={(event) => player.seek(window.start + Number(event.currentTarget.value))}
    />
  );
}

function LiveButton({ player, snapshot }: { player: VideoPlayer; snapshot: Snapshot }) {
  const { stats, following, paused } = snapshot;
  if (stats.behind_live_s === null) return null;
  const near = snapshot.live && following && !paused && stats.phase === "playing";
  const past = !following && stats.playing_date ? edgeNow() - Date.parse(stats.playing_date) : 0;
  const behind = behindText(Math.max(stats.behind_live_s, past / 1000), snapshot.live, following);
  const far = behind?.replace("−", "");
  return (
    <button
      type="button"
      class={`live-button ${near ? "live-near" : ""}`}
      onClick={() => player.toLive()}
      aria-label={
        far === undefined
          ? "Go to live (l): the publisher is away"
          : near
            ? `Live, ${far} behind the edge`
            : `Go to live, ${far} behind (l)`
      }
    >
      <span class="dot" aria-hidden="true" />
      Live
      <span class="behind">{behind ?? "away"}</span>
    </button>
  );
}

function Select(words: {
  label: string;
  choices: Choice[];
  value: number;
  auto?: boolean;
  onChange: (id: number) => void;
}) {
  if (words.choices.length < 2) return null;
  return (
    <select
      class="choice"
      aria-label={words.label}
      value={words.value}
      onChange={(event) => words.onChange(Number(event.currentTarget.value))}
    >
      {words.auto && <option value={-1}>Auto</option>}
      {words.choices.map((choice) => (
        <option key={choice.id} value={choice.id}>
          {choice.label}
        </option>
      ))}
    </select>
  );
}

function Button(words: { icon: IconName; label: string; pressed?: boolean; onClick: () => void }) {
  return (
    <button
      type="button"
      class="control"
      aria-label={words.label}
      title={words.label}
      {...(words.pressed === undefined ? {} : { "aria-pressed": words.pressed })}
      onClick={words.onClick}
    >
      <Icon name={words.icon} />
    </button>
  );
}
