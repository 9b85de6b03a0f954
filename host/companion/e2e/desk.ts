// A console without a page: for tests that need two requests to reach the box one directly after the other.

import mqtt, { type MqttClient } from "mqtt";
import type { Box } from "./run";
import { PATIENCE_MS } from "./run";

interface Room {
  guests: { user_id: string; state: string }[];
}

export class Desk {
  readonly #mqtt: MqttClient;
  readonly #root: string;
  readonly #self: string;
  readonly #replies = new Map<string, (reply: { result?: unknown; error?: unknown }) => void>();
  readonly #latest = new Map<string, unknown>();
  #wake: (() => void)[] = [];
  #next = 0;

  private constructor(client: MqttClient, box: Box) {
    this.#mqtt = client;
    this.#root = `dais/v1/${box.ready.box}`;
    this.#self = `${this.#root}/host/${box.ready.host.user_id}`;
    client.on("message", (topic, payload) => {
      const message = JSON.parse(payload.toString());
      if (topic === `${this.#self}/down`) this.#replies.get(message.id)?.(message);
      else this.#latest.set(topic.slice(this.#root.length + 1), message);
      for (const wake of this.#wake.splice(0)) wake();
    });
  }

  static async connect(box: Box): Promise<Desk> {
    const { username, password } = box.ready.host;
    const client = await mqtt.connectAsync(box.ready.mqtt, { protocolVersion: 5, username, password, clientId: `${username}-desk` });
    const desk = new Desk(client, box);
    await client.subscribeAsync([`${desk.#self}/down`, ...["room", "pending", "outputs", "health"].map((t) => `${desk.#root}/${t}`)], { qos: 1 });
    return desk;
  }

  /** Sends at once; the promise is the result. */
  call(method: string, params: object = {}): Promise<unknown> {
    const id = `desk-${this.#next++}`;
    const reply = new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${method} was not answered in time.`)), PATIENCE_MS);
      this.#replies.set(id, ({ result, error }) => {
        clearTimeout(timer);
        this.#replies.delete(id);
        if (error) reject(new Error(`${method}: ${JSON.stringify(error)}`));
        else resolve(result);
      });
    });
    this.#mqtt.publish(`${this.#self}/up`, JSON.stringify({ jsonrpc: "2.0", id, method, params }), { qos: 1 });
    return reply;
  }

  /** The newest of a retained or periodic topic that is as wanted. */
  async until<T>(topic: string, wanted: (seen: T) => boolean): Promise<T> {
    const end = Date.now() + PATIENCE_MS;
    for (;;) {
      const seen = this.#latest.get(topic) as T | undefined;
      if (seen !== undefined && wanted(seen)) return seen;
      if (Date.now() > end) throw new Error(`Waited in vain for ${topic}; last seen: ${JSON.stringify(seen)}.`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, PATIENCE_MS);
        this.#wake.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  async seated(n: number, state = "on_air"): Promise<void> {
    await this.until<Room>("room", (room) => room.guests.filter((g) => g.state === state).length === n && room.guests.length === n);
  }

  /** Until so many programme frames have left the encoder since now. */
  async frames(n: number): Promise<void> {
    const { frames } = await this.until<{ frames: number }>("health", () => true);
    await this.until<{ frames: number }>("health", (health) => health.frames >= frames + n);
  }

  async close(): Promise<void> {
    await this.#mqtt.endAsync();
  }
}
