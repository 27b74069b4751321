import { useRef } from "preact/hooks";

const POINTS = 120;
const [WIDTH, HEIGHT] = [96, 24];

/** A figure and its last minute. */
export function Gauge(words: {
  label: string;
  value: number | null;
  show: (value: number | null) => string;
}) {
  const past = useRef<number[]>([]);
  const last = useRef<number | null>(null);
  if (words.value !== null && words.value !== last.current) {
    last.current = words.value;
    past.current = [...past.current, words.value].slice(-POINTS);
  }
  return (
    <div class="gauge">
      <dt>{words.label}</dt>
      <dd>
        <b>{words.show(words.value)}</b>
        <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
          <polyline points={linePoints(past.current)} />
        </svg>
      </dd>
    </div>
  );
}

/** From zero upwards, so that a small wobble looks small. */
export function linePoints(values: number[]): string {
  if (values.length < 2) return "";
  const top = Math.max(...values) * 1.25 || 1;
  const step = WIDTH / (POINTS - 1);
  const from = WIDTH - (values.length - 1) * step;
  return values
    .map((value, n) => {
      const x = (from + n * step).toFixed(1);
      return `${x},${(HEIGHT - 1 - (Math.max(0, value) / top) * (HEIGHT - 2)).toFixed(1)}`;
    })
    .join(" ");
}
