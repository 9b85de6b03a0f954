// The audience's page: the programme, and the button that asks for more. Whoever asks, or is invited, goes on air right here.

import { computed, effect, useSignal, useSignalEffect } from "@preact/signals";
import { Attention } from "../guest/attention";
import { Below, GuestPage, InUse, Invitation, Waiting } from "../guest/page";
import type { GuestShow } from "../guest/show";
import { t } from "../i18n";
import { ErrorBox, Field, Replaced } from "../ui/common";
import { Programme } from "../ui/programme";

/** Asks for the programme with each new connection, whose box forgot the session of the old one, and after being on air. */
export function keepWatching(show: GuestShow): void {
  const turn = computed(() => {
    const link = show.link.value;
    // An open request has a session of its own, which shows the programme as well.
    const idle = link?.reachable.value && !show.onShow.value && !show.request.value && !show.busy.value;
    return idle ? `${link.epoch.value} ${show.ended.value}` : null;
  });
  effect(() => {
    if (turn.value !== null) show.media.peek()?.watch();
  });
}

export function WatchPage({ show }: { show: GuestShow }) {
  if (show.onShow.value) return <GuestPage show={show} />;
  const link = show.link.value;
  const status = show.status.value;
  return (
    <main class="guest on-show">
      <header class="guest-head">
        <h1>{link?.room.value?.title || t.watchTitle}</h1>
        <InUse show={show} />
      </header>
      <div class="standing">
        <p role="status" class={`status ${status ?? "idle"}`}>
          {status ? t.status[status] : ""}
        </p>
        <Below show={show} />
        <Attention show={show} />
      </div>
      <ErrorBox message={show.error.value} onDismiss={() => (show.error.value = null)} />
      {link?.state.value === "replaced" && <Replaced />}
      {show.invitation.value && <Invitation show={show} />}
      {link ? <Watching show={show} /> : <Enter show={show} />}
    </main>
  );
}

function Watching({ show }: { show: GuestShow }) {
  const media = show.media.value;
  const error = media?.error.value;
  const name = show.credentials.value?.name ?? "";
  const asks = show.request.value !== null;
  return (
    <section class="show" aria-label={t.programme}>
      <Programme stream={media?.stream.value ?? null} />
      {error && (
        <div class="error" role="alert">
          <p>{error}</p>
          <button type="button" class="quiet" onClick={() => media.watch()}>
            {t.tryAgain}
          </button>
        </div>
      )}
      {asks ? (
        <Waiting show={show} />
      ) : (
        show.countIn.value === null && (
          <>
            <p class="hint">{t.watchingNow}</p>
            <div class="actions wide">
              <button type="button" class="primary" disabled={show.busy.value} onClick={() => void show.ask(name, true)}>
                {t.askToJoin}
              </button>
              <button type="button" disabled={show.busy.value} onClick={() => void show.ask(name, false)}>
                {t.askWithoutCamera}
              </button>
            </div>
          </>
        )
      )}
    </section>
  );
}

function Enter({ show }: { show: GuestShow }) {
  const name = useSignal("");
  useSignalEffect(() => {
    const known = show.credentials.value?.name;
    if (known) name.value = known;
  });
  return (
    <form
      class="ask"
      onSubmit={(e) => {
        e.preventDefault();
        void show.watch(name.value);
      }}
    >
      <p class="lead">{t.watchLead}</p>
      <Field label={t.yourName} value={name.value} maxLength={40} autoComplete="name" onInput={(v) => (name.value = v)} />
      <div class="actions">
        <button type="submit" class="primary" disabled={show.busy.value}>
          {t.watch}
        </button>
        <button type="button" disabled={show.busy.value} onClick={() => void show.ask(name.value, true)}>
          {t.askToJoin}
        </button>
      </div>
    </form>
  );
}
