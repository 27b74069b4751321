import { useState } from "preact/hooks";
import { useFeed } from "../api";
import { type Theme, applyTheme, nextTheme, readTheme } from "../theme";
import { Icon, type IconName, Mark } from "./icons";
import { PublishGuide } from "./publish-guide";
import { Sheet } from "./sheet";

const THEME_ICONS: Record<Theme, IconName> = { system: "auto", dark: "moon", light: "sun" };

export function Header() {
  const [theme, setTheme] = useState(readTheme);
  const [publishing, setPublishing] = useState(false);
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
        <button type="button" class="button" onClick={() => setPublishing(true)}>
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
      {publishing && (
        <Sheet id="publish-title" title="Publish a stream" onClose={() => setPublishing(false)}>
          <PublishGuide ingest={ingest} />
        </Sheet>
      )}
    </header>
  );
}
