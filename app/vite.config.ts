/** Builds the page to `app/dist`, everything bundled: it loads nothing from anywhere else. */
import vue from "@vitejs/plugin-vue";
import { defineConfig } from "vite";

const edge = process.env["FANFARE_EDGE_URL"] ?? "http://127.0.0.1:8787";

export default defineConfig({
  root: import.meta.dirname,
  plugins: [vue()],
  // `vite app` serves the page from source, against an edge that is already up.
  server: { proxy: { "/v1": edge } },
  build: { outDir: "dist", emptyOutDir: true, assetsInlineLimit: 0, modulePreload: false },
});
