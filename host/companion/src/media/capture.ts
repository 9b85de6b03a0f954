// The guest's own camera and microphone. Whoever turns a track off here turns the light of the camera off as well.

import { signal } from "@preact/signals";
import { t } from "../i18n";

/** More than the largest tile of a guest is of no use to the box; less would show in layout `solo`. */
const VIDEO: MediaTrackConstraints = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } };
const AUDIO: MediaTrackConstraints = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

export class Capture {
  readonly audio = signal<MediaStreamTrack | null>(null);
  readonly video = signal<MediaStreamTrack | null>(null);
  readonly devices = signal<MediaDeviceInfo[]>([]);
  readonly chosen = signal<{ camera?: string; microphone?: string }>({});
  /** Called when a track changes, with what the senders shall carry now. */
  onTracks: () => void = () => undefined;
  /** Called when one of them stops by itself: it was unplugged, or the system took it away. */
  onLost: (kind: "camera" | "microphone") => void = () => undefined;
  /** Grows with each stop, so that a permission granted after it opens nothing. */
  #turn = 0;
  /** Devices are opened one after the other: two at a time would leave a track that nothing here knows of, with its light. */
  #last: Promise<unknown> = Promise.resolve();

  constructor() {
    // Not every browser defines it: it is missing where the page is not a secure context.
    const devices = navigator.mediaDevices as MediaDevices | undefined;
    devices?.addEventListener("devicechange", () => {
      if (this.audio.peek() || this.video.peek()) void this.#list();
    });
  }

  /** Opens what is asked and not open yet. Fails with a sentence. */
  open(want: { camera: boolean }): Promise<void> {
    return this.#inTurn((turn) => this.#open(want, turn));
  }

  #inTurn(work: (turn: number) => Promise<void>): Promise<void> {
    const turn = this.#turn;
    const done = this.#last.then(() => (turn === this.#turn ? work(turn) : undefined));
    this.#last = done.catch(() => undefined);
    return done;
  }

  async #open(want: { camera: boolean }, turn: number): Promise<void> {
    // What was chosen may be unplugged by now.
    if (this.chosen.peek().camera || this.chosen.peek().microphone) await this.#list();
    const needAudio = !live(this.audio.peek());
    const needVideo = want.camera && !live(this.video.peek());
    if (!needAudio && !needVideo) return;
    const { camera, microphone } = this.chosen.peek();
    const stream = await getMedia(
      needAudio ? { ...AUDIO, ...exact(microphone) } : false,
      needVideo ? { ...VIDEO, ...(camera ? exact(camera) : { facingMode: "user" }) } : false,
    ).catch((error: unknown) => {
      // The next try takes what there is: a device that is busy keeps nobody out.
      this.chosen.value = {};
      throw error;
    });
    if (turn !== this.#turn) {
      for (const track of stream.getTracks()) track.stop();
      return;
    }
    const [audio] = stream.getAudioTracks();
    const [video] = stream.getVideoTracks();
    if (audio) this.#setAudio(audio);
    if (video) this.#setVideo(video);
    this.onTracks();
    await this.#list();
  }

  async #list(): Promise<void> {
    const devices = (await navigator.mediaDevices.enumerateDevices()).filter((d) => d.deviceId !== "");
    this.devices.value = devices;
    const here = ([, id]: [string, string]) => devices.some((d) => d.deviceId === id);
    this.chosen.value = Object.fromEntries(Object.entries(this.chosen.peek()).filter(here));
  }

  /** Opens that one instead; if it cannot be had, the one of before. */
  choose(kind: "camera" | "microphone", deviceId: string): Promise<void> {
    return this.#inTurn((turn) => this.#choose(kind, deviceId, turn));
  }

  async #choose(kind: "camera" | "microphone", deviceId: string, turn: number): Promise<void> {
    const before = this.chosen.peek();
    const enabled = this.audio.peek()?.enabled ?? true;
    this.chosen.value = { ...before, [kind]: deviceId };
    if (kind === "camera") {
      this.closeCamera();
    } else {
      this.audio.peek()?.stop();
      this.audio.value = null;
    }
    const open = () => this.#open({ camera: kind === "camera" }, turn);
    try {
      await open();
    } catch (error) {
      this.chosen.value = before;
      if (turn === this.#turn) await open().catch(() => undefined);
      throw error;
    } finally {
      this.enableAudio(enabled);
    }
  }

  enableAudio(enabled: boolean): void {
    const track = this.audio.peek();
    if (track) track.enabled = enabled;
  }

  closeCamera(): void {
    this.video.peek()?.stop();
    this.video.value = null;
    this.onTracks();
  }

  stop(): void {
    this.#turn += 1;
    for (const track of [this.audio.peek(), this.video.peek()]) track?.stop();
    this.audio.value = null;
    this.video.value = null;
    this.onTracks();
  }

  #setAudio(track: MediaStreamTrack): void {
    this.audio.value = track;
    track.addEventListener("ended", () => {
      if (this.audio.peek() !== track) return;
      this.audio.value = null;
      this.onTracks();
      this.onLost("microphone");
    });
  }

  #setVideo(track: MediaStreamTrack): void {
    this.video.value = track;
    track.contentHint = "motion";
    track.addEventListener("ended", () => {
      if (this.video.peek() !== track) return;
      this.closeCamera();
      this.onLost("camera");
    });
  }
}

function live(track: MediaStreamTrack | null): boolean {
  return track?.readyState === "live";
}

function exact(deviceId: string | undefined): MediaTrackConstraints {
  return deviceId ? { deviceId: { exact: deviceId } } : {};
}

async function getMedia(audio: MediaTrackConstraints | false, video: MediaTrackConstraints | false): Promise<MediaStream> {
  // Not every browser defines it: it is missing where the page is not a secure context.
  if (!(navigator.mediaDevices as MediaDevices | undefined)?.getUserMedia) throw new Error(t.noMediaDevices);
  try {
    return await navigator.mediaDevices.getUserMedia({ audio, video });
  } catch (error) {
    throw new Error(await sentence(error, audio !== false, video !== false));
  }
}

async function sentence(error: unknown, audio: boolean, video: boolean): Promise<string> {
  const name = error instanceof DOMException ? error.name : "";
  // One call asks for both, and the browser does not say which of them failed.
  const devices = await navigator.mediaDevices.enumerateDevices().catch(() => []);
  const has = (kind: string) => devices.some((d) => d.kind === kind);
  switch (name) {
    case "NotAllowedError":
    case "SecurityError":
      return video && !audio ? t.cameraRefused : video ? `${t.microphoneRefused} ${t.cameraRefused}` : t.microphoneRefused;
    case "NotFoundError":
    case "OverconstrainedError":
      return audio && !has("audioinput") ? t.noMicrophone : video ? t.noCamera : t.noMicrophone;
    case "NotReadableError":
    case "AbortError":
      return t.deviceBusy;
    default:
      return t.deviceFailed(error instanceof Error ? error.message : String(error));
  }
}
