// The seats as they are on air.

import { useSignal } from "@preact/signals";
import { t } from "../i18n";
import type { GuestHealth, GuestState, RoomSnapshot } from "../protocol";
import { LevelBar } from "../ui/level";
import { useOwn } from "../ui/own";
import type { Console } from "./console";
import { Look, OffAirButtons } from "./off-air";
import { Drag, DragSheet, SEATS, SeatButtons } from "./move";

export function Seats({ show }: { show: Console }) {
  const room = show.room.value;
  const drag = useSignal<Drag | null>(null);
  if (!room) return null;
  const guests = [...room.guests].sort((a, b) => a.seat - b.seat);
  return (
    <section class="card" aria-label={t.seats}>
      <div class="card-head">
        <h2>{t.seats}</h2>
        <span class="hint">{t.seatsFree(Math.max(0, room.max_guests - guests.length), room.max_guests)}</span>
      </div>
      {guests.length === 0 ? (
        <p class="empty">{t.nobodyOnAir}</p>
      ) : (
        <ul class="rows" role="list" aria-label={t.seats}>
          {guests.map((g) => (
            <Seat key={g.user_id} show={show} guest={g} room={room} onDrag={(d) => (drag.value = d)} />
          ))}
        </ul>
      )}
      <Locks show={show} room={room} />
      {drag.value && <DragSheet drag={drag.value} room={room} />}
    </section>
  );
}

interface SeatProps {
  show: Console;
  guest: GuestState;
  room: RoomSnapshot;
  onDrag: (drag: Drag | null) => void;
}

function Seat({ show, guest, room, onDrag }: SeatProps) {
  const moving = useSignal(false);
  const link = show.link.value;
  const meter = link?.meters.value.get(guest.seat);
  const health = link?.health.value?.guests?.find((h) => h.seat === guest.seat);
  const user_id = guest.user_id;
  const gain = useOwn(guest.gain_db, (gain_db) => show.ask("mic.set", { user_id, gain_db }));
  const hidden = guest.hidden_by_host ?? false;
  const notes = [
    t.seatState[guest.state],
    guest.muted_by_host ? t.hostMuted : guest.audio_muted ? t.ownMute : null,
    !guest.camera ? t.noPicture : hidden ? t.hostPicture : guest.video_muted ? t.pictureOff : null,
  ].filter(Boolean);
  const move = async (seat: number) => {
    if (seat === guest.seat || (await show.ask("mic.move", { user_id, seat }))) moving.value = false;
  };
  return (
    <li class={`row seat ${guest.state}${meter?.speaking ? " speaking" : ""}`} aria-label={guest.name}>
      <div class="who">
        <span class="name">
          <Drag name={guest.name} seat={guest.seat} onDrag={onDrag} onDrop={(seat) => void move(seat)} />
          <strong>{guest.name}</strong>
        </span>
        <span class="hint">{notes.join(" · ")}</span>
        {health && <Quality health={health} />}
      </div>
      <LevelBar label={t.level} levelDb={meter?.level_db} speaking={meter?.speaking ?? false} />
      <label class="gain">
        <span>{t.gain}</span>
        <input
          type="range"
          min={-60}
          max={12}
          step={1}
          value={gain.shown}
          aria-label={t.gain}
          aria-valuetext={t.gainOf(gain.shown)}
          onInput={(e) => gain.move(Number(e.currentTarget.value))}
          onChange={(e) => gain.set(Number(e.currentTarget.value))}
        />
        <output aria-live="off">{t.gainOf(Math.round(gain.shown))}</output>
      </label>
      <div class="row-actions">
        <button
          type="button"
          class={guest.muted_by_host ? "off" : ""}
          onClick={() => void show.ask("mic.set", { user_id, audio_muted: !guest.muted_by_host })}
        >
          {guest.muted_by_host ? t.seatUnmute : t.seatMute}
        </button>
        <button
          type="button"
          class={hidden ? "off" : ""}
          disabled={!guest.camera}
          onClick={() => void show.ask("mic.set", { user_id, video_muted: !hidden })}
        >
          {hidden ? t.seatCameraOn : t.seatCameraOff}
        </button>
        <button type="button" aria-expanded={moving.value} onClick={() => (moving.value = !moving.value)}>
          {t.move}
        </button>
        <button type="button" onClick={() => void show.ask("mic.disconnect", { user_id })}>
          {t.disconnect}
        </button>
        <button type="button" class="danger" onClick={() => show.ban(user_id, guest.name)}>
          {t.ban}
        </button>
      </div>
      <OffAirButtons show={show} guest={guest} />
      <Look show={show} guest={guest} seated />
      {moving.value && (
        <div
          class="move"
          role="group"
          aria-label={t.moveTo}
          onKeyDown={(e) => {
            if (e.key === "Escape") moving.value = false;
          }}
        >
          <span class="hint">{t.moveTo}</span>
          <SeatButtons room={room} from={guest.seat} onChoose={(n) => void move(n)} />
        </div>
      )}
    </li>
  );
}

const BARS = { good: 3, fair: 2, poor: 1 } as const;

/** Three bars, as on a phone. The figures behind them are told to whoever asks. */
function Quality({ health }: { health: GuestHealth }) {
  const { quality, loss_percent, rtt_ms } = health;
  const facts = t.qualityFacts(loss_percent.toFixed(1), rtt_ms == null ? null : String(Math.round(rtt_ms)));
  return (
    <span class={`quality ${quality}`} role="img" aria-label={t.quality[quality]} title={`${t.quality[quality]} (${facts})`}>
      <svg viewBox="0 0 18 14" width="18" height="14" aria-hidden="true">
        {[0, 1, 2].map((i) => (
          <rect key={i} x={i * 6.5} y={9 - i * 4.5} width="5" height={5 + i * 4.5} rx="1" class={i < BARS[quality] ? "full" : ""} />
        ))}
      </svg>
    </span>
  );
}

/** Free seats, each of which may be kept free. */
function Locks({ show, room }: { show: Console; room: RoomSnapshot }) {
  const free = SEATS.filter((n) => !room.guests.some((g) => g.seat === n));
  if (free.length === 0) return null;
  return (
    <div class="locks" role="group" aria-label={t.freeSeats}>
      <span class="hint">{t.freeSeats}</span>
      <div class="numbers">
        {free.map((n) => {
          const locked = room.locked_seats.includes(n);
          return (
            <button
              type="button"
              key={n}
              class={locked ? "number off" : "number"}
              aria-label={locked ? t.unlock(n) : t.lock(n)}
              title={locked ? t.unlock(n) : t.lock(n)}
              onClick={() => void show.ask("seat.lock", { seat: n, locked: !locked })}
            >
              {n}
              <Lock open={!locked} />
            </button>
          );
        })}
      </div>
    </div>
  );
}

function Lock({ open }: { open: boolean }) {
  return (
    <svg class={open ? "lock open" : "lock"} viewBox="0 0 12 14" width="10" height="12" aria-hidden="true">
      <path d={open ? "M3 6V4a3 3 0 0 1 5.8-1" : "M3 6V4a3 3 0 0 1 6 0v2"} fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" />
      <rect x="1" y="6" width="10" height="7" rx="1.5" fill="currentColor" />
    </svg>
  );
}
