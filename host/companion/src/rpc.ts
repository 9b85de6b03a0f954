// JSON-RPC 2.0 as the contract uses it: every request has a new id, and ends exactly once, by its reply, by time, or
// with the connection. Pure: what carries the messages and what measures time is passed in.

import type { Reason, RpcError as RpcErrorObject } from "./protocol";

/** The box answered with an error. `message` is the box's own sentence for a person. */
export class RpcError extends Error {
  readonly code: number;
  readonly reason: Reason | undefined;

  constructor(error: AnyError) {
    super(error.message);
    this.name = "RpcError";
    this.code = error.code;
    this.reason = error.data?.reason;
  }

  /** Nothing is open any more that could be answered: somebody was first, or time was. */
  get isOver(): boolean {
    return this.reason === "no_such_request" || this.reason === "request_expired";
  }
}

/** No answer of the box: it could not be asked, or did not answer in time. */
export class Unanswered extends Error {
  override readonly name = "Unanswered";
}

export interface Notification {
  method: string;
  params: Record<string, unknown>;
}

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
  stopClock(): void;
}

/** Starts a clock of so many milliseconds and returns what stops it. */
export type Clock = (ms: number, ring: () => void) => () => void;

export const systemClock: Clock = (ms, ring) => {
  const timer = setTimeout(ring, ms);
  return () => clearTimeout(timer);
};

/** 64 bytes is the most that an id may have; this makes 32. `crypto.randomUUID` needs a secure context, this does not. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

/** The requests that wait for their reply. */
export class Calls {
  readonly #waiting = new Map<string, Waiting>();
  readonly #clock: Clock;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  get open(): number {
    return this.#waiting.size;
  }

  /** Registers a request; the caller sends `text`. */
  start(method: string, params: unknown, timeoutMs: number, lateSentence: string): { id: string; text: string; reply: Promise<unknown> } {
    const id = newId();
    const text = JSON.stringify({ jsonrpc: "2.0", id, method, params });
    const reply = new Promise<unknown>((resolve, reject) => {
      const stopClock = this.#clock(timeoutMs, () => this.fail(id, new Unanswered(lateSentence)));
      this.#waiting.set(id, { resolve, reject, stopClock });
    });
    return { id, text, reply };
  }

  fail(id: string, error: Error): void {
    const waiting = this.#take(id);
    waiting?.reject(error);
  }

  failAll(error: Error): void {
    for (const id of [...this.#waiting.keys()]) this.fail(id, error);
  }

  /** Takes a message in; returns the notification if it is one. Anything else that nobody waits for is dropped. */
  receive(message: unknown): Notification | null {
    if (!isObject(message)) return null;
    if (typeof message.method === "string") {
      return { method: message.method, params: isObject(message.params) ? message.params : {} };
    }
    if (typeof message.id !== "string") return null;
    const waiting = this.#take(message.id);
    if (!waiting) return null;
    if (isObject(message.error)) waiting.reject(new RpcError(readError(message.error)));
    else waiting.resolve(message.result ?? {});
    return null;
  }

  #take(id: string): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiting?.stopClock();
    return waiting;
  }
}

/** As much of an error object as another version of the box may send. */
type AnyError = Omit<RpcErrorObject, "data"> & { data?: RpcErrorObject["data"] };

function readError(error: Record<string, unknown>): AnyError {
  const read: AnyError = {
    code: typeof error.code === "number" ? error.code : 0,
    message: typeof error.message === "string" ? error.message : JSON.stringify(error),
  };
  if (isObject(error.data)) read.data = error.data as unknown as RpcErrorObject["data"];
  return read;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
