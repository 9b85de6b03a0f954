// The operator's console: one paired connection, and what is asked of the box on it. All state is the box's.

import { computed, effect, signal } from "@preact/signals";
import { BoxLink } from "../box";
import { hostCredentials } from "../credentials";
import { pair } from "../http";
import { t } from "../i18n";
import { MediaSessions } from "../media/sessions";
import type { Notifications, Params, Result } from "../contract";
import type { Credential, Methods, PendingRequest, Person } from "../protocol";
import { RpcError, type Notification } from "../rpc";
import { sentence } from "../sentence";
import { keepAwake } from "../ui/awake";
import { alarmName } from "./health";
import { UNDO_MS, Undos } from "./undo";

export interface Notice {
  id: number;
  text: string;
  /** What can still be taken back, by its key in `undos`. */
  undo?: string;
  /** An error waits to be read; the rest goes by itself. */
  error: boolean;
}

const NOTICE_MS = 6_000;
/** More of them would cover the page. */
const ERRORS = 3;
/** A request that is about to run out by itself is declined before that, so that its guest hears of a decision. */
const BEFORE_THE_END_MS = 500;
/** The box takes the host for gone who has not said for 10 s that they still speak off air. */
const STILL_TALKING_MS = 3_000;
/** Requests that another console answered, remembered for the tap that was on its way meanwhile. */
const ANSWERS = 20;

export class Console {
  readonly link = signal<BoxLink | null>(null);
  readonly media = signal<MediaSessions | null>(null);
  /** The guest who is seen and heard off air, on this console. */
  readonly look = signal<{ user_id: string; media: MediaSessions } | null>(null);
  readonly notices = signal<Notice[]>([]);
  readonly people = signal<Person[]>([]);
  readonly pairError = signal<string | null>(null);
  readonly busy = signal(false);
  readonly undos = new Undos();
  readonly room = computed(() => this.link.value?.room.value ?? null);
  /** Who is accepted has a seat in `room` before `pending` comes without their request: nobody is shown twice. */
  readonly requests = computed(() => {
    const seated = new Set(this.room.value?.guests.map((g) => g.user_id));
    return (this.link.value?.pending.value?.requests ?? []).filter((r) => !seated.has(r.user_id));
  });
  readonly asking = computed(() => this.requests.value.length);
  /** Who asked last, for those who do not look at the page. */
  readonly asked = signal("");
  readonly watchers = computed(() => this.link.value?.health.value?.watchers);
  /** Whom the host speaks to off air. */
  readonly talkback = computed(() => this.link.value?.pending.value?.talkback ?? null);
  /** The same if it is this console that does. `pending` comes again with every change; who is spoken to rarely changes. */
  readonly #talksTo = computed(() => {
    const talkback = this.talkback.value;
    return talkback && talkback.by === this.link.value?.credentials.user_id ? talkback.user_id : null;
  });
  readonly code: string;
  readonly #talkEnds = signal(false);
  #notice = 0;
  readonly #answered = new Map<string, string>();

  readonly #open: (credentials: Credential) => BoxLink;

  /** `open` makes the connection; tests have one of their own. */
  constructor(code: string, open = (credentials: Credential) => new BoxLink("host", credentials)) {
    this.code = code;
    this.#open = open;
    const known = hostCredentials.load();
    if (known) this.#connect(known);
    effect(() => this.#watchLink());
    effect(() => this.#watchPending());
    effect(() => this.#watchLook());
    effect(() => this.#keepTalking());
    keepAwake(() => this.talkback.value !== null || (this.room.value?.guests.length ?? 0) > 0);
    effect(() => {
      // Nothing tells a console that someone began to watch, but the count of those who do.
      if (this.watchers.value !== undefined) void this.refreshPeople();
    });
    effect(() => {
      const waiting = this.asking.value;
      // Said again, the next time, to whom the same guest is news.
      if (waiting === 0) this.asked.value = "";
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
      this.pairError.value = sentence(error);
    } finally {
      this.busy.value = false;
    }
  }

  /** By hand: the credential ends too, so that nobody can use what a browser may still keep of it. */
  async unpair(): Promise<void> {
    const link = this.link.peek();
    if (!link) return;
    this.undos.flush();
    const told = await link.call("host.unpair", { user_id: link.credentials.user_id }).then(
      () => true,
      () => false,
    );
    this.#forget();
    this.pairError.value = told ? null : t.forgottenHere;
  }

  #forget(): void {
    this.undos.flush();
    hostCredentials.forget();
    this.look.peek()?.media.end();
    this.look.value = null;
    this.media.peek()?.end();
    this.link.peek()?.end();
    this.media.value = null;
    this.link.value = null;
  }

  /** One guest at a time: whoever was looked at before is not any more. */
  lookAt(user_id: string): void {
    const link = this.link.peek();
    if (!link) return;
    this.look.peek()?.media.end();
    const media = new MediaSessions(link, null, user_id);
    this.look.value = { user_id, media };
    media.watch();
  }

  stopLooking(): void {
    const look = this.look.peek();
    if (!look) return;
    look.media.end();
    this.look.value = null;
    // Where this does not arrive, the look has ended with the connection.
    this.link.peek()?.call("media.watch", { on: false, user_id: look.user_id }).catch(() => undefined);
  }

  /** Off air, to this guest alone; to everybody again with null. */
  async talkTo(user_id: string | null): Promise<void> {
    // Nothing that was on its way to keep the talk up comes after its end.
    this.#talkEnds.value = user_id === null;
    await this.ask("talkback.set", user_id ? { user_id } : {});
    this.#talkEnds.value = false;
  }

  /** Asks the box, and shows its sentence if it says no. The result is null then. */
  async ask<M extends keyof Methods>(method: M, params: Params<M>): Promise<Result<M> | null> {
    const link = this.link.peek();
    if (!link) return null;
    try {
      return await link.call(method, params);
    } catch (error) {
      this.say(sentence(error), true);
      return null;
    }
  }

  /** Whether this invitation lets nobody in any more. */
  async revoke(invite: string): Promise<boolean> {
    const link = this.link.peek();
    if (!link) return false;
    try {
      await link.call("invite.revoke", { invite });
      return true;
    } catch (error) {
      // It has ended already.
      if (error instanceof RpcError && error.reason === "invalid_params") return true;
      this.say(sentence(error), true);
      return false;
    }
  }

  say(text: string, error = false, undo?: string): void {
    const id = (this.#notice += 1);
    const others = this.notices.peek().filter((n) => n.undo || n.text !== text);
    // Room for two; but what can be taken back has its button nowhere else, and an error waits to be read.
    const stays = (n: Notice) => n.undo !== undefined || n.error;
    const [newest] = others.filter((n) => !stays(n)).slice(-1);
    const old = others.filter((n) => n.error).slice(0, -ERRORS);
    const kept = others.filter((n) => (stays(n) || n === newest) && !old.includes(n));
    this.notices.value = [...kept, { id, text, error, ...(undo ? { undo } : {}) }];
    if (!error) setTimeout(() => this.dismiss(id), undo ? UNDO_MS : NOTICE_MS);
  }

  async respond(request: PendingRequest, accept: boolean, words = ""): Promise<void> {
    const { user_id, request_id, name } = request;
    try {
      await this.link.peek()?.call("mic.respond", { user_id, accept, ...(words ? { message: words } : {}) });
    } catch (error) {
      // Where another console was first, its name says more than "not open any more".
      const first = error instanceof RpcError && error.isOver ? this.#answered.get(request_id) : undefined;
      if (first) this.say(first);
      else this.say(accept ? sentence(error) : t.notDeclined(name, sentence(error)), true);
    }
  }

  /** In a moment, unless it is taken back. `until`: when the request runs out by itself. */
  decline(request: PendingRequest, until: number, words = ""): void {
    const left = until - performance.now() - BEFORE_THE_END_MS;
    this.undos.add(request.request_id, Math.min(UNDO_MS, Math.max(0, left)), () => void this.respond(request, false, words));
  }

  /** Off air at once; for good in a moment, unless it is taken back: the button stands beside others that are pressed in haste. */
  ban(user_id: string, name: string): void {
    const key = `ban ${user_id}`;
    const link = this.link.peek();
    const failed = (words: (name: string, why: string) => string) => (error: unknown) => {
      // A guest who has just left has no seat to lose.
      if (!(error instanceof RpcError && error.reason === "not_connected")) this.say(words(name, sentence(error)), true);
    };
    this.undos.add(key, UNDO_MS, () => void link?.call("guest.ban", { user_id }).catch(failed(t.notBanned)));
    this.say(t.offAirAndBanned(name), false, key);
    link?.call("mic.disconnect", { user_id }).catch(failed(t.notOffAir));
  }

  takeBack(notice: Notice): void {
    if (notice.undo) this.undos.takeBack(notice.undo);
    this.dismiss(notice.id);
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
    if (!link?.reachable.peek()) return;
    try {
      this.people.value = (await link.call("room.people", {})).people;
    } catch (error) {
      // Nobody asked for this by hand, and it is asked again with the next connection.
      console.warn("The list of people could not be had:", error);
    }
  }

  #connect(credentials: Credential): void {
    const link = this.#open(credentials);
    link.listen((n) => this.#notified(n));
    this.media.value = new MediaSessions(link, null);
    this.link.value = link;
  }

  #watchLink(): void {
    const link = this.link.value;
    if (!link) return;
    if (link.state.value === "refused") {
      this.#forget();
      this.pairError.value = t.unpaired;
    } else if (link.state.value === "replaced") {
      const media = this.media.peek();
      if (media) media.wanted = false;
      this.stopLooking();
    } else if (link.reachable.value && link.epoch.value > 0) {
      this.media.peek()?.watch();
      this.look.peek()?.media.watch();
      void this.refreshPeople();
    }
  }

  /** A request that is gone (cancelled, run out, answered by another console) cannot be declined any more. */
  #watchPending(): void {
    const pending = this.link.value?.pending.value;
    if (!pending) return;
    const open = new Set(pending.requests.map((r) => r.request_id));
    this.undos.keep((key) => key.startsWith("ban ") || open.has(key));
  }

  /** A look ends with its guest's request or seat. */
  #watchLook(): void {
    const { room, pending } = this.link.value ?? {};
    const user_id = this.look.value?.user_id;
    const [guests, requests] = [room?.value?.guests, pending?.value?.requests];
    if (!user_id || !guests || !requests) return;
    if (![...guests, ...requests].some((p) => p.user_id === user_id)) this.stopLooking();
  }

  /** For as long as this console is the one that speaks. */
  #keepTalking(): (() => void) | undefined {
    const link = this.link.value;
    const user_id = this.#talksTo.value;
    if (!link || !user_id || this.#talkEnds.value) return undefined;
    // What the box refuses now it has ended already, and the snapshot says so.
    const again = setInterval(() => link.call("talkback.set", { user_id }).catch(() => undefined), STILL_TALKING_MS);
    return () => clearInterval(again);
  }

  #notified({ method, params }: Notification): void {
    const told = <M extends keyof Notifications>() => params as unknown as Notifications[M];
    switch (method) {
      case "mic.request_answered": {
        const { request_id, by, by_name, accept } = told<"mic.request_answered">();
        if (by === this.link.peek()?.credentials.user_id) return;
        const text = t.answeredBy(by_name ?? by, accept);
        this.#answered.set(request_id, text);
        for (const old of [...this.#answered.keys()].slice(0, -ANSWERS)) this.#answered.delete(old);
        this.say(text);
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
        this.say(`${alarmName({ what })}: ${t.alarmAdvice[what] ?? advice}`);
        return;
      }
      case "mic.requested": {
        const { name, camera } = told<"mic.requested">();
        this.asked.value = t.asksToJoin(name, camera);
        if ("vibrate" in navigator) navigator.vibrate(200);
        void this.refreshPeople();
        return;
      }
      case "room.users_updated":
      case "mic.request_cancelled":
      case "mic.request_timed_out":
      case "mic.exited":
        void this.refreshPeople();
        return;
    }
  }
}
