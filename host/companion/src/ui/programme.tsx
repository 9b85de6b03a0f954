// The programme as it arrives, with its sound as soon as the browser permits it.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { ComponentChildren } from "preact";
import { t } from "../i18n";

interface Props {
  stream: MediaStream | null;
  /** The host sits beside the studio's own loudspeakers: their preview is silent until they ask for sound. */
  silent?: boolean;
  /** Its sound can be turned on and off here. */
  sound?: boolean;
  /** What is seen, and what is said until it is; the programme if left out. */
  label?: string;
  loading?: string;
  children?: ComponentChildren;
}

export function Programme({ stream, silent = false, sound = silent, label = t.programme, loading = t.programmeLoading, children }: Props) {
  const video = useRef<HTMLVideoElement>(null);
  const muted = useSignal(silent);
  const blocked = useSignal(false);

  useEffect(() => {
    const element = video.current;
    if (!element) return;
    if (element.srcObject !== stream) element.srcObject = stream;
    if (!stream) return;
    let current = true;
    void (async () => {
      try {
        element.muted = muted.peek();
        await element.play();
      } catch (error) {
        if (!current || !(error instanceof DOMException) || error.name !== "NotAllowedError") return;
        // Autoplay with sound needs a tap first; the picture may play at once.
        element.muted = true;
        blocked.value = true;
        await element.play().catch(() => undefined);
      }
    })();
    return () => {
      current = false;
    };
  }, [stream]);

  const hear = (on: boolean) => {
    const element = video.current;
    if (!element) return;
    muted.value = !on;
    blocked.value = false;
    element.muted = !on;
    void element.play().catch(() => undefined);
  };

  return (
    <div class="programme">
      <video ref={video} playsInline autoplay aria-label={label} />
      {!stream && <p class="programme-wait">{loading}</p>}
      {blocked.value && (
        <button type="button" class="hear primary" onClick={() => hear(true)}>
          {t.tapToHear}
        </button>
      )}
      {sound && stream && !blocked.value && (
        <button type="button" class="hear" onClick={() => hear(muted.value)}>
          {muted.value ? t.listen : t.silence}
        </button>
      )}
      {children}
    </div>
  );
}

/** The guest's own picture, as in a mirror. */
export function SelfView({ track }: { track: MediaStreamTrack | null }) {
  const video = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    if (video.current) video.current.srcObject = track ? new MediaStream([track]) : null;
  }, [track]);
  return track ? <video ref={video} class="self" muted playsInline autoplay aria-label={t.ownPicture} /> : null;
}
