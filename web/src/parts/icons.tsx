/** The page's icons, drawn on a 24-pixel grid. */

const PATHS = {
  play: "M8 5.3v13.4c0 .8.9 1.3 1.6.9l10.3-6.7c.6-.4.6-1.3 0-1.7L9.6 4.5C8.9 4 8 4.5 8 5.3z",
  pause: "M7 5h3.5v14H7zM13.5 5H17v14h-3.5z",
  replay: "M12 5V1.5L6.5 6.5 12 11.5V7.5a5.5 5.5 0 1 1-5.5 5.5H4a8 8 0 1 0 8-8z",
  volume: "M4 9v6h4l5 4.5v-15L8 9zM15.5 8.2a5 5 0 0 1 0 7.6zM15.5 4v2.2a6.6 6.6 0 0 1 0 11.6V20a8.7 8.7 0 0 0 0-16z",
  muted: "M4 9v6h4l5 4.5v-15L8 9zM22 9.4 20.6 8 18 10.6 15.4 8 14 9.4 16.6 12 14 14.6 15.4 16 18 13.4 20.6 16 22 14.6 19.4 12z",
  expand: "M4 4h6v2H6v4H4zM14 4h6v6h-2V6h-4zM4 14h2v4h4v2H4zM18 14h2v6h-6v-2h4z",
  shrink: "M8 4h2v6H4V8h4zM14 4h2v4h4v2h-6zM4 14h6v6H8v-4H4zM14 14h6v2h-4v4h-2z",
  pip: "M3 5h18v14H3zM5 7v10h14V7zM12 11h6v5h-6z",
  stats: "M4 13h3v7H4zM10.5 4h3v16h-3zM17 9h3v11h-3z",
  gear: "M4 6h9v2H4zM17 6h3v2h-3zM14 4.5h2v5h-2zM4 16h3v2H4zM11 16h9v2h-9zM8 14.5h2v5H8z",
  copy: "M8 3h11v13h-2V5H8zM5 7h10v14H5zM7 9v10h6V9z",
  check: "M9.5 17.6 4 12.1l1.5-1.5 4 4 9-9L20 7.1z",
  search: "M10.5 4a6.5 6.5 0 1 1-4 11.6A6.5 6.5 0 0 1 10.5 4zm0 2a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM15.4 14l4.9 4.9-1.4 1.4-4.9-4.9z",
  sun: "M12 7.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9zM11 2h2v3h-2zM11 19h2v3h-2zM2 11h3v2H2zM19 11h3v2h-3zM4.2 5.6l1.4-1.4 2.1 2.1-1.4 1.4zM16.3 17.7l1.4-1.4 2.1 2.1-1.4 1.4zM16.3 6.3l2.1-2.1 1.4 1.4-2.1 2.1zM4.2 18.4l2.1-2.1 1.4 1.4-2.1 2.1z",
  moon: "M13 3a9 9 0 1 0 8 12.5A7.5 7.5 0 0 1 13 3z",
  auto: "M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18zm0 2v14a7 7 0 0 0 0-14z",
  broadcast: "M10.5 12a1.5 1.5 0 1 1 3 0 1.5 1.5 0 0 1-3 0zM7.8 7.8l1.4 1.4a4 4 0 0 0 0 5.6l-1.4 1.4a6 6 0 0 1 0-8.4zM16.2 7.8a6 6 0 0 1 0 8.4l-1.4-1.4a4 4 0 0 0 0-5.6zM5 5l1.4 1.4a8 8 0 0 0 0 11.2L5 19A10 10 0 0 1 5 5zM19 5a10 10 0 0 1 0 14l-1.4-1.4a8 8 0 0 0 0-11.2z",
  wave: "M3 10.5h2v3H3zM7 7h2v10H7zM11 3.5h2v17h-2zM15 8h2v8h-2zM19 10.5h2v3h-2z",
  back: "M10.5 5.5 12 7l-4 4h12v2H8l4 4-1.5 1.5L4 12z",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} fill-rule="evenodd" />
    </svg>
  );
}

/** Perforations of a film strip that are also the records of a log, and the playhead. */
export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <g class="mark-log">
        <rect x="1.5" y="2.5" width="4.5" height="4.5" rx="1.2" />
        <rect x="1.5" y="9.75" width="4.5" height="4.5" rx="1.2" />
        <rect x="1.5" y="17" width="4.5" height="4.5" rx="1.2" />
      </g>
      <path d="M9.5 3.9c0-1.2 1.3-1.9 2.3-1.2l10.3 8.1c.8.6.8 1.8 0 2.4L11.8 21.3c-1 .7-2.3 0-2.3-1.2z" />
    </svg>
  );
}
