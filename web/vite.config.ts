/// <reference types="vitest/config" />
import { type Plugin, defineConfig } from "vite";
import { mockEdge } from "./dev/mock-edge.ts";

// `npm run dev` answers from made-up streams; KINOLOG_EDGE=http://127.0.0.1:8080 asks a real edge.
const env = (globalThis as { process?: { env: Record<string, string | undefined> } }).process?.env;
const edge = env?.["KINOLOG_EDGE"];

/** With the page's own Host: an edge takes writes from pages of the host that was asked alone. */
const to = (target: string) => ({ target, changeOrigin: false });

/**
 * hls.js counts time from the beginning of the video's playlist, and lets no segment begin before 0. Sound whose
 * playlist begins earlier, as after a pause of the picture, is moved forward by that at its next delta update.
 */
function soundMayBeginEarlier(): Plugin {
  const clamped = "fragTo.setStart(Math.max(fragFrom.start - fragTo.duration, 0))";
  return {
    name: "sound-may-begin-earlier",
    transform(code, id) {
      if (!/hls\.js\/dist\/hls\.mjs/.test(id)) return null;
      if (code.split(clamped).length !== 2) throw new Error("hls.js has changed: look at this again");
      return code.replace(clamped, "fragTo.setStart(fragFrom.start - fragTo.duration)");
    },
  };
}

export default defineConfig({
  plugins: [soundMayBeginEarlier(), ...(edge ? [] : [mockEdge()])],
  ...(edge ? { server: { proxy: { "/api": to(edge), "/media": to(edge), "/viewers": to(edge), "/cmcd": to(edge) } } } : {}),
  build: {
    outDir: "../src/kinolog/delivery/page/dist",
    emptyOutDir: true,
    target: "es2022",
    // The page's policy allows no data: scripts, and inlined images save nothing here.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // dash.js is large, and loaded when it is asked for.
    chunkSizeWarningLimit: 900,
  },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
