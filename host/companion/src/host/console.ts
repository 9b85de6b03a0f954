// The operator's console: one paired connection, and what is asked of the box on it. All state is the box's.

import { computed, effect, signal } from "@preact/signals";
import { BoxLink } from "../box";
import { hostCredentials } from "../credentials";
import { pair } from "../http";
import { t } from "../i18n";
import { MediaSessions } from "../media/sessions";
import type { Credential, Methods, Notifications, Person } from "../protocol";
import type { Notification } from "../rpc";

export interface Notice {
  id: number;
  text: string;
  /** An error waits to be read; the rest goes by itself. */
  error: boolean;
}

const NOTICE_MS = 6_000;

export class Console {
  readonly link = signal<BoxLink | null>(null);
  readonly media = signal<MediaSessions | null>(null);
  readonly notices = signal<Notice[]>([]);
  readonly people = signal<Person[]>([]);
  readonly pairError = signal<string | null>(null);
  readonly busy = signal(false);
  readonly room = computed(() => this.link.value?.room.value ?? null);
  readonly code: string;
  #notice = 0;

  constructor(code: string) {
    this.code = code;
    const known = hostCredentials.load();
    if (known) this.#connect(known);
    effect(() => this.#watchLink());
    effect(() => {
      const waiting = this.link.value?.pending.value?.requests.length ?? 0;
      document.title = waiting > 0 ? `(${waiting}) ${t.console}` : t.console;
    });
  }

  async pair(code: string, name: string): Promise<void> {
    this.pairError.value = null;
    if (!code.trim()) {
      this.pairError.value = t.codeMissing;
      return;
    }
    this.busy.value = true;
    try {
      const credentials = await pair(code.trim(), name.trim());
      hostCredentials.save(credentials);
      this.#connect(credentials);
    } catch (error) {
      this.pairError.value = error instanceof Error ? error.message : String(error);
    } finally {
      this.busy.value = false;
    }
  }

  unpair(): void {
    hostCredentials.forget();
    this.media.peek()?.end();
    this.link.peek()?.end();
    this.media.value = null;
    this.link.value = null;
  }

  /** Asks the box, and shows its sentence if it says no. The result is null then. */
  async ask<M extends keyof Methods>(method: M, params: Methods[M][0]): Promise<Methods[M][1] | null> {
    const link = this.link.peek();
    if (!link) return null;
    try {
      return await link.call(method, params);
    } catch (error) {
      this.say(error instanceof Error ? error.message : String(error), true);
      return null;
    }
  }

  say(text: string, error = false): void {
    const id = (this.#notice += 1);
    const others = this.notices.peek().filter((n) => n.text !== text).slice(-1);
    this.notices.value = [...others, { id, text, error }];
    if (!error) setTimeout(() => this.dismiss(id), NOTICE_MS);
  }

  dismiss(id: number): void {
    this.notices.value = this.notices.peek().filter((n) => n.id !== id);
  }

  nameOf(userId: string): string {
    const link = this.link.peek();
    const known = [...(link?.room.peek()?.guests ?? []), ...(link?.pending.peek()?.requests ?? []), ...this.people.peek()];
    return known.find((p) => p.user_id === userId)?.name ?? userId;
  }

  async refreshPeople(): Promise<void> {
    const link = this.link.peek();
    if (!link || link.state.peek() !== "up") return;
    try {
      this.people.value = (await link.call("room.people", {})).people;
    } catch (error) {
      // Nobody asked for this by hand, and it is asked again with the next connection.
      console.warn("The list of people could not be had:", error);
    }
  }

  #connect(credentials: Credential): void {
    const link = new BoxLink("host", credentials);
    link.listen((n) => this.#notified(n));
    this.media.value = new MediaSessions(link, null);
    this.link.value = link;
  }

  #watchLink(): void {
    const link = this.link.value;
    if (!link) return;
    if (link.state.value === "refused") {
      this.unpair();
      this.pairError.value = t.unpaired;
    } else if (link.state.value === "replaced") {
      const media = this.media.peek();
      if (media) media.wanted = false;
    } else if (link.state.value === "up" && link.epoch.value > 0) {
      this.media.peek()?.watch();
      void this.refreshPeople();
    }
  }

  #notified({ method, params }: Notification): void {
    const told = <M extends keyof Notifications>() => params as unknown as Notifications[M];
    switch (method) {
      case "mic.request_answered": {
        const { by, accept } = told<"mic.request_answered">();
        if (by !== this.link.peek()?.credentials.user_id) this.say(t.answeredBy(by, accept));
        return;
      }
      case "mic.invite_answered": {
        const { user_id, accept } = told<"mic.invite_answered">();
        this.say(t.invitationAnswered(this.nameOf(user_id), accept));
        void this.refreshPeople();
        return;
      }
      case "alarm": {
        const { what, advice } = told<"alarm">();
        // It stands in the health line for as long as it lasts.
        this.say(`${what}: ${advice}`);
        return;
      }
      case "room.users_updated":
      case "mic.requested":
      case "mic.request_cancelled":
      case "mic.request_timed_out":
      case "mic.exited":
        void this.refreshPeople();
        return;
    }
  }
}
