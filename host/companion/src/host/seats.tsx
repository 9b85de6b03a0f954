// The seats as they are on air.

import { useSignal } from "@preact/signals";
import { t } from "../i18n";
import type { GuestState, RoomSnapshot } from "../protocol";
import { LevelBar } from "../ui/level";
import type { Console } from "./console";

const SILENCE_DB = -100;
const SEATS = [1, 2, 3, 4, 5, 6, 7, 8, 9];

export function Seats({ show }: { show: Console }) {
  const room = show.room.value;
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
        <ul class="rows" aria-label={t.seats}>
          {guests.map((g) => (
            <Seat key={g.user_id} show={show} guest={g} room={room} />
          ))}
        </ul>
      )}
      <Locks show={show} room={room} />
    </section>
  );
}

function Seat({ show, guest, room }: { show: Console; guest: GuestState; room: RoomSnapshot }) {
  const moving = useSignal(false);
  const meter = show.link.value?.meters.value.get(guest.seat);
  const user_id = guest.user_id;
  const notes = [
    t.seatState[guest.state],
    guest.muted_by_host ? t.hostMuted : guest.audio_muted ? t.ownMute : null,
    !guest.camera ? t.noPicture : guest.video_muted ? t.pictureOff : null,
  ].filter(Boolean);
  return (
    <li class={`row seat ${guest.state}${meter?.speaking ? " speaking" : ""}`} aria-label={guest.name}>
      <div class="who">
        <span class="name">
          <span class="seat-number" title={t.seat(guest.seat)}>
            {guest.seat}
          </span>
          <strong>{guest.name}</strong>
        </span>
        <span class="hint">{notes.join(" · ")}</span>
      </div>
      <LevelBar label={t.level} levelDb={meter?.level_db ?? SILENCE_DB} speaking={meter?.speaking ?? false} />
      <label class="gain">
        <span>{t.gain}</span>
        <input
          type="range"
          min={-60}
          max={12}
          step={1}
          value={guest.gain_db}
          aria-valuetext={t.gainOf(guest.gain_db)}
          onChange={(e) => void show.ask("mic.set", { user_id, gain_db: Number(e.currentTarget.value) })}
        />
        <output aria-live="off">{t.gainOf(Math.round(guest.gain_db))}</output>
      </label>
      <div class="row-actions">
        <button
          type="button"
          class={guest.muted_by_host ? "off" : ""}
          onClick={() => void show.ask("mic.set", { user_id, audio_muted: !guest.muted_by_host })}
        >
          {guest.muted_by_host ? t.seatUnmute : t.seatMute}
        </button>
        <button type="button" aria-expanded={moving.value} onClick={() => (moving.value = !moving.value)}>
          {t.move}
        </button>
        <button type="button" onClick={() => void show.ask("mic.disconnect", { user_id })}>
          {t.disconnect}
        </button>
        <button
          type="button"
          class="danger"
          onClick={() => {
            if (confirm(t.confirmBan(guest.name))) void show.ask("guest.ban", { user_id });
          }}
        >
          {t.ban}
        </button>
      </div>
      {moving.value && (
        <div class="move" role="group" aria-label={t.moveTo}>
          <span class="hint">{t.moveTo}</span>
          {SEATS.filter((n) => n !== guest.seat).map((n) => (
            <button
              type="button"
              key={n}
              class={room.guests.some((g) => g.seat === n) || room.locked_seats?.includes(n) ? "number taken" : "number"}
              aria-label={t.seat(n)}
              onClick={async () => {
                if (await show.ask("mic.move", { user_id, seat: n })) moving.value = false;
              }}
            >
              {n}
            </button>
          ))}
        </div>
      )}
    </li>
  );
}

/** Free seats, each of which may be kept free. */
function Locks({ show, room }: { show: Console; room: RoomSnapshot }) {
  const free = SEATS.filter((n) => !room.guests.some((g) => g.seat === n));
  if (free.length === 0) return null;
  return (
    <div class="locks" role="group" aria-label={t.freeSeats}>
      <span class="hint">{t.freeSeats}</span>
      {free.map((n) => {
        const locked = room.locked_seats?.includes(n) ?? false;
        return (
          <button
            type="button"
            key={n}
            class={locked ? "number off" : "number"}
            aria-label={locked ? t.unlock(n) : t.lock(n)}
            onClick={() => void show.ask("seat.lock", { seat: n, locked: !locked })}
          >
            {locked ? `${n} 🔒︎` : n}
          </button>
        );
      })}
    </div>
  );
}
