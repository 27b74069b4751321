import { useRef, useState } from "preact/hooks";
import { useFeed } from "../api";
import { type Theme, applyTheme, nextTheme, readTheme } from "../theme";
import { Icon, type IconName, Mark } from "./icons";
import { PublishGuide } from "./publish-guide";

const THEME_ICONS: Record<Theme, IconName> = { system: "auto", dark: "moon", light: "sun" };

export function Header() {
  const [theme, setTheme] = useState(readTheme);
  const dialog = useRef<HTMLDialogElement>(null);
  const { ingest } = useFeed();
  const turn = () => {
    const next = nextTheme(theme);
    applyTheme(next);
    setTheme(next);
  };
  return (
    <header class="top">
      <a class="brand" href="/" aria-label="kinolog: all streams">
        <Mark />
        <span>kinolog</span>
      </a>
      <nav class="top-actions" aria-label="Page">
        <button type="button" class="button" onClick={() => dialog.current?.showModal()}>
          <Icon name="broadcast" />
          Publish
        </button>
        <button
          type="button"
          class="icon-button"
          onClick={turn}
          aria-label={`Theme: ${theme}`}
          title={`Theme: ${theme}`}
        >
          <Icon name={THEME_ICONS[theme]} />
        </button>
      </nav>
      <dialog
        ref={dialog}
        class="sheet"
        aria-labelledby="publish-title"
        onClick={(event) => event.target === dialog.current && dialog.current?.close()}
      >
        <div class="sheet-body">
          <div class="sheet-head">
            <h2 id="publish-title">Publish a stream</h2>
            <form method="dialog">
              <button type="submit" class="button">
                Close
              </button>
            </form>
          </div>
          <PublishGuide ingest={ingest} />
        </div>
      </dialog>
    </header>
  );
}
