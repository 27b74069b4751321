/** A mark at the moment that is shown, with a line of text if one likes. */

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { type Mark, setMark } from "../marks";
import { moment } from "../timeline-view";
import { useNow } from "../use-now";

interface Props {
  path: string;
  /** Where it is to be, Unix ms. */
  at: number;
  onSet: (mark: Mark) => void;
  onClose: () => void;
}

export function MarkTool({ path, at, onSet, onClose }: Props) {
  const now = useNow();
  const field = useRef<HTMLInputElement>(null);
  const [trouble, setTrouble] = useState("");
  const [busy, setBusy] = useState(false);
  // Before the next key comes.
  useLayoutEffect(() => {
    setTrouble("");
    field.current?.focus();
  }, [at]);
  const act = async (event: Event) => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    try {
      onSet(await setMark(path, at, field.current?.value.trim() ?? ""));
      onClose();
    } catch (error) {
      setTrouble((error as Error).message);
      setBusy(false);
    }
  };
  return (
    <form
      class="mark-tool"
      aria-label="New mark"
      onSubmit={act}
      onKeyDown={(event) => {
        if (event.key === "Escape") onClose();
      }}
    >
      <label>
        <span>
          Mark at <time>{moment(at, now, true)}</time>
        </span>
        <input ref={field} name="text" maxLength={200} placeholder="What is there (optional)" autocomplete="off" />
      </label>
      <button type="submit" aria-disabled={busy}>
        Set
      </button>
      <button type="button" class="quiet" onClick={onClose}>
        Cancel
      </button>
      {trouble && (
        <span class="clip-trouble" role="alert">
          Not set: {trouble}
        </span>
      )}
    </form>
  );
}
