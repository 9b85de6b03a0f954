// The wire types of the control contract, from host/protocol/schemas/dais-v1.json by `npm run types`.

/**
 * What a capture card says of its input.
 */
export type CameraSignal = ("ok" | "no_signal") | "no_camera" | "no_cable" | "no_sync" | "unsupported";
/**
 * The bare id of a user or a box: 1 to 32 of `a-z 0-9 -`.
 */
export type Id = string;
/**
 * A stream key or password. It prints as `***` and is never serialised into a log or a snapshot.
 */
export type Secret = string;
/**
 * Why a request failed: the `reason` in an error's `data`.
 */
export type Reason =
  | "parse_error"
  | "invalid_request"
  | "retained"
  | "method_not_found"
  | "invalid_params"
  | "not_allowed"
  | "room_full"
  | "already_pending"
  | "already_connected"
  | "not_accepting"
  | "no_such_request"
  | "request_expired"
  | "not_connected"
  | "seat_taken"
  | "seat_locked"
  | "rate_limited"
  | "bad_media"
  | "unavailable";
/**
 * Why a seat became free, for the consoles.
 */
export type Exit = ("host" | "lost" | "media_timeout" | "banned" | "shutdown") | "left";
/**
 * The gain of a seat in dB, -60 to 12.
 */
export type GainDb = number;
export type Quality = "good" | "fair" | "poor";
/**
 * A guest's seat, 1 to 9. The host sits on seat 0, which no message names.
 */
export type Seat = number;
/**
 * What people call a person, a room or an output: 1 to 40 characters, none of them a control character or one that turns the
 * direction of what is written around it, not only blanks.
 */
export type Name = string;
/**
 * The states of someone who has a seat.
 */
export type SeatState = "connecting" | "on_air" | "reconnecting";
/**
 * A media session, a request or an output as the box named it: 1 to 64 printable ASCII characters.
 */
export type Token = string;
/**
 * How long an invite is good, in seconds: 1 second to 30 days.
 */
export type TtlS = number;
/**
 * How often an invite may be used, 1 to 1,000.
 */
export type Uses = number;
/**
 * Why an invitation is no longer open, for the guest.
 */
export type InviteEnd = ("withdrawn" | "timed_out") | "session_gone" | "room_full" | "seat_taken";
/**
 * How the programme's picture is divided.
 */
export type Layout = "auto" | "solo" | "side-by-side" | "grid" | "spotlight" | "pip";
/**
 * How many guests may be on air, 1 to 9.
 */
export type MaxGuests = number;
/**
 * A sentence from the host to a guest: 1 to 200 characters.
 */
export type Words = string;
/**
 * How long a request or an invitation stays open, in seconds: 1 to 300, 60 if left out.
 */
export type TimeoutS = number;
/**
 * The kinds of destination that `output.start` knows.
 */
export type OutputKind = "rtmp" | "srt" | "whip";
/**
 * Where a person stands.
 */
export type PersonState = "idle" | "requested" | "invited" | "connecting" | "on_air" | "reconnecting";
/**
 * Every notification, as `{"method", "params"}`; on the wire `params` carries `rev` too, see [`Notification::encode`].
 */
export type Notification =
  | {
      method: "mic.accepted";
      params: {
        seat: Seat;
      };
    }
  | {
      method: "mic.rejected";
      params: {
        message?: Words | null;
      };
    }
  | {
      method: "mic.timed_out";
      params: {};
    }
  | {
      method: "mic.cancelled";
      params: {};
    }
  | {
      method: "mic.invited";
      params: {
        expires_in_ms: number;
        request_id: Token;
      };
    }
  | {
      method: "mic.invite_ended";
      params: {
        reason: InviteEnd;
      };
    }
  | {
      method: "mic.terminated";
      params: {
        message?: Words | null;
        reason: Termination;
      };
    }
  | {
      method: "media.offer";
      params: {
        ice_servers: IceServer[];
        sdp: string;
        session: Token;
        /**
         * To a console: which guest it shows; the programme where left out.
         */
        user_id?: Id | null;
        video: VideoWant;
      };
    }
  | {
      method: "media.candidate";
      params: {
        candidate?: IceCandidateInit | null;
        session: Token;
      };
    }
  | {
      method: "media.want";
      /**
       * What the box can use of a guest's picture now.
       */
      params: {
        height: number;
        max_fps: number;
        max_kbps: number;
        width: number;
      };
    }
  | {
      method: "media.state";
      params: {
        audio_muted: boolean;
        hidden_by_host?: boolean;
        muted_by_host: boolean;
        video_muted: boolean;
      };
    }
  | {
      method: "host.attention";
      params: {
        talking: boolean;
        watching: boolean;
      };
    }
  | {
      method: "mic.requested";
      params: {
        camera: boolean;
        expires_in_ms: number;
        name: Name;
        request_id: Token;
        user_id: Id;
      };
    }
  | {
      method: "mic.request_cancelled";
      params: {
        request_id: Token;
        user_id: Id;
      };
    }
  | {
      method: "mic.request_timed_out";
      params: {
        request_id: Token;
        user_id: Id;
      };
    }
  | {
      method: "mic.request_answered";
      params: {
        accept: boolean;
        by: Id;
        /**
         * What that console is called.
         */
        by_name?: Name | null;
        request_id: Token;
        user_id: Id;
      };
    }
  | {
      method: "mic.invite_answered";
      params: {
        accept: boolean;
        request_id: Token;
        user_id: Id;
      };
    }
  | {
      method: "mic.on_air";
      params: {
        seat: Seat;
        user_id: Id;
      };
    }
  | {
      method: "mic.exited";
      params: {
        reason: Exit;
        user_id: Id;
      };
    }
  | {
      method: "output.changed";
      params: {
        error?: string | null;
        output_id: Token;
        state: OutputState;
      };
    }
  | {
      method: "record.changed";
      params: {
        error?: string | null;
        file?: string | null;
        state: OutputState;
      };
    }
  | {
      method: "alarm";
      params: {
        advice: string;
        since_ms: number;
        what: string;
      };
    }
  | {
      method: "room.users_updated";
      params: {
        joined: Id[];
        left: Id[];
        users: UserOnAir[];
      };
    };
/**
 * Why a guest's connection was ended by the box.
 */
export type Termination = "host" | "lost" | "media_timeout" | "banned" | "shutdown";
export type OutputState = "connecting" | "live" | "retrying" | "stopped" | "failed";

export interface Alarm {
  advice: string;
  since_ms: number;
  what: string;
}
/**
 * What a client needs to connect by MQTT. Shown once.
 */
export interface Credential {
  box: Id;
  ice_servers?: IceServer[] | null;
  password: string;
  user_id: Id;
  username: string;
}
/**
 * An `RTCIceServer`.
 */
export interface IceServer {
  credential?: Secret | null;
  urls: string[];
  username?: string | null;
}
/**
 * No parameters; or, as a result, done.
 */
export interface Empty {}
/**
 * What makes the pictures of one stream.
 */
export interface EncoderHealth {
  /**
   * GStreamer's element.
   */
  element: string;
  /**
   * Those that failed since the start and were left, in that order.
   */
  left?: string[];
  /**
   * `programme`, `return` or `VP8 return`.
   */
  line: string;
}
export interface ErrorData {
  reason: Reason;
  [k: string]: unknown;
}
/**
 * The connection of one guest, over the last seconds.
 */
export interface GuestHealth {
  /**
   * Pictures decoded in the last second.
   */
  fps: number;
  /**
   * What came from the guest in the last second.
   */
  kbps: number;
  /**
   * Packets lost on the way, the worse of both directions.
   */
  loss_percent: number;
  quality: Quality;
  /**
   * Absent before the first report of the other side.
   */
  rtt_ms?: number | null;
  seat: Seat;
}
export interface GuestState {
  audio_muted: boolean;
  /**
   * Whether the guest sends a picture at all.
   */
  camera: boolean;
  /**
   * Since the seat was given, by the box's monotonic clock.
   */
  connected_ms: number;
  gain_db: GainDb;
  /**
   * The same of the picture: `video_muted` alone does not say who turned it off.
   */
  hidden_by_host?: boolean;
  muted_by_host: boolean;
  name: Name;
  seat: Seat;
  speaking: boolean;
  state: SeatState;
  user_id: Id;
  video_muted: boolean;
}
/**
 * `health`, once a second.
 */
export interface Health {
  /**
   * What is wrong now; empty when all is well.
   */
  alarms: Alarm[];
  /**
   * What comes in at the host's camera; absent where the picture is a test's or a file's, and before the camera was asked.
   */
  camera?: CameraSignal | null;
  /**
   * Cores in use by the box's process.
   */
  cpu: number;
  disk_free_bytes?: number | null;
  /**
   * How long that lasts for a recording of the programme, in seconds.
   */
  disk_free_s?: number | null;
  /**
   * What was dropped since the start, by place.
   */
  dropped: {
    [k: string]: number;
  };
  /**
   * What encodes the pictures.
   */
  encoders?: EncoderHealth[];
  /**
   * Programme frames that left the encoder in the last second.
   */
  fps: number;
  frames: number;
  /**
   * How each guest's connection does, by seat.
   */
  guests?: GuestHealth[];
  /**
   * Of the last 10 s, by stage.
   */
  latency: {
    [k: string]: Latency;
  };
  memory_bytes: number;
  rev: number;
  temperature_c?: number | null;
  uptime_ms: number;
  watchers: number;
}
export interface Latency {
  p50_ms: number;
  p99_ms: number;
}
export interface HostSet {
  audio_muted?: boolean | null;
  name?: Name | null;
  video_muted?: boolean | null;
}
export interface HostState {
  camera: boolean;
  muted: boolean;
  name: Name;
}
/**
 * The answer to a refused HTTP request.
 */
export interface HttpError {
  /**
   * A sentence for a person.
   */
  message: string;
}
/**
 * An `RTCIceCandidateInit`.
 */
export interface IceCandidateInit {
  candidate: string;
  sdpMLineIndex?: number | null;
  sdpMid?: string | null;
  usernameFragment?: string | null;
}
/**
 * A new invite: the link to give away, and its secret part. It does not print.
 */
export interface Invite {
  invite: Token;
  url: string;
}
export interface InviteCreate {
  /**
   * 24 hours if left out.
   */
  ttl_s?: TtlS | null;
  /**
   * Unlimited if left out.
   */
  uses?: Uses | null;
}
/**
 * Who holds an invite can join: it does not print.
 */
export interface InviteRevoke {
  invite: Token;
}
/**
 * `POST /api/join`
 */
export interface JoinRequest {
  /**
   * One that is no invite's at all is refused as an unknown one.
   */
  invite: string;
  name: Name;
}
export interface LayoutSet {
  layout: Layout;
}
export interface MediaAnswer {
  sdp: string;
  session: Token;
}
export interface MediaCandidate {
  /**
   * `null` says that no more will come; it cannot be left out.
   */
  candidate: IceCandidateInit | null;
  session: Token;
}
export interface MediaRestart {
  session: Token;
}
export interface MediaSet {
  audio_muted?: boolean | null;
  video_muted?: boolean | null;
}
/**
 * Without `user_id` the programme. With it, for hosts only, one guest alone, seen and heard off air: one whose request is
 * open or who has a seat, and whose media is connected. A console may have one of each open. A guest's own mutes hold
 * there too; when that guest's session is replaced, the box offers a new one here. It ends when the guest becomes idle.
 */
export interface MediaWatch {
  on: boolean;
  user_id?: Id | null;
}
export interface Meter {
  level_db: number;
  peak_db: number;
  seat: number;
  speaking: boolean;
}
/**
 * `meters`, ten times a second. Seat 0 is the host's.
 */
export interface Meters {
  rev: number;
  seats: Meter[];
}
/**
 * Every method: its parameters and its result.
 */
export interface Methods {
  "guest.ban": {
    params: OfUser;
    result: Empty;
  };
  "host.set": {
    params: HostSet;
    result: Empty;
  };
  "host.unpair": {
    params: OfUser;
    result: Empty;
  };
  "invite.create": {
    params: InviteCreate;
    result: Invite;
  };
  "invite.revoke": {
    params: InviteRevoke;
    result: Empty;
  };
  "layout.set": {
    params: LayoutSet;
    result: Empty;
  };
  "media.answer": {
    params: MediaAnswer;
    result: Empty;
  };
  "media.candidate": {
    params: MediaCandidate;
    result: Empty;
  };
  "media.restart": {
    params: MediaRestart;
    result: Empty;
  };
  "media.set": {
    params: MediaSet;
    result: Empty;
  };
  "media.watch": {
    params: MediaWatch;
    result: Empty;
  };
  "mic.answer": {
    params: MicAnswer;
    result: Empty;
  };
  "mic.cancel": {
    params: Empty;
    result: Empty;
  };
  "mic.disconnect": {
    params: MicDisconnect;
    result: Empty;
  };
  "mic.invite": {
    params: MicInvite;
    result: Opened;
  };
  "mic.leave": {
    params: Empty;
    result: Empty;
  };
  "mic.move": {
    params: MicMove;
    result: Empty;
  };
  "mic.request": {
    params: MicRequest;
    result: Opened;
  };
  "mic.respond": {
    params: MicRespond;
    result: Seated;
  };
  "mic.set": {
    params: MicSet;
    result: Empty;
  };
  "mic.withdraw": {
    params: OfUser;
    result: Empty;
  };
  "output.start": {
    params: OutputStart;
    result: OutputStarted;
  };
  "output.stop": {
    params: OutputStop;
    result: Empty;
  };
  "record.link": {
    params: OfRecording;
    result: RecordingLink;
  };
  "record.list": {
    params: Empty;
    result: RecordingList;
  };
  "record.remove": {
    params: OfRecording;
    result: Empty;
  };
  "record.start": {
    params: Empty;
    result: Recording;
  };
  "record.stop": {
    params: Empty;
    result: Recording;
  };
  "room.hosts": {
    params: Empty;
    result: PairedHosts;
  };
  "room.people": {
    params: Empty;
    result: People;
  };
  "room.set": {
    params: RoomSet;
    result: Empty;
  };
  "seat.lock": {
    params: SeatLock;
    result: Empty;
  };
  "talkback.set": {
    params: TalkbackSet;
    result: Empty;
  };
}
export interface OfUser {
  user_id: Id;
}
export interface MicAnswer {
  accept: boolean;
}
export interface MicDisconnect {
  message?: Words | null;
  user_id: Id;
}
export interface MicInvite {
  seat?: Seat | null;
  timeout_s?: TimeoutS | null;
  user_id: Id;
}
/**
 * A request or an invitation is open.
 */
export interface Opened {
  expires_in_ms: number;
  request_id: Token;
}
export interface MicMove {
  seat: Seat;
  user_id: Id;
}
export interface MicRequest {
  /**
   * Whether the guest sends a picture.
   */
  camera?: boolean | null;
  timeout_s?: TimeoutS | null;
}
export interface MicRespond {
  accept: boolean;
  message?: Words | null;
  seat?: Seat | null;
  user_id: Id;
}
/**
 * The seat, after an accept.
 */
export interface Seated {
  seat?: Seat | null;
}
export interface MicSet {
  audio_muted?: boolean | null;
  gain_db?: GainDb | null;
  user_id: Id;
  video_muted?: boolean | null;
}
export interface OutputStart {
  /**
   * A stream key, a passphrase or a bearer token, as the kind needs. The box keeps it and never shows it.
   */
  key?: Secret | null;
  kind: OutputKind;
  name?: Name | null;
  url: string;
}
export interface OutputStarted {
  output_id: Token;
}
export interface OutputStop {
  output_id: Token;
}
/**
 * `file` as `record.list` has it.
 */
export interface OfRecording {
  file: Token;
}
/**
 * Where a recording can be fetched for twelve hours, by whoever has the link: it does not print.
 */
export interface RecordingLink {
  url: string;
}
/**
 * The newest first.
 */
export interface RecordingList {
  recordings: RecordingFile[];
}
export interface RecordingFile {
  bytes: number;
  file: Token;
  /**
   * It is being written: it can be fetched so far, and not be removed.
   */
  open: boolean;
}
export interface Recording {
  file: string;
}
export interface PairedHosts {
  hosts: PairedHost[];
}
/**
 * A console with a credential.
 */
export interface PairedHost {
  /**
   * Left out where the box cannot know: an external broker does not tell.
   */
  connected?: boolean | null;
  name: Name;
  user_id: Id;
}
export interface People {
  people: Person[];
}
/**
 * Someone with a live session.
 */
export interface Person {
  name: Name;
  state: PersonState;
  user_id: Id;
}
export interface RoomSet {
  accepting?: boolean | null;
  max_guests?: MaxGuests | null;
  title?: Name | null;
}
export interface SeatLock {
  locked: boolean;
  seat: Seat;
}
/**
 * The host's microphone goes to this guest alone, over the return, which is lowered by 12 dB; to nobody else, and not into the
 * programme. Without `user_id` it goes back on air; any console may ask for that. One guest at a time, the newest console
 * has its way. It ends by itself when the guest becomes idle or their media is lost, when the console that began it is
 * gone or has not asked again with the same `user_id` for 10 s, and when the box restarts.
 */
export interface TalkbackSet {
  user_id?: Id | null;
}
/**
 * What the box can use of a guest's picture now.
 */
export interface VideoWant {
  height: number;
  max_fps: number;
  max_kbps: number;
  width: number;
}
/**
 * Someone with a seat.
 */
export interface UserOnAir {
  name: Name;
  seat: Seat;
  user_id: Id;
}
/**
 * `online`, and with `online: false` the box's will.
 */
export interface Online {
  boot_id: string;
  online: boolean;
  version: string;
}
export interface Output {
  /**
   * Access units dropped because the other side was too slow or gone.
   */
  dropped: number;
  error?: string | null;
  kbps: number;
  kind: OutputKind;
  name: Name;
  output_id: Token;
  /**
   * Since when in this state.
   */
  since_ms: number;
  state: OutputState;
}
/**
 * `outputs`
 */
export interface Outputs {
  outputs: Output[];
  record: Record;
  rev: number;
}
export interface Record {
  bytes: number;
  error?: string | null;
  file?: string | null;
  /**
   * How long the free disk lasts at the present rate.
   */
  seconds_left?: number | null;
  state: OutputState;
}
/**
 * `POST /api/pair`
 */
export interface PairRequest {
  code: string;
  /**
   * What this console is called; "Console" if left out.
   */
  name?: Name | null;
}
/**
 * `pending`
 */
export interface Pending {
  requests: PendingRequest[];
  rev: number;
  /**
   * Left out while the host's microphone is where it always is.
   */
  talkback?: Talkback | null;
}
export interface PendingRequest {
  camera: boolean;
  expires_in_ms: number;
  name: Name;
  request_id: Token;
  user_id: Id;
}
/**
 * The host's microphone goes to one guest alone.
 */
export interface Talkback {
  /**
   * The bare id of a user or a box: 1 to 32 of `a-z 0-9 -`.
   */
  by: string;
  /**
   * What that console is called.
   */
  by_name?: Name | null;
  user_id: Id;
}
/**
 * `room`
 */
export interface RoomSnapshot {
  accepting: boolean;
  /**
   * By seat.
   */
  guests: GuestState[];
  host: HostState;
  layout: Layout;
  locked_seats: Seat[];
  max_guests: MaxGuests;
  rev: number;
  title: Name;
}
/**
 * A JSON-RPC error object.
 */
export interface RpcError {
  code: number;
  data: ErrorData;
  /**
   * A sentence for a person.
   */
  message: string;
}
