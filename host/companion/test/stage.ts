// As much of a browser, and of a connection to the box, as the guest's side of the show needs: so that a test says when
// the connection is lost, and what the box answers.

import { setMaxListeners } from "node:events";
import { computed, signal } from "@preact/signals";
import type { BoxLink, LinkState, PendingHere } from "../src/box";
import type { StoredGuest } from "../src/credentials";
import type { Credential, GuestState, Health, Meter, Online, Outputs, RoomSnapshot } from "../src/protocol";
import { RpcError, Unanswered, type Notification } from "../src/rpc";

export class Track extends EventTarget {
  readyState = "live";
  enabled = true;
  contentHint = "";
  readonly kind: string;

  constructor(kind: string) {
    super();
    this.kind = kind;
  }

  stop(): void {
    this.readyState = "ended";
  }

  getSettings(): object {
    return {};
  }

  /** As when the device is unplugged. */
  end(): void {
    this.stop();
    this.dispatchEvent(new Event("ended"));
  }
}

/** Every track that a page opened. */
export const tracks: Track[] = [];

export const lights = () => ["video", "audio"].map((kind) => tracks.some((t) => t.kind === kind && t.readyState === "live"));

class Shelf {
  readonly #kept = new Map<string, string>();
  getItem = (key: string) => this.#kept.get(key) ?? null;
  setItem = (key: string, value: string) => void this.#kept.set(key, value);
  removeItem = (key: string) => void this.#kept.delete(key);
  clear = () => this.#kept.clear();
}

interface Wanted {
  audio: unknown;
  video: unknown;
}

/** What the browser lists. */
export const present: { deviceId: string; kind: string }[] = [];

/** The name of the error with which the browser refuses this, if it does. */
export const refuses: { why: (wanted: Wanted) => string | null } = { why: () => null };

export const devices = Object.assign(new EventTarget(), {
  getUserMedia: async ({ audio, video }: Wanted) => {
    const why = refuses.why({ audio, video });
    if (why) throw new DOMException("refused", why);
    const opened = [...(audio ? [new Track("audio")] : []), ...(video ? [new Track("video")] : [])];
    tracks.push(...opened);
    const of = (kind: string) => opened.filter((t) => t.kind === kind);
    return { getTracks: () => opened, getAudioTracks: () => of("audio"), getVideoTracks: () => of("video") };
  },
  enumerateDevices: async () => present,
});
// Each page listens, and none is ever closed here.
setMaxListeners(0, devices);

const realTimeout = globalThis.setTimeout;

/** How many hold the screen awake. */
export const awake = { now: 0 };
const wakeLock = {
  request: async () => {
    awake.now += 1;
    return { release: async () => void (awake.now -= 1) };
  },
};

/** Puts the browser up; to be called before a page is made. */
export function browser(): void {
  const page = new EventTarget();
  const put = (name: string, value: unknown) => Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  put("sessionStorage", new Shelf());
  put("localStorage", new Shelf());
  put("navigator", { mediaDevices: devices, language: "en", wakeLock });
  // A page is never closed here: what it still waits for does not hold the tests up.
  put("setTimeout", Object.assign((then: () => void, ms?: number) => realTimeout(then, ms).unref(), realTimeout));
  put("document", Object.assign(new EventTarget(), { visibilityState: "visible", title: "" }));
  put("addEventListener", page.addEventListener.bind(page));
  put("removeEventListener", page.removeEventListener.bind(page));
  tracks.length = 0;
  awake.now = 0;
  refuses.why = () => null;
  present.length = 0;
}

export const ANA: StoredGuest = { user_id: "ana", username: "guest-ana", password: "p", box: "b", name: "Ana" } as StoredGuest;

export const seat = (change: Partial<GuestState> = {}): GuestState => ({
  seat: 1,
  user_id: "ana",
  name: "Ana",
  state: "on_air",
  camera: true,
  audio_muted: false,
  video_muted: false,
  muted_by_host: false,
  hidden_by_host: false,
  gain_db: 0,
  speaking: false,
  connected_ms: 0,
  ...change,
});

export interface Asked {
  method: string;
  params: Record<string, unknown>;
}

/** A connection to a box that does as a test says. */
export class FakeLink {
  readonly credentials: Credential;
  readonly state = signal<LinkState>("up");
  readonly online = signal<Online | null>({ online: true, boot_id: "1", version: "0" } as Online);
  readonly room = signal<RoomSnapshot | null>(null);
  readonly pending = signal<PendingHere | null>(null);
  readonly outputs = signal<Outputs | null>(null);
  readonly health = signal<Health | null>(null);
  readonly meters = signal<ReadonlyMap<number, Meter>>(new Map());
  readonly reachable = computed(() => this.state.value === "up" && this.online.value?.online !== false);
  readonly epoch = signal(1);
  readonly asked: Asked[] = [];
  /** By method; a reason refuses. What is not here is answered with {}. */
  readonly answers: Record<string, object | string> = {};
  #listener: (n: Notification) => void = () => undefined;

  constructor(credentials: Credential) {
    this.credentials = credentials;
  }

  get methods(): string[] {
    return this.asked.map((a) => a.method);
  }

  listen(listener: (n: Notification) => void): () => void {
    const before = this.#listener;
    this.#listener = (n) => {
      before(n);
      listener(n);
    };
    return () => undefined;
  }

  tell(method: string, params: object = {}): void {
    this.#listener({ method, params: params as Record<string, unknown> });
  }

  call(method: string, params: Record<string, unknown>): Promise<unknown> {
    if (!this.reachable.peek()) return Promise.reject(new Unanswered("no connection"));
    this.asked.push({ method, params });
    const answer = this.answers[method] ?? {};
    if (typeof answer === "object") return Promise.resolve(answer);
    return Promise.reject(new RpcError({ code: -32000, message: answer, data: { reason: answer as never } }));
  }

  whenUp = () => (this.state.peek() === "up" ? Promise.resolve() : Promise.reject(new Unanswered("unreachable")));
  end = () => undefined;
  probe = () => undefined;

  seats(...guests: GuestState[]): void {
    this.room.value = { ...(this.room.peek() as RoomSnapshot), rev: (this.room.peek()?.rev ?? 0) + 1, guests };
  }

  lose(): void {
    this.state.value = "down";
  }

  comeBack(): void {
    this.asked.length = 0;
    this.epoch.value += 1;
    this.state.value = "up";
  }

  get asBoxLink(): BoxLink {
    return this as unknown as BoxLink;
  }
}

const PATIENCE_MS = 10_000;

export async function until(what: string, good: () => boolean): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!good()) {
    if (performance.now() > end) throw new Error(`Waited in vain until ${what}.`);
    await new Promise((resolve) => realTimeout(resolve, 5));
  }
}
