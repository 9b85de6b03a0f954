// The guest's page: one screen that always says where the guest stands and what can be done now.

import { useSignal, useSignalEffect } from "@preact/signals";
import { t } from "../i18n";
import { Countdown, ErrorBox, Field, Replaced } from "../ui/common";
import { TrackLevel } from "../ui/level";
import { Programme, SelfView } from "../ui/programme";
import { Attention, Voice } from "./attention";
import { Devices } from "./devices";
import type { GuestShow } from "./show";
import type { End } from "./status";

export function GuestPage({ show }: { show: GuestShow }) {
  const status = show.status.value;
  const title = show.link.value?.room.value?.title;
  const onShow = show.onShow.value;
  const waiting = show.request.value !== null;
  return (
    <main class={onShow ? "guest on-show" : "guest"}>
      <header class="guest-head">
        <h1>{title || t.guestTitle}</h1>
        <InUse show={show} />
      </header>
      <div class="standing">
        <p role="status" class={`status ${status ?? "idle"}`}>
          {status ? t.status[status] : ""}
        </p>
        <Below show={show} />
        <Attention show={show} />
      </div>
      <ErrorBox message={show.error.value ?? show.media.value?.error.value ?? null} onDismiss={() => show.dismiss()} />
      {show.link.value?.state.value === "replaced" && <Replaced />}
      {show.invitation.value && !onShow && <Invitation show={show} />}
      {onShow ? <OnShow show={show} /> : waiting ? <Waiting show={show} voice /> : show.end.value !== "banned" && <Ask show={show} />}
    </main>
  );
}

/** In every state: the lights of camera and microphone are never on without the page saying so. */
export function InUse({ show }: { show: GuestShow }) {
  const { audio, video } = show.capture;
  if (!audio.value && !video.value) return null;
  return (
    <p class="in-use">
      <span class="live-dot" aria-hidden="true" />
      {audio.value && video.value ? t.inUse : video.value ? t.inUseCamera : t.inUseMicrophone}
    </p>
  );
}

/** Ends after which nothing speaks against another try. */
const ASKS_AGAIN: End[] = ["declined", "timed_out", "host", "lost", "media_timeout"];

/** What there is to add to the status: the host's words, the time left, what the camera does. */
export function Below({ show }: { show: GuestShow }) {
  const words = show.words.value;
  const request = show.request.value;
  const end = show.end.value;
  return (
    <div class="below" aria-live="polite">
      {words && <p class="words">{words}</p>}
      {end === "left" && <p>{t.youLeft}</p>}
      {show.status.value === "connecting" && <p>{t.soon}</p>}
      {request && <Countdown until={request.until} />}
      {end !== null && ASKS_AGAIN.includes(end) && <p>{t.askAgain}</p>}
    </div>
  );
}

function Ask({ show }: { show: GuestShow }) {
  const name = useSignal("");
  const touched = useSignal(false);
  useSignalEffect(() => {
    const known = show.credentials.value?.name;
    if (known && !touched.peek()) name.value = known;
  });
  const busy = show.busy.value;
  const checking = show.checking.value;
  return (
    <form
      class="ask"
      onSubmit={(e) => {
        e.preventDefault();
        void show.ask(name.value, true);
      }}
    >
      {show.status.value === null && <p class="lead">{t.guestLead}</p>}
      <Field
        label={t.yourName}
        value={name.value}
        maxLength={40}
        autoComplete="name"
        onInput={(v) => {
          touched.value = true;
          name.value = v;
        }}
      />
      {checking && (show.capture.audio.value ?? show.capture.devices.value.length > 0) && <Check show={show} />}
      <div class="actions">
        <button type="submit" class="primary" disabled={busy}>
          {t.askToJoin}
        </button>
        <button type="button" disabled={busy} onClick={() => void show.ask(name.value, false)}>
          {t.askWithoutCamera}
        </button>
        <button type="button" class="quiet" disabled={busy && !checking} onClick={() => void show.check(!checking)}>
          {checking ? t.stopCheck : t.check}
        </button>
      </div>
    </form>
  );
}

function Check({ show }: { show: GuestShow }) {
  const audio = show.capture.audio.value;
  const video = show.capture.video.value;
  return (
    <section class="check" aria-label={t.check}>
      <div class="mirror">
        <SelfView track={video} />
      </div>
      {audio && (
        <div class="heard">
          <span class="hint" aria-hidden="true">
            {t.microphone}
          </span>
          <TrackLevel label={t.microphoneLevel} track={audio} />
        </div>
      )}
      <p class="hint">{video ? t.onlyYou : t.onlyYouVoice}</p>
      <Devices capture={show.capture} onError={(message) => (show.error.value = message)} />
    </section>
  );
}

/** `voice`: nothing else on the page plays what the host says to this guest. */
export function Waiting({ show, voice = false }: { show: GuestShow; voice?: boolean }) {
  const audio = show.capture.audio.value;
  const video = show.capture.video.value;
  return (
    <section class="waiting" aria-label={t.status.waiting}>
      {video && (
        <div class="mirror">
          <SelfView track={video} />
        </div>
      )}
      {audio && <TrackLevel label={t.microphoneLevel} track={audio} />}
      {audio && !show.attention.value.watching && <p class="hint">{video ? t.notYetOnAir : t.notYetOnAirVoice}</p>}
      {voice && show.attention.value.talking && <Voice stream={show.media.value?.stream.value ?? null} />}
      <div class="actions">
        {!audio && (
          <button type="button" class="off" disabled={show.busy.value} onClick={() => void show.setMicrophone(true)}>
            {t.unmute}
          </button>
        )}
        {show.withCamera.value && !video && (
          <button type="button" class="off" disabled={show.busy.value} onClick={() => void show.setCamera(true)}>
            {t.cameraOn}
          </button>
        )}
        <button type="button" onClick={() => show.cancel()}>
          {t.cancelRequest}
        </button>
      </div>
    </section>
  );
}

function OnShow({ show }: { show: GuestShow }) {
  // One that could not be opened again after a reload is not heard either.
  const muted = show.micMuted.value || !show.capture.audio.value;
  const others = show.others.value.map((g) => g.name);
  const busy = show.busy.value;
  const cameraOn = show.capture.video.value !== null && !show.cameraMuted.value;
  return (
    <section class="show" aria-label={t.programme}>
      <Programme stream={show.media.value?.stream.value ?? null} />
      <div class="beside">
        <div class="notes" aria-live="polite">
          {show.mutedByHost.value && <p class="warn">{t.mutedByHost}</p>}
          {muted && !show.mutedByHost.value && <p class="warn">{t.youAreMuted}</p>}
          {show.hiddenByHost.value && <p class="warn">{t.hostTookPicture}</p>}
          {show.echo.value && <p class="advice">{t.headphones}</p>}
          {others.length > 0 && <p>{t.alsoOnAir(others.join(", "))}</p>}
        </div>
        <SelfView track={show.capture.video.value} />
      </div>
      <div class="bar">
        <button type="button" class={muted ? "off" : ""} onClick={() => void show.setMicrophone(muted)}>
          {muted ? t.unmute : t.mute}
        </button>
        {show.withCamera.value && (
          <button type="button" class={cameraOn ? "" : "off"} disabled={busy} onClick={() => void show.setCamera(!cameraOn)}>
            {cameraOn ? t.cameraOff : t.cameraOn}
          </button>
        )}
        <button type="button" class="danger" onClick={() => show.leave()}>
          {t.leave}
        </button>
      </div>
    </section>
  );
}

export function Invitation({ show }: { show: GuestShow }) {
  const invitation = show.invitation.value;
  if (!invitation) return null;
  const count = show.countIn.value;
  if (count !== null) {
    const video = show.capture.video.value;
    return (
      <section class="invitation" aria-label={t.invited} aria-live="assertive">
        <p class="count-in">{t.countIn(count)}</p>
        {video && (
          <div class="mirror">
            <SelfView track={video} />
          </div>
        )}
        <div class="actions">
          <button type="button" onClick={() => show.waitAMoment()}>
            {t.declineInvitation}
          </button>
        </div>
      </section>
    );
  }
  return (
    <section class="invitation" aria-label={t.invited}>
      <p role="alert">{t.invited}</p>
      <Countdown until={invitation.until} />
      <div class="actions">
        <button type="button" class="primary" disabled={show.busy.value} onClick={() => void show.answerInvitation(true, true)}>
          {t.acceptInvitation}
        </button>
        <button type="button" disabled={show.busy.value} onClick={() => void show.answerInvitation(true, false)}>
          {t.acceptInvitationVoice}
        </button>
        <button type="button" class="quiet" disabled={show.busy.value} onClick={() => void show.answerInvitation(false, false)}>
          {t.declineInvitation}
        </button>
      </div>
    </section>
  );
}
