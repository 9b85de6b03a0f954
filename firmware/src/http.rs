//! The web door: the companion, pairing and joining, MQTT over WebSocket, and what monitors ask.

mod api;
mod bridge;
mod metrics;
mod pages;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use dais_broker::Broker;
use dais_protocol::{Health, IceServer, Id};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tower_http::compression::CompressionLayer;

use crate::book::Book;
use crate::plane::Plane;

/// What the web door needs of the box.
#[derive(Clone)]
pub struct Door {
    pub book: Arc<Book>,
    pub broker: Arc<dyn Broker>,
    pub box_id: Id,
    pub ice_servers: Arc<[IceServer]>,
    pub health: watch::Receiver<Option<Health>>,
    /// Whether programme frames leave the encoder.
    pub moving: watch::Receiver<bool>,
    pub plane: Plane,
    /// One permit a WebSocket.
    pub sockets: Arc<Semaphore>,
}

/// The largest body of `POST /api/…`: a code or an invite, and a name.
const MAX_BODY: usize = 4 * 1024;

/// Serves until it is aborted.
pub async fn serve(listener: TcpListener, door: Door) -> std::io::Result<()> {
    axum::serve(listener, router(door)).await
}

fn router(door: Door) -> Router {
    Router::new()
        .route("/api/pair", post(api::pair))
        .route("/api/join", post(api::join))
        .route("/mqtt", get(bridge::mqtt))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics::metrics))
        .fallback(get(pages::page))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(shield))
        // The console's script is 450 kB plain and 143 kB packed: a second less on a phone.
        .layer(CompressionLayer::new())
        .with_state(door)
}

/// 200 while frames move, 503 and why while not.
async fn ready(axum::extract::State(door): axum::extract::State<Door>) -> Response {
    if *door.moving.borrow() {
        return (StatusCode::OK, "programme frames are moving\n").into_response();
    }
    let why = door
        .plane
        .why_not()
        .unwrap_or_else(|| "no programme frame left the encoder in the last second".into());
    (StatusCode::SERVICE_UNAVAILABLE, why + "\n").into_response()
}

/// The page loads nothing from elsewhere, is shown in nobody's frame, and leaks no invite by a referrer.
async fn shield(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data: blob:; media-src 'self' blob: mediastream:; \
             style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
