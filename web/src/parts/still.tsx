import { useEffect, useRef, useState } from "preact/hooks";
import { type Stream, streamKey } from "../api";
import { videoOf } from "../format";
import { mediaPath } from "../router";
import { Icon } from "./icons";

const REFRESH_MS = 5000;
const RETRY_MS = 10_000;

/** The latest keyframe of a stream: a new one every five seconds while it is live and in view. */
export function Still({ stream, width = 480 }: { stream: Stream; width?: number }) {
  const frame = useRef<HTMLDivElement>(null);
  const [shown, setShown] = useState("");
  const hasVideo = videoOf(stream) !== undefined;
  const live = stream.state === "live";
  const path = mediaPath(stream);

  useEffect(() => {
    if (!hasVideo || !frame.current) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let inView = false;
    let loading: HTMLImageElement | null = null;

    const load = () => {
      clearTimeout(timer);
      if (!inView || loading) return;
      if (document.hidden) {
        timer = setTimeout(load, REFRESH_MS);
        return;
      }
      const image = new Image();
      loading = image;
      const next = (wait_ms: number) => {
        loading = null;
        if (live) timer = setTimeout(load, wait_ms);
      };
      // Shown only once it is whole, so that the old picture stays until then.
      image.onload = () => {
        setShown(image.src);
        next(REFRESH_MS);
      };
      image.onerror = () => next(RETRY_MS);
      image.src = `${path}/still.jpg?w=${width}&t=${Math.floor(Date.now() / 1000)}`;
    };
    const watcher = new IntersectionObserver(([entry]) => {
      inView = entry?.isIntersecting ?? false;
      if (inView) load();
    });
    watcher.observe(frame.current);
    return () => {
      watcher.disconnect();
      clearTimeout(timer);
      if (loading) loading.onload = loading.onerror = null;
    };
  }, [path, width, hasVideo, live, stream.epoch]);

  return (
    <div class="still" ref={frame}>
      {shown ? (
        <img src={shown} alt={`Latest picture of ${streamKey(stream)}`} decoding="async" />
      ) : (
        <span class="still-none">
          <Icon name={hasVideo ? "broadcast" : "wave"} />
        </span>
      )}
    </div>
  );
}
