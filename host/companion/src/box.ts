// The one connection to the box: MQTT 5 over WebSocket, requests up, snapshots and notifications down. What the pages
// show comes from the signals here and from nowhere else, so a reload or a lost connection leaves nothing stale.

import type { IDisconnectPacket, MqttClient } from "mqtt";
import { computed, signal } from "@preact/signals";
import { t } from "./i18n";
import type { Params, Result, Role } from "./contract";
import type { Credential, Health, Meter, Meters, Methods, Online, Outputs, Pending, RoomSnapshot } from "./protocol";
import { Revisions } from "./rev";
import { Calls, isObject, Unanswered, type Notification } from "./rpc";

/** A box on the same network answers in milliseconds; past this a person should hear that it did not. */
const REPLY_MS = 8_000;
/** The box drops a request older than this: what a person asked for must not happen long after. */
const EXPIRY_S = 8;
const KEEPALIVE_S = 20;
const RECONNECT_MS = 1_000;
/** After sleep or a change of network a dead socket may look open: it must answer a ping within this. */
const PROBE_MS = 2_500;
/** Meters come ten times a second: after so long without, the last ones say nothing of now. */
const METERS_MS = 1_000;

const GONE = JSON.stringify({ jsonrpc: "2.0", method: "session.gone" });

const BAD_CREDENTIAL = 0x86;
const NOT_AUTHORIZED = 0x87;
const TAKEN_OVER = 0x8e;

/** `refused`: the credential is not valid any more. `replaced`: another page uses it now. */
export type LinkState = "connecting" | "up" | "down" | "refused" | "replaced";

export interface PendingHere extends Pending {
  /** `performance.now()` when it came: `expires_in_ms` counts from here. */
  at: number;
}

export class BoxLink {
  readonly state = signal<LinkState>("connecting");
  readonly online = signal<Online | null>(null);
  readonly room = signal<RoomSnapshot | null>(null);
  readonly pending = signal<PendingHere | null>(null);
  readonly outputs = signal<Outputs | null>(null);
  readonly #newest = signal<Health | null>(null);
  readonly meters = signal<ReadonlyMap<number, Meter>>(new Map());
  /** Whether a request can be expected to be answered. */
  readonly reachable = computed(() => this.state.value === "up" && this.online.value?.online !== false);
  /** How the box is now: of one that cannot be reached nobody knows. */
  readonly health = computed(() => (this.reachable.value ? this.#newest.value : null));
  /** Grows with each time the connection is made, for those who must ask again then. */
  readonly epoch = signal(0);

  readonly credentials: Credential;
  /** None until the library is there, which is most of a page's weight: a page is shown before. */
  #client: MqttClient | null = null;
  #over = false;
  readonly #calls = new Calls();
  readonly #revisions = new Revisions();
  readonly #listeners = new Set<(n: Notification) => void>();
  readonly #base: string;
  readonly #up: string;
  readonly #topics: string[];
  /** Pages of this browser tell each other here which of them has a credential now. */
  readonly #pages = new BroadcastChannel("dais.pages");
  #resyncTimer: ReturnType<typeof setTimeout> | undefined;
  #metersTimer: ReturnType<typeof setTimeout> | undefined;
  #lastPacket = 0;
  #probing = false;

  constructor(role: Role, credentials: Credential) {
    this.credentials = credentials;
    this.#base = `dais/v1/${credentials.box}/`;
    const own = `${this.#base}${role}/${credentials.user_id}/`;
    this.#up = `${own}up`;
    const shared = ["online", "room"];
    // The meters come ten times a second, to each page that asks for them: guests and viewers show none.
    const hosts = ["pending", "outputs", "health", "meters", "host/events"];
    this.#topics = [...(role === "host" ? [...shared, ...hosts] : shared).map((x) => this.#base + x), `${own}down`];

    this.#pages.addEventListener("message", (e) => {
      if (e.data === credentials.username) this.#replaced();
    });
    this.#pages.postMessage(credentials.username);

    void this.#open();
    addEventListener("pagehide", this.#pagehide);
    addEventListener("online", this.probe);
    document.addEventListener("visibilitychange", this.probe);
  }

  async #open(): Promise<void> {
    const mqtt = await library();
    if (this.#over) return;
    if (!mqtt) {
      this.state.value = "down";
      return;
    }
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const client = mqtt.connect(`${scheme}://${location.host}/mqtt`, {
      protocolVersion: 5,
      // One page at a time for a credential: the newest takes over, so that two do not answer the same offer.
      clientId: `page-${this.credentials.username}`,
      username: this.credentials.username,
      password: this.credentials.password,
      clean: true,
      keepalive: KEEPALIVE_S,
      reconnectPeriod: RECONNECT_MS,
      connectTimeout: 8_000,
      reconnectOnConnackError: true,
      resubscribe: false,
      queueQoSZero: false,
      // The worker timers of mqtt.js start a worker from a blob, which a strict content security policy refuses.
      timerVariant: "native",
      will: { topic: this.#up, payload: GONE, qos: 1, retain: false },
    });
    this.#client = client;
    client.on("connect", () => this.#connected(client));
    client.on("message", (topic, payload) => this.#message(topic, payload));
    client.on("packetreceive", () => (this.#lastPacket = performance.now()));
    client.on("close", () => this.#lost());
    client.on("error", (error) => this.#refusedBy((error as { code?: number | string }).code));
    client.on("disconnect", (packet: IDisconnectPacket) => this.#refusedBy(packet.reasonCode));
  }

  listen(listener: (n: Notification) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Asks the box. Rejects with the box's own sentence, or with ours when it could not be asked. */
  call<M extends keyof Methods>(method: M, params: Params<M>): Promise<Result<M>> {
    const client = this.#client;
    if (!client || !this.reachable.peek()) return Promise.reject(new Unanswered(t.notConnected));
    const { id, text, reply } = this.#calls.start(method, params, REPLY_MS, t.noReply);
    client.publish(this.#up, text, { qos: 1, properties: { messageExpiryInterval: EXPIRY_S } }, (error) => {
      if (error) this.#calls.fail(id, new Unanswered(`${t.notSent} ${error.message}`));
    });
    const packetId = client.getLastMessageId();
    push(client);
    const late = setTimeout(this.probe, PROBE_MS);
    return reply.finally(() => clearTimeout(late)).catch((error: Error) => {
      // mqtt.js would send what was not acknowledged again after a reconnect, with its full expiry.
      if (error instanceof Unanswered) client.removeOutgoingMessage(packetId);
      throw error;
    }) as Promise<Result<M>>;
  }

  /** Resolves when the link is up; rejects when it cannot be within the time. */
  async whenUp(ms = 10_000): Promise<void> {
    if (this.state.peek() === "up") return;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => settle(() => reject(new Unanswered(t.boxUnreachable))), ms);
      const stop = this.state.subscribe((state) => {
        if (state === "up") queueMicrotask(() => settle(resolve));
        if (state === "refused") queueMicrotask(() => settle(() => reject(new Unanswered(t.credentialRefused))));
      });
      const settle = (then: () => void) => {
        clearTimeout(timer);
        stop();
        then();
      };
    });
  }

  /** Says goodbye and never connects again. */
  end(): void {
    removeEventListener("pagehide", this.#pagehide);
    removeEventListener("online", this.probe);
    document.removeEventListener("visibilitychange", this.probe);
    clearTimeout(this.#resyncTimer);
    clearTimeout(this.#metersTimer);
    this.#pages.close();
    this.#goodbye();
    this.#calls.failAll(new Unanswered(t.notConnected));
  }

  #goodbye(): void {
    // The page may be gone before an acknowledgement: QoS 0, and should even that not leave, the will says the same.
    this.#over = true;
    if (this.#client?.connected) this.#client.publish(this.#up, GONE);
    this.#client?.end();
  }

  readonly #pagehide = (): void => this.#goodbye();

  /** Something speaks for a dead connection: sleep, another network, media in trouble, a reply that does not come. */
  readonly probe = (): void => {
    const client = this.#client;
    if (document.visibilityState === "hidden" || !client?.connected || this.#probing) return;
    const { stream } = client;
    const asked = performance.now();
    this.#probing = true;
    client.sendPing();
    setTimeout(() => {
      this.#probing = false;
      // Not the one that was made meanwhile.
      if (client.connected && client.stream === stream && this.#lastPacket < asked) stream.destroy();
    }, PROBE_MS);
  };

  #connected(client: MqttClient): void {
    this.#revisions.reconnected();
    // Which start of the box this is, its retained message says.
    this.online.value = null;
    client.subscribe(this.#topics, { qos: 1 }, (error, granted) => {
      const refused = granted?.find((g) => g.qos >= 0x80);
      if (error || refused) {
        // Without its topics the page would show an old state: start over rather than pretend.
        console.warn("The box refused a subscription:", refused?.topic ?? error?.message);
        client.stream.destroy();
        return;
      }
      if (this.#over) return;
      this.epoch.value += 1;
      this.state.value = "up";
    });
  }

  #lost(): void {
    this.#calls.failAll(new Unanswered(t.notConnected));
    this.meters.value = new Map();
    this.#newest.value = null;
    if (this.state.peek() === "up" || this.state.peek() === "connecting") this.state.value = "down";
  }

  #refusedBy(code: number | string | undefined): void {
    if (code === TAKEN_OVER) this.#replaced();
    if (code !== BAD_CREDENTIAL && code !== NOT_AUTHORIZED) return;
    this.state.value = "refused";
    this.#client?.end(true);
  }

  /**
   * Two pages that take the connection from each other in turn would serve nobody. The socket is left to the broker,
   * which closes it when the newer page connects: then our `session.gone` comes before whatever that page asks for.
   */
  #replaced(): void {
    this.#over = true;
    if (this.#client) this.#client.options.reconnectPeriod = 0;
    // One that is still on its way would come after the newer page, and take the connection back from it.
    if (!this.#client?.connected) this.#client?.end(true);
    this.state.value = "replaced";
  }

  #message(topic: string, payload: Uint8Array): void {
    let value: unknown;
    try {
      value = JSON.parse(new TextDecoder().decode(payload));
    } catch {
      console.warn("The box sent something that is no JSON on", topic);
      return;
    }
    if (!isObject(value)) return;
    const name = topic.slice(this.#base.length);
    switch (name) {
      case "online":
        this.online.value = value as unknown as Online;
        if (!this.reachable.peek()) this.meters.value = new Map();
        return;
      case "room":
        if (this.#revisions.snapshot(name, revOf(value) ?? 0)) this.room.value = value as unknown as RoomSnapshot;
        this.#scheduleResync();
        return;
      case "pending":
        this.#saw(value);
        if (!this.#revisions.snapshot(name, revOf(value) ?? 0)) return;
        this.pending.value = { ...(value as unknown as Pending), at: performance.now() };
        return;
      case "outputs":
        this.#saw(value);
        if (!this.#revisions.snapshot(name, revOf(value) ?? 0)) return;
        this.outputs.value = value as unknown as Outputs;
        return;
      case "health":
        this.#newest.value = value as unknown as Health;
        return;
      case "meters":
        this.meters.value = new Map((value as unknown as Meters).seats.map((m) => [m.seat, m]));
        clearTimeout(this.#metersTimer);
        this.#metersTimer = setTimeout(() => (this.meters.value = new Map()), METERS_MS);
        return;
    }
    const notification = this.#calls.receive(value);
    if (!notification) return;
    this.#saw(value);
    this.#saw(notification.params);
    for (const listener of this.#listeners) listener(notification);
  }

  #saw(value: Record<string, unknown>): void {
    const rev = revOf(value);
    if (rev === undefined) return;
    this.#revisions.seen(rev, performance.now());
    this.#scheduleResync();
  }

  #scheduleResync(): void {
    clearTimeout(this.#resyncTimer);
    const at = this.#revisions.nextLook();
    if (at === null) return;
    this.#resyncTimer = setTimeout(() => {
      if (!this.#client?.connected || !this.#revisions.due(performance.now())) return;
      // Subscribing again makes the broker send what it retains once more.
      this.#client.subscribe(this.#topics.filter((x) => /\/(room|pending|outputs)$/.test(x)), { qos: 1 });
    }, Math.max(0, at - performance.now()) + 1);
  }
}

/**
 * mqtt.js, which is most of a page's weight: a page is shown before it comes. None if the box went away between the page and
 * this: browsers keep a failed import for good (whatwg/html issue 6768), so the page is loaded anew when the box is back.
 */
async function library(): Promise<typeof import("mqtt").default | null> {
  try {
    return (await import("mqtt")).default;
  } catch {
    const look = async () => {
      const back = await fetch(location.href, { method: "HEAD", cache: "no-store" }).catch(() => null);
      if (back?.ok) location.reload();
      else setTimeout(look, RECONNECT_MS);
    };
    setTimeout(look, RECONNECT_MS);
    return null;
  }
}

/** mqtt.js gathers what it writes until a timer's turn, which a page that is being closed does not have any more. */
function push({ stream }: MqttClient): void {
  while (stream.writableCorked > 0) stream.uncork();
}

function revOf(value: Record<string, unknown>): number | undefined {
  return typeof value.rev === "number" ? value.rev : undefined;
}
