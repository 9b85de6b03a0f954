//! `GET /mqtt`: a WebSocket that carries the bytes of MQTT to the broker, whichever broker it is.

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Door;

/// Bytes taken from the broker at once: a few snapshots.
const CHUNK: usize = 16 * 1024;

pub async fn mqtt(State(door): State<Door>, upgrade: WebSocketUpgrade) -> Response {
    let Ok(permit) = door.sockets.clone().try_acquire_owned() else {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "this box serves as many connections as it can\n",
        )
            .into_response();
    };
    upgrade
        .protocols(["mqtt"])
        .max_message_size(dais_broker::MAX_PACKET as usize)
        .max_frame_size(dais_broker::MAX_PACKET as usize)
        .on_upgrade(async move |socket| {
            carry(door, socket).await;
            drop(permit);
        })
}

async fn carry(door: Door, mut socket: WebSocket) {
    let broker = match door.broker.endpoint().connect().await {
        Ok(broker) => broker,
        Err(error) => {
            tracing::warn!(%error, "a WebSocket was closed, because the broker cannot be reached");
            return;
        }
    };
    let (mut from_broker, mut to_broker) = tokio::io::split(broker);
    let mut chunk = vec![0; CHUNK];
    loop {
        tokio::select! {
            message = socket.recv() => match message {
                Some(Ok(Message::Binary(bytes))) => {
                    if to_broker.write_all(&bytes).await.is_err() {
                        break;
                    }
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                // MQTT is binary: text is an error of the client, as is the end of the stream.
                Some(Ok(Message::Text(_) | Message::Close(_)) | Err(_)) | None => break,
            },
            read = from_broker.read(&mut chunk) => match read {
                Ok(0) | Err(_) => break,
                Ok(n) => {
                    if socket.send(Message::Binary(Bytes::copy_from_slice(&chunk[..n]))).await.is_err() {
                        break;
                    }
                }
            },
        }
    }
    // Without this the client would learn of a closed broker only by its own keep-alive.
    let _ = socket.send(Message::Close(None)).await;
}
