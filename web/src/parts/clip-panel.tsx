/** A clip: what is selected, to be downloaded or kept; and what is kept already. */

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ask } from "../asking";
import { offer } from "../clip-offer";
import { doubt, extentText, guess, lengthText, sizeText } from "../clip-range";
import { edgeNow } from "../edge-clock";
import { type Card, type Making, type Shelf, forget, keep, moreOf, shelf } from "../kept";
import { type Range, type Told, grown, moment, rangesOf, seconds } from "../timeline-view";
import { useNow } from "../use-now";
import { CopyButton } from "./copy-button";

/** A range that is dragged is asked about once it rests. */
const SETTLE_MS = 120;

interface Props {
  path: string;
  clip: Range | null;
  /** Where there is something, roughly. */
  all: Range[];
  live: boolean;
  bitrate_bps: number;
  /** The clip is to begin, or to end, with the picture that is shown. */
  onEdge: (side: "start" | "end") => void;
  onShow: (range: Range) => void;
}

export function ClipPanel({ path, clip, all, live, bitrate_bps, onEdge, onShow }: Props) {
  const now = useNow();
  const [found, setFound] = useState<Shelf | null>(null);
  const [trouble, setTrouble] = useState("");
  const panel = useRef<HTMLElement>(null);
  const look = useCallback(async () => {
    try {
      setFound(await shelf(path));
      setTrouble("");
    } catch (error) {
      setTrouble((error as Error).message);
    }
  }, [path]);
  useEffect(() => void look(), [look]);

  const there = useThere(path, clip, all, live);
  const size = clip ? guess(there, clip, bitrate_bps) : 0;
  const query = clip ? `start=${seconds(clip.start)}&end=${seconds(clip.end)}` : "";
  return (
    <section class="clip-panel" aria-label="Clip" ref={panel} tabIndex={-1}>
      <div class="clip-line">
        <span class="clip-what" role="status">
          {clip ? (
            <>
              <b>{extentText(there, clip)}</b>
              {size > 0 && <span>about {sizeText(size)}</span>}
              <span>
                {moment(clip.start, now)} to {moment(clip.end, now)}
              </span>
              {doubt(clip) && <span>{doubt(clip)}</span>}
            </>
          ) : (
            <span>Drag over what you want, or set where it begins and ends</span>
          )}
        </span>
        <span class="clip-edges">
          <button type="button" onClick={() => onEdge("start")} title="Begin with the picture that is shown">
            From here
          </button>
          <button type="button" onClick={() => onEdge("end")} title="End with the picture that is shown">
            To here
          </button>
        </span>
      </div>
      {clip && (
        <div class="clip-line">
          {found?.takes && (
            <Keeping path={path} clip={clip} onKept={look} />
          )}
          <Download key={query} url={`${path}/clip.mp4?${query}&download=1`} now={now} />
        </div>
      )}
      {trouble && (
        <p class="clip-trouble" role="alert">
          Kept clips: {trouble}
        </p>
      )}
      {found && found.clips.length > 0 && (
        <>
          <h2 class="kept-head">
            Kept clips
            <span>
              {found.clips.length}
              {found.next ? "+" : ""}
            </span>
          </h2>
          <ul class="kept" aria-label="Kept clips">
            {found.clips.map((card) => (
              <KeptClip
                key={card.id}
                card={card}
                now={now}
                takes={found.takes}
                onShow={onShow}
                onGone={() => {
                  setFound((now) => now && { ...now, clips: now.clips.filter(({ id }) => id !== card.id) });
                  panel.current?.focus();
                }}
              />
            ))}
          </ul>
          {found.next && (
            <button
              type="button"
              onClick={() => {
                moreOf(found).then(setFound, (error: Error) => setTrouble(error.message));
              }}
            >
              More
            </button>
          )}
        </>
      )}
    </section>
  );
}

/** Where there is something in a clip; by what is known of all of the stream, until the edge has said it. */
function useThere(path: string, clip: Range | null, all: Range[], live: boolean): Range[] {
  const [told, setTold] = useState<Range[] | null>(null);
  useEffect(() => {
    setTold(null);
    if (!clip) return;
    const ending = new AbortController();
    const { signal } = ending;
    const look = async () => {
      const query = `start=${seconds(clip.start)}&end=${seconds(clip.end)}`;
      const answer = await ask(`${path}/timeline?${query}`, { signal });
      if (!answer.ok) return;
      const ranges = rangesOf((await answer.json()) as Told);
      if (!signal.aborted) setTold(live ? grown(ranges, edgeNow()) : ranges);
    };
    const timer = setTimeout(() => void look().catch(() => undefined), SETTLE_MS);
    return () => {
      clearTimeout(timer);
      ending.abort();
    };
  }, [path, clip]);
  return told ?? (live ? grown(all, edgeNow()) : all);
}

type Job = { making: Making } | { failed: string } | { kept: Card };

/** A name, a button, and how far it is. */
function Keeping({ path, clip, onKept }: { path: string; clip: Range; onKept: () => void }) {
  const [job, setJob] = useState<Job | null>(null);
  const ending = useRef(new AbortController());
  useEffect(() => {
    const here = new AbortController();
    ending.current = here;
    setJob(null);
    return () => here.abort();
  }, [path]);
  const busy = job !== null && "making" in job;
  const act = async (event: Event) => {
    event.preventDefault();
    if (busy) return;
    const form = event.currentTarget as HTMLFormElement;
    const field = form.elements.namedItem("name") as HTMLInputElement;
    const { signal } = ending.current;
    const say = (next: Job) => {
      if (!signal.aborted) setJob(next);
    };
    say({ making: { bytes: 0, of: 0 } });
    try {
      const kept = await keep(path, clip, field.value.trim(), (making) => say({ making }), signal);
      say({ kept });
      if (signal.aborted) return;
      field.value = "";
      onKept();
    } catch (error) {
      say({ failed: (error as Error).message });
    }
  };
  return (
    <form class="clip-keep" onSubmit={act}>
      <input name="name" maxLength={100} placeholder="Name (optional)" aria-label="Name of the clip" autocomplete="off" />
      <button type="submit" aria-disabled={busy} title="Keep it for good, with a link to share">
        Keep
      </button>
      <span class="clip-job" role="status">
        {job && "making" in job && (
          <>
            <progress
              aria-label="Keeping the clip"
              {...(job.making.of ? { value: job.making.bytes, max: job.making.of } : {})}
            />
            {job.making.of > 0 && `${sizeText(job.making.bytes)} of ${sizeText(job.making.of)}`}
          </>
        )}
        {job && "failed" in job && <span class="clip-trouble">Not kept: {job.failed}</span>}
        {job && "kept" in job && (
          <>
            Kept.
            <CopyButton text={linkOf(job.kept)} what={`the link to ${job.kept.name}`} label="Copy the link" />
          </>
        )}
      </span>
    </form>
  );
}

/** A link that is asked about before it is followed: a refusal would be a file that is not there, without a word. */
function Download({ url, now }: { url: string; now: number }) {
  const [asking, setAsking] = useState(false);
  const [refused, setRefused] = useState("");
  const [changes, setChanges] = useState<number[]>([]);
  const ending = useRef(new AbortController());
  useEffect(() => {
    const here = new AbortController();
    ending.current = here;
    return () => here.abort();
  }, []);
  const act = async (event: MouseEvent) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (asking) return;
    const { signal } = ending.current;
    setAsking(true);
    setRefused("");
    try {
      const found = await offer(url, signal);
      if (signal.aborted) return;
      setRefused(found.refused);
      setChanges(found.changes);
      if (!found.refused) location.assign(url); // an attachment: the page stays
    } catch (error) {
      if (!signal.aborted) setRefused((error as Error).message);
    } finally {
      if (!signal.aborted) setAsking(false);
    }
  };
  return (
    <>
      <a class="button" href={url} download aria-disabled={asking} onClick={act}>
        Download
      </a>
      <span class="clip-offer" role="status">
        {refused && <span class="clip-trouble">Not one file: {refused}</span>}
        {changes.length > 0 &&
          `Some players stop where its parameters change: ${changes.map((at) => moment(at, now, true)).join(", ")}`}
      </span>
    </>
  );
}

const linkOf = (card: Card): string => new URL(card.url, location.href).href;

function KeptClip(words: {
  card: Card;
  now: number;
  takes: boolean;
  onShow: (range: Range) => void;
  onGone: () => void;
}) {
  const { card, now } = words;
  const [sure, setSure] = useState(false);
  const [trouble, setTrouble] = useState("");
  return (
    <li>
      <a href={card.url} target="_blank" rel="noopener">
        {card.name}
      </a>
      <button
        type="button"
        class="quiet kept-when"
        title="Show it on the timeline"
        onClick={() => words.onShow({ start: card.start_ms, end: card.end_ms })}
      >
        {moment(card.begins_ms, now)}
      </button>
      <span class="kept-size">
        {lengthText(card.seconds * 1000)}, {sizeText(card.bytes)}
      </span>
      <CopyButton text={linkOf(card)} what={`the link to ${card.name}`} />
      {words.takes && (
        <button
          type="button"
          class={sure ? "danger" : "quiet"}
          aria-label={sure ? `Really delete ${card.name}` : `Delete ${card.name}`}
          onBlur={() => setSure(false)}
          onClick={() => {
            if (!sure) return setSure(true);
            forget(card).then(words.onGone, (error: Error) => setTrouble(error.message));
          }}
        >
          {sure ? "Really?" : "Delete"}
        </button>
      )}
      {trouble && (
        <span class="clip-trouble" role="alert">
          {trouble}
        </span>
      )}
    </li>
  );
}
