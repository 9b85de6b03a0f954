//! `GET /metrics`: the newest `health` as Prometheus text.

use std::sync::atomic::AtomicU64;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use dais_protocol::Health;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Door;

type Labels = Vec<(String, String)>;
type Float = Gauge<f64, AtomicU64>;

pub async fn metrics(State(door): State<Door>) -> Response {
    let health = door.health.borrow().clone();
    let Some(text) = health.and_then(|health| render(&health, door.hall.turned_away()).ok()) else {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "nothing was measured yet\n",
        )
            .into_response();
    };
    (
        [(
            header::CONTENT_TYPE,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        )],
        text,
    )
        .into_response()
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
