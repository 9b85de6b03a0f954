//! The companion, out of the binary.

use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "$OUT_DIR/companion"]
struct Companion;

/// A page with placeholders.
pub fn text(name: &str) -> Option<String> {
    let file = Companion::get(name)?;
    String::from_utf8(file.data.into_owned()).ok()
}

pub async fn page(uri: Uri) -> Response {
    let path = match uri.path() {
        "/" => "index.html",
        "/join" => "join.html",
        "/watch" => "watch.html",
        other => other.trim_start_matches('/'),
    };
    let Some(file) = Companion::get(path) else {
        return (
            StatusCode::NOT_FOUND,
            "There is no such page on this box.\n",
        )
            .into_response();
    };
    // Everything under assets/ has the hash of its content in its name; pages are asked for anew.
    let cache = if path.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let kind = match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("webmanifest") => "application/manifest+json",
        _ => "application/octet-stream",
    };
    (
        [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, cache)],
        file.data,
    )
        .into_response()
}
