// The media sessions of a page: what plays now, and the one that is about to replace it. The older peer is closed when
// the newer one plays, so that a change of session (going on air, a new network) shows no gap that need not be.

import { signal } from "@preact/signals";
import type { BoxLink } from "../box";
import type { MediaOffer } from "../contract";
import type { VideoWant } from "../protocol";
import { RpcError, Unanswered, type Notification } from "../rpc";
import type { Capture } from "./capture";
import { Peer } from "./peer";
import { sentence } from "../sentence";

/** How long the box has to offer a new session before it is asked again. */
export const RESTART_AGAIN_MS = 4_000;
/** The box has another session for us, whose offer is still to come. */
const NO_SUCH_SESSION = -32602;
/** The offer was lost with the connection, so that its name is not known here: the box is asked all the same. */
const UNKNOWN_SESSION = "unknown";
/** Candidates of so many sessions wait for their offers; a box that makes none is not remembered. */
const EARLY_SESSIONS = 4;
const SESSION_KEY = "dais.session";

export interface Own {
  capture: Capture;
  /** Whether this guest joined with a camera. */
  camera: () => boolean;
}

export class MediaSessions {
  /** The programme as it arrives. */
  readonly stream = signal<MediaStream | null>(null);
  readonly connected = signal(false);
  readonly onAir = signal(false);
  readonly error = signal<string | null>(null);
  readonly #link: BoxLink;
  readonly #own: Own | null;
  /** The one guest whom this shows off air, to a host; the programme otherwise. */
  readonly #of: string | null;
  #current: Peer | null = null;
  #next: Peer | null = null;
  /** Candidates that came before the offer of their session. */
  #early = new Map<string, (RTCIceCandidateInit | null)[]>();
  #restart: ReturnType<typeof setTimeout> | undefined;
  #movedAt = -Infinity;
  #wanted = false;
  #watching = false;
  readonly #stops: (() => void)[] = [];

  constructor(link: BoxLink, own: Own | null, of: string | null = null) {
    this.#link = link;
    this.#own = own;
    this.#of = of;
    this.#stops.push(link.listen((n) => this.#notified(n)));
    const moved = () => this.restart();
    addEventListener("online", moved);
    this.#stops.push(() => removeEventListener("online", moved));
    if (own) own.capture.onTracks = () => void this.#newest?.carry().catch((e: unknown) => this.#failed(e));
  }

  get #newest(): Peer | null {
    return this.#next ?? this.#current;
  }

  /** Wanted: an offer is welcome. Not wanted: every peer is closed, and an offer that comes late is not answered. */
  set wanted(wanted: boolean) {
    this.#wanted = wanted;
    this.#watching = false;
    if (!wanted) this.close();
  }

  get wanted(): boolean {
    return this.#wanted;
  }

  /** How long no session was offered or asked for: a shorter time than the above may be a new one finding its path. */
  get quietMs(): number {
    return performance.now() - this.#movedAt;
  }

  /** The path is broken or may have moved: the box is to end the session and offer a new one. */
  restart(): void {
    clearTimeout(this.#restart);
    if (!this.#wanted) return;
    const session = this.#known;
    const again = () => (this.#restart = setTimeout(() => this.restart(), RESTART_AGAIN_MS));
    if (!this.#link.reachable.peek()) {
      again();
      return;
    }
    this.#movedAt = performance.now();
    this.#link.call("media.restart", { session }).then(
      () => (this.error.value = null),
      (error: unknown) => {
        // A newer session is on its way already, or is here: nothing is wrong with that one.
        if (session !== this.#known) return;
        if (error instanceof RpcError && this.#watching) this.watch();
        else if (!(error instanceof RpcError && error.code === NO_SUCH_SESSION)) this.#failed(error);
      },
    );
    again();
  }

  get #known(): string {
    return this.#newest?.session ?? (this.#of ? null : lastSession()) ?? UNKNOWN_SESSION;
  }

  /** Asks for the programme without going on air, or for the one guest. */
  watch(): void {
    this.#watching = true;
    this.#wanted = true;
    clearTimeout(this.#restart);
    this.#link.call("media.watch", { on: true, ...(this.#of ? { user_id: this.#of } : {}) }).then(
      () => (this.error.value = null),
      (error: unknown) => this.#failed(error),
    );
  }

  close(): void {
    clearTimeout(this.#restart);
    this.#current?.close();
    this.#next?.close();
    this.#current = null;
    this.#next = null;
    this.#early.clear();
    this.#movedAt = -Infinity;
    this.stream.value = null;
    this.connected.value = false;
    this.onAir.value = false;
    this.error.value = null;
  }

  end(): void {
    this.wanted = false;
    for (const stop of this.#stops) stop();
  }

  /** For tests and for the curious: what the browser counts of the newest session. */
  async stats(): Promise<unknown[]> {
    const report = await this.#newest?.stats();
    return report ? [...report.values()] : [];
  }

  #notified({ method, params }: Notification): void {
    if (method === "media.offer") this.#offered(params as unknown as MediaOffer);
    else if (method === "media.candidate") this.#candidate(params as { session: string; candidate: RTCIceCandidateInit | null });
    else if (method === "media.want") void this.#newest?.want(params as unknown as VideoWant);
  }

  #candidate({ session, candidate }: { session: string; candidate: RTCIceCandidateInit | null }): void {
    const peer = [this.#next, this.#current].find((p) => p?.session === session);
    if (peer) {
      peer.addCandidate(candidate);
      return;
    }
    this.#early.set(session, [...(this.#early.get(session) ?? []).slice(-63), candidate]);
    for (const old of [...this.#early.keys()].slice(0, -EARLY_SESSIONS)) this.#early.delete(old);
  }

  #offered(offer: MediaOffer): void {
    if (!this.#wanted || (offer.user_id ?? null) !== this.#of) return;
    clearTimeout(this.#restart);
    this.#movedAt = performance.now();
    this.#next?.close();
    if (!this.#of) rememberSession(offer.session);
    const send = this.#link;
    const peer: Peer = new Peer(offer, {
      sendAnswer: (sdp) => send.call("media.answer", { session: offer.session, sdp }),
      sendCandidate: (candidate) => send.call("media.candidate", { session: offer.session, candidate: candidate && { ...candidate, candidate: candidate.candidate ?? "" } }),
      tracks: () => ({ audio: this.#own?.capture.audio.peek() ?? null, video: this.#own?.capture.video.peek() ?? null }),
      camera: () => this.#own?.camera() ?? false,
      onPlays: () => this.#promote(peer),
      onConnected: (connected) => {
        if (peer !== this.#newest) return;
        this.connected.value = connected;
        if (connected) this.error.value = null;
      },
      onTrouble: () => {
        if (peer !== this.#newest) return;
        // What broke the media may have broken the connection too, which nobody else would notice for a while.
        this.#link.probe();
        this.restart();
      },
      onFailed: (error) => {
        if (peer === this.#newest) this.#failed(error);
      },
    });
    this.#next = peer;
    for (const candidate of this.#early.get(offer.session) ?? []) peer.addCandidate(candidate);
    this.#early.clear();
    // Nothing plays yet: let the video element have the stream at once, it shows the first frame that comes.
    if (!this.#current) this.#promote(peer);
  }

  #promote(peer: Peer): void {
    if (peer !== this.#next) return;
    this.#current?.close();
    this.#current = peer;
    this.#next = null;
    this.stream.value = peer.stream;
    this.connected.value = peer.connected;
    this.onAir.value = peer.onAir;
  }

  #failed(error: unknown): void {
    // Without the connection to the box nothing else can work; the page says so already, and it heals with it.
    if (error instanceof Unanswered && !this.#link.reachable.peek()) return;
    this.error.value = sentence(error);
  }
}

function lastSession(): string | null {
  try {
    return sessionStorage.getItem(SESSION_KEY);
  } catch {
    return null;
  }
}

function rememberSession(session: string): void {
  try {
    sessionStorage.setItem(SESSION_KEY, session);
  } catch {
    // Without session storage a reload waits for the box to offer by itself.
  }
}
