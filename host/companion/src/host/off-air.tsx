// A look at one guest off air, and a word to them. What is said to one guest is said in a banner, so that nobody wonders why the
// programme is silent.

import { t } from "../i18n";
import { Programme } from "../ui/programme";
import type { Console } from "./console";

interface OfGuest {
  show: Console;
  guest: { user_id: string; name: string; camera: boolean };
}

/** The two buttons of a request or a seat, whose row has the guest's name: in theirs it would look like another control's. */
export function OffAirButtons({ show, guest: { user_id } }: OfGuest) {
  const looks = show.look.value?.user_id === user_id;
  const talks = show.talkback.value?.user_id === user_id;
  return (
    <div class="off-air-actions">
      <button
        type="button"
        class={looks ? "off" : ""}
        onClick={() => (looks ? show.stopLooking() : show.lookAt(user_id))}
      >
        {looks ? t.stopLooking : t.look}
      </button>
      <button type="button" class={talks ? "talks" : ""} aria-pressed={talks} onClick={() => void show.talkTo(talks ? null : user_id)}>
        {t.talk}
      </button>
    </div>
  );
}

/** `seated`: whoever has a seat is heard at the desk already. */
export function Look({ show, guest: { user_id, name, camera }, seated = false }: OfGuest & { seated?: boolean }) {
  const look = show.look.value;
  if (look?.user_id !== user_id) return null;
  const error = look.media.error.value;
  return (
    <section class="look" aria-label={t.viewOf(name)}>
      <Programme stream={look.media.stream.value} label={t.viewOf(name)} loading={camera ? t.viewLoading : t.voiceOnly} silent={seated} steady={false} sound>
        <span class="badge">{seated ? t.privateView : t.offAir}</span>
      </Programme>
      {error && (
        <p class="error" role="alert">
          {error}
        </p>
      )}
    </section>
  );
}

/** As long as the host speaks to one guest alone, on every console. */
export function TalkBanner({ show }: { show: Console }) {
  const talkback = show.talkback.value;
  if (!talkback) return null;
  const { user_id, by, by_name } = talkback;
  const name = show.nameOf(user_id);
  const own = by === show.link.value?.credentials.user_id;
  return (
    <div class="talk-banner" role="alert">
      <p>
        <strong>{own ? t.onlyHearsYou(name) : t.onlyHearsHost(name, by_name ?? by)}</strong>
      </p>
      <button type="button" class="primary" onClick={() => void show.talkTo(null)}>
        {t.backOnAir}
      </button>
    </div>
  );
}
