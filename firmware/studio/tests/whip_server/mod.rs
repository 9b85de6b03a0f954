//! A WHIP server with a real receiver, in a process of its own, the test `whip_server_process`: it can be killed as a server
//! is. What the server sees and hears comes back as its messages.
#![allow(dead_code)] // each of the test programs uses a part

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::routing::{delete, post};
use gst::prelude::*;
use gst_webrtc::{WebRTCICEGatheringState, WebRTCSDPType, WebRTCSessionDescription};
use serde_json::{Value, json};

use crate::child::{Child, say};

pub const KEY: &str = "very-secret-key";
const PATIENCE: Duration = Duration::from_secs(90);

pub struct Server {
    pub child: Child,
    pub port: u16,
}

impl Server {
    /// On this port, or on any if it is 0.
    pub async fn start(port: u16) -> Server {
        let child = Child::start("whip_server_process", &[("WHIP_PORT", port.to_string())]);
        let mut server = Server { child, port: 0 };
        server.port = server
            .until("it listens", |m| m["port"].as_u64())
            .await
            .try_into()
            .unwrap();
        server
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The next message that `pick` takes.
    pub async fn until<T>(&mut self, what: &str, mut pick: impl FnMut(&Value) -> Option<T>) -> T {
        let search = async {
            loop {
                let message = self.child.messages.recv().await.expect("the server lives");
                if let Some(found) = pick(&message) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, search)
            .await
            .unwrap_or_else(|_| panic!("waited in vain for the server: {what}"))
    }

    pub async fn until_pictures(&mut self, mut n: usize) {
        self.until("pictures", |m| {
            n -= usize::from(m["picture"].is_array());
            (n == 0).then_some(())
        })
        .await;
    }

    /// Asks the sender for a keyframe, as a server does for a new viewer.
    pub fn ask_for_keyframe(&mut self) {
        self.child.tell(&"keyframe");
    }
}

type Receiving = Arc<Mutex<Option<Receiver>>>;

struct Receiver {
    pipeline: gst::Pipeline,
    /// Where keyframes are asked for.
    picture: Arc<Mutex<Option<gst::Pad>>>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// The life of the process, until stdin ends.
pub fn run() {
    gst::init().unwrap();
    let receiving = Receiving::default();
    let routes = Router::new()
        .route("/whip", post(offered))
        .route("/whip/{id}", delete(ended))
        .route(
            "/moved",
            post(async || (StatusCode::TEMPORARY_REDIRECT, [("location", "/whip")])),
        )
        .route("/forged", post(forged))
        .route(
            "/loop",
            post(async || (StatusCode::PERMANENT_REDIRECT, [("location", "loop")])),
        )
        .route(
            "/flood",
            post(async || (StatusCode::CREATED, "v=0\r\n".repeat(20_000))),
        )
        .route(
            "/busy",
            post(async || (StatusCode::SERVICE_UNAVAILABLE, "All seats\nare taken.")),
        )
        .with_state(receiving.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let port = std::env::var("WHIP_PORT").unwrap();
    runtime.spawn(async move {
        let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}"))
            .await
            .unwrap();
        say(&json!({"port": listener.local_addr().unwrap().port()}));
        axum::serve(listener, routes).await.unwrap();
    });
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let picture = receiving
            .lock()
            .unwrap()
            .as_ref()
            .map(|r| r.picture.clone());
        let pad = picture.and_then(|p| p.lock().unwrap().clone());
        if line == "keyframe"
            && let Some(pad) = pad
        {
            let event = gst_video::UpstreamForceKeyUnitEvent::builder()
                .all_headers(true)
                .build();
            say(&json!({"asked": pad.send_event(event)}));
        }
    }
}

async fn offered(
    State(receiving): State<Receiving>,
    headers: HeaderMap,
    offer: String,
) -> Response {
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
    };
    if header("authorization") != format!("Bearer {KEY}") {
        return (StatusCode::UNAUTHORIZED, "who are you?").into_response();
    }
    assert_eq!(header("content-type"), "application/sdp");
    say(&json!({"offer": offer}));
    let (receiver, answer) = tokio::task::spawn_blocking(move || receive(&offer))
        .await
        .unwrap();
    *receiving.lock().unwrap() = Some(receiver);
    let headers = AppendHeaders([
        ("content-type", "application/sdp"),
        ("location", "/whip/1"),
        ("link", "<stun:127.0.0.1:9>; rel=\"ice-server\""),
    ]);
    (StatusCode::CREATED, headers, answer).into_response()
}

/// As an impostor on the way would: the connection is not with whom the answer names.
async fn forged(receiving: State<Receiving>, headers: HeaderMap, offer: String) -> Response {
    let (parts, body) = offered(receiving, headers, offer).await.into_parts();
    let body = axum::body::to_bytes(body, 65_536).await.unwrap();
    let answer = String::from_utf8(body.to_vec()).unwrap();
    let mut forged = String::new();
    for line in answer.lines() {
        match line.strip_prefix("a=fingerprint:sha-256 ") {
            Some(digest) => {
                let byte = u8::from_str_radix(&digest[..2], 16).unwrap() ^ 1;
                forged += &format!("a=fingerprint:sha-256 {byte:02X}{}", &digest[2..]);
            }
            None => forged += line,
        }
        forged += "\r\n";
    }
    let mut response = Response::from_parts(parts, forged.into());
    response.headers_mut().remove("content-length");
    response
}

async fn ended(
    State(receiving): State<Receiving>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> StatusCode {
    assert_eq!(headers["authorization"], format!("Bearer {KEY}"));
    let receiver = receiving.lock().unwrap().take();
    tokio::task::spawn_blocking(move || drop(receiver))
        .await
        .unwrap();
    say(&json!({"deleted": id}));
    StatusCode::OK
}

/// Takes what is offered; the answer holds all its candidates.
fn receive(offer: &str) -> (Receiver, String) {
    let pipeline = gst::Pipeline::new();
    let webrtc = gst::ElementFactory::make("webrtcbin")
        .property_from_str("bundle-policy", "max-bundle")
        .property("latency", 50u32)
        .build()
        .unwrap();
    pipeline.add(&webrtc).unwrap();
    let ice = webrtc.property::<gst_webrtc::WebRTCICE>("ice-agent");
    assert!(ice.emit_by_name::<bool>("add-local-ip-address", &[&"127.0.0.1"]));
    let picture = Arc::new(Mutex::new(None));
    let (weak, found) = (pipeline.downgrade(), picture.clone());
    webrtc.connect_pad_added(move |_, pad| {
        if let Some(pipeline) = weak.upgrade() {
            decode(&pipeline, pad, &found);
        }
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    let offer = gst_sdp::SDPMessage::parse_buffer(offer.as_bytes()).unwrap();
    let description = WebRTCSessionDescription::new(WebRTCSDPType::Offer, offer);
    webrtc.emit_by_name::<()>(
        "set-remote-description",
        &[&description, &None::<gst::Promise>],
    );
    let promise = gst::Promise::new();
    webrtc.emit_by_name::<()>("create-answer", &[&None::<gst::Structure>, &promise]);
    promise.wait();
    let reply = promise.get_reply().unwrap();
    let answer = reply.get::<WebRTCSessionDescription>("answer").unwrap();
    let (gathered, all) = std::sync::mpsc::channel();
    webrtc.connect_notify(Some("ice-gathering-state"), move |webrtc, _| {
        let state = webrtc.property::<WebRTCICEGatheringState>("ice-gathering-state");
        if state == WebRTCICEGatheringState::Complete {
            let _ = gathered.send(());
        }
    });
    webrtc.emit_by_name::<()>("set-local-description", &[&answer, &None::<gst::Promise>]);
    all.recv_timeout(Duration::from_secs(20)).unwrap();
    let local = webrtc.property::<WebRTCSessionDescription>("local-description");
    let text = local.sdp().as_text().unwrap();
    (Receiver { pipeline, picture }, text)
}

fn decode(pipeline: &gst::Pipeline, pad: &gst::Pad, picture: &Mutex<Option<gst::Pad>>) {
    let caps = pad.current_caps().unwrap();
    let s = caps.structure(0).unwrap();
    let is_picture = s.get::<&str>("media").unwrap() == "video";
    let sink = "appsink name=sink sync=false async=false";
    let chain = if is_picture {
        *picture.lock().unwrap() = Some(pad.clone());
        format!(
            "rtph264depay request-keyframe=true wait-for-keyframe=true ! h264parse name=parse ! avdec_h264 max-threads=1 ! videoconvert ! video/x-raw,format=I420 ! {sink}"
        )
    } else {
        format!(
            "rtpopusdepay ! opusdec ! audioconvert ! audio/x-raw,format=F32LE,rate=48000,channels=2,layout=interleaved ! {sink}"
        )
    };
    let chain = gst::parse::bin_from_description(&chain, true).unwrap();
    if let Some(parse) = chain.by_name("parse") {
        let probe = parse.static_pad("src").unwrap();
        probe.add_probe(gst::PadProbeType::BUFFER, |_, info| {
            let buffer = info.buffer().unwrap();
            if !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT) {
                say(&json!({"keyframe": true}));
            }
            gst::PadProbeReturn::Ok
        });
    }
    let sink = chain
        .by_name("sink")
        .unwrap()
        .downcast::<gst_app::AppSink>()
        .unwrap();
    let mut heard: Vec<f32> = Vec::new();
    let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        if is_picture {
            say(&json!({"picture": middle(&sample)}));
            return Ok(gst::FlowSuccess::Ok);
        }
        let map = sample.buffer().unwrap().map_readable().unwrap();
        // The left channel.
        heard.extend(
            map.chunks_exact(8)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
        );
        if heard.len() >= 4800 {
            let rms = (heard.iter().map(|x| x * x).sum::<f32>() / heard.len() as f32).sqrt();
            let turns = heard
                .windows(2)
                .filter(|w| (w[0] < 0.0) != (w[1] < 0.0))
                .count();
            let hz = turns as f32 / 2.0 * 48_000.0 / heard.len() as f32;
            say(&json!({"db": 20.0 * rms.max(1e-9).log10(), "hz": hz}));
            heard.clear();
        }
        Ok(gst::FlowSuccess::Ok)
    });
    sink.set_callbacks(callbacks.build());
    pipeline.add(&chain).unwrap();
    chain.sync_state_with_parent().unwrap();
    pad.link(&chain.static_pad("sink").unwrap()).unwrap();
}

/// Mean Y, U and V of the middle quarter.
fn middle(sample: &gst::Sample) -> [u64; 3] {
    use gst_video::VideoFrameExt;
    let info = gst_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
    let buffer = sample.buffer().unwrap();
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info).unwrap();
    [0, 1, 2].map(|plane| {
        let (w, h) = (
            frame.comp_width(plane) as usize,
            frame.comp_height(plane) as usize,
        );
        let stride = frame.plane_stride()[plane as usize] as usize;
        let data = frame.plane_data(plane).unwrap();
        let rows =
            (h / 4..h * 3 / 4).flat_map(|y| &data[y * stride + w / 4..y * stride + w * 3 / 4]);
        let (mut sum, mut count) = (0u64, 0);
        for value in rows {
            sum += u64::from(*value);
            count += 1;
        }
        sum / count
    })
}
