//! Nothing that is secret crosses a network unencrypted: a browser is sent on to `https://`, a program is told to use it.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use dais_protocol::HttpError;

use super::listen::Arrival;
use crate::reach::Reach;

/// What anybody may ask in the open. The pages' scripts and styles are no secret, and `/ca` is for those who do not trust
/// the box's certificate yet.
fn is_open(path: &str) -> bool {
    matches!(path, "/ca" | "/healthz" | "/readyz" | "/metrics")
        || path.starts_with("/ca/")
        || path.starts_with("/assets/")
}

/// A proxy that speaks HTTPS with the browser says so. Who lies here only gets an answer in the open to what was asked in the open.
fn through_a_proxy(headers: &HeaderMap) -> bool {
    headers
        .get("x-forwarded-proto")
        .is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"))
}

pub async fn only(State(reach): State<Reach>, request: Request, next: Next) -> Response {
    let arrival = request.extensions().get::<Arrival>().copied();
    let safe = arrival.is_none_or(|arrival| arrival.tls || arrival.from_here);
    let path = request.uri().path();
    if safe || is_open(path) || through_a_proxy(request.headers()) {
        return next.run(request).await;
    }
    let Some(origin) = reach.secure_origin(request.headers()) else {
        // HTTPS is switched off: the studio has its own way, or accepts the risk.
        return next.run(request).await;
    };
    let for_programs = path == "/mqtt" || path.starts_with("/api/");
    if for_programs || !matches!(*request.method(), Method::GET | Method::HEAD) {
        let message = format!(
            "A password would be readable by others in this network: use {origin}{path} instead."
        );
        return (StatusCode::FORBIDDEN, Json(HttpError { message })).into_response();
    }
    let rest = request
        .uri()
        .path_and_query()
        .map_or("/", |all| all.as_str());
    // Not a permanent one, which browsers keep: the port may change.
    (
        StatusCode::TEMPORARY_REDIRECT,
        [
            (header::LOCATION, format!("{origin}{rest}")),
            (header::CACHE_CONTROL, "no-store".to_owned()),
        ],
    )
        .into_response()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use axum::Router;
    use axum::middleware::from_fn_with_state;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::super::listen::speak;
    use super::*;

    const NETWORK: Arrival = Arrival {
        tls: false,
        from_here: false,
    };

    /// What a door with these addresses answers to this request line, and the lines after it.
    async fn answer(https: bool, arrival: Arrival, request: &str) -> String {
        let https = https.then(|| "10.0.0.5:8443".parse().unwrap());
        let reach = Reach::new(
            &"dais".parse().unwrap(),
            "0.0.0.0:8080".parse().unwrap(),
            https,
            None,
        );
        let router = Router::new()
            .fallback(async || "served")
            .layer(from_fn_with_state(reach, only));
        let (mut client, server) = tokio::io::duplex(16 * 1024);
        tokio::spawn(speak(server, arrival, router));
        let head = format!(
            "{request}\r\nHost: 10.0.0.5:8080\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
        client.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_browser_in_the_network_is_sent_on_with_its_invite() {
        let sent = answer(true, NETWORK, "GET /join?invite=abc HTTP/1.1").await;
        assert!(sent.starts_with("HTTP/1.1 307 "), "{sent}");
        assert!(
            sent.contains("location: https://10.0.0.5:8443/join?invite=abc\r\n"),
            "{sent}"
        );
        assert!(!sent.contains("served"));
    }

    #[tokio::test]
    async fn a_program_in_the_network_is_told_where_its_password_is_safe() {
        for request in [
            "POST /api/pair HTTP/1.1",
            "GET /mqtt HTTP/1.1",
            "POST / HTTP/1.1",
        ] {
            let told = answer(true, NETWORK, request).await;
            assert!(told.starts_with("HTTP/1.1 403 "), "{request}: {told}");
            assert!(told.contains("https://10.0.0.5:8443/"), "{told}");
        }
    }

    #[tokio::test]
    async fn what_a_new_phone_and_a_monitor_need_is_served_in_the_open() {
        for path in [
            "/ca",
            "/ca/dais-ca.crt",
            "/healthz",
            "/readyz",
            "/metrics",
            "/assets/x.js",
        ] {
            let served = answer(true, NETWORK, &format!("GET {path} HTTP/1.1")).await;
            assert!(served.starts_with("HTTP/1.1 200 "), "{path}: {served}");
        }
        let close = answer(true, NETWORK, "GET /cat HTTP/1.1").await;
        assert!(close.starts_with("HTTP/1.1 307 "), "{close}");
    }

    #[tokio::test]
    async fn whoever_came_safely_is_served() {
        let tls = Arrival {
            tls: true,
            from_here: false,
        };
        let local = Arrival {
            tls: false,
            from_here: true,
        };
        let proxied = "GET / HTTP/1.1\r\nX-Forwarded-Proto: https";
        for (https, arrival, request) in [
            (true, tls, "POST /api/pair HTTP/1.1"),
            (true, local, "POST /api/pair HTTP/1.1"),
            (true, NETWORK, proxied),
            // Switched off: the studio has its own way.
            (false, NETWORK, "GET / HTTP/1.1"),
        ] {
            let served = answer(https, arrival, request).await;
            assert!(served.starts_with("HTTP/1.1 200 "), "{request}: {served}");
        }
    }
}
