import { useEffect, useState } from "preact/hooks";
import { type Stream, streamKey, useFeed } from "./api";
import { inOrder } from "./format";
import { Icon } from "./parts/icons";
import { PublishGuide } from "./parts/publish-guide";
import { StreamCard } from "./parts/stream-card";
import { useNow } from "./use-now";

const SEARCH_FROM = 9;
/** So few streams get larger pictures. */
const FEW = 3;

/** Streams by collection, in the order of names. */
function byCollection(streams: Stream[]): [string, Stream[]][] {
  const groups = new Map<string, Stream[]>();
  for (const stream of inOrder(streams)) {
    groups.set(stream.collection, [...(groups.get(stream.collection) ?? []), stream]);
  }
  return [...groups].sort(([a], [b]) => a.localeCompare(b));
}

function Ghosts() {
  return (
    <ul class="grid" aria-busy="true" aria-label="Loading the streams">
      {[0, 1, 2].map((n) => (
        <li key={n} class="card ghost">
          <div class="card-picture" />
          <p />
        </li>
      ))}
    </ul>
  );
}

export function ListPage() {
  const { streams, ingest, loaded, failures } = useFeed();
  const [query, setQuery] = useState("");
  const now = useNow();
  useEffect(() => {
    document.title = "kinolog";
  }, []);

  const wanted = query.trim().toLowerCase();
  const found = streams.filter((stream) => streamKey(stream).toLowerCase().includes(wanted));
  const live = streams.filter((stream) => stream.state === "live").length;

  return (
    <div class="page">
      {failures >= 2 && (
        <p class="banner" role="status">
          The server does not answer. Trying again every two seconds.
        </p>
      )}
      {!loaded && failures < 2 && <Ghosts />}
      {loaded && streams.length === 0 && (
        <section class="empty">
          <div class="tape" aria-hidden="true">
            {Array.from({ length: 12 }, (_, n) => (
              <span key={n} />
            ))}
          </div>
          <h1>Nothing is on yet</h1>
          <p class="lead">Publish a stream and it appears here by itself.</p>
          <PublishGuide ingest={ingest} />
        </section>
      )}
      {streams.length > 0 && (
        <>
          <div class="list-head">
            <h1>
              {live > 0 && <span class="dot" aria-hidden="true" />}
              {live === 0 ? "Nothing is live" : `${live} live`}
              <small>
                {" "}
                of {streams.length} {streams.length === 1 ? "stream" : "streams"}
              </small>
            </h1>
            {streams.length >= SEARCH_FROM && (
              <label class="search">
                <Icon name="search" />
                <input
                  type="search"
                  placeholder="Find a stream"
                  aria-label="Find a stream"
                  value={query}
                  onInput={(event) => setQuery(event.currentTarget.value)}
                />
              </label>
            )}
          </div>
          {byCollection(found).map(([collection, members]) => (
            <section key={collection} aria-labelledby={`collection-${collection}`}>
              <h2 class="collection" id={`collection-${collection}`}>
                {collection}
                <span>{members.length}</span>
              </h2>
              <ul class={streams.length <= FEW ? "grid grid-few" : "grid"}>
                {members.map((stream) => (
                  <StreamCard key={streamKey(stream)} stream={stream} now={now} />
                ))}
              </ul>
            </section>
          ))}
          {found.length === 0 && (
            <p class="notice" role="status">
              No stream's name has “{query.trim()}” in it.
            </p>
          )}
        </>
      )}
    </div>
  );
}
