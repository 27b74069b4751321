import type { StreamState } from "../api";
import { STATE_LABELS } from "../format";

export function Badge({ state }: { state: StreamState }) {
  return <span class={`badge badge-${state}`}>{STATE_LABELS[state] ?? state}</span>;
}
