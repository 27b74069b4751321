/** The stream's past as a bar: zoom from days to seconds, drag to seek, drag a clip. */

import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { momentLink } from "../begin";
import { between, withEdge } from "../clip-range";
import { edgeClock, edgeNow } from "../edge-clock";
import {
  type Cluster,
  type Mark,
  type ToldMarks,
  askFor,
  clustered,
  markAt,
  markBefore,
  marksOf,
  near,
  nextMark,
  withOwn,
  wordsOf,
} from "../marks";
import { keyAction } from "../shortcuts";
import {
  LEAST_MS,
  type Range,
  type Told,
  type View,
  bounded,
  grown,
  has,
  moment,
  moved,
  nearest,
  pinched,
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
import type { Snapshot, VideoPlayer } from "../video-player";
import { ClipPanel } from "./clip-panel";
import { CopyButton } from "./copy-button";
import { MarkTool } from "./mark-tool";

const AGAIN_MS = 5_000;
const MARKS_AGAIN_MS = 2_000;
const SETTLE_MS = 120;
const PREVIEW_MS = 80;
/** A finger that rests for so long looks, and does not seek; what it saw stays for a while. */
const LONG_PRESS_MS = 450;
/** A viewer's clock may be ahead of the edge's by so much. */
const CLOCKS_MS = 60_000;
const LINGER_MS = 1_500;
const STEADY_PX = 8;
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const ON_ITS_WAY_MS = 1500;
const ZOOMS: [string, number][] = [
  ["1 min", 60_000],
  ["10 min", 600_000],
  ["1 h", HOUR_MS],
  ["1 day", DAY_MS],
];

interface Props {
  path: string;
  player: VideoPlayer;
  snapshot: Snapshot;
  /** What else is to be said. */
  note: string;
}

export function Timeline({ path, player, snapshot, note }: Props) {
  const now = useNow();
  const [all, setAll] = useState<Range[]>([]);
  const [seen, setSeen] = useState<Range[]>([]);
  const [view, setView] = useState<View | null>(null);
  const [hover, setHover] = useState<number | null>(null);
  const [clipping, setClipping] = useState(false);
  const [clip, setClip] = useState<Range | null>(null);
  const [failed, setFailed] = useState(false);
  const [width, setWidth] = useState(900);
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
      await edgeClock(); // what is in view at first goes by it
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
    let stale = false;
    const timer = setTimeout(async () => {
      const margin = span(view) / 2;
      const end = view.to + margin;
      const start = Math.max(0, view.from - margin);
      if (edgeNow() <= start) return setSeen([]);
      const resolution = Math.max(50, Math.round(span(view) / 1500));
      // Without an end it goes up to now, by the edge's clock: this one may be ahead.
      const until = end < edgeNow() - CLOCKS_MS ? `&end=${seconds(end)}` : "";
      const found = await ask(`?start=${seconds(start)}${until}&resolution=${resolution}ms`);
      if (found && !stale) setSeen(found);
    }, SETTLE_MS);
    return () => {
      stale = true;
      clearTimeout(timer);
    };
  }, [view, all, ask]);

  // All of it stays in sight, also as it grows, until something else is asked for.
  const whole = useRef(false);
  const showWhole = () => {
    whole.current = true;
    const margin = Math.max(LEAST_MS, newest - oldest) / 40;
    setView({ from: oldest - margin, to: newest + (snapshot.live ? 4 : 1) * margin });
  };
  useEffect(() => {
    if (whole.current && view && (oldest < view.from || newest > view.to - span(view) / 50)) showWhole();
  }, [view, oldest, newest]);

  // Follow the playhead while it is in sight.
  const was = useRef<number | null>(null);
  useEffect(() => {
    if (!view || playing === null || whole.current) return;
    const before = was.current;
    was.current = playing;
    if (before === null || before < view.from || before > view.to) return;
    const edge = span(view) / 50;
    if (playing > view.from + edge && playing < view.to - edge) return; // all that was asked for stays
    const next = showing(view, playing);
    if (next !== view) setView(next);
  }, [playing, view]);

  const change = useCallback(
    (next: View) => {
      whole.current = false;
      setView(bounded(next, oldest, newest));
    },
    [oldest, newest],
  );
  const sent = useRef({ to: 0, at: Number.NEGATIVE_INFINITY });
  const go = useCallback(
    (time: number, back = false) => {
      const to = nearest(snapshot.live ? grown(all, edgeNow()) : all, time, back);
      if (to === null) return;
      sent.current = { to, at: performance.now() };
      if (snapshot.live && to > edgeNow() - 3000) player.toLive();
      else player.goTo(to);
    },
    [all, player, snapshot.live],
  );

  /** From where it plays, or where it was just sent. */
  const by = (ms: number) => {
    const date = player.stats().playing_date;
    const onItsWay = performance.now() - sent.current.at < ON_ITS_WAY_MS;
    const from = onItsWay ? sent.current.to : date && Date.parse(date);
    if (from) go(from + ms, ms < 0);
  };

  const { marks, more, takes, add } = useMarks(path, view);
  const clusters = useMemo(() => (view ? clustered(marks, view, width) : []), [marks, view, width]);
  // The moment at which a mark is being set; playing goes on meanwhile.
  const [marking, setMarking] = useState<number | null>(null);
  const markButton = useRef<HTMLButtonElement>(null);
  const mark = () => {
    const date = player.stats().playing_date;
    if (takes && date) setMarking(Math.min(Date.parse(date), edgeNow()));
  };
  const latest = useRef({ marks, player, go, oldest, mark });
  latest.current = { marks, player, go, oldest, mark };
  useEffect(() => {
    const press = async (event: KeyboardEvent) => {
      const action = keyAction(event);
      const now = latest.current;
      if (action === "mark-set") {
        event.preventDefault();
        now.mark();
      }
      if (action !== "mark-on" && action !== "mark-back") return;
      event.preventDefault();
      const date = now.player.stats().playing_date; // the snapshot may be from before a seek
      const from = date ? Date.parse(date) : edgeNow();
      const find = action === "mark-on" ? nextMark : markBefore;
      const far = action === "mark-on" ? { start: from, end: edgeNow() } : { start: now.oldest, end: from };
      const found = find(now.marks, from) ?? find(await moreMarks(path, far), from);
      if (found) now.go(found.at);
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, [path]);

  if (!view) return null;
  const here = playing === null ? null : markAt(marks, playing);
  const marked = hover === null ? null : near(clusters, hover, view, width);
  const looked = marked?.at ?? hover;
  return (
    <section class="timeline" aria-label="Timeline">
      <Bar
        {...{ bar, view, seen, clusters, hover, playing, clip, clipping, now, width }}
        live={snapshot.live}
        onView={change}
        onWidth={setWidth}
        onHover={setHover}
        onClip={(range) => {
          setClip(range);
          if (range) setClipping(true); // also with the shift key
        }}
        onGo={go}
        onBy={by}
        onFirst={() => go(oldest)}
        onLast={() => (snapshot.live ? player.toLive() : go(newest))}
      />
      {hover !== null && looked !== null && (
        <Preview
          path={path}
          at={looked}
          there={has(snapshot.live ? grown(seen, now) : seen, looked)}
          mark={marked}
          x={xOf(view, hover, 100)}
          now={now}
        />
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
            onClick={showWhole}
          >
            All
          </button>
          <button type="button" aria-label="Zoom in" onClick={() => change(zoomAround(0.5))}>
            +
          </button>
        </div>
        <Jump onGo={go} />
        <span class="timeline-here" role="status">
          {here && (
            <>
              <i class="mark-dot" style={{ "--hue": hueOf(here.kind) }} aria-hidden="true" />
              {here.text || here.kind}
            </>
          )}
        </span>
        <span class="spacer" />
        {more && <span class="timeline-note">more marks than are shown: zoom in</span>}
        {failed && <span class="timeline-note">the edge does not answer</span>}
        {note && <span class="timeline-note">{note}</span>}
        {playing !== null && (
          <CopyButton text={momentLink(location.href, playing)} what="a link to this moment" label="Link" />
        )}
        {takes && (
          <button
            type="button"
            ref={markButton}
            aria-expanded={marking !== null}
            aria-keyshortcuts="b"
            title="Set a mark at the moment that is shown (b)"
            onClick={() => (marking === null ? mark() : setMarking(null))}
          >
            Mark
          </button>
        )}
        <ClipTools
          clipping={clipping}
          onToggle={() => {
            setClipping(!clipping);
            setClip(null);
          }}
          onBefore={() => {
            setClip(withEdge(null, "end", playing ?? edgeNow(), edgeNow()));
            setClipping(true);
          }}
        />
      </div>
      {marking !== null && (
        <MarkTool
          path={path}
          at={marking}
          onSet={add}
          onClose={() => {
            setMarking(null);
            markButton.current?.focus();
          }}
        />
      )}
      {clipping && (
        <ClipPanel
          path={path}
          clip={clip}
          all={all}
          live={snapshot.live}
          bitrate_bps={snapshot.stats.bitrate_bps}
          onEdge={(side) => setClip(withEdge(clip, side, playing ?? edgeNow(), edgeNow()))}
          onShow={(range) => {
            setClip(range);
            const margin = (range.end - range.start) / 2 + 2_000;
            change({ from: range.start - margin, to: range.end + margin });
          }}
        />
      )}
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
  clusters: Cluster[];
  hover: number | null;
  width: number;
  playing: number | null;
  clip: Range | null;
  clipping: boolean;
  live: boolean;
  now: number;
  onView: (view: View) => void;
  onWidth: (width: number) => void;
  onHover: (time: number | null) => void;
  onClip: (clip: Range | null) => void;
  onGo: (time: number) => void;
  onBy: (ms: number) => void;
  onFirst: () => void;
  onLast: () => void;
}

/** `look`: a finger rests, to see what is there. */
type Drag = { kind: "seek" | "clip" | "pan" | "look"; from: number; x: number };

/** Two fingers: what was under each when the second came down. */
type Pinch = { ids: [number, number]; times: [number, number] };

function Bar(props: BarProps) {
  const { bar, view, seen, clusters, playing, clip, live, now, width } = props;
  const drag = useRef<Drag | null>(null);
  const pinch = useRef<Pinch | null>(null);
  const touches = useRef(new Map<number, number>());
  const pressing = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const latest = useRef(props);
  latest.current = props;

  useEffect(() => {
    const element = bar.current;
    if (!element) return;
    const watch = new ResizeObserver(() => latest.current.onWidth(Math.max(1, element.clientWidth)));
    watch.observe(element);
    // Not passive: the page must not scroll while the bar zooms.
    const wheel = (event: WheelEvent) => {
      event.preventDefault();
      const { view: current, onView } = latest.current;
      const rect = element.getBoundingClientRect();
      const around = timeAt(current, event.clientX - rect.left, rect.width);
      // With the shift key, some browsers say that it turned sideways.
      const sideways = (event.shiftKey && event.deltaY) || event.deltaX;
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

  const timeOf = (x: number): number => {
    const rect = (bar.current as HTMLDivElement).getBoundingClientRect();
    return timeAt(latest.current.view, x - rect.left, rect.width);
  };
  const rest = () => clearTimeout(pressing.current);

  const down = (event: PointerEvent) => {
    if (event.button !== 0) return;
    (event.currentTarget as Element).setPointerCapture(event.pointerId);
    touches.current.set(event.pointerId, event.clientX);
    rest();
    const [a, b] = [...touches.current];
    if (a && b) {
      drag.current = null;
      props.onHover(null);
      pinch.current = { ids: [a[0], b[0]], times: [timeOf(a[1]), timeOf(b[1])] };
      return;
    }
    const rect = (bar.current as HTMLDivElement).getBoundingClientRect();
    const onRuler = event.clientY - rect.top > rect.height * 0.66;
    const kind = props.clipping || event.shiftKey ? "clip" : onRuler ? "pan" : "seek";
    const from = timeOf(event.clientX);
    const begun: Drag = { kind, from, x: event.clientX };
    drag.current = begun;
    if (event.pointerType !== "touch" || kind === "clip") return;
    pressing.current = setTimeout(() => {
      if (drag.current !== begun) return;
      begun.kind = "look";
      latest.current.onHover(from);
    }, LONG_PRESS_MS);
  };

  const move = (event: PointerEvent) => {
    const known = touches.current;
    if (known.has(event.pointerId)) known.set(event.pointerId, event.clientX);
    if (pinch.current) return squeeze(pinch.current);
    const time = timeOf(event.clientX);
    const dragged = drag.current;
    const steady = dragged && Math.abs(event.clientX - dragged.x) < STEADY_PX;
    if (event.pointerType === "touch" && steady && dragged.kind !== "clip") return; // fingers tremble
    rest();
    if (dragged?.kind !== "pan") props.onHover(time);
    if (dragged?.kind === "clip") {
      props.onClip(between(dragged.from, time, edgeNow()));
    } else if (dragged?.kind === "pan") {
      props.onView(moved(latest.current.view, dragged.from - time));
    }
  };

  const squeeze = ({ ids, times }: Pinch) => {
    const rect = (bar.current as HTMLDivElement).getBoundingClientRect();
    const [a, b] = ids.map((id) => touches.current.get(id));
    if (a === undefined || b === undefined) return;
    props.onView(pinched(latest.current.view, times, [a - rect.left, b - rect.left], rect.width));
  };

  const leave = (event: PointerEvent) => {
    rest();
    touches.current.delete(event.pointerId);
    if (touches.current.size === 0) pinch.current = null;
    const dragged = drag.current;
    drag.current = null;
    return dragged;
  };

  const up = (event: PointerEvent) => {
    const dragged = leave(event);
    const touched = event.pointerType === "touch";
    const time = timeOf(event.clientX);
    const steady = dragged && Math.abs(event.clientX - dragged.x) < STEADY_PX;
    if (dragged?.kind === "seek") {
      // A finger is broad: what it taps is the mark that it covers.
      const mark = touched && steady ? near(clusters, time, view, width, 18) : null;
      props.onGo(mark?.at ?? time);
      props.onHover(touched ? (mark?.at ?? null) : time);
    } else if (dragged?.kind === "pan" && steady) props.onGo(time);
    if (touched) {
      pressing.current = setTimeout(() => latest.current.onHover(null), LINGER_MS);
    }
  };

  const key = (event: KeyboardEvent) => {
    const at = playing ?? now;
    const acts: Record<string, () => void> = {
      "+": () => props.onView(zoomed(view, 0.5, at)),
      "-": () => props.onView(zoomed(view, 2, at)),
      PageUp: () => props.onBy(span(view) / 10),
      PageDown: () => props.onBy(-span(view) / 10),
      Home: props.onFirst,
      End: props.onLast,
    };
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  };

  const ruler = useMemo(() => ticks(view, width), [view, width]);
  const box = ({ start, end }: Range) => {
    const left = Math.max(-1, xOf(view, start, 100));
    const right = Math.min(101, xOf(view, end, 100));
    return { left: `${left}%`, width: `max(1px, ${Math.max(0, right - left)}%)` };
  };
  const inSight = ({ start, end }: Range) => start < view.to && end > view.from;
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
        leave(event);
        props.onHover(null);
      }}
      onPointerLeave={(event) => {
        if (event.pointerType !== "touch") props.onHover(null);
      }}
      onContextMenu={(event) => {
        if (touches.current.size) event.preventDefault();
      }}
      onKeyDown={key}
    >
      <div class="timeline-track">
        {(live ? grown(seen, now) : seen).filter(inSight).map((range) => (
          <span key={range.start} class="timeline-data" style={box(range)} />
        ))}
        {now < view.to && <span class="timeline-future" style={{ left: `${xOf(view, now, 100)}%` }} />}
        {clip && inSight(clip) && <span class="timeline-clip" style={box(clip)} />}
      </div>
      {clusters.map((cluster) => (
        <MarkPin key={cluster.marks[0]?.id} {...{ cluster, view, now }} onGo={props.onGo} />
      ))}
      {ruler.map(({ time, label }) => (
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

/** A mark, or several that are too near to each other, above the bar. */
function MarkPin(words: { cluster: Cluster; view: View; now: number; onGo: (time: number) => void }) {
  const { cluster, view } = words;
  const x = xOf(view, cluster.at, 100);
  const until = Math.min(100, xOf(view, cluster.end ?? cluster.last, 100));
  const kind = cluster.marks[0]?.kind ?? "";
  const what = `${wordsOf(cluster)}, ${moment(cluster.at, words.now)}`;
  const hue = { "--hue": hueOf(kind) };
  return (
    <>
      {until > x && (
        <span class="mark-span" style={{ ...hue, left: `${x}%`, width: `${until - x}%` }} />
      )}
      <button
        style={{ ...hue, left: `${x}%` }}
        type="button"
        class={`mark-pin ${cluster.count > 1 ? "mark-many" : "mark-one"}`}
        tabIndex={-1}
        aria-label={what}
        onMouseDown={(event) => event.preventDefault()}
        onPointerDown={(event) => {
          // A finger on it may be the first of two, or rest: the bar sees to that.
          if (event.pointerType !== "touch") event.stopPropagation();
        }}
        onClick={(event) => {
          if (event.detail === 0 || (event as unknown as PointerEvent).pointerType !== "touch") {
            words.onGo(cluster.at);
          }
        }}
      >
        {cluster.count > 1 ? (cluster.count > 999 ? "999+" : cluster.count) : ""}
      </button>
    </>
  );
}

/** One colour for each kind of mark, none of them that of the bar or of what is live. */
function hueOf(kind: string): number {
  const sum = [...kind].reduce((found, letter) => (found * 31 + letter.charCodeAt(0)) % 9973, 7);
  return 150 + (sum % 8) * 20;
}

interface Marks {
  marks: Mark[];
  /** There are more than these. */
  more: boolean;
  /** The edge takes marks. */
  takes: boolean;
  /** Show one that was just written, before the edge tells of it. */
  add: (mark: Mark) => void;
}

/** The marks in a view and around it, asked for again and again. */
function useMarks(path: string, view: View | null): Marks {
  const [told, setTold] = useState<Mark[]>([]);
  const [own, setOwn] = useState<Mark[]>([]);
  const [more, setMore] = useState(false);
  const [takes, setTakes] = useState(false);
  const ask = useRef<() => Promise<void>>(async () => undefined);
  /** Answers to questions up to this one may not know of what was added. */
  const turns = useRef({ asked: 0, heard: 0, added: 0 });
  const asked = view ? askFor(view) : null;
  const { start, end, resolution } = asked ?? { start: 0, end: 0, resolution: 1 };
  useEffect(() => {
    if (end <= start) return;
    const ending = new AbortController();
    const look = async () => {
      const count = turns.current;
      const turn = ++count.asked;
      const found = await askMarks(path, start, end, resolution, ending.signal);
      if (!found || ending.signal.aborted || turn < count.heard) return;
      count.heard = turn;
      const next = marksOf(found);
      setTold((before) => (JSON.stringify(before) === JSON.stringify(next) ? before : next));
      if (turn > count.added) setOwn([]);
      setMore(!found.complete);
      if (found.takes !== undefined) setTakes(found.takes);
    };
    ask.current = look;
    const first = setTimeout(look, SETTLE_MS);
    const timer = setInterval(() => void (document.hidden || look()), MARKS_AGAIN_MS);
    return () => {
      ending.abort();
      clearTimeout(first);
      clearInterval(timer);
    };
  }, [path, start, end, resolution]);
  const marks = useMemo(() => withOwn(told, own), [told, own]);
  const add = useCallback((mark: Mark) => {
    turns.current.added = turns.current.asked;
    setOwn((before) => [...before, mark]);
    void ask.current();
  }, []);
  return { marks, more, takes, add };
}

/** What an edge tells of the marks in a range; null where it does not, as without events. */
async function askMarks(
  path: string,
  start: number,
  end: number,
  resolution: number,
  signal?: AbortSignal,
): Promise<ToldMarks | null> {
  if (start >= edgeNow()) return { complete: true, marks: [] };
  const until = end < edgeNow() ? `&end=${seconds(end)}` : "";
  const query = `?start=${seconds(start)}${until}&resolution=${resolution}ms`;
  try {
    const answer = await fetch(`${path}/events${query}`, signal ? { signal } : {});
    return answer.ok ? ((await answer.json()) as ToldMarks) : null;
  } catch {
    return null;
  }
}

/** Marks of a stretch of any length, for the next of them: the first and last of each are told. */
async function moreMarks(path: string, { start, end }: Range): Promise<Mark[]> {
  const found = await askMarks(path, start, end, Math.max(1, Math.ceil((end - start) / 1500)));
  const ends = (mark: Mark) => (mark.count > 1 ? [mark, { ...mark, at: mark.last, count: 1 }] : [mark]);
  return found ? marksOf(found).flatMap(ends) : [];
}

function Preview(words: {
  path: string;
  at: number;
  /** There is something then. */
  there: boolean;
  mark: Cluster | null;
  x: number;
  now: number;
}) {
  const [asked, setAsked] = useState<number | null>(null);
  const [come, setCome] = useState<number | null>(null);
  useEffect(() => {
    const timer = setTimeout(() => setAsked(words.at), PREVIEW_MS);
    return () => clearTimeout(timer);
  }, [words.at]);
  const label = moment(words.at, words.now);
  // While a pointer moves on, the picture that is there is of another moment than the words below it.
  const right = come !== null && moment(come, words.now) === label;
  return (
    <div class="timeline-preview" style={{ left: `clamp(84px, ${words.x}%, calc(100% - 84px))` }}>
      {words.there && asked !== null && (
        <img
          src={`${words.path}/still.jpg?at=${seconds(asked)}&w=320`}
          alt=""
          style={{ visibility: right ? "visible" : "hidden" }}
          onLoad={() => setCome(asked)}
        />
      )}
      {!words.there && (
        <span class="timeline-nothing">{words.at > words.now ? "yet to come" : "nothing here"}</span>
      )}
      {words.mark && <strong>{wordsOf(words.mark)}</strong>}
      <time>{label}</time>
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

function ClipTools(words: { clipping: boolean; onToggle: () => void; onBefore: () => void }) {
  return (
    <div class="clip-tools">
      <button type="button" onClick={words.onBefore} title="A clip of the 30 seconds before the playhead">
        Last 30 s
      </button>
      <button type="button" aria-expanded={words.clipping} onClick={words.onToggle}>
        Clip
      </button>
    </div>
  );
}
