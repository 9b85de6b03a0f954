// What the guest is told about where they stand: one sentence, out of everything the page knows. Pure.

import type { LinkState } from "../box";
import type { SeatState, Termination } from "../protocol";

export type End = "declined" | "timed_out" | "left" | "cancelled" | Termination;

export interface Standing {
  link: LinkState | "none";
  /** The state of the own seat in the room snapshot. */
  seat: SeatState | null;
  /** Accepted, and the room snapshot that shows the seat has not come yet. */
  accepted: boolean;
  requested: boolean;
  /** How the last request or seat ended. */
  end: End | null;
}

export type StatusName = "waiting" | "connecting" | "onAir" | "declined" | "timedOut" | "ended" | "lost" | "reconnecting";

export function status(s: Standing): StatusName | null {
  if (s.link === "refused" || s.link === "replaced") return s.end === "banned" || s.end === "host" ? "ended" : "lost";
  if (s.link === "down") return "reconnecting";
  if (s.seat === "on_air") return "onAir";
  if (s.seat === "reconnecting") return "reconnecting";
  if (s.seat === "connecting" || s.accepted) return "connecting";
  if (s.requested) return "waiting";
  switch (s.end) {
    case "declined":
      return "declined";
    case "timed_out":
      return "timedOut";
    case "host":
    case "banned":
      return "ended";
    case "lost":
    case "media_timeout":
    case "shutdown":
      return "lost";
    case "left":
    case "cancelled":
    case null:
      return null;
  }
}
