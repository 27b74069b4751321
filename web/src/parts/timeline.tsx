/** The stream's past as a bar: zoom from days to seconds, drag to seek, drag a clip. */

import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { clock } from "../format";
import type { Player, Snapshot } from "../player";
import {
  type Range,
  type Told,
  type View,
  bounded,
  has,
  moment,
  moved,
  nearest,
  rangesOf,
  seconds,
  showing,
  span,
  ticks,
  timeAt,
  xOf,
  zoomed,
} from "../timeline-view";
import { useNow } from "../use-now";

const AGAIN_MS = 5_000;
const SETTLE_MS = 120;
const PREVIEW_MS = 80;
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const LONGEST_CLIP_MS = 2 * HOUR_MS;
const ZOOMS: [string, number][] = [
  ["1 min", 60_000],
  ["10 min", 600_000],
  ["1 h", HOUR_MS],
  ["1 day", DAY_MS],
];

interface Props {
  path: string;
  player: Player;
  snapshot: Snapshot;
}

export function Timeline({ path, player, snapshot }: Props) {
  const now = useNow();
  const [all, setAll] = useState<Range[]>([]);
  const [seen, setSeen] = useState<Range[]>([]);
  const [view, setView] = useState<View | null>(null);
  const [hover, setHover] = useState<number | null>(null);
  const [clipping, setClipping] = useState(false);
  const [clip, setClip] = useState<Range | null>(null);
  const [failed, setFailed] = useState(false);
  const bar = useRef<HTMLDivElement>(null);

  const oldest = all[0]?.start ?? now;
  const newest = Math.max(all.at(-1)?.end ?? now, snapshot.live ? now : 0);
  const playing = snapshot.stats.playing_date ? Date.parse(snapshot.stats.playing_date) : null;

  const ask = useCallback(
    async (query: string): Promise<Range[] | null> => {
      try {
        const answer = await fetch(`${path}/timeline${query}`);
        if (!answer.ok) throw new Error(String(answer.status));
        setFailed(false);
        return rangesOf((await answer.json()) as Told);
      } catch {
        setFailed(true);
        return null;
      }
    },
    [path],
  );

  useEffect(() => {
    setAll([]);
    setView(null);
    const look = async () => {
      const found = await ask("");
      if (found) setAll(found);
    };
    void look();
    const timer = setInterval(look, AGAIN_MS);
    return () => clearInterval(timer);
  }, [ask]);

  // At first: all that there is, but no more than an hour.
  useEffect(() => {
    if (view || all.length === 0) return;
    const length = Math.min(HOUR_MS, Math.max(60_000, newest - oldest));
    setView({ from: newest - length * 0.95, to: newest + length * 0.05 });
  }, [view, all, newest, oldest]);

  // What is in sight, as finely as it is shown.
  useEffect(() => {
    if (!view) return;
    const timer = setTimeout(async () => {
      const margin = span(view) / 2;
      const end = Math.min(Date.now(), view.to + margin);
      const start = Math.max(0, view.from - margin);
      if (end <= start) return setSeen([]);
      const resolution = Math.max(50, Math.round(span(view) / 1500));
      const found = await ask(
        `?start=${seconds(start)}&end=${seconds(end)}&resolution=${resolution}ms`,
      );
      if (found) setSeen(found);
    }, SETTLE_MS);
    return () => clearTimeout(timer);
  }, [view, all, ask]);

  // Follow the playhead while it is in sight.
  const was = useRef<number | null>(null);
  useEffect(() => {
    if (!view || playing === null) return;
    const before = was.current;
    was.current = playing;
    if (before === null || before < view.from || before > view.to) return;
    const next = showing(view, playing);
    if (next !== view) setView(next);
  }, [playing, view]);

  const change = useCallback(
    (next: View) => setView(bounded(next, oldest, newest)),
    [oldest, newest],
  );
  const go = useCallback(
    (time: number) => {
      const to = nearest(all, time);
      if (to === null) return;
      if (snapshot.live && to > Date.now() - 3000) player.toLive();
      else player.goTo(to);
    },
    [all, player, snapshot.live],
  );

  if (!view) return null;
  const preview = hover !== null && has(seen, hover) ? hover : null;
  return (
    <section class="timeline" aria-label="Timeline">
      <Bar
        {...{ bar, view, seen, hover, playing, clip, clipping, now }}
        live={snapshot.live}
        onView={change}
        onHover={setHover}
        onClip={setClip}
        onGo={go}
      />
      {hover !== null && (
        <Preview path={path} at={hover} picture={preview} x={xOf(view, hover, 100)} now={now} />
      )}
      <div class="timeline-row">
        <div class="zooms" role="group" aria-label="Zoom">
          <button type="button" aria-label="Zoom out" onClick={() => change(zoomAround(2))}>
            −
          </button>
          {ZOOMS.map(([name, length]) => (
            <button
              type="button"
              key={name}
              aria-pressed={Math.abs(span(view) / length - 1) < 0.1}
              onClick={() => change(zoomAround(length / span(view)))}
            >
              {name}
            </button>
          ))}
          <button
            type="button"
            onClick={() => {
              const margin = (newest - oldest) / 40;
              setView({ from: oldest - margin, to: newest + margin });
            }}
          >
            All
          </button>
          <button type="button" aria-label="Zoom in" onClick={() => change(zoomAround(0.5))}>
            +
          </button>
        </div>
        <Jump onGo={go} />
        <span class="spacer" />
        {failed && <span class="timeline-note">the edge does not answer</span>}
        <ClipTools
          path={path}
          clip={clip}
          clipping={clipping}
          onToggle={() => {
            setClipping(!clipping);
            setClip(null);
          }}
          onBefore={() => {
            const end = playing ?? Date.now();
            setClip({ start: end - 30_000, end });
            setClipping(true);
          }}
        />
      </div>
    </section>
  );

  function zoomAround(factor: number): View {
    const current = view as View;
    const middle = (current.from + current.to) / 2;
    const around = playing !== null && playing > current.from && playing < current.to ? playing : middle;
    return zoomed(current, factor, around);
  }
}

interface BarProps {
  bar: { current: HTMLDivElement | null };
  view: View;
  seen: Range[];
  hover: number | null;
  playing: number | null;
  clip: Range | null;
  clipping: boolean;
  live: boolean;
  now: number;
  onView: (view: View) => void;
  onHover: (time: number | null) => void;
  onClip: (clip: Range | null) => void;
  onGo: (time: number) => void;
}

type Drag = { kind: "seek" | "clip" | "pan"; from: number; x: number };

function Bar(props: BarProps) {
  const { bar, view, seen, playing, clip, live, now } = props;
  const [width, setWidth] = useState(900);
  const drag = useRef<Drag | null>(null);
  const touches = useRef(new Map<number, number>());
  const latest = useRef(props);
  latest.current = props;

  useEffect(() => {
    const element = bar.current;
    if (!element) return;
    const watch = new ResizeObserver(() => setWidth(Math.max(1, element.clientWidth)));
    watch.observe(element);
    // Not passive: the page must not scroll while the bar zooms.
    const wheel = (event: WheelEvent) => {
      event.preventDefault();
      const { view: current, onView } = latest.current;
      const rect = element.getBoundingClientRect();
      const around = timeAt(current, event.clientX - rect.left, rect.width);
      const sideways = event.shiftKey ? event.deltaY : event.deltaX;
      if (Math.abs(sideways) > Math.abs(event.deltaY) || event.shiftKey) {
        onView(moved(current, (sideways / rect.width) * span(current)));
      } else onView(zoomed(current, Math.exp(event.deltaY / 400), around));
    };
    element.addEventListener("wheel", wheel, { passive: false });
    return () => {
      watch.disconnect();
      element.removeEventListener("wheel", wheel);
    };
  }, [bar]);

  const timeOf = (event: PointerEvent): number => {
    const rect = (bar.current as HTMLDivElement).getBoundingClientRect();
    return timeAt(latest.current.view, event.clientX - rect.left, rect.width);
  };

  const down = (event: PointerEvent) => {
    if (event.button !== 0) return;
    (event.currentTarget as Element).setPointerCapture(event.pointerId);
    touches.current.set(event.pointerId, event.clientX);
    if (touches.current.size > 1) {
      drag.current = null;
      return;
    }
    const rect = (bar.current as HTMLDivElement).getBoundingClientRect();
    const onRuler = event.clientY - rect.top > rect.height * 0.62;
    const kind = props.clipping || event.shiftKey ? "clip" : onRuler ? "pan" : "seek";
    drag.current = { kind, from: timeOf(event), x: event.clientX };
  };

  const move = (event: PointerEvent) => {
    const known = touches.current;
    if (known.size === 2 && known.has(event.pointerId)) return pinch(event);
    const time = timeOf(event);
    props.onHover(time);
    const dragged = drag.current;
    if (dragged?.kind === "clip") {
      const [start, end] = [Math.min(dragged.from, time), Math.max(dragged.from, time)];
      props.onClip({ start, end: Math.min(end, start + LONGEST_CLIP_MS) });
    } else if (dragged?.kind === "pan") {
      props.onView(moved(view, dragged.from - time));
    }
  };

  const pinch = (event: PointerEvent) => {
    const [a, b] = [...touches.current.entries()];
    if (!a || !b) return;
    const other = a[0] === event.pointerId ? b[1] : a[1];
    const before = Math.abs((touches.current.get(event.pointerId) ?? 0) - other);
    const after = Math.abs(event.clientX - other);
    touches.current.set(event.pointerId, event.clientX);
    const rect = (bar.current as HTMLDivElement).getBoundingClientRect();
    const middle = timeAt(view, (event.clientX + other) / 2 - rect.left, rect.width);
    if (before > 5 && after > 5) props.onView(zoomed(view, before / after, middle));
  };

  const up = (event: PointerEvent) => {
    touches.current.delete(event.pointerId);
    const dragged = drag.current;
    drag.current = null;
    if (dragged?.kind === "seek") props.onGo(timeOf(event));
    else if (dragged?.kind === "pan" && Math.abs(event.clientX - dragged.x) < 4) {
      props.onGo(timeOf(event));
    }
  };

  const key = (event: KeyboardEvent) => {
    const step = span(view) / 50;
    const at = playing ?? now;
    const acts: Record<string, () => void> = {
      ArrowLeft: () => props.onGo(at - step),
      ArrowRight: () => props.onGo(at + step),
      "+": () => props.onView(zoomed(view, 0.5, at)),
      "-": () => props.onView(zoomed(view, 2, at)),
    };
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  };

  const marks = useMemo(() => ticks(view, width), [view, width]);
  const box = ({ start, end }: Range) => {
    const left = Math.max(-1, xOf(view, start, 100));
    const right = Math.min(101, xOf(view, end, 100));
    return { left: `${left}%`, width: `max(1px, ${Math.max(0, right - left)}%)` };
  };
  const inSight = ({ start, end }: Range) => start < view.to && end > view.from;
  const growing = seen.at(-1);
  return (
    <div
      ref={bar}
      class={`timeline-bar ${props.clipping ? "timeline-clipping" : ""}`}
      role="slider"
      tabIndex={0}
      aria-label="Position in time"
      aria-valuemin={view.from / 1000}
      aria-valuemax={view.to / 1000}
      aria-valuenow={(playing ?? now) / 1000}
      aria-valuetext={moment(playing ?? now, now)}
      onPointerDown={down}
      onPointerMove={move}
      onPointerUp={up}
      onPointerCancel={(event) => {
        touches.current.delete(event.pointerId);
        drag.current = null;
      }}
      onPointerLeave={() => props.onHover(null)}
      onKeyDown={key}
    >
      <div class="timeline-track">
        {seen.filter(inSight).map((range) => (
          <span
            key={range.start}
            class="timeline-data"
            style={box(range === growing && live ? { ...range, end: Math.max(range.end, now) } : range)}
          />
        ))}
        {clip && inSight(clip) && <span class="timeline-clip" style={box(clip)} />}
      </div>
      {marks.map(({ time, label }) => (
        <span class="timeline-tick" key={time} style={{ left: `${xOf(view, time, 100)}%` }}>
          {label}
        </span>
      ))}
      {live && now < view.to && (
        <span class="timeline-now" style={{ left: `${xOf(view, now, 100)}%` }} title="now" />
      )}
      {props.hover !== null && (
        <span class="timeline-hover" style={{ left: `${xOf(view, props.hover, 100)}%` }} />
      )}
      {playing !== null && playing > view.from && playing < view.to && (
        <span class="timeline-head" style={{ left: `${xOf(view, playing, 100)}%` }} />
      )}
    </div>
  );
}

function Preview(words: {
  path: string;
  at: number;
  picture: number | null;
  x: number;
  now: number;
}) {
  const [shown, setShown] = useState<number | null>(null);
  useEffect(() => {
    const timer = setTimeout(() => setShown(words.picture), PREVIEW_MS);
    return () => clearTimeout(timer);
  }, [words.picture]);
  const source = shown !== null ? `${words.path}/still.jpg?at=${seconds(shown)}&w=320` : null;
  return (
    <div class="timeline-preview" style={{ left: `${Math.max(9, Math.min(91, words.x))}%` }}>
      {words.picture !== null && source ? (
        <img src={source} alt="" />
      ) : (
        words.picture === null && <span class="timeline-nothing">nothing here</span>
      )}
      <time>{moment(words.at, words.now)}</time>
    </div>
  );
}

function Jump({ onGo }: { onGo: (time: number) => void }) {
  return (
    <form
      class="jump"
      onSubmit={(event) => {
        event.preventDefault();
        const field = event.currentTarget.elements.namedItem("at") as HTMLInputElement;
        const time = new Date(field.value).getTime();
        if (Number.isFinite(time)) onGo(time);
      }}
    >
      <input name="at" type="datetime-local" step="1" aria-label="Go to a time" />
      <button type="submit">Go</button>
    </form>
  );
}

function ClipTools(words: {
  path: string;
  clip: Range | null;
  clipping: boolean;
  onToggle: () => void;
  onBefore: () => void;
}) {
  const { clip } = words;
  const length_s = clip ? (clip.end - clip.start) / 1000 : 0;
  const query = clip ? `start=${seconds(clip.start)}&end=${seconds(Math.min(clip.end, Date.now()))}` : "";
  return (
    <div class="clip-tools">
      {clip && length_s > 0.2 && (
        <a class="button" href={`${words.path}/clip.mp4?${query}&download=1`} download>
          Download {length_s < 60 ? `${length_s.toFixed(1)} s` : clock(length_s)}
        </a>
      )}
      {words.clipping && !clip && <span class="timeline-note">drag over what you want</span>}
      <button type="button" onClick={words.onBefore} title="The last 30 seconds before the playhead">
        Last 30 s
      </button>
      <button type="button" aria-pressed={words.clipping} onClick={words.onToggle}>
        Clip
      </button>
    </div>
  );
}
