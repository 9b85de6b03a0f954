// The programme as it arrives, with its sound as soon as the browser permits it.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { ComponentChildren } from "preact";
import { t } from "../i18n";

/** A picture that comes at all is here by then; one that stood still for so long has stopped. */
const LATE_MS = 10_000;
const STOPPED_MS = 4_000;
const LOOK_MS = 500;

interface Props {
  stream: MediaStream | null;
  /** The host sits beside the studio's own loudspeakers: their preview is silent until they ask for sound. */
  silent?: boolean;
  /** Its sound can be turned on and off here. */
  sound?: boolean;
  /** What is seen, and what is said until it is; the programme if left out. */
  label?: string;
  loading?: string;
  /** Pictures come all the time, so that their lack means trouble: true of the programme, not of a guest. */
  steady?: boolean;
  children?: ComponentChildren;
}

export function Programme(props: Props) {
  const { stream, silent = false, sound = silent, label = t.programme, loading = t.programmeLoading, steady = true, children } = props;
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
        if (current) blocked.value = false;
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

  const wait = useWait(video, stream, steady);
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
      {wait !== null && (
        <p class={wait === "stopped" ? "programme-wait over" : "programme-wait"}>
          {wait === "loading" ? loading : wait === "late" ? t.programmeLate : t.programmeStopped}
        </p>
      )}
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

type Wait = "loading" | "late" | "stopped" | null;

/** Why there is no picture, or no newer one; null while there is nothing to say. */
function useWait(video: { current: HTMLVideoElement | null }, stream: MediaStream | null, steady: boolean): Wait {
  const wait = useSignal<Wait>("loading");
  // Of the newest picture, over the sessions: one that replaces a broken one and shows nothing is no news.
  const since = useRef(0);
  useEffect(() => {
    if (!stream) {
      since.current = performance.now();
      wait.value = "loading";
      return undefined;
    }
    let seen = false;
    let frames = -1;
    const look = () => {
      const shown = video.current?.getVideoPlaybackQuality().totalVideoFrames ?? 0;
      if (shown !== frames && frames >= 0) seen = true;
      // A page that is put away may not decode, and has nobody to tell.
      if ((shown !== frames && frames >= 0) || document.visibilityState === "hidden") since.current = performance.now();
      frames = shown;
      const idle = performance.now() - since.current;
      if (seen) wait.value = steady && idle > STOPPED_MS ? "stopped" : null;
      else wait.value = steady && idle > LATE_MS ? "late" : "loading";
    };
    look();
    const timer = setInterval(look, LOOK_MS);
    // The first picture takes the sentence away at once.
    const first = () => {
      frames = -1;
      seen = true;
      since.current = performance.now();
      look();
    };
    const element = video.current;
    element?.addEventListener("loadeddata", first);
    return () => {
      clearInterval(timer);
      element?.removeEventListener("loadeddata", first);
    };
  }, [stream, steady]);
  return wait.value;
}

/** The guest's own picture, as in a mirror. */
export function SelfView({ track }: { track: MediaStreamTrack | null }) {
  const video = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    if (video.current) video.current.srcObject = track ? new MediaStream([track]) : null;
  }, [track]);
  return track ? <video ref={video} class="self" muted playsInline autoplay aria-label={t.ownPicture} /> : null;
}
