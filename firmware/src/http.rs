//! The web door: the companion, pairing and joining, MQTT over WebSocket, and what monitors ask.

mod api;
mod bridge;
mod listen;
mod metrics;
mod pages;
mod recordings;
mod secure;
mod trust;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use dais_broker::Broker;
use dais_protocol::{Health, IceServer, Id};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};

use crate::book::Book;
use crate::plane::Plane;
use crate::reach::Reach;
use crate::recordings::Recordings;
use crate::tls::Root;
pub use listen::Hall;

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
    pub reach: Reach,
    /// What phones must trust, if they must.
    pub root: Option<Arc<Root>>,
    pub hall: Arc<Hall>,
    pub recordings: Arc<Recordings>,
}

/// Where the door listens.
pub struct Listeners {
    pub http: TcpListener,
    /// With the newest settings of TLS.
    pub https: Option<(TcpListener, watch::Receiver<Arc<ServerConfig>>)>,
}

/// The largest body of `POST /api/…`: a code or an invite, and a name.
const MAX_BODY: usize = 4 * 1024;

/// A request's body, and all that is done before it is answered, take no longer.
const UNTIL_ANSWERED: Duration = Duration::from_secs(30);

/// Serves until it is aborted.
pub async fn serve(listeners: Listeners, door: Door) {
    let hall = door.hall.clone();
    let router = router(door);
    let plain = listen::serve(listeners.http, None, hall.clone(), router.clone());
    match listeners.https {
        Some((https, tls)) => {
            tokio::join!(plain, listen::serve(https, Some(tls), hall, router));
        }
        None => plain.await,
    }
}

fn router(door: Door) -> Router {
    Router::new()
        .route("/api/pair", post(api::pair))
        .route("/api/join", post(api::join))
        .route("/mqtt", get(bridge::mqtt))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics::metrics))
        .route("/recordings/{secret}/{file}", get(recordings::fetch))
        .route("/ca", get(trust::page))
        .route("/ca/dais-ca.crt", get(trust::certificate))
        .route("/ca/dais-ca.pem", get(trust::pem))
        .route("/ca/dais-ca.mobileconfig", get(trust::profile))
        .fallback(get(pages::page))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(
            door.reach.clone(),
            secure::only,
        ))
        .layer(middleware::from_fn(shield))
        // The console's script is 450 kB plain and 143 kB packed: a second less on a phone.
        .layer(CompressionLayer::new().compress_when(
            // A recording is packed as it is, and is gone on with by its bytes.
            DefaultPredicate::new().and(NotForContentType::const_new("video/")),
        ))
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

const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data: blob:; media-src 'self' blob: mediastream:; \
    style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// The page loads nothing from elsewhere, is shown in nobody's frame, and leaks no invite by a referrer.
async fn shield(request: Request, next: Next) -> Response {
    let mut response = match tokio::time::timeout(UNTIL_ANSWERED, next.run(request)).await {
        Ok(response) => response,
        Err(_) => StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        // A page may have one of its own.
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}
