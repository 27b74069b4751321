/** How to publish to this very edge, as lines to paste. */

import type { Ingest } from "./api";

export interface PublishWays {
  rtmpServer: string;
  rtmpKey: string;
  ffmpegRtmp: string;
  ffmpegHttp: string;
  kinolog: string;
}

const bracketed = (host: string): string =>
  host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;

/** `host` is the name under which the viewer reached the page: so can the encoder, most often. */
export function publishWays(
  ingest: Ingest,
  host: string,
  protocol = "http:",
  collection = "demo",
  name = "my-stream",
): PublishWays {
  const place = bracketed(host);
  const rtmpPort = ingest.rtmp_port && ingest.rtmp_port !== 1935 ? `:${ingest.rtmp_port}` : "";
  const plain = protocol === "https:" ? 443 : 80;
  const httpPort = ingest.http_port && ingest.http_port !== plain ? `:${ingest.http_port}` : "";
  const rtmpServer = `rtmp://${place}${rtmpPort}/${collection}`;
  const input = "ffmpeg -re -stream_loop -1 -i video.mp4 -c:v libx264 -tune zerolatency -g 60 -c:a aac";
  const target = `${protocol}//${place}${httpPort}/ingest/${collection}/${name}`;
  return {
    rtmpServer,
    rtmpKey: name,
    ffmpegRtmp: `${input} -f flv ${rtmpServer}/${name}`,
    ffmpegHttp: `${input} -f mpegts -method PUT ${target}`,
    kinolog: `kinolog publish video.mp4 ${collection}/${name} --loop`,
  };
}
