// Keeping in step by `rev`. Snapshots replace what we know if they are not older; a notification that is ahead of the
// newest snapshot for longer than a moment means that a snapshot was missed, and the retained one is read again, once.

/** The box writes the snapshot about when it notifies; only a gap that lasts is a lost message. */
export const SETTLE_MS = 700;

export class Revisions {
  /** Of each retained topic, the newest that was shown. */
  readonly #shown = new Map<string, number>();
  #ahead = -1;
  #aheadSince = 0;
  #asked = -1;

  /** A new connection delivers every retained snapshot again, and a restarted box may count anew. */
  reconnected(): void {
    this.#shown.clear();
    this.#ahead = -1;
    this.#asked = -1;
  }

  /** Whether this snapshot of a retained topic is to be shown: one that was kept may come behind a newer one. */
  snapshot(topic: string, rev: number): boolean {
    if (rev < this.#newest(topic)) return false;
    this.#shown.set(topic, rev);
    return true;
  }

  #newest(topic: string): number {
    return this.#shown.get(topic) ?? -1;
  }

  /** What others are measured by: the room's changes with everything that happens in it. */
  get #snapshot(): number {
    return this.#newest("room");
  }

  /** Any other message with a `rev`. */
  seen(rev: number, now: number): void {
    if (rev <= this.#snapshot || rev <= this.#ahead) return;
    if (this.#ahead <= this.#snapshot) this.#aheadSince = now;
    this.#ahead = rev;
  }

  /** When to look at `due` again; null if we are in step. */
  nextLook(): number | null {
    return this.#ahead > this.#snapshot && this.#asked < this.#ahead ? this.#aheadSince + SETTLE_MS : null;
  }

  /** Whether the retained snapshots are to be read again now. Says yes once for each gap. */
  due(now: number): boolean {
    const look = this.nextLook();
    if (look === null || now < look) return false;
    this.#asked = this.#ahead;
    return true;
  }
}
