/**
 * A bug in the page is shown, so that nothing that was pressed fails silently.
 * The note is outside of what Vue draws: it is seen where the page stays blank, too.
 */
import type { App } from "vue";

export function showFaults(app: App, note: HTMLElement): void {
  function show(error: unknown): void {
    const what = note.querySelector("code");
    if (what) what.textContent = String(error);
    note.hidden = false;
  }
  note.querySelector("button")?.addEventListener("click", () => {
    location.reload();
  });
  // With a handler Vue does not report the error itself.
  app.config.errorHandler = (error) => {
    console.error(error);
    show(error);
  };
  window.addEventListener("error", ({ error, message }) => {
    show(error ?? message);
  });
  window.addEventListener("unhandledrejection", ({ reason }) => {
    show(reason);
  });
}
