import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

interface Props {
  /** Of the heading's element. */
  id: string;
  title: string;
  onClose: () => void;
  children: ComponentChildren;
}

/** A dialog over the page, for as long as it is there. */
export function Sheet({ id, title, onClose, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog
      ref={dialog}
      class="sheet"
      aria-labelledby={id}
      onClose={onClose}
      onClick={(event) => event.target === dialog.current && dialog.current?.close()}
    >
      <div class="sheet-body">
        <div class="sheet-head">
          <h2 id={id}>{title}</h2>
          <form method="dialog">
            <button type="submit" class="button">
              Close
            </button>
          </form>
        </div>
        {children}
      </div>
    </dialog>
  );
}
