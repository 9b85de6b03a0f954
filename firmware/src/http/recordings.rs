//! `GET /recordings/{secret}/{file}`: a recording, for whoever was given the link.

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tower_http::services::ServeFile;

use super::Door;

pub async fn fetch(
    State(door): State<Door>,
    Path((secret, file)): Path<(String, String)>,
    request: Request,
) -> Response {
    let Some(path) = door.recordings.linked(&secret, &file) else {
        let why =
            "This link has ended, or the recording was removed. Make a new link on the console.\n";
        return (StatusCode::NOT_FOUND, why).into_response();
    };
    match ServeFile::new(path).try_call(request).await {
        Ok(response) => {
            let mut response = response.map(Body::new);
            // To be kept, and not to be played in the place of the page.
            let kept = HeaderValue::from_static("attachment");
            response
                .headers_mut()
                .insert(header::CONTENT_DISPOSITION, kept);
            response
        }
        Err(error) => {
            tracing::error!(%error, file, "a recording could not be read");
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("The recording could not be read: {error}.\n"),
            )
                .into_response()
        }
    }
}
