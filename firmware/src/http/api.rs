//! `POST /api/pair` and `POST /api/join`.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use dais_protocol::{Credential, HttpError, JoinRequest, Name, PairRequest, Token};

use super::Door;
use crate::book::{Admission, BookError};

/// A refusal: the status, and a sentence.
pub struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(HttpError { message: self.1 })).into_response()
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        Self(rejection.status(), rejection.body_text())
    }
}

impl From<BookError> for Refusal {
    fn from(error: BookError) -> Self {
        let status = match &error {
            BookError::WrongCode | BookError::BadInvite => StatusCode::FORBIDDEN,
            BookError::TooManyWrong => StatusCode::TOO_MANY_REQUESTS,
            BookError::Full(_) => StatusCode::SERVICE_UNAVAILABLE,
            BookError::Store(_) => {
                tracing::error!(%error, "a credential could not be kept");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self(status, error.to_string())
    }
}

pub async fn pair(
    State(door): State<Door>,
    body: Result<Json<PairRequest>, JsonRejection>,
) -> Result<Json<Credential>, Refusal> {
    let Json(PairRequest { code, name }) = body?;
    let name = match name {
        Some(name) => name,
        None => "Console"
            .parse::<Name>()
            .map_err(|e| Refusal(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?,
    };
    admit(&door, move |door| door.book.pair(&code, name))
        .await
        .map(Json)
}

pub async fn join(
    State(door): State<Door>,
    body: Result<Json<JoinRequest>, JsonRejection>,
) -> Result<Json<Credential>, Refusal> {
    let Json(JoinRequest { invite, name }) = body?;
    let invite: Token = invite.parse().map_err(|_| BookError::BadInvite)?;
    let mut credential = admit(&door, move |door| door.book.join(&invite, name)).await?;
    credential.ice_servers = Some(door.ice_servers.to_vec());
    Ok(Json(credential))
}

/// Writes the book away from the threads that serve (it syncs to disk), then tells the broker.
async fn admit(
    door: &Door,
    by: impl FnOnce(&Door) -> Result<Admission, BookError> + Send + 'static,
) -> Result<Credential, Refusal> {
    let own = door.clone();
    let Admission { who, id, password } = tokio::task::spawn_blocking(move || by(&own))
        .await
        .map_err(|error| {
            Refusal(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("The box could not do that: {error}."),
            )
        })??;
    door.broker.grant(&who, &password).await.map_err(|error| {
        tracing::error!(%error, %who, "the broker did not take a new credential");
        Refusal(StatusCode::BAD_GATEWAY, error.to_string())
    })?;
    tracing::info!(%who, "admitted");
    Ok(Credential {
        user_id: id,
        username: who.username(),
        password,
        box_id: door.box_id.clone(),
        ice_servers: None,
    })
}
