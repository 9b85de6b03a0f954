//! `GET /metrics`: the newest `health` as Prometheus text.

use std::sync::atomic::AtomicU64;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use dais_protocol::{CameraSignal, Health};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Door;

type Labels = Vec<(String, String)>;
type Float = Gauge<f64, AtomicU64>;

/// Every state has a line of its own, so that a rule can wait for one that has not come yet.
const SIGNALS: [(CameraSignal, &str); 6] = [
    (CameraSignal::Ok, "ok"),
    (CameraSignal::NoCamera, "no_camera"),
    (CameraSignal::NoCable, "no_cable"),
    (CameraSignal::NoSignal, "no_signal"),
    (CameraSignal::NoSync, "no_sync"),
    (CameraSignal::Unsupported, "unsupported"),
];

/// What `prometheus_client` writes is read as either of the two; a scraper that wants the newer one asks for it.
const OPEN_METRICS: &str = "application/openmetrics-text";
const OPEN_METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub async fn metrics(State(door): State<Door>, headers: HeaderMap) -> Response {
    let health = door.health.borrow().clone();
    let Some(text) = health.and_then(|health| render(&health, door.hall.turned_away()).ok()) else {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "nothing was measured yet\n",
        )
            .into_response();
    };
    let accepts = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok());
    let content_type = if accepts.is_some_and(|kinds| kinds.contains(OPEN_METRICS)) {
        OPEN_METRICS_TYPE
    } else {
        TEXT_TYPE
    };
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}

fn render(health: &Health, turned_away: u64) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::with_prefix("dais");
    let mut gauge = |name: &str, help: &str, value: f64| {
        let gauge = Float::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    };
    gauge(
        "uptime_seconds",
        "Since the box's process started",
        health.uptime_ms as f64 / 1000.0,
    );
    gauge(
        "programme_fps",
        "Programme frames that left the encoder in the last second",
        health.fps.into(),
    );
    gauge(
        "cpu_cores",
        "Cores in use by the box's process",
        health.cpu.into(),
    );
    gauge(
        "memory_bytes",
        "Resident memory of the box's process",
        health.memory_bytes as f64,
    );
    gauge(
        "watchers",
        "Sessions that only watch",
        health.watchers.into(),
    );
    gauge("alarms", "What is wrong now", health.alarms.len() as f64);
    if let Some(celsius) = health.temperature_c {
        gauge("temperature_celsius", "The hottest sensor", celsius.into());
    }
    if let Some(free) = health.disk_free_bytes {
        gauge("disk_free_bytes", "Free where recordings go", free as f64);
    }
    let frames = Counter::<u64>::default();
    frames.inc_by(health.frames);
    registry.register(
        "programme_frames",
        "Programme frames that left the encoder",
        frames,
    );
    let dropped = Family::<Labels, Counter>::default();
    for (place, count) in &health.dropped {
        dropped
            .get_or_create(&vec![("place".into(), place.clone())])
            .inc_by(*count);
    }
    // Only a box under attack or with a flood of guests counts here.
    dropped
        .get_or_create(&vec![("place".into(), "connections".into())])
        .inc_by(turned_away);
    registry.register("dropped", "What was dropped, by place", dropped);
    if let Some(signal) = health.camera {
        let camera = Family::<Labels, Gauge>::default();
        for (state, name) in SIGNALS {
            camera
                .get_or_create(&vec![("state".into(), name.into())])
                .set(i64::from(state == signal));
        }
        registry.register(
            "camera_signal",
            "What comes in at the host's camera: 1 for the state it is in",
            camera,
        );
    }
    let encoders = Family::<Labels, Gauge>::default();
    for line in &health.encoders {
        let of = |element: &String| {
            vec![
                ("line".into(), line.line.clone()),
                ("element".into(), element.clone()),
            ]
        };
        for left in &line.left {
            encoders.get_or_create(&of(left)).set(0);
        }
        encoders.get_or_create(&of(&line.element)).set(1);
    }
    registry.register(
        "encoder",
        "Which encoder makes the pictures of a line: 1, and 0 for one that failed and was left",
        encoders,
    );
    let latency = Family::<Labels, Float>::default();
    for (stage, value) in &health.latency {
        for (quantile, ms) in [("0.5", value.p50_ms), ("0.99", value.p99_ms)] {
            let labels = vec![
                ("stage".into(), stage.clone()),
                ("quantile".into(), quantile.into()),
            ];
            latency.get_or_create(&labels).set(f64::from(ms) / 1000.0);
        }
    }
    registry.register("latency_seconds", "Of the last 10 s, by stage", latency);
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_camera_s_signal_and_the_encoders_are_among_the_figures() {
        let health: Health = serde_json::from_value(serde_json::json!({
            "rev": 1, "uptime_ms": 1, "fps": 30.0, "frames": 1, "dropped": {}, "latency": {}, "cpu": 0.5,
            "memory_bytes": 1, "temperature_c": null, "disk_free_bytes": null, "watchers": 0, "camera": "no_sync",
            "encoders": [{"line": "programme", "element": "x264enc", "left": ["v4l2h264enc"]}], "alarms": [],
        }))
        .unwrap();
        let text = render(&health, 0).unwrap();
        for line in [
            "dais_camera_signal{state=\"no_sync\"} 1",
            "dais_camera_signal{state=\"ok\"} 0",
            "dais_encoder{line=\"programme\",element=\"x264enc\"} 1",
            "dais_encoder{line=\"programme\",element=\"v4l2h264enc\"} 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}: {text}");
        }
    }
}
