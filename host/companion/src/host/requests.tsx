// Who asks to come on air, with the time that each has left.

import { useSignal } from "@preact/signals";
import { t } from "../i18n";
import type { PendingRequest } from "../protocol";
import { Countdown } from "../ui/common";
import type { Console } from "./console";

export function Requests({ show }: { show: Console }) {
  const pending = show.link.value?.pending.value;
  const room = show.room.value;
  const requests = pending?.requests ?? [];
  const accepting = room?.accepting ?? true;
  return (
    <section id="requests" class="card" aria-label={t.requests}>
      <div class="card-head">
        <h2>
          {t.requests} {requests.length > 0 && <span class="count">{requests.length}</span>}
        </h2>
        {room && (
          <button type="button" class="quiet" onClick={() => void show.ask("room.set", { accepting: !accepting })}>
            {accepting ? t.closeRequests : t.openRequests}
          </button>
        )}
      </div>
      {!accepting && <p class="warn">{t.requestsClosed}</p>}
      {requests.length === 0 && accepting && <p class="empty">{t.noRequests}</p>}
      {requests.length > 0 && (
        <ul class="rows" aria-label={t.requests}>
          {requests.map((r) => (
            <Request key={r.request_id} show={show} request={r} until={(pending?.at ?? 0) + r.expires_in_ms} />
          ))}
        </ul>
      )}
    </section>
  );
}

function Request({ show, request, until }: { show: Console; request: PendingRequest; until: number }) {
  const busy = useSignal(false);
  // The bar is full at the first sight of the request: the contract does not say how long it was open in all.
  const total = useSignal(Math.max(1, until - performance.now()));
  const respond = async (accept: boolean) => {
    busy.value = true;
    await show.ask("mic.respond", { user_id: request.user_id, accept });
    busy.value = false;
  };
  return (
    <li class="row request" aria-label={request.name}>
      <div class="who">
        <strong>{request.name}</strong>
        <span class="hint">{request.camera ? t.withCamera : t.voiceOnly}</span>
        <Countdown until={until} total={total.value} />
      </div>
      <div class="row-actions">
        <button type="button" class="primary" disabled={busy.value} onClick={() => void respond(true)}>
          {t.accept}
        </button>
        <button type="button" disabled={busy.value} onClick={() => void respond(false)}>
          {t.decline}
        </button>
      </div>
    </li>
  );
}
