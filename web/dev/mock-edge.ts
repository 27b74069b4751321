/** Made-up streams for `npm run dev` without an edge. They are listed, but do not play. */

import type { Plugin } from "vite";
import type { Answer, Stream, StreamState, Track } from "../src/api";

const video = (codec: string, width: number, height: number, bitrate_bps: number): Track => ({
  name: "video",
  kind: "video",
  codec,
  width,
  height,
  frame_rate: 30,
  bitrate_bps,
});

const audio = (codec = "mp4a.40.2"): Track => ({
  name: "audio",
  kind: "audio",
  codec,
  sample_rate: 48_000,
  channels: 2,
  language: "und",
  bitrate_bps: 128_000,
});

function stream(
  collection: string,
  name: string,
  state: StreamState,
  minutes: number,
  tracks: Track[],
): Stream {
  const since_ms = Date.now() - minutes * 60_000;
  return { collection, name, state, since_ms, epoch: since_ms, tracks, last_ms: Date.now() - 4000 };
}

export function mockAnswer(): Answer {
  return {
    streams: [
      stream("demo", "camera", "live", 12, [video("avc1.64001f", 1280, 720, 3e6), audio()]),
      stream("shop-floor", "door", "live", 3000, [video("hvc1.1.6.L93.B0", 1920, 1080, 2e6)]),
      stream("shop-floor", "till", "away", 90, [video("av01.0.04M.08", 640, 360, 4e5)]),
      stream("shop-floor", "radio", "ended", 400, [audio("opus")]),
    ],
    ingest: { rtmp_port: 1935, http_port: 8080 },
  };
}

function still(name: string): string {
  const hue = [...name].reduce((sum, letter) => sum + letter.charCodeAt(0) * 7, 0) % 360;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 480 270">
    <rect width="480" height="270" fill="hsl(${hue} 30% 30%)"/>
    <text x="24" y="240" fill="#fff" font-size="28" font-family="sans-serif">${name}</text></svg>`;
}

export function mockEdge(): Plugin {
  return {
    name: "mock-edge",
    apply: "serve",
    configureServer(server) {
      server.middlewares.use((request, response, next) => {
        const { url = "" } = request as { url?: string };
        const path = url.split("?")[0] ?? "";
        const picture = /^\/media\/[^/]+\/([^/]+)\/still\.jpg$/.exec(path);
        if (path === "/api/streams") {
          response.setHeader("Content-Type", "application/json");
          response.end(JSON.stringify(mockAnswer()));
        } else if (picture?.[1]) {
          response.setHeader("Content-Type", "image/svg+xml");
          response.end(still(picture[1]));
        } else if (path.startsWith("/media/")) {
          response.statusCode = 404;
          response.end();
        } else next();
      });
    },
  };
}
