// Keeping in step by `rev`. Snapshots replace what we know if they are not older; a notification that is ahead of the
// newest snapshot for longer than a moment means that a snapshot was missed, and the retained one is read again, once.

/** The box writes the snapshot about when it notifies; only a gap that lasts is a lost message. */
export const SETTLE_MS = 700;

export class Revisions {
  #snapshot = -1;
  #ahead = -1;
  #aheadSince = 0;
  #asked = -1;
  /** Of the other retained topics. */
  readonly #others = new Map<string, number>();

  /** A new connection delivers every retained snapshot again, and a restarted box may count anew. */
  reconnected(): void {
    this.#snapshot = -1;
    this.#ahead = -1;
    this.#asked = -1;
    this.#others.clear();
  }

  /** Whether this room snapshot is to be shown. */
  snapshot(rev: number): boolean {
    if (rev < this.#snapshot) return false;
    this.#snapshot = rev;
    return true;
  }

  /** Whether this snapshot of another topic is to be shown: a retained one may come behind a newer one. */
  other(topic: string, rev: number): boolean {
    if (rev < (this.#others.get(topic) ?? -1)) return false;
    this.#others.set(topic, rev);
    return true;
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
