// The wire types of the control contract. Only types live here, so that a generated file can take this one's place.

export type Role = "host" | "guest";

export type Layout = "auto" | "solo" | "side-by-side" | "grid" | "spotlight" | "pip";
export type OutputKind = "rtmp" | "srt" | "whip";
export type OutputState = "connecting" | "live" | "retrying" | "stopped" | "failed";
export type SeatState = "connecting" | "on_air" | "reconnecting";
export type PersonState = "idle" | "requested" | "invited" | SeatState;

// ---- HTTP -------------------------------------------------------------------------------------------------------

export interface Credential {
  user_id: string;
  username: string;
  password: string;
  box: string;
  ice_servers?: RTCIceServer[];
}

// ---- Retained topics --------------------------------------------------------------------------------------------

export interface Online {
  online: boolean;
  boot_id: string;
  version: string;
}

export interface HostState {
  name: string;
  muted: boolean;
  camera: boolean;
}

export interface GuestState {
  seat: number;
  user_id: string;
  name: string;
  state: SeatState;
  camera: boolean;
  audio_muted: boolean;
  video_muted: boolean;
  muted_by_host: boolean;
  gain_db: number;
  speaking: boolean;
  connected_ms: number;
}

export interface RoomSnapshot {
  rev: number;
  title: string;
  accepting: boolean;
  max_guests: number;
  layout: Layout;
  host: HostState;
  guests: GuestState[];
  locked_seats: number[];
}

export interface PendingRequest {
  request_id: string;
  user_id: string;
  name: string;
  camera: boolean;
  expires_in_ms: number;
}

export interface Pending {
  rev: number;
  requests: PendingRequest[];
}

export interface Output {
  output_id: string;
  kind: OutputKind;
  name: string;
  state: OutputState;
  since_ms: number;
  kbps: number;
  dropped: number;
  error?: string | null;
}

export interface Recording {
  state: OutputState;
  file: string | null;
  bytes: number;
  seconds_left: number | null;
  error?: string | null;
}

export interface Outputs {
  rev: number;
  outputs: Output[];
  record: Recording;
}

export interface Latency {
  p50_ms: number;
  p99_ms: number;
}

export interface Alarm {
  what: string;
  since_ms: number;
  advice: string;
}

export interface Health {
  rev: number;
  uptime_ms: number;
  fps: number;
  frames: number;
  dropped: Record<string, number>;
  latency: Record<string, Latency>;
  /** Cores in use. */
  cpu: number;
  memory_bytes: number;
  temperature_c: number | null;
  disk_free_bytes: number | null;
  watchers: number;
  alarms: Alarm[];
}

export interface Meters {
  rev: number;
  /** Seat 0 is the host's. */
  seats: Meter[];
}

export interface Meter {
  seat: number;
  level_db: number;
  peak_db: number;
  speaking: boolean;
}

// ---- JSON-RPC ---------------------------------------------------------------------------------------------------

export interface RpcErrorObject {
  code: number;
  message: string;
  data?: { reason?: string; field?: string; retry_after_ms?: number; [key: string]: unknown };
}

type Nothing = Record<string, never>;

/** Every method: its parameters and its result. */
export interface Methods {
  "mic.request": [{ timeout_s?: number; camera?: boolean }, { request_id: string; expires_in_ms: number }];
  "mic.cancel": [Nothing, Nothing];
  "mic.answer": [{ accept: boolean }, Nothing];
  "mic.leave": [Nothing, Nothing];
  "media.answer": [{ session: string; sdp: string }, Nothing];
  "media.candidate": [{ session: string; candidate: RTCIceCandidateInit | null }, Nothing];
  "media.restart": [{ session: string }, Nothing];
  "media.set": [{ audio_muted?: boolean; video_muted?: boolean }, Nothing];
  "media.watch": [{ on: boolean }, Nothing];
  "mic.respond": [{ user_id: string; accept: boolean; seat?: number; message?: string }, { seat?: number }];
  "mic.disconnect": [{ user_id: string; message?: string }, Nothing];
  "mic.invite": [{ user_id: string; timeout_s?: number; seat?: number }, { request_id: string; expires_in_ms: number }];
  "mic.withdraw": [{ user_id: string }, Nothing];
  "mic.set": [{ user_id: string; audio_muted?: boolean; video_muted?: boolean; gain_db?: number }, Nothing];
  "mic.move": [{ user_id: string; seat: number }, Nothing];
  "seat.lock": [{ seat: number; locked: boolean }, Nothing];
  "room.set": [{ title?: string; accepting?: boolean; max_guests?: number }, Nothing];
  "room.people": [Nothing, People];
  "room.hosts": [Nothing, PairedHosts];
  "host.unpair": [{ user_id: string }, Nothing];
  "host.set": [{ audio_muted?: boolean; video_muted?: boolean; name?: string }, Nothing];
  "layout.set": [{ layout: Layout }, Nothing];
  "invite.create": [{ uses?: number; ttl_s?: number }, { url: string; invite: string }];
  "invite.revoke": [{ invite: string }, Nothing];
  "guest.ban": [{ user_id: string }, Nothing];
  "output.start": [{ kind: OutputKind; url: string; key?: string; name?: string }, { output_id: string }];
  "output.stop": [{ output_id: string }, Nothing];
  "record.start": [Nothing, { file: string }];
  "record.stop": [Nothing, { file: string }];
}

export interface Person {
  user_id: string;
  name: string;
  state: PersonState;
}

export interface PairedHosts {
  hosts: { user_id: string; name: string; connected?: boolean }[];
}

export interface People {
  people: Person[];
}

export interface VideoWant {
  width: number;
  height: number;
  max_fps: number;
  max_kbps: number;
}

export interface MediaOffer {
  session: string;
  sdp: string;
  ice_servers?: RTCIceServer[] | null;
  video?: VideoWant | null;
}

export interface UserOnAir {
  user_id: string;
  name: string;
  seat: number;
}

export type InviteEnd = "withdrawn" | "timed_out" | "session_gone" | "room_full" | "seat_taken";
export type Termination = "host" | "lost" | "media_timeout" | "banned" | "shutdown";

/** Every notification of the box, to a guest or to the consoles, without the `rev` that each carries. */
export interface Notifications {
  "mic.accepted": { seat: number };
  "mic.rejected": { message?: string | null };
  "mic.timed_out": object;
  "mic.cancelled": object;
  "mic.invited": { request_id: string; expires_in_ms: number };
  "mic.invite_ended": { reason: InviteEnd };
  "mic.terminated": { reason: Termination; message?: string | null };
  "media.offer": MediaOffer;
  "media.candidate": { session: string; candidate: RTCIceCandidateInit | null };
  "media.want": VideoWant;
  "media.state": { audio_muted: boolean; video_muted: boolean; muted_by_host: boolean };
  "room.users_updated": { users: UserOnAir[]; joined: string[]; left: string[] };
  "mic.requested": PendingRequest;
  "mic.request_cancelled": { request_id: string; user_id: string };
  "mic.request_timed_out": { request_id: string; user_id: string };
  "mic.request_answered": { request_id: string; user_id: string; by: string; accept: boolean };
  "mic.invite_answered": { request_id: string; user_id: string; accept: boolean };
  "mic.on_air": { user_id: string; seat: number };
  "mic.exited": { user_id: string; reason: string };
  "output.changed": { output_id: string; state: OutputState; error?: string | null };
  "record.changed": { state: OutputState; file: string | null; error?: string | null };
  alarm: Alarm;
}
