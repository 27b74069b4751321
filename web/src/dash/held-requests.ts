/** Requests of dash.js that wait until it is time for them. */

/** What was asked of a Period, from where on and up to where (media time, s). */
export interface Asked {
  begin_s: number;
  end_s: number;
}

/** What a request is for: an init segment, or media from `begin_s` on. */
export interface Piece {
  period_s: number;
  begin_s: number | null;
}

/** What is read of dash.js's CommonMediaRequest. */
interface MediaRequest {
  customData?: object;
}

interface Custom {
  abort?: () => void;
  request?: {
    type?: string | null;
    startTime?: number;
    duration?: number;
    representation?: { adaptation?: { period?: { start?: number } } };
  };
}

export class HeldRequests {
  private readonly held = new Map<MediaRequest, { piece: Piece; go: () => void }>();
  private readonly periods = new Map<number, Asked>();

  /** `early`: it is not the time for this yet. */
  constructor(private readonly early: (piece: Piece) => boolean) {}

  /** For addRequestInterceptor. What is aborted meanwhile is never sent. */
  readonly intercept = <Request extends MediaRequest>(request: Request): Promise<Request> => {
    const custom = (request.customData ?? {}) as Custom;
    const piece = this.take(custom);
    if (piece === null || !this.early(piece)) return Promise.resolve(request);
    return new Promise((resolve) => {
      this.held.set(request, { piece, go: () => resolve(request) });
      // Of a request that was sent, dash.js sets this itself.
      custom.abort = () => this.held.delete(request);
    });
  };

  /** What was asked of a Period, and of the one before. */
  asked(period_s: number): { here: Asked | null; before: Asked | null } {
    const before = [...this.periods.keys()].filter((other) => other < period_s);
    return {
      here: this.periods.get(period_s) ?? null,
      before: this.periods.get(Math.max(...before)) ?? null,
    };
  }

  /** Let those go whose time has come. */
  look(): void {
    for (const [request, { piece, go }] of this.held)
      if (!this.early(piece)) {
        this.held.delete(request);
        go();
      }
  }

  /** Another source: nothing of this one is wanted any more. */
  drop(): void {
    this.held.clear();
    this.periods.clear();
  }

  private take({ request }: Custom): Piece | null {
    const period_s = request?.representation?.adaptation?.period?.start;
    if (period_s === undefined) return null;
    if (request?.type === "InitializationSegment") return { period_s, begin_s: null };
    if (request?.type !== "MediaSegment" || request.startTime === undefined) return null;
    const begin_s = request.startTime;
    const end_s = begin_s + (request.duration ?? 0);
    const known = this.periods.get(period_s);
    this.periods.set(period_s, {
      begin_s: Math.min(begin_s, known?.begin_s ?? begin_s),
      end_s: Math.max(end_s, known?.end_s ?? end_s),
    });
    return { period_s, begin_s };
  }
}
