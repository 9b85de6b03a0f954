// Who asks to come on air, with the time that each has left. A decline can be taken back for a moment.

import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { t } from "../i18n";
import type { PendingRequest } from "../protocol";
import { Countdown, Field } from "../ui/common";
import type { Console } from "./console";
import { Look, OffAirButtons } from "./off-air";
import { UNDO_MS } from "./undo";

/** What the contract allows a host to say. */
const MAX_WORDS = 200;

export function Requests({ show }: { show: Console }) {
  const pending = show.link.value?.pending.value;
  const room = show.room.value;
  const requests = show.requests.value;
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
        <ul class="rows" role="list" aria-label={t.requests}>
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
  const writing = useSignal(false);
  const words = useSignal("");
  const decline = useRef<HTMLButtonElement>(null);
  // The bar is full at the first sight of the request: the contract does not say how long it was open in all.
  const total = useSignal(Math.max(1, until - performance.now()));
  const undoUntil = show.undos.of(request.request_id);
  const accept = async () => {
    busy.value = true;
    await show.respond(request, true);
    busy.value = false;
  };
  if (undoUntil !== null) {
    return (
      <li class="row request declined" aria-label={request.name}>
        <p aria-live="polite">{t.declining(request.name)}</p>
        <Undo
          until={undoUntil}
          onUndo={() => {
            show.undos.takeBack(request.request_id);
            requestAnimationFrame(() => decline.current?.focus());
          }}
        />
      </li>
    );
  }
  return (
    <li class="row request" aria-label={request.name}>
      <div class="who">
        <strong>{request.name}</strong>
        <span class="hint">{request.camera ? t.withCamera : t.voiceOnly}</span>
        <Countdown until={until} total={total.value} />
      </div>
      <div class="row-actions">
        <button type="button" class="primary" disabled={busy.value} onClick={() => void accept()}>
          {t.accept}
        </button>
        <button type="button" ref={decline} disabled={busy.value} onClick={() => show.decline(request, until)}>
          {t.decline}
        </button>
        <button
          type="button"
          class="quiet icon"
          aria-label={t.words}
          title={t.words}
          aria-expanded={writing.value}
          onClick={() => (writing.value = !writing.value)}
        >
          <Bubble />
        </button>
      </div>
      <OffAirButtons show={show} guest={request} />
      <Look show={show} guest={request} />
      {writing.value && (
        <form
          class="words-form"
          onSubmit={(e) => {
            e.preventDefault();
            show.decline(request, until, words.value.trim());
          }}
        >
          <Field
            label={t.wordsFor(request.name)}
            value={words.value}
            maxLength={MAX_WORDS}
            suggestions={t.suggestions}
            onInput={(v) => (words.value = v)}
          />
          <button type="submit" disabled={busy.value}>
            {t.wordsDecline}
          </button>
        </form>
      )}
    </li>
  );
}

/** What was tapped is about to happen: the bar shows for how long it can be taken back. */
export function Undo({ until, onUndo }: { until: number; onUndo: () => void }) {
  const button = useRef<HTMLButtonElement>(null);
  // The button that was pressed is gone: whoever works by keyboard goes on here.
  useLayoutEffect(() => button.current?.focus({ preventScroll: true }), []);
  return (
    <div class="undo">
      <Countdown until={until} total={UNDO_MS} bare />
      <button type="button" ref={button} onClick={onUndo}>
        {t.undo}
      </button>
    </div>
  );
}

function Bubble() {
  return (
    <svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true">
      <path
        d="M4 5h16a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1h-9l-5 4v-4H4a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1Zm4 4.5h8M8 13h5"
        fill="none"
        stroke="currentColor"
        stroke-width="1.8"
        stroke-linecap="round"
        stroke-linejoin="round"
      />
    </svg>
  );
}
