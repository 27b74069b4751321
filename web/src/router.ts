/** Two routes, without a reload between them. */

import { useEffect, useState } from "preact/hooks";

export type Route =
  | { page: "list" }
  | { page: "watch"; collection: string; name: string }
  | { page: "unknown" };

export function parseRoute(path: string): Route {
  let parts: string[];
  try {
    parts = path.split("/").filter(Boolean).map(decodeURIComponent);
  } catch {
    return { page: "unknown" }; // a lone % in the address
  }
  if (parts.length === 0) return { page: "list" };
  const [first, collection, name] = parts;
  if (first === "watch" && collection && name && parts.length === 3) {
    return { page: "watch", collection, name };
  }
  return { page: "unknown" };
}

export const watchPath = (stream: { collection: string; name: string }): string =>
  `/watch/${encodeURIComponent(stream.collection)}/${encodeURIComponent(stream.name)}`;

export const mediaPath = (stream: { collection: string; name: string }): string =>
  `/media/${encodeURIComponent(stream.collection)}/${encodeURIComponent(stream.name)}`;

/** The route of the address bar; links inside the page change it without loading. */
export function useRoute(): Route {
  const [path, setPath] = useState(location.pathname);
  useEffect(() => {
    const follow = () => setPath(location.pathname);
    const click = (event: MouseEvent) => {
      const modified = event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;
      const link = (event.target as Element | null)?.closest?.("a");
      if (!link || event.defaultPrevented || event.button !== 0 || modified) return;
      const elsewhere = link.target || link.hasAttribute("download");
      if (elsewhere || link.origin !== location.origin) return;
      if (parseRoute(link.pathname).page === "unknown") return;
      event.preventDefault();
      if (link.pathname !== location.pathname) {
        history.pushState(null, "", link.pathname);
        scrollTo(0, 0);
        follow();
      }
    };
    addEventListener("popstate", follow);
    document.addEventListener("click", click);
    return () => {
      removeEventListener("popstate", follow);
      document.removeEventListener("click", click);
    };
  }, []);
  return parseRoute(path);
}
