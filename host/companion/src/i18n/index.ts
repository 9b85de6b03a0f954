// The language of the browser, if there is a catalogue for it, or else English.

import { en, type Messages } from "./en";
import { zh } from "./zh";

const chinese = typeof navigator !== "undefined" && /^zh\b/i.test(navigator.language ?? "");

export const t: Messages = chinese ? zh : en;
export const language = chinese ? "zh" : "en";

/** 75 → "1:15", 3700 → "1:01:40" */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  const two = (n: number) => String(n).padStart(2, "0");
  const h = Math.floor(s / 3600);
  return h > 0 ? `${h}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`;
}

/** 75 → "1 min", 19200 → "5 h 20 min", 400000 → "4 days": as much as helps to plan a show. */
export function span(seconds: number): string {
  const minutes = Math.max(0, Math.floor(seconds / 60));
  const days = Math.floor(minutes / 1440);
  return days > 2 ? t.days(days) : t.hoursMinutes(Math.floor(minutes / 60), minutes % 60);
}

/** 1536000 → "1.5 MB" */
export function bytes(n: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  let value = n;
  while (value >= 1000 && i < units.length - 1) {
    value /= 1000;
    i += 1;
  }
  return `${value >= 100 || i === 0 ? Math.round(value) : value.toFixed(1)} ${units[i]}`;
}
