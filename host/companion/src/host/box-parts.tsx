// The host's own microphone and camera, and the show's settings.

import { useSignal, useSignalEffect } from "@preact/signals";
import { t } from "../i18n";
import { Field } from "../ui/common";
import { Confirm } from "../ui/confirm";
import { LevelBar } from "../ui/level";
import type { Console } from "./console";

const HOST_SEAT = 0;

export function HostControls({ show }: { show: Console }) {
  const host = show.room.value?.host;
  const meter = show.link.value?.meters.value.get(HOST_SEAT);
  if (!host) return null;
  return (
    <section class="card host" aria-label={t.host}>
      <div class="who">
        <strong>{host.name}</strong>
        {host.name !== t.host && <span class="hint">{t.host}</span>}
      </div>
      <LevelBar label={t.level} levelDb={meter?.level_db} speaking={meter?.speaking ?? false} />
      <div class="row-actions">
        <button type="button" class={host.muted ? "off" : ""} onClick={() => void show.ask("host.set", { audio_muted: !host.muted })}>
          {host.muted ? t.hostUnmute : t.hostMute}
        </button>
        <button type="button" class={host.camera ? "" : "off"} onClick={() => void show.ask("host.set", { video_muted: host.camera })}>
          {host.camera ? t.hostCameraOff : t.hostCameraOn}
        </button>
      </div>
    </section>
  );
}

export function RoomSettings({ show }: { show: Console }) {
  const room = show.room.value;
  const title = useSignal("");
  const touched = useSignal(false);
  const leaving = useSignal(false);
  useSignalEffect(() => {
    const current = show.room.value?.title ?? "";
    if (!touched.peek()) title.value = current;
  });
  if (!room) return null;
  return (
    <section class="card" aria-label={t.room}>
      <div class="card-head">
        <h2>{t.room}</h2>
        <button type="button" class="quiet" aria-haspopup="dialog" onClick={() => (leaving.value = true)}>
          {t.unpair}
        </button>
        <Confirm
          title={leaving.value ? t.forgetTitle : null}
          lead={t.forgetLead}
          act={t.unpair}
          onKeep={() => (leaving.value = false)}
          onAct={() => void show.unpair()}
        />
      </div>
      <form
        class="title-form"
        onSubmit={(e) => {
          e.preventDefault();
          void show.ask("room.set", { title: title.value.trim() }).then((done) => {
            if (done) touched.value = false;
          });
        }}
      >
        <Field
          label={t.title}
          value={title.value}
          maxLength={40}
          onInput={(v) => {
            touched.value = true;
            title.value = v;
          }}
        />
        <button type="submit">{t.save}</button>
      </form>
    </section>
  );
}
