/** What the page reads of a manifest, by dash.js or of its text. */

/** What is read of dash.js's manifest. */
export interface Manifest {
  /** "dynamic", "static". */
  type?: string;
  /** When the newest of its media were captured: that is when our manifests change. */
  publishTime?: Date;
  /** Where a static one of ours ends, in the media's time, s; of its text alone. */
  end?: number;
  Period?: {
    start?: number;
    AdaptationSet?: {
      contentType?: string;
      startWithSAP?: number;
      SegmentTemplate?: Template;
      Representation?: { SegmentTemplate?: Template }[];
    }[];
  }[];
}

interface Template {
  timescale?: number;
  presentationTimeOffset?: number;
  SegmentTimeline?: { S?: { t?: number }[] };
}

/** What is read of it, of its text. */
function readManifest(text: string): Manifest {
  const root = new DOMParser().parseFromString(text, "text/xml").documentElement;
  const number = (element: Element | null, name: string) => Number(element?.getAttribute(name) ?? 0);
  const seconds = (element: Element, name: string) =>
    Number(element.getAttribute(name)?.match(/^PT([\d.]+)S$/)?.[1] ?? 0);
  return {
    type: root.getAttribute("type") ?? "static",
    end: seconds(root, "mediaPresentationDuration"),
    Period: [...root.querySelectorAll("Period")].map((period) => ({
      start: seconds(period, "start"),
      AdaptationSet: [...period.querySelectorAll("AdaptationSet")].map((set) => {
        const template = set.querySelector("SegmentTemplate");
        const times = [...set.querySelectorAll("S")].map((one) => ({ t: number(one, "t") }));
        return {
          contentType: set.getAttribute("contentType") ?? "",
          startWithSAP: number(set, "startWithSAP"),
          SegmentTemplate: {
            timescale: number(template, "timescale"),
            presentationTimeOffset: number(template, "presentationTimeOffset"),
            SegmentTimeline: { S: times },
          },
        };
      }),
    })),
  };
}

/** Undefined where the edge has none. */
export async function fetchManifest(url: string, signal: AbortSignal): Promise<Manifest | undefined> {
  const answer = await fetch(url, { signal });
  return answer.ok ? readManifest(await answer.text()) : undefined;
}

/** When the first segment of video begins (s), where it may be that not each begins with a keyframe. */
export function leadOf(manifest: Manifest | undefined): number | null {
  const [period] = manifest?.Period ?? [];
  const video = period?.AdaptationSet?.find(({ contentType }) => contentType === "video");
  if (!period || !video || video.startWithSAP) return null;
  const template = video.Representation?.[0]?.SegmentTemplate ?? video.SegmentTemplate;
  const first = template?.SegmentTimeline?.S?.[0]?.t;
  if (first === undefined) return null;
  return (period.start ?? 0) + (first - (template?.presentationTimeOffset ?? 0)) / (template?.timescale ?? 1);
}
