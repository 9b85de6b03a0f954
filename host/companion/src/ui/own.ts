// A control that shows what the box says, and can be set here: what a hand does shows at once, and a moment after the
// answer the control follows the box again, whoever changed it. Without that a slider would jump back under the thumb.

import { useSignal } from "@preact/signals";

/** As long as a snapshot may come after the answer to what changed it: they are sent together, on two topics. */
const SETTLE_MS = 500;

export interface Own<T> {
  shown: T;
  /** While it is still being moved. */
  move(value: T): void;
  /** Done: the box is asked. */
  set(value: T): void;
}

export function useOwn<T>(theirs: T, ask: (value: T) => Promise<unknown>): Own<T> {
  const mine = useSignal<{ value: T } | null>(null);
  return {
    shown: mine.value ? mine.value.value : theirs,
    move: (value) => (mine.value = { value }),
    set: (value) => {
      const here = { value };
      mine.value = here;
      void ask(value).then(() =>
        setTimeout(() => {
          if (mine.peek() === here) mine.value = null;
        }, SETTLE_MS),
      );
    },
  };
}
