//! A client that may be rude: it publishes what a test wants, as it wants.

use std::time::Duration;

use dais_protocol::Credential;
use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    LastWill, Packet, PubAckReason, PublishProperties, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, Event, MqttOptions};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{House, PATIENCE};

pub struct Wire {
    pub mqtt: AsyncClient,
    pub up: String,
    pub down: String,
    packets: mpsc::UnboundedReceiver<Packet>,
    task: tokio::task::JoinHandle<()>,
    next: u32,
}

/// A message that came, with the properties of its MQTT packet.
#[derive(Debug)]
pub struct Came {
    pub topic: String,
    pub body: Value,
    pub correlation: Option<Vec<u8>>,
    pub retain: bool,
    pub qos: QoS,
}

impl Wire {
    pub async fn connect(house: &House, credential: &Credential) -> Self {
        Self::connect_as(&format!("{}-wire", credential.username), house, credential).await
    }

    pub async fn connect_as(client_id: &str, house: &House, credential: &Credential) -> Self {
        let role = credential.username.split('-').next().unwrap();
        let root = format!(
            "dais/v1/{}/{role}/{}",
            credential.box_id, credential.user_id
        );
        let (up, down) = (format!("{root}/up"), format!("{root}/down"));
        let port = house.mqtt.rsplit(':').next().unwrap().parse().unwrap();
        let mut options = MqttOptions::new(client_id, "127.0.0.1", port);
        options.set_credentials(&credential.username, &credential.password);
        options.set_max_packet_size(Some(1 << 20));
        options.set_keep_alive(Duration::from_secs(5));
        let will = json!({"jsonrpc": "2.0", "method": "session.gone"}).to_string();
        options.set_last_will(LastWill::new(&up, will, QoS::AtLeastOnce, false, None));
        let (mqtt, mut events) = AsyncClient::new(options, 1024);
        let (out, packets) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            while let Ok(event) = events.poll().await {
                // After DISCONNECT a client closes its socket; the library leaves that to its user.
                let over = match event {
                    Event::Incoming(packet) => out.send(packet).is_err(),
                    Event::Outgoing(outgoing) => outgoing == Outgoing::Disconnect,
                };
                if over {
                    break;
                }
            }
        });
        let mut wire = Self {
            mqtt,
            up,
            down,
            packets,
            task,
            next: 0,
        };
        wire.until("CONNACK", |packet| {
            matches!(packet, Packet::ConnAck(_)).then_some(())
        })
        .await;
        assert_eq!(
            wire.subscribe(&format!("{}/#", wire.down.clone())).await,
            SubscribeReasonCode::Success(QoS::AtLeastOnce)
        );
        wire
    }

    pub async fn subscribe(&mut self, filter: &str) -> SubscribeReasonCode {
        self.mqtt.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
        self.until("SUBACK", |packet| match packet {
            Packet::SubAck(ack) => Some(ack.return_codes[0]),
            _ => None,
        })
        .await
    }

    /// Publishes and waits for the broker's word on it.
    pub async fn publish(&mut self, topic: &str, payload: impl Into<Vec<u8>>) -> PubAckReason {
        self.mqtt
            .publish(topic, QoS::AtLeastOnce, false, payload.into())
            .await
            .unwrap();
        self.until("PUBACK", |packet| match packet {
            Packet::PubAck(ack) => Some(ack.reason),
            _ => None,
        })
        .await
    }

    pub async fn send(&mut self, payload: impl Into<Vec<u8>>) {
        let up = self.up.clone();
        self.mqtt
            .publish(up, QoS::AtLeastOnce, false, payload.into())
            .await
            .unwrap();
    }

    pub async fn send_with(
        &mut self,
        payload: impl Into<Vec<u8>>,
        retain: bool,
        properties: PublishProperties,
    ) {
        let up = self.up.clone();
        self.mqtt
            .publish_with_properties(up, QoS::AtLeastOnce, retain, payload.into(), properties)
            .await
            .unwrap();
    }

    /// Sends a request with an id of its own and waits for its reply: `result` or `error`.
    pub async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = format!("w{}", self.next);
        self.ask_as(&id, method, params).await
    }

    pub async fn ask_as(&mut self, id: &str, method: &str, params: Value) -> Value {
        self.send(
            json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string(),
        )
        .await;
        self.reply(id).await
    }

    pub async fn reply(&mut self, id: &str) -> Value {
        let id = id.to_owned();
        self.came(&format!("the reply to {id}"), move |came| {
            came.body["id"] == id.as_str()
        })
        .await
        .body
    }

    /// The reason in the error of a request.
    pub async fn refused(&mut self, method: &str, params: Value) -> String {
        let reply = self.ask(method, params).await;
        reply["error"]["data"]["reason"]
            .as_str()
            .unwrap_or_else(|| panic!("{method} was taken: {reply}"))
            .to_owned()
    }

    /// Whether a reply to this request came up to now.
    pub fn answered(&mut self, id: &str) -> bool {
        std::iter::from_fn(|| self.packets.try_recv().ok()).any(|packet| match packet {
            Packet::Publish(publish) => serde_json::from_slice::<Value>(&publish.payload)
                .is_ok_and(|body| body["id"] == id && body["result"].is_object()),
            _ => false,
        })
    }

    pub async fn notification(&mut self, method: &str) -> Value {
        let name = method.to_owned();
        self.came(method, move |came| came.body["method"] == name.as_str())
            .await
            .body["params"]
            .clone()
    }

    pub async fn came(&mut self, what: &str, want: impl Fn(&Came) -> bool) -> Came {
        self.until(what, |packet| match packet {
            Packet::Publish(publish) => {
                let came = Came {
                    topic: String::from_utf8(publish.topic.to_vec()).unwrap(),
                    body: serde_json::from_slice(&publish.payload).ok()?,
                    correlation: publish
                        .properties
                        .as_ref()
                        .and_then(|p| p.correlation_data.as_ref())
                        .map(|data| data.to_vec()),
                    retain: publish.retain,
                    qos: publish.qos,
                };
                want(&came).then_some(came)
            }
            _ => None,
        })
        .await
    }

    async fn until<T>(&mut self, what: &str, mut pick: impl FnMut(Packet) -> Option<T>) -> T {
        let search = async {
            loop {
                let packet = self
                    .packets
                    .recv()
                    .await
                    .unwrap_or_else(|| panic!("the connection ended while waiting for {what}"));
                if let Some(found) = pick(packet) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, search)
            .await
            .unwrap_or_else(|_| panic!("waited in vain for {what}"))
    }

    /// Whether the broker ended the connection, in time.
    pub async fn ended(&mut self) -> bool {
        tokio::time::timeout(PATIENCE, async {
            while self.packets.recv().await.is_some() {}
        })
        .await
        .is_ok()
    }

    /// Goes without a word, as a phone without a network does: the broker sends the will.
    pub fn vanish(self) {
        self.task.abort();
    }
}
