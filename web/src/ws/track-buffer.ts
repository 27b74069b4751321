/** A SourceBuffer and what waits to be appended to it, in order. */

type Bytes = Uint8Array<ArrayBuffer>;

interface Step {
  bytes: Bytes[];
  size: number;
  /** Seconds added to the media's own time; null: as it was. */
  offset_s: number | null;
  /** The type from here on; null: as it was. */
  type: string | null;
  cost: number;
}

const MOST_AT_ONCE = 1 << 20;

export class TrackBuffer {
  private readonly steps: Step[] = [];
  private readonly removals: [number, number][] = [];
  private offset_s: number | null = null;
  private cost = 0;

  constructor(
    readonly source: SourceBuffer,
    private type: string,
    private readonly events: {
      appended: (cost: number) => void;
      full: () => void;
      failed: (error: unknown) => void;
    },
  ) {
    source.addEventListener("updateend", () => {
      const { cost } = this;
      this.cost = 0;
      if (cost) events.appended(cost);
      this.pump();
    });
    source.addEventListener("error", () => events.failed(new Error("the media cannot be decoded")));
  }

  /** An init segment; the type may be another than before. */
  begin(type: string, bytes: Bytes, cost: number): void {
    const changed = type === this.lastType() ? null : type;
    this.steps.push({ bytes: [bytes], size: bytes.length, offset_s: null, type: changed, cost });
    this.pump();
  }

  /** A chunk. What waits for the same place is appended together. */
  append(bytes: Bytes, offset_s: number, cost: number): void {
    const last = this.steps.at(-1);
    if (last && last.offset_s === offset_s && last.size < MOST_AT_ONCE) {
      last.bytes.push(bytes);
      last.size += bytes.length;
      last.cost += cost;
    } else {
      this.steps.push({ bytes: [bytes], size: bytes.length, offset_s, type: null, cost });
    }
    this.pump();
  }

  remove(from_s: number, to_s: number): void {
    if (to_s <= from_s) return;
    this.removals.push([from_s, to_s]);
    this.pump();
  }

  /** Nothing waits to be appended or removed. */
  get idle(): boolean {
    return !this.source.updating && !this.steps.length && !this.removals.length;
  }

  /** Forget what waits. */
  clear(): number {
    const cost = this.steps.reduce((sum, step) => sum + step.cost, 0);
    this.steps.length = 0;
    return cost;
  }

  /** Where what is buffered around a time, or right after it, ends. */
  endFrom(at_s: number): number {
    const { buffered } = this.source;
    for (let i = 0; i < buffered.length; i += 1) {
      if (buffered.start(i) <= at_s + 0.05 && buffered.end(i) > at_s) return buffered.end(i);
    }
    return at_s;
  }

  /** Where the last stretch begins; null where nothing is buffered. */
  get lastStart(): number | null {
    const { buffered } = this.source;
    return buffered.length ? buffered.start(buffered.length - 1) : null;
  }

  /** Where the next stretch after a time begins; null where there is none. */
  nextStart(at_s: number): number | null {
    const { buffered } = this.source;
    for (let i = 0; i < buffered.length; i += 1) {
      if (buffered.start(i) > at_s) return buffered.start(i);
    }
    return null;
  }

  private lastType(): string {
    return this.steps.findLast((step) => step.type !== null)?.type ?? this.type;
  }

  private pump(): void {
    const { source } = this;
    if (source.updating) return;
    try {
      const removal = this.removals.shift();
      if (removal) {
        source.remove(...removal);
        return;
      }
      const step = this.steps[0];
      if (!step) return;
      if (step.type !== null) {
        source.changeType(step.type);
        this.type = step.type;
        step.type = null;
      }
      if (step.offset_s !== null && step.offset_s !== this.offset_s) {
        source.timestampOffset = step.offset_s;
        this.offset_s = step.offset_s;
      }
      source.appendBuffer(joined(step));
      this.cost = step.cost;
      this.steps.shift();
    } catch (error) {
      if ((error as DOMException).name === "QuotaExceededError") this.events.full();
      else this.events.failed(error);
    }
  }
}

function joined(step: Step): Bytes {
  const [first] = step.bytes;
  if (step.bytes.length === 1 && first) return first;
  const whole = new Uint8Array(step.size);
  let at = 0;
  for (const bytes of step.bytes) {
    whole.set(bytes, at);
    at += bytes.length;
  }
  return whole;
}
