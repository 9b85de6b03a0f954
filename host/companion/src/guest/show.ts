// The guest's side of the show: asking, being on air, leaving, and coming back after anything that can be lost.

import { batch, computed, effect, signal } from "@preact/signals";
import { BoxLink, type LinkState } from "../box";
import { guestCredentials, ownState, type OwnState, type StoredGuest } from "../credentials";
import { join } from "../http";
import { t } from "../i18n";
import { Capture } from "../media/capture";
import { MediaSessions, RESTART_AGAIN_MS } from "../media/sessions";
import type { Notifications } from "../contract";
import type { Termination } from "../protocol";
import { RpcError, Unanswered, type Notification } from "../rpc";
import { sentence } from "../sentence";
import { keepAwake } from "../ui/awake";
import { listenForEcho } from "./headphones";
import { status, type End } from "./status";

/** If something has ended and no notification has said why within this, it is lost. */
const WHY_MS = 800;
/** A snapshot has come by then, after the connection came back. */
const SEAT_MS = 5_000;
/** How long a seat may be `reconnecting` before the box is asked for a new session. */
const REJOIN_MS = 700;
/** After a reload nothing of ours is left; the box may have noticed, and offer by itself. */
const REGAIN_MS = 250;
/** What a host does off air is told again every 5 s: what was not is over. */
const ATTENTION_MS = 15_000;
const NOBODY = { watching: false, talking: false };
const DEFAULT_TIMEOUT_S = 60;
/** How long after a vain try the box is told again that this guest left. */
const LEAVE_AGAIN_MS = 1_000;
/** A credential that ends so soon after its guest was taken off air was ended by a ban. */
const BAN_MS = 10_000;
/** Who was invited did not choose the moment: they have so many seconds to sit up before they are seen. */
const COUNT_IN_S = 3;

export interface Deadline {
  /** In `performance.now()` time. */
  until: number;
}

interface Invitation extends Deadline {
  /** The connection that it came by, and the start of the box that it came from. */
  epoch: number;
  boot: string | undefined;
}

export class GuestShow {
  readonly capture = new Capture();
  readonly link = signal<BoxLink | null>(null);
  readonly media = signal<MediaSessions | null>(null);
  readonly credentials = signal<StoredGuest | null>(null);
  readonly request = signal<Deadline | null>(null);
  readonly invitation = signal<Invitation | null>(null);
  readonly accepted = signal(false);
  readonly end = signal<End | null>(null);
  /** What the host, or the box, said about the end. */
  readonly words = signal<string | null>(null);
  readonly error = signal<string | null>(null);
  readonly busy = signal(false);
  readonly checking = signal(false);
  /** A host sees and hears this guest off air; a host speaks to this guest alone. */
  readonly attention = signal(NOBODY);
  readonly micMuted = signal(false);
  readonly cameraMuted = signal(false);
  readonly mutedByHost = signal(false);
  readonly withCamera = signal(true);
  /** The loudspeaker of this device is heard through its microphone. */
  readonly echo = signal(false);
  /** Seconds until an accepted invitation is answered; null while nothing is counted. */
  readonly countIn = signal<number | null>(null);
  /** Grows each time a request or a seat has ended, and its media with it. */
  readonly ended = signal(0);

  /** What the guest left or cancelled is over here at once. The box is told as soon as it can be, and its snapshot then agrees. */
  readonly #away = signal<"untold" | "told" | null>(null);
  /** The own seat as the box has it. */
  readonly #held = computed(() => {
    const link = this.link.value;
    const id = this.credentials.value?.user_id;
    return link?.room.value?.guests.find((g) => g.user_id === id) ?? null;
  });
  /** Null before the first snapshot. */
  readonly #holds = computed(() => (this.link.value?.room.value ? this.#held.value !== null : null));
  readonly seat = computed(() => (this.#away.value ? null : this.#held.value));
  readonly others = computed(() => {
    const id = this.credentials.value?.user_id;
    return (this.link.value?.room.value?.guests ?? []).filter((g) => g.user_id !== id && g.state === "on_air");
  });
  readonly status = computed(() =>
    status({
      link: standing(this.link.value),
      seat: this.seat.value?.state ?? null,
      accepted: this.accepted.value,
      requested: this.request.value !== null,
      end: this.end.value,
    }),
  );
  /** The host took the picture away: the camera may be on all the same, which nobody should wonder about. */
  readonly hiddenByHost = computed(() => this.seat.value?.hidden_by_host ?? false);
  readonly onShow = computed(() => this.seat.value !== null || this.accepted.value);

  readonly #invite: string | null;
  readonly #open: (credentials: StoredGuest) => BoxLink;
  #hadSeat = false;
  #endedAt = 0;
  #attempts = 0;
  /** What this page kept of the guest's own mutes, until they are used. */
  #kept: OwnState | null = null;
  /** Since when the box cannot be reached. */
  #unreachable: number | null = null;
  #attended: ReturnType<typeof setTimeout> | undefined;
  #rejoin: ReturnType<typeof setTimeout> | undefined;

  /** `open` makes the connection; tests have one of their own. */
  constructor(invite: string | null, open = (credentials: StoredGuest) => new BoxLink("guest", credentials)) {
    this.#invite = invite;
    this.#open = open;
    this.capture.onLost = (kind) => void this.#lostDevice(kind);
    effect(() => this.#watchSeat());
    effect(() => this.#watchLink());
    effect(() => this.#watchInvitation());
    effect(() => this.#watchRequest());
    effect(() => this.#watchAway());
    effect(() => this.#keepOwn());
    keepAwake(() => this.onShow.value || this.request.value !== null || this.countIn.value !== null);
    effect(() => this.#listenForEcho());
  }

  /** Nobody goes on air unawares: the tab tells it too, and a phone in the hand is felt. */
  announce(title: string): void {
    effect(() => {
      const onAir = this.status.value === "onAir";
      document.title = onAir ? `● ${t.onAir} – ${title}` : title;
      if (onAir && "vibrate" in navigator) navigator.vibrate(200);
    });
  }

  /** A guest who was here before is connected at once: they may have a seat, or be invited to one. */
  async resume(): Promise<void> {
    const known = await guestCredentials.load();
    if (known && !this.link.peek()) this.#connect(known);
  }

  /** Makes sure that the box knows this guest by this name. */
  async enter(name: string): Promise<BoxLink> {
    const wanted = name.trim();
    if (!wanted) throw new Error(t.nameMissing);
    const known = this.credentials.peek();
    const link = this.link.peek();
    if (known && link && known.name === wanted) {
      await link.whenUp();
      return link;
    }
    if (!this.#invite) throw new Error(t.inviteMissing);
    const fresh: StoredGuest = { ...(await join(this.#invite, wanted)), name: wanted };
    await guestCredentials.save(fresh);
    const made = this.#connect(fresh);
    await made.whenUp();
    return made;
  }

  ask(name: string, camera: boolean): Promise<void> {
    // To the box an open invitation is the answer already: it would refuse a request beside it.
    if (this.invitation.peek() && this.credentials.peek()?.name === name.trim()) return this.answerInvitation(true, camera);
    return this.#attempt(async () => {
      if (!name.trim()) throw new Error(t.nameMissing);
      this.#forgetEnd();
      // First of all: nobody is asked for the camera for a request that cannot be made.
      const link = await this.enter(name);
      if (link.room.peek()?.accepting === false) throw new RpcError({ code: -32013, message: "not_accepting", data: { reason: "not_accepting" } });
      await this.#openDevices(camera);
      try {
        await this.#tellAway(link);
        this.#expectMedia();
        const answer = await link.call("mic.request", { camera });
        // The answer of a fast host can be here already: then nothing is open any more.
        if (!this.accepted.peek() && !this.seat.peek() && !this.end.peek()) {
          this.request.value = { until: performance.now() + answer.expires_in_ms };
        }
      } catch (error) {
        // The host was first, while the devices were opened: to the box the invitation is what is open.
        const invited = error instanceof RpcError && error.reason === "already_pending" && this.invitation.peek();
        if (invited) return this.answerInvitation(true, camera);
        if (this.#isOpenAlready(error)) return;
        this.#failed(error);
      }
    });
  }

  /** Enters without asking for anything: the audience's page then asks for the programme. */
  watch(name: string): Promise<void> {
    return this.#attempt(async () => void (await this.enter(name)));
  }

  cancel(): void {
    this.#goAway("cancelled");
  }

  leave(): void {
    this.#goAway("left");
  }

  answerInvitation(accept: boolean, camera: boolean): Promise<void> {
    return this.#attempt(async () => {
      const link = this.link.peek();
      if (accept) {
        this.#forgetEnd();
        await this.#openDevices(camera);
        if (!(await this.#counted())) return this.#closeMedia();
        this.#expectMedia();
      }
      try {
        if (link) await this.#tellAway(link);
        if (accept && !camera) await this.#tellOwn();
        await link?.call("mic.answer", { accept });
        if (accept) this.accepted.value = true;
        this.invitation.value = null;
      } catch (error) {
        if (error instanceof RpcError && error.isOver) this.invitation.value = null;
        if (accept) this.#failed(error);
        throw error;
      }
    });
  }

  dismiss(): void {
    this.error.value = null;
    const media = this.media.peek();
    if (media) media.error.value = null;
  }

  /** Ends the counting of an invitation that was accepted a moment ago. */
  waitAMoment(): void {
    this.countIn.value = null;
  }

  async setMicrophone(on: boolean): Promise<void> {
    await this.#attempt(async () => {
      if (on) await this.capture.open({ camera: false });
      this.micMuted.value = !on;
      this.capture.enableAudio(on);
      await this.#tellOwn();
    });
  }

  async setCamera(on: boolean): Promise<void> {
    await this.#attempt(async () => {
      if (on) await this.capture.open({ camera: true });
      else this.capture.closeCamera();
      this.cameraMuted.value = !on;
      await this.#tellOwn();
    });
  }

  async #lostDevice(kind: "camera" | "microphone"): Promise<void> {
    const here = this.onShow.peek() || this.request.peek() !== null;
    if (here) await (kind === "camera" ? this.setCamera(false) : this.setMicrophone(false));
    else if (kind === "microphone") await this.check(false);
    this.error.value = kind === "camera" ? t.cameraLost : t.microphoneLost;
  }

  async check(on: boolean): Promise<void> {
    this.checking.value = on;
    if (!on) {
      this.capture.stop();
      return;
    }
    await this.#attempt(async () => {
      try {
        await this.capture.open({ camera: true });
      } catch (error) {
        // The microphone can be checked without a camera, which says by itself what is wrong with it.
        await this.capture.open({ camera: false }).catch(() => {
          throw error;
        });
        await this.capture.open({ camera: true });
      }
    });
    if (!this.capture.audio.peek()) this.checking.value = false;
  }

  #connect(credentials: StoredGuest): BoxLink {
    this.media.peek()?.end();
    this.link.peek()?.end();
    const link = this.#open(credentials);
    // At once: between two of its changes the page would be in a state that never was.
    link.listen((n) => batch(() => this.#notified(n)));
    this.#kept = ownState.load(credentials.user_id);
    // Another guest is invited to nothing, and has left nothing.
    this.invitation.value = null;
    this.#away.value = this.#kept?.left ? "untold" : null;
    this.credentials.value = credentials;
    this.media.value = new MediaSessions(link, { capture: this.capture, camera: () => this.withCamera.peek() });
    this.link.value = link;
    return link;
  }

  async #openDevices(camera: boolean): Promise<void> {
    this.withCamera.value = camera;
    this.cameraMuted.value = !camera;
    if (!camera) this.capture.closeCamera();
    await this.capture.open({ camera });
    this.capture.enableAudio(!this.micMuted.peek());
    this.checking.value = false;
  }

  /** Counts in, as far as the invitation lasts. Whether it came to its end. */
  async #counted(): Promise<boolean> {
    const left = ((this.invitation.peek()?.until ?? 0) - performance.now()) / 1000;
    for (let n = Math.min(COUNT_IN_S, Math.floor(left) - 1); n > 0; n -= 1) {
      this.countIn.value = n;
      await new Promise((resolve) => setTimeout(resolve, 1000));
      // Stopped by hand, or the invitation was taken back meanwhile.
      if (this.countIn.peek() === null || !this.invitation.peek()) {
        this.countIn.value = null;
        return false;
      }
    }
    this.countIn.value = null;
    return true;
  }

  #expectMedia(): void {
    const media = this.media.peek();
    if (media) media.wanted = true;
  }

  #closeMedia(): void {
    const media = this.media.peek();
    if (media) media.wanted = false;
    this.capture.stop();
    this.checking.value = false;
    this.micMuted.value = false;
    this.mutedByHost.value = false;
    clearTimeout(this.#rejoin);
    this.#rejoin = undefined;
    this.#attend(NOBODY);
  }

  #attend(attention: { watching: boolean; talking: boolean }): void {
    clearTimeout(this.#attended);
    this.attention.value = attention;
    if (attention.watching || attention.talking) this.#attended = setTimeout(() => this.#attend(NOBODY), ATTENTION_MS);
  }

  #forgetEnd(): void {
    this.end.value = null;
    this.words.value = null;
  }

  #over(end: End, words: string | null = null): void {
    batch(() => {
      this.request.value = null;
      this.invitation.value = null;
      this.accepted.value = false;
      this.#hadSeat = false;
      this.end.value = end;
      this.words.value = words;
      this.#endedAt = performance.now();
      this.#closeMedia();
      this.ended.value = this.ended.peek() + 1;
    });
  }

  /** By hand, or by its time: over here whatever becomes of the connection, and for the box when it hears of it. */
  #goAway(end: End): void {
    batch(() => {
      this.error.value = null;
      this.#away.value = "untold";
      this.#over(end);
    });
  }

  /** What was not answered may have been heard all the same: nobody comes on air by what failed here. */
  #failed(error: unknown): never {
    if (error instanceof Unanswered) this.#away.value = "untold";
    this.#closeMedia();
    throw error;
  }

  #isOpenAlready(error: unknown): boolean {
    if (!(error instanceof RpcError)) return false;
    if (error.reason === "already_pending") {
      this.request.value = { until: performance.now() + DEFAULT_TIMEOUT_S * 1000 };
      return true;
    }
    return error.reason === "already_connected";
  }

  #notified({ method, params }: Notification): void {
    const told = <M extends keyof Notifications>() => params as unknown as Notifications[M];
    switch (method) {
      case "mic.accepted":
        // While the finger was on its way to Cancel: the box hears of that next.
        if (this.#away.peek() === "untold") return;
        this.#away.value = null;
        this.request.value = null;
        this.accepted.value = true;
        this.#forgetEnd();
        return;
      case "mic.rejected":
        return this.#over("declined", told<"mic.rejected">().message ?? null);
      case "mic.timed_out":
        return this.#over("timed_out");
      case "mic.cancelled":
        if (this.request.peek()) this.#over("lost");
        return;
      case "mic.invited": {
        const link = this.link.peek();
        // It invites nobody who has a seat or a request.
        this.#away.value = null;
        this.invitation.value = {
          until: performance.now() + told<"mic.invited">().expires_in_ms,
          epoch: link?.epoch.peek() ?? 0,
          boot: link?.online.peek()?.boot_id,
        };
        return;
      }
      case "mic.invite_ended":
        if (this.invitation.peek()) this.words.value = t.inviteEnds[told<"mic.invite_ended">().reason] ?? null;
        this.invitation.value = null;
        return;
      case "mic.terminated": {
        const { reason, message } = told<"mic.terminated">();
        return this.#over(reason, message ?? ownWords(reason));
      }
      case "host.attention": {
        const { watching, talking } = told<"host.attention">();
        return this.#attend({ watching, talking });
      }
      case "media.state": {
        const state = told<"media.state">();
        // The own mutes in it are what this page said, maybe a moment ago: the page knows them better.
        this.mutedByHost.value = state.muted_by_host;
        return;
      }
    }
  }

  /** The room snapshot is the truth about the seat: it is regained after a reload, and lost if the box says so. */
  #watchSeat(): void {
    const seat = this.seat.value;
    const link = this.link.value;
    const up = link?.reachable.value ?? false;
    if (seat) {
      this.accepted.value = false;
      this.request.value = null;
      this.end.value = null;
      this.mutedByHost.value = seat.muted_by_host;
      if (!this.#hadSeat) {
        this.#hadSeat = true;
        if (!this.media.peek()?.wanted) this.#regain(seat);
      }
      if (seat.state === "reconnecting" && up) this.#askForSession();
    } else if (this.#hadSeat && up) {
      setTimeout(() => {
        if (this.#hadSeat && !this.seat.peek()) this.#over("lost");
      }, WHY_MS);
    }
  }

  /** After a reload: the seat is there, and nothing of ours is. */
  #regain(seat: { camera: boolean; audio_muted: boolean; video_muted: boolean }): void {
    // The snapshot does not tell what the guest turned off from what the host did.
    const kept = this.#kept;
    const own = kept ?? seat;
    this.#kept = null;
    this.withCamera.value = seat.camera;
    this.cameraMuted.value = own.video_muted;
    this.micMuted.value = own.audio_muted;
    this.#expectMedia();
    void this.#attempt(async () => {
      await this.capture.open({ camera: seat.camera && !own.video_muted });
      // As it is by now: the prompt for the devices may have stood for a while.
      this.capture.enableAudio(!this.micMuted.peek());
      // The box may have missed what was muted before the page was loaded anew.
      if (kept) await this.#tellOwn();
    });
    this.#askForSession(REGAIN_MS);
  }

  /** For a reload of this page. */
  #keepOwn(): void {
    const user_id = this.credentials.value?.user_id;
    const away = this.#away.value;
    const own = { audio_muted: this.micMuted.value, video_muted: this.cameraMuted.value, left: away === "untold" };
    if (user_id && (away ? own.left : this.#holds.value)) ownState.save(user_id, own);
  }

  /** What the guest muted, as the page has it: the box may have missed any of it. */
  async #tellOwn(): Promise<void> {
    const link = this.link.peek();
    try {
      await link?.call("media.set", { audio_muted: this.micMuted.peek(), video_muted: this.cameraMuted.peek() });
    } catch (error) {
      // It is told with the next connection; and who has no seat any more has nothing to mute.
      const later = error instanceof Unanswered && !link?.reachable.peek();
      if (!later && !(error instanceof RpcError && error.reason === "not_connected")) throw error;
    }
  }

  #watchAway(): (() => void) | undefined {
    const link = this.link.value;
    const [away, holds] = [this.#away.value, this.#holds.value];
    if (away === "told" && holds === false) {
      ownState.forget();
      this.#away.value = null;
    }
    if (away !== "untold" || !link?.reachable.value) return undefined;
    void link.epoch.value; // each connection may be the first that carries it
    let timer: ReturnType<typeof setTimeout> | undefined;
    let over = false;
    const tell = () =>
      this.#tellAway(link).catch(() => {
        if (!over) timer = setTimeout(tell, LEAVE_AGAIN_MS);
      });
    void tell();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }

  async #tellAway(link: BoxLink): Promise<void> {
    if (this.#away.peek() !== "untold") return;
    // A request may have become a seat meanwhile: whichever of the two there is ends.
    const answers = await Promise.allSettled([link.call("mic.cancel", {}), link.call("mic.leave", {})]);
    for (const answer of answers) {
      if (answer.status === "fulfilled") continue;
      const error: unknown = answer.reason;
      if (!(error instanceof RpcError && (error.isOver || error.reason === "not_connected"))) throw error;
    }
    if (this.#away.peek()) this.#away.value = "told";
  }

  /** Unless the box offers by itself, it is asked; a session that is just being made is left in peace. */
  #askForSession(afterMs = REJOIN_MS): void {
    if (this.#rejoin !== undefined) return;
    this.#rejoin = setTimeout(() => {
      this.#rejoin = undefined;
      const media = this.media.peek();
      if (!media?.wanted || !this.link.peek()?.reachable.peek()) return;
      if (media.connected.peek() && this.seat.peek()?.state !== "reconnecting") return;
      if (media.quietMs >= RESTART_AGAIN_MS) media.restart();
      else this.#askForSession(RESTART_AGAIN_MS - media.quietMs);
    }, afterMs);
  }

  /** Advice for while one is on air: before, nothing of the microphone is sent. */
  #listenForEcho(): (() => void) | undefined {
    const played = this.media.value?.stream.value;
    const microphone = this.capture.audio.value;
    if (!this.onShow.value || !played?.getAudioTracks().length || !microphone) return undefined;
    return listenForEcho(played, microphone, (echo) => (this.echo.value = echo));
  }

  /** The connection came back or is refused: what was open is asked for again, or given up. */
  #watchLink(): void {
    const link = this.link.value;
    if (!link) return;
    if (link.state.value === "refused") {
      // A credential from an earlier day is nothing to speak of; one that carried a seat or a request is.
      guestCredentials.forget(link.credentials.user_id);
      if (this.#hadSeat || this.request.peek()) this.#over(this.end.peek() ?? "lost", this.words.peek());
      else if (this.end.peek() === "host" && performance.now() - this.#endedAt < BAN_MS) {
        // The console takes a guest off air at once, and bans them when that cannot be taken back any more.
        this.end.value = "banned";
        this.words.value = t.banned;
      }
      this.media.peek()?.end();
      link.end();
      this.media.value = null;
      this.link.value = null;
      this.credentials.value = null;
      this.#away.value = null;
      return;
    }
    if (link.state.value === "replaced") this.#closeMedia();
    if (!link.reachable.value) {
      this.#unreachable ??= performance.now();
      return;
    }
    if (this.#unreachable === null) return;
    const lostMs = performance.now() - this.#unreachable;
    this.#unreachable = null;
    void this.#catchUp(link, lostMs);
  }

  async #catchUp(link: BoxLink, lostMs: number): Promise<void> {
    const request = this.request.peek();
    if (request) await this.#askAgain(link, request, lostMs);
    // Accepted as the connection broke, and the seat is gone since: nothing will tell.
    if (this.accepted.peek()) setTimeout(() => this.accepted.peek() && this.#holds.peek() === false && this.#over("lost"), SEAT_MS);
    // Nobody asked for this by hand, and it is told again with the next connection.
    if (this.request.peek() || this.seat.peek()) await this.#tellOwn().catch((error: unknown) => console.warn("The box was not told what is muted:", error));
  }

  /** The end of a request is told once, too. */
  #watchRequest(): (() => void) | undefined {
    const request = this.request.value;
    if (!request || !this.link.value?.reachable.value) return undefined;
    const timer = setTimeout(() => this.#goAway("timed_out"), request.until - performance.now() + WHY_MS);
    return () => clearTimeout(timer);
  }

  /**
   * The end of an invitation is told once, and may be told to nobody. A box that lost us has ended it; one that was started
   * anew meanwhile has kept it. Neither keeps it for longer than it said.
   */
  #watchInvitation(): (() => void) | undefined {
    const invitation = this.invitation.value;
    const link = this.link.value;
    if (!invitation || !link) return undefined;
    const ended = (words: string) => {
      this.words.value = words;
      this.invitation.value = null;
    };
    const sameBox = link.online.value?.boot_id === invitation.boot;
    if (link.reachable.value && link.epoch.value > invitation.epoch && sameBox) {
      ended(t.inviteEnds.session_gone);
      return undefined;
    }
    const timer = setTimeout(() => ended(t.inviteEnds.timed_out), invitation.until - performance.now() + WHY_MS);
    return () => clearTimeout(timer);
  }

  /** The box ended our request when it lost us. What the guest wanted, they still want, for as long as they had left. */
  async #askAgain(link: BoxLink, request: Deadline, lostMs: number): Promise<void> {
    const left = Math.floor((request.until - performance.now()) / 1000);
    if (left < 1) return this.#goAway("timed_out");
    try {
      await link.call("mic.request", { camera: this.withCamera.peek(), timeout_s: left });
    } catch (error) {
      const open = this.request.peek() === request;
      // Lost again, or cancelled, meanwhile.
      if (error instanceof Unanswered || (!open && !this.seat.peek())) return;
      if (error instanceof RpcError && (error.reason === "already_pending" || error.reason === "already_connected")) {
        // The request outlived the connection. A box that was away has not counted on, and what was on its way for its
        // media may be lost.
        if (open) this.request.value = { until: request.until + lostMs };
        this.#askForSession();
        return;
      }
      this.#over("lost", sentence(error));
    }
  }

  async #attempt(work: () => Promise<void>): Promise<void> {
    this.#attempts += 1;
    this.busy.value = true;
    this.error.value = null;
    try {
      await work();
    } catch (error) {
      this.error.value = sentence(error);
    } finally {
      this.#attempts -= 1;
      this.busy.value = this.#attempts > 0;
    }
  }
}

/** A connection to a box that is not there is none, as it may be with a broker of its own. */
function standing(link: BoxLink | null): LinkState | "none" {
  const state = link?.state.value ?? "none";
  return state === "up" && !link?.reachable.value ? "down" : state;
}

function ownWords(reason: Termination): string | null {
  if (reason === "banned") return t.banned;
  if (reason === "shutdown") return t.shutdown;
  if (reason === "media_timeout") return t.mediaTimeout;
  return null;
}
