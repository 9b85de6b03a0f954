//! Which box answers at an address: its id is the third level of every topic, and a console is not asked to type it.

use std::time::Duration;

use dais_protocol::{Id, Secret};
use rumqttc::v5::{
    AsyncClient, ConnectionError, Event,
    mqttbytes::{
        QoS,
        v5::{Filter, Packet, SubscribeReasonCode},
    },
};
use tokio::time::timeout;

use crate::{address::Address, client::ConnectError};

const PATIENCE: Duration = Duration::from_secs(5);
/// A broker that enforces the access table may refuse the wildcard; then the ids that boxes have by default are tried.
const FILTERS: [&str; 3] = [
    "dais/v1/+/online",
    "dais/v1/dev/online",
    "dais/v1/dais/online",
];

/// Listens for a retained `online`.
pub async fn find_box(
    url: &str,
    username: &str,
    password: &Secret,
    ca: Option<&[u8]>,
) -> Result<Id, ConnectError> {
    let client_id = format!(
        "{username}-{}",
        &uuid::Uuid::new_v4().simple().to_string()[..8]
    );
    let mut options = Address::parse(url)?.mqtt_options(client_id, ca)?;
    options.set_credentials(username, &password.0);
    let (mqtt, mut events) = AsyncClient::new(options, 4);
    let search = async {
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    let filters = FILTERS.map(|filter| Filter::new(filter, QoS::AtLeastOnce));
                    let _ = mqtt.try_subscribe_many(filters);
                }
                Ok(Event::Incoming(Packet::SubAck(ack))) => {
                    if !ack
                        .return_codes
                        .iter()
                        .any(|code| matches!(code, SubscribeReasonCode::Success(_)))
                    {
                        return Err(ConnectError::NoBox { url: url.into() });
                    }
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    let topic = String::from_utf8_lossy(&publish.topic);
                    if let Some(id) = topic
                        .strip_prefix("dais/v1/")
                        .and_then(|rest| rest.strip_suffix("/online")?.parse().ok())
                    {
                        return Ok(id);
                    }
                }
                Ok(_) => {}
                Err(ConnectionError::ConnectionRefused(code)) => {
                    return Err(ConnectError::refused(url, username, code));
                }
                Err(error) => {
                    return Err(ConnectError::Unreachable {
                        url: url.into(),
                        why: error.to_string(),
                    });
                }
            }
        }
    };
    timeout(PATIENCE, search)
        .await
        .unwrap_or_else(|_| Err(ConnectError::NoBox { url: url.into() }))
}
