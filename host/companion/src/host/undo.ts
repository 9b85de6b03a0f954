// Deeds that wait for a moment in which they can be taken back. Each is done once: at its time, or when the page is put
// away or closed.

import { signal } from "@preact/signals";

/** How long a decline or a ban can be taken back. */
export const UNDO_MS = 3_000;

interface Waiting {
  until: number;
  timer: ReturnType<typeof setTimeout>;
  deed: () => void;
}

export class Undos {
  readonly #waiting = signal<ReadonlyMap<string, Waiting>>(new Map());

  constructor() {
    // A console that is put away has decided, and may not run on in three seconds.
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") this.flush();
    });
    // A page that is closed, or goes elsewhere, hides only after this. First of all who hear it: the connection ends by it.
    addEventListener("pagehide", () => this.flush(), { capture: true });
  }

  /** Until when `key` can be taken back, in `performance.now()` time. */
  of(key: string): number | null {
    return this.#waiting.value.get(key)?.until ?? null;
  }

  add(key: string, ms: number, deed: () => void): void {
    if (this.#waiting.peek().has(key)) return;
    const timer = setTimeout(() => this.#take(key)?.deed(), ms);
    this.#waiting.value = new Map(this.#waiting.peek()).set(key, { until: performance.now() + ms, timer, deed });
  }

  takeBack(key: string): void {
    this.#take(key);
  }

  /** Those that do not stand any more for another reason are forgotten. */
  keep(wanted: (key: string) => boolean): void {
    for (const key of this.#waiting.peek().keys()) if (!wanted(key)) this.#take(key);
  }

  flush(): void {
    for (const key of this.#waiting.peek().keys()) this.#take(key)?.deed();
  }

  #take(key: string): Waiting | undefined {
    const found = this.#waiting.peek().get(key);
    if (!found) return undefined;
    clearTimeout(found.timer);
    const rest = new Map(this.#waiting.peek());
    rest.delete(key);
    this.#waiting.value = rest;
    return found;
  }
}
