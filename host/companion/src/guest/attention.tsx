// What a host does with a guest off air, in words: nobody is seen, heard or spoken to unawares.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { t } from "../i18n";
import type { GuestShow } from "./show";

export function Attention({ show }: { show: GuestShow }) {
  const { watching, talking } = show.attention.value;
  const onAir = show.status.value === "onAir";
  return (
    <div class="attention" aria-live="assertive">
      {watching && <p>{onAir ? t.hostLooksOnAir : t.hostLooks}</p>}
      {talking && <p>{onAir ? t.hostTalksOnAir : t.hostTalks}</p>}
    </div>
  );
}

/** Who waits sees no programme here; while the host speaks to them they hear it. */
export function Voice({ stream }: { stream: MediaStream | null }) {
  const audio = useRef<HTMLAudioElement>(null);
  const blocked = useSignal(false);
  const play = () =>
    audio.current?.play().then(
      () => (blocked.value = false),
      (error: unknown) => {
        if (error instanceof DOMException && error.name === "NotAllowedError") blocked.value = true;
      },
    );
  useEffect(() => {
    if (audio.current) audio.current.srcObject = stream;
    void play();
  }, [stream]);
  return (
    <>
      <audio ref={audio} autoplay />
      {blocked.value && (
        <button type="button" class="primary" onClick={() => void play()}>
          {t.tapToHear}
        </button>
      )}
    </>
  );
}
