//! One example of every message, as JSON text. A test parses each with its own type.

/// Method, parameters, result.
pub const CALLS: &[(&str, &str, &str)] = &[
    (
        "mic.request",
        r#"{"timeout_s":30,"camera":true}"#,
        r#"{"request_id":"r-17","expires_in_ms":30000}"#,
    ),
    ("mic.cancel", "{}", "{}"),
    ("mic.answer", r#"{"accept":true}"#, "{}"),
    ("mic.leave", "{}", "{}"),
    (
        "media.answer",
        r#"{"session":"s-4","sdp":"v=0\r\n…"}"#,
        "{}",
    ),
    (
        "media.candidate",
        r#"{"session":"s-4","candidate":{"candidate":"candidate:1 1 UDP 2015363327 192.0.2.7 51234 typ host","sdpMid":"0","sdpMLineIndex":0}}"#,
        "{}",
    ),
    ("media.restart", r#"{"session":"s-4"}"#, "{}"),
    ("media.set", r#"{"audio_muted":true}"#, "{}"),
    ("media.watch", r#"{"on":true,"user_id":"b7"}"#, "{}"),
    ("talkback.set", r#"{"user_id":"b7"}"#, "{}"),
    (
        "mic.respond",
        r#"{"user_id":"b7","accept":true,"seat":1}"#,
        r#"{"seat":1}"#,
    ),
    (
        "mic.disconnect",
        r#"{"user_id":"b7","message":"Thank you, that was it."}"#,
        "{}",
    ),
    (
        "mic.invite",
        r#"{"user_id":"b7","timeout_s":30}"#,
        r#"{"request_id":"r-18","expires_in_ms":30000}"#,
    ),
    ("mic.withdraw", r#"{"user_id":"b7"}"#, "{}"),
    (
        "mic.set",
        r#"{"user_id":"b7","audio_muted":true,"gain_db":-3.3}"#,
        "{}",
    ),
    ("mic.move", r#"{"user_id":"b7","seat":2}"#, "{}"),
    ("seat.lock", r#"{"seat":9,"locked":true}"#, "{}"),
    (
        "room.set",
        r#"{"title":"Friday live","accepting":true,"max_guests":9}"#,
        "{}",
    ),
    (
        "room.people",
        "{}",
        r#"{"people":[{"user_id":"b7","name":"Ana","state":"on_air"}]}"#,
    ),
    (
        "host.set",
        r#"{"audio_muted":true,"name":"Studio A"}"#,
        "{}",
    ),
    (
        "room.hosts",
        "{}",
        r#"{"hosts":[{"user_id":"c1","name":"Anna's phone","connected":true}]}"#,
    ),
    ("host.unpair", r#"{"user_id":"c1"}"#, "{}"),
    ("layout.set", r#"{"layout":"side-by-side"}"#, "{}"),
    (
        "invite.create",
        r#"{"uses":10,"ttl_s":3600}"#,
        r#"{"url":"https://dais.local/join?invite=4f6c1a","invite":"4f6c1a"}"#,
    ),
    ("invite.revoke", r#"{"invite":"4f6c1a"}"#, "{}"),
    ("guest.ban", r#"{"user_id":"b7"}"#, "{}"),
    (
        "output.start",
        r#"{"kind":"rtmp","url":"rtmp://live.example/app","key":"abcd-1234","name":"Main"}"#,
        r#"{"output_id":"o-1"}"#,
    ),
    ("output.stop", r#"{"output_id":"o-1"}"#, "{}"),
    ("record.start", "{}", r#"{"file":"programme-0007.mkv"}"#),
    ("record.stop", "{}", r#"{"file":"programme-0007.mkv"}"#),
    (
        "record.list",
        "{}",
        r#"{"recordings":[{"file":"programme-0007.mkv","bytes":734003200,"open":false}]}"#,
    ),
    (
        "record.link",
        r#"{"file":"programme-0007.mkv"}"#,
        r#"{"url":"https://dais.local/recordings/4f6c1a/programme-0007.mkv"}"#,
    ),
    ("record.remove", r#"{"file":"programme-0007.mkv"}"#, "{}"),
];

/// Notification and its parameters, without `rev`.
pub const NOTIFICATIONS: &[(&str, &str)] = &[
    ("mic.accepted", r#"{"seat":1}"#),
    ("mic.rejected", r#"{"message":"After the break."}"#),
    ("mic.timed_out", "{}"),
    ("mic.cancelled", "{}"),
    (
        "mic.invited",
        r#"{"request_id":"r-18","expires_in_ms":60000}"#,
    ),
    ("mic.invite_ended", r#"{"reason":"withdrawn"}"#),
    (
        "mic.terminated",
        r#"{"reason":"host","message":"Thank you, that was it."}"#,
    ),
    (
        "media.offer",
        r#"{"session":"s-4","sdp":"v=0\r\n…","ice_servers":[{"urls":["stun:stun.example:3478"]}],"video":{"width":640,"height":360,"max_fps":30,"max_kbps":900}}"#,
    ),
    ("media.candidate", r#"{"session":"s-4","candidate":null}"#),
    (
        "media.want",
        r#"{"width":320,"height":180,"max_fps":30,"max_kbps":300}"#,
    ),
    (
        "media.state",
        r#"{"audio_muted":true,"video_muted":false,"muted_by_host":true,"hidden_by_host":false}"#,
    ),
    ("host.attention", r#"{"watching":true,"talking":false}"#),
    (
        "mic.requested",
        r#"{"request_id":"r-17","user_id":"b7","name":"Ana","camera":true,"expires_in_ms":30000}"#,
    ),
    (
        "mic.request_cancelled",
        r#"{"request_id":"r-17","user_id":"b7"}"#,
    ),
    (
        "mic.request_timed_out",
        r#"{"request_id":"r-17","user_id":"b7"}"#,
    ),
    (
        "mic.request_answered",
        r#"{"request_id":"r-17","user_id":"b7","by":"c1","by_name":"Ana's phone","accept":true}"#,
    ),
    (
        "mic.invite_answered",
        r#"{"request_id":"r-18","user_id":"b7","accept":false}"#,
    ),
    ("mic.on_air", r#"{"user_id":"b7","seat":1}"#),
    ("mic.exited", r#"{"user_id":"b7","reason":"left"}"#),
    (
        "room.users_updated",
        r#"{"users":[{"user_id":"b7","name":"Ana","seat":1}],"joined":["b7"],"left":[]}"#,
    ),
    (
        "output.changed",
        r#"{"output_id":"o-1","state":"retrying","error":"The server closed the connection."}"#,
    ),
    (
        "record.changed",
        r#"{"state":"live","file":"programme-0007.mkv"}"#,
    ),
    (
        "alarm",
        r#"{"what":"The disk is nearly full.","since_ms":4000,"advice":"Stop the recording or free space."}"#,
    ),
];

/// Topic and payload.
pub const SNAPSHOTS: &[(&str, &str)] = &[
    (
        "online",
        r#"{"online":true,"boot_id":"6f1ed002-ab56-4a5b-8a6e-0d9ecf1c3c11","version":"0.1.0"}"#,
    ),
    (
        "room",
        r#"{"rev":41,"title":"Friday live","accepting":true,"max_guests":9,"layout":"auto","host":{"name":"Studio A","muted":false,"camera":true},"guests":[{"seat":1,"user_id":"b7","name":"Ana","state":"on_air","camera":true,"audio_muted":false,"video_muted":false,"muted_by_host":false,"hidden_by_host":false,"gain_db":0.0,"speaking":true,"connected_ms":81234}],"locked_seats":[9]}"#,
    ),
    (
        "pending",
        r#"{"rev":41,"requests":[{"request_id":"r-17","user_id":"c2","name":"Bo","camera":true,"expires_in_ms":41000}],"talkback":{"user_id":"c2","by":"c1","by_name":"Ana's phone"}}"#,
    ),
    (
        "outputs",
        r#"{"rev":41,"outputs":[{"output_id":"o-1","kind":"rtmp","name":"Main","state":"live","since_ms":60000,"kbps":6100,"dropped":0}],"record":{"state":"live","file":"programme-0007.mkv","bytes":45000000,"seconds_left":86400}}"#,
    ),
    (
        "health",
        r#"{"rev":41,"uptime_ms":60000,"fps":30.0,"frames":1800,"dropped":{"programme":0},"latency":{"mix":{"p50_ms":2.25,"p99_ms":6.0}},"cpu":0.75,"memory_bytes":310000000,"temperature_c":51.5,"disk_free_bytes":20000000000,"disk_free_s":25600,"watchers":1,"guests":[{"seat":1,"quality":"good","loss_percent":0.0,"rtt_ms":12.5,"fps":30.0,"kbps":900}],"camera":"ok","encoders":[{"line":"programme","element":"x264enc","left":["v4l2h264enc"]}],"alarms":[]}"#,
    ),
    (
        "meters",
        r#"{"rev":41,"seats":[{"seat":0,"level_db":-23.0,"peak_db":-12.5,"speaking":true}]}"#,
    ),
];

/// Path, request, answer.
pub const DOORS: &[(&str, &str, &str)] = &[
    (
        "/api/pair",
        r#"{"code":"123456","name":"Ana's phone"}"#,
        r#"{"user_id":"c1","username":"host-c1","password":"…","box":"dev"}"#,
    ),
    (
        "/api/join",
        r#"{"invite":"4f6c1a","name":"Ana"}"#,
        r#"{"user_id":"b7","username":"guest-b7","password":"…","box":"dev","ice_servers":[{"urls":["stun:stun.example:3478"]}]}"#,
    ),
];
