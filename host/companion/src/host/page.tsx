// The host's page: pairing, and then the console. On a phone the parts stand in the order of their urgency.

import { useSignal } from "@preact/signals";
import { t } from "../i18n";
import { ErrorBox, Field, Replaced } from "../ui/common";
import type { Console } from "./console";
import { HostControls, RoomSettings } from "./box-parts";
import { Consoles } from "./consoles";
import { Alarms, HealthLine } from "./health";
import { Invite } from "./invite";
import { LayoutPicker } from "./layout";
import { TalkBanner } from "./off-air";
import { Outputs, Recording, RecordingNow } from "./outputs";
import { People } from "./people";
import { Preview } from "./preview";
import { Requests } from "./requests";
import { Seats } from "./seats";

export function HostPage({ show }: { show: Console }) {
  return show.link.value ? <Desk show={show} /> : <Pairing show={show} />;
}

function Pairing({ show }: { show: Console }) {
  const code = useSignal(show.code);
  const name = useSignal("");
  return (
    <main class="guest">
      <header>
        <h1>{t.pairTitle}</h1>
      </header>
      <p class="lead">{t.pairLead}</p>
      <form
        class="ask"
        onSubmit={(e) => {
          e.preventDefault();
          void show.pair(code.value, name.value);
        }}
      >
        <Field label={t.pairingCode} value={code.value} maxLength={32} autoComplete="one-time-code" onInput={(v) => (code.value = v)} />
        <Field label={t.consoleName} value={name.value} maxLength={40} autoComplete="name" onInput={(v) => (name.value = v)} />
        <ErrorBox message={show.pairError.value} />
        <div class="actions">
          <button type="submit" class="primary" disabled={show.busy.value}>
            {t.pair}
          </button>
        </div>
      </form>
    </main>
  );
}

function Desk({ show }: { show: Console }) {
  const link = show.link.value;
  const room = show.room.value;
  if (!link) return null;
  const state = link.state.value;
  return (
    <>
      <a class="skip" href="#requests">
        {t.skipToMain}
      </a>
      <div class="head">
        <header class="top">
          <h1>{room?.title || t.console}</h1>
          <Asking show={show} />
          <RecordingNow show={show} />
          <Invite show={show} />
        </header>
        <TalkBanner show={show} />
      </div>
      {state === "replaced" && <Replaced />}
      {state === "down" && (
        <p class="banner" role="status">
          {t.linkDown}
        </p>
      )}
      {state === "up" && link.online.value?.online === false && (
        <p class="banner" role="status">
          {t.boxOffline}
        </p>
      )}
      <Alarms show={show} />
      <Notices show={show} />
      <main class="desk">
        <div class="column picture">
          <Preview show={show} />
          <LayoutPicker show={show} />
        </div>
        <div class="column guests">
          <Requests show={show} />
          <Seats show={show} />
          <People show={show} />
        </div>
        <div class="column controls">
          <HostControls show={show} />
          <HealthLine show={show} />
        </div>
        <div class="column more">
          <Recording show={show} />
          <Outputs show={show} />
          <RoomSettings show={show} />
          <Consoles show={show} />
        </div>
      </main>
    </>
  );
}

/** In sight wherever the page is scrolled to, and moving nothing that is about to be tapped. */
function Asking({ show }: { show: Console }) {
  const asking = show.asking.value;
  return (
    <>
      {asking > 0 && (
        <a class="button asking" href="#requests">
          {t.asking(asking)}
        </a>
      )}
      <div class="unseen" aria-live="polite">
        {show.asked.value}
      </div>
    </>
  );
}

function Notices({ show }: { show: Console }) {
  return (
    <div class="notices" aria-live="polite">
      {show.notices.value.map((n) => (
        <div key={n.id} class={n.error ? "error" : "note"} {...(n.error ? { role: "alert" as const } : {})}>
          <p>{n.text}</p>
          {n.undo && show.undos.of(n.undo) !== null && (
            <button type="button" class="undo-notice" onClick={() => show.takeBack(n)}>
              {t.undo}
            </button>
          )}
          <button type="button" class="quiet dismiss" aria-label={t.dismiss} onClick={() => show.dismiss(n.id)}>
            ✕
          </button>
        </div>
      ))}
    </div>
  );
}
