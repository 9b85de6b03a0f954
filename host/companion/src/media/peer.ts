// One session that the box offered: a peer connection that answers, carries our tracks if the box wants them, and says
// when the programme plays and when the path is in trouble.

import type { MediaOffer } from "../contract";
import type { IceServer, VideoWant } from "../protocol";
import { encoderSettings } from "./encoder";
import { sections, wantsMedia } from "./sdp";

/** ICE often comes back from `disconnected` by itself within a second or two. */
const DISCONNECTED_MS = 3_000;
/** If the browser never says that a track is unmuted, a connected peer is taken as playing after this. */
const PLAYS_AT_LATEST_MS = 1_000;

/** The browser's dictionary knows members that are left out, and no null. */
function iceServer({ urls, username, credential }: IceServer): RTCIceServer {
  return { urls, ...(username != null ? { username } : {}), ...(credential != null ? { credential } : {}) };
}

export interface PeerSide {
  sendAnswer(sdp: string): Promise<unknown>;
  sendCandidate(candidate: RTCIceCandidateInit | null): Promise<unknown>;
  tracks(): { audio: MediaStreamTrack | null; video: MediaStreamTrack | null };
  /** The guest joined with a camera: without one the picture is received only. */
  camera(): boolean;
  onPlays(): void;
  onConnected(connected: boolean): void;
  onTrouble(): void;
  onFailed(error: Error): void;
}

export class Peer {
  readonly session: string;
  readonly onAir: boolean;
  readonly stream = new MediaStream();
  readonly #pc: RTCPeerConnection;
  readonly #side: PeerSide;
  readonly #offer: MediaOffer;
  #remoteQueue: (RTCIceCandidateInit | null)[] | null = [];
  #localQueue: (RTCIceCandidateInit | null)[] | null = [];
  #senders: { audio?: RTCRtpSender; video?: RTCRtpSender } = {};
  #want: VideoWant | null;
  #plays = false;
  #timers = new Set<ReturnType<typeof setTimeout>>();
  #closed = false;

  constructor(offer: MediaOffer, side: PeerSide) {
    this.session = offer.session;
    this.onAir = wantsMedia(offer.sdp);
    this.#offer = offer;
    this.#side = side;
    this.#want = offer.video ?? null;
    this.#pc = new RTCPeerConnection({ iceServers: (offer.ice_servers ?? []).map(iceServer), bundlePolicy: "max-bundle" });
    this.#pc.addEventListener("icecandidate", (e) => this.#localCandidate(e.candidate?.toJSON() ?? null));
    this.#pc.addEventListener("track", (e) => this.#remoteTrack(e.track, e.receiver));
    this.#pc.addEventListener("connectionstatechange", () => this.#changed());
    this.#pc.addEventListener("iceconnectionstatechange", () => this.#changed());
    this.#negotiate().catch((error: unknown) => {
      if (!this.#closed) side.onFailed(error instanceof Error ? error : new Error(String(error)));
    });
  }

  get connected(): boolean {
    return this.#pc.connectionState === "connected";
  }

  addCandidate(candidate: RTCIceCandidateInit | null): void {
    if (this.#remoteQueue) {
      this.#remoteQueue.push(candidate);
      return;
    }
    // Firefox and Chromium take the end of candidates as an empty one; without an argument Safari refuses it.
    this.#pc.addIceCandidate(candidate ?? { candidate: "", sdpMLineIndex: 0 }).catch((error: unknown) => {
      if (candidate && !this.#closed) console.warn("A candidate of the box could not be used:", candidate.candidate, error);
    });
  }

  /** Carries the tracks as they are now; nothing is negotiated anew. */
  async carry(): Promise<void> {
    const { audio, video } = this.#side.tracks();
    await this.#senders.audio?.replaceTrack(audio);
    await this.#senders.video?.replaceTrack(this.#side.camera() ? video : null);
    await this.#applyWant();
  }

  async want(limit: VideoWant): Promise<void> {
    this.#want = limit;
    await this.#applyWant();
  }

  stats(): Promise<RTCStatsReport> {
    return this.#pc.getStats();
  }

  close(): void {
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#pc.close();
  }

  async #negotiate(): Promise<void> {
    await this.#pc.setRemoteDescription({ type: "offer", sdp: this.#offer.sdp });
    const wanted = new Map(sections(this.#offer.sdp).map((s) => [s.mid, s]));
    for (const transceiver of this.#pc.getTransceivers()) {
      const section = wanted.get(transceiver.mid ?? "");
      const receives = section?.direction === "sendrecv" || section?.direction === "recvonly";
      if (!section || !receives || (section.kind === "video" && !this.#side.camera())) {
        if (receives) transceiver.direction = "recvonly";
        continue;
      }
      transceiver.direction = section.direction === "sendrecv" ? "sendrecv" : "sendonly";
      if (section.kind === "audio") this.#senders.audio = transceiver.sender;
      if (section.kind === "video") this.#senders.video = transceiver.sender;
    }
    const { audio, video } = this.#side.tracks();
    await this.#senders.audio?.replaceTrack(audio);
    await this.#senders.video?.replaceTrack(video);
    await this.#pc.setLocalDescription(await this.#pc.createAnswer());
    if (this.#closed) return;
    const remote = this.#remoteQueue ?? [];
    this.#remoteQueue = null;
    for (const candidate of remote) this.addCandidate(candidate);

    // The answer goes first: the box cannot place a candidate of a session that it has no description of.
    const answered = this.#side.sendAnswer(this.#pc.localDescription?.sdp ?? "");
    answered.catch(() => undefined); // awaited below; a refusal that comes before that is no unhandled one
    const local = this.#localQueue ?? [];
    this.#localQueue = null;
    for (const candidate of local) this.#localCandidate(candidate);
    await this.#applyWant();
    await answered;
  }

  async #applyWant(): Promise<void> {
    const sender = this.#senders.video;
    const track = sender?.track;
    if (!sender || !track || !this.#want || this.#closed) return;
    const { width = 0, height = 0 } = track.getSettings();
    const parameters = sender.getParameters();
    // Firefox has no encodings before the negotiation is done.
    if (!parameters.encodings?.length) parameters.encodings = [{}];
    const [encoding] = parameters.encodings;
    if (encoding) Object.assign(encoding, encoderSettings(this.#want, { width, height }));
    await sender.setParameters(parameters).catch((error: unknown) => console.warn("The encoder refused its limits:", error));
  }

  #localCandidate(candidate: RTCIceCandidateInit | null): void {
    // An empty candidate ends one generation; the contract's end is null.
    if (candidate?.candidate === "") return;
    if (this.#localQueue) this.#localQueue.push(candidate);
    else if (!this.#closed) {
      this.#side.sendCandidate(candidate).catch((error: unknown) => console.warn("The box refused a candidate:", error));
    }
  }

  #remoteTrack(track: MediaStreamTrack, receiver: RTCRtpReceiver): void {
    this.stream.addTrack(track);
    // Ask for the shortest buffer that the path allows: this is a conversation, not a film.
    if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
    if (track.kind === "video") {
      if (track.muted) track.addEventListener("unmute", () => this.#played(), { once: true });
      else this.#played();
    }
  }

  #played(): void {
    if (this.#plays || this.#closed) return;
    this.#plays = true;
    this.#side.onPlays();
  }

  #after(ms: number, then: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      then();
    }, ms);
    this.#timers.add(timer);
  }

  #changed(): void {
    if (this.#closed) return;
    this.#side.onConnected(this.connected);
    if (this.connected) this.#after(PLAYS_AT_LATEST_MS, () => this.#played());
    const ice = this.#pc.iceConnectionState;
    if (ice === "failed" || this.#pc.connectionState === "failed") this.#side.onTrouble();
    else if (ice === "disconnected") {
      this.#after(DISCONNECTED_MS, () => {
        if (this.#pc.iceConnectionState === "disconnected") this.#side.onTrouble();
      });
    }
  }
}
