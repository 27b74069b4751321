/// <reference types="vitest/config" />
import { defineConfig } from "vite";
import { mockEdge } from "./dev/mock-edge.ts";

// `npm run dev` answers from made-up streams; KINOLOG_EDGE=http://127.0.0.1:8080 asks a real edge.
const env = (globalThis as { process?: { env: Record<string, string | undefined> } }).process?.env;
const edge = env?.["KINOLOG_EDGE"];

export default defineConfig({
  plugins: edge ? [] : [mockEdge()],
  ...(edge ? { server: { proxy: { "/api": edge, "/media": edge } } } : {}),
  build: {
    outDir: "../src/kinolog/delivery/page/dist",
    emptyOutDir: true,
    target: "es2022",
    // The page's policy allows no data: scripts, and inlined images save nothing here.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
  },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
