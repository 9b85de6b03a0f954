// A phone that locks its screen stops its camera and its page: while something must not stop, the screen stays on, where the
// browser can do that.

import { computed, effect } from "@preact/signals";

export function keepAwake(wanted: () => boolean): void {
  const wants = computed(wanted);
  effect(() => {
    if (!wants.value || !("wakeLock" in navigator)) return undefined;
    let lock: WakeLockSentinel | null = null;
    let over = false;
    const take = async () => {
      if (document.visibilityState !== "visible") return;
      lock = await navigator.wakeLock.request("screen").catch(() => null); // refused on a low battery
      if (over) void lock?.release();
    };
    document.addEventListener("visibilitychange", take);
    void take();
    return () => {
      over = true;
      document.removeEventListener("visibilitychange", take);
      void lock?.release();
    };
  });
}
