// A guest is moved to another seat: by buttons, for which no steady hand is needed, or by dragging the seat's number.

import { useSignalEffect, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { t } from "../i18n";
import type { RoomSnapshot } from "../protocol";

export const SEATS = [1, 2, 3, 4, 5, 6, 7, 8, 9];
/** A finger trembles this far without meaning to drag, in CSS pixels. */
const SLOP = 8;

export interface Drag {
  name: string;
  from: number;
  x: number;
  y: number;
  over: number | null;
}

const isTaken = (room: RoomSnapshot, seat: number) => room.guests.some((g) => g.seat === seat);
const isLocked = (room: RoomSnapshot, seat: number) => room.locked_seats.includes(seat);

export function SeatButtons({ room, from, onChoose }: { room: RoomSnapshot; from: number; onChoose: (seat: number) => void }) {
  return (
    <div class="numbers">
      {SEATS.filter((n) => n !== from).map((n) => (
        <button
          type="button"
          key={n}
          class={isTaken(room, n) || isLocked(room, n) ? "number taken" : "number"}
          aria-label={t.seat(n)}
          onClick={() => onChoose(n)}
        >
          {n}
        </button>
      ))}
    </div>
  );
}

interface DragProps {
  name: string;
  seat: number;
  onDrag: (drag: Drag | null) => void;
  onDrop: (seat: number) => void;
}

/**
 * The number of the seat, which can be dragged. Pointer events and not the drag and drop of HTML, which fingers do not
 * trigger. For the keyboard there is the button "Move": this is no control of its own.
 */
export function Drag({ name, seat, onDrag, onDrop }: DragProps) {
  const start = useRef<{ x: number; y: number; drags: boolean } | null>(null);
  const busy = useSignal(false);
  const end = () => {
    start.current = null;
    busy.value = false;
    onDrag(null);
  };
  useSignalEffect(() => {
    if (!busy.value) return undefined;
    const escape = (e: KeyboardEvent) => {
      if (e.key === "Escape") end();
    };
    addEventListener("keydown", escape);
    // The list was ordered anew under the finger: the number has moved, and hears of it no more.
    addEventListener("lostpointercapture", end);
    return () => {
      removeEventListener("keydown", escape);
      removeEventListener("lostpointercapture", end);
    };
  });
  // The guest went while their number was held.
  useEffect(() => () => void (busy.peek() && onDrag(null)), []);
  return (
    <span
      class="seat-number"
      title={t.seat(seat)}
      data-drag
      onPointerDown={(e) => {
        if (!e.isPrimary || e.button !== 0) return;
        e.currentTarget.setPointerCapture(e.pointerId);
        start.current = { x: e.clientX, y: e.clientY, drags: false };
      }}
      onPointerMove={(e) => {
        const from = start.current;
        if (!from) return;
        if (e.buttons === 0) return end();
        from.drags ||= Math.hypot(e.clientX - from.x, e.clientY - from.y) > SLOP;
        if (!from.drags) return;
        busy.value = true;
        onDrag({ name, from: seat, x: e.clientX, y: e.clientY, over: seatAt(e.clientX, e.clientY) });
      }}
      onPointerUp={(e) => {
        const target = start.current?.drags ? seatAt(e.clientX, e.clientY) : null;
        end();
        if (target !== null && target !== seat) onDrop(target);
      }}
      onPointerCancel={end}
    >
      {seat}
    </span>
  );
}

function seatAt(x: number, y: number): number | null {
  const target = document.elementFromPoint(x, y)?.closest<HTMLElement>("[data-seat]");
  return target?.dataset.seat ? Number(target.dataset.seat) : null;
}

/** Where a dragged guest can be dropped: in the reach of the thumb, wherever in the list the guest stands. */
export function DragSheet({ drag, room }: { drag: Drag; room: RoomSnapshot }) {
  return (
    <>
      <div class="drag-sheet" aria-hidden="true">
        <p>{t.dragTo(drag.name)}</p>
        <div class="drag-seats">
          {SEATS.map((n) => {
            const guest = room.guests.find((g) => g.seat === n);
            const usable = n === drag.from || (!guest && !isLocked(room, n));
            return (
              <div
                key={n}
                {...(usable ? { "data-seat": n } : {})}
                class={`${usable ? "free" : "taken"}${drag.over === n && usable ? " over" : ""}`}
              >
                <strong>{n}</strong>
                <span>{guest?.name ?? (isLocked(room, n) ? t.seatLocked : "")}</span>
              </div>
            );
          })}
        </div>
      </div>
      <div class="drag-ghost" aria-hidden="true" style={{ transform: `translate(${drag.x}px, ${drag.y}px)` }}>
        {drag.name}
      </div>
    </>
  );
}
