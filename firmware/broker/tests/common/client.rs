//! An MQTT 5 client that shows every answer of the broker.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use dais_broker::Endpoint;
use dais_room::access::Identity;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnectProperties, ConnectReturnCode, Filter, LastWill, Packet, PubAckReason, Publish,
    PublishProperties, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{PATIENCE, QUIET, password_of};

/// How to connect.
pub struct Dial {
    username: String,
    password: String,
    client_id: String,
    endpoint: Option<Endpoint>,
    will: Option<LastWill>,
    clean_start: bool,
    session_expiry: u32,
}

impl Dial {
    pub fn new(who: &Identity) -> Self {
        Self {
            username: who.username(),
            password: password_of(who),
            client_id: format!("phone of {who}"),
            endpoint: None,
            will: None,
            clean_start: true,
            session_expiry: 0,
        }
    }

    pub fn to(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    pub fn password(mut self, password: &str) -> Self {
        self.password = password.to_owned();
        self
    }

    pub fn client_id(mut self, id: &str) -> Self {
        self.client_id = id.to_owned();
        self
    }

    pub fn will(mut self, topic: &str, payload: &str) -> Self {
        self.will = Some(LastWill::new(topic, payload, QoS::AtLeastOnce, false, None));
        self
    }

    pub fn resume(mut self, session_expiry: u32) -> Self {
        self.clean_start = false;
        self.session_expiry = session_expiry;
        self
    }

    /// The client, or the broker's refusal.
    pub async fn connect(self) -> Result<Client, ConnectReturnCode> {
        self.dial().await.map_err(|error| match error {
            ConnectionError::ConnectionRefused(code) => code,
            error => panic!("the broker could not be reached: {error}"),
        })
    }

    /// As [`Dial::connect`], where a connection that is closed without an answer is right, too.
    pub async fn dial(self) -> Result<Client, ConnectionError> {
        let endpoint = self.endpoint.expect("an endpoint");
        let mut options = MqttOptions::new(self.client_id, endpoint.host, endpoint.port);
        options.set_credentials(self.username, self.password);
        options.set_clean_start(self.clean_start);
        options.set_keep_alive(Duration::from_secs(30));
        options.set_connection_timeout(PATIENCE.as_secs());
        options.set_outgoing_inflight_upper_limit(20);
        let mut properties = ConnectProperties::new();
        properties.session_expiry_interval = Some(self.session_expiry);
        properties.max_packet_size = Some(256 * 1024);
        options.set_connect_properties(properties);
        if let Some(will) = self.will {
            options.set_last_will(will);
        }
        let (client, mut events) = AsyncClient::new(options, 64);
        loop {
            if let Event::Incoming(Packet::ConnAck(_)) = events.poll().await? {
                break;
            }
        }
        let (seen, packets) = mpsc::unbounded_channel();
        let task = tokio::spawn(poll(events, seen));
        Ok(Client {
            client,
            packets,
            task,
            messages: VecDeque::new(),
        })
    }
}

async fn poll(mut events: EventLoop, seen: mpsc::UnboundedSender<Packet>) {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(packet)) => {
                let last = matches!(packet, Packet::Disconnect(_));
                if seen.send(packet).is_err() || last {
                    return;
                }
            }
            Ok(Event::Outgoing(rumqttc::Outgoing::Disconnect)) => return,
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

pub struct Client {
    client: AsyncClient,
    packets: mpsc::UnboundedReceiver<Packet>,
    task: JoinHandle<()>,
    messages: VecDeque<Publish>,
}

impl Client {
    pub async fn subscribe(&mut self, filter: &str) -> SubscribeReasonCode {
        self.subscribe_to(Filter::new(filter, QoS::AtLeastOnce))
            .await
    }

    pub async fn subscribe_to(&mut self, filter: Filter) -> SubscribeReasonCode {
        self.client.subscribe_many([filter]).await.unwrap();
        self.answer(|p| match p {
            Packet::SubAck(ack) => Some(ack.return_codes[0]),
            _ => None,
        })
        .await
    }

    pub async fn publish(&mut self, topic: &str, payload: &str) -> PubAckReason {
        self.send(topic, payload, false, PublishProperties::default())
            .await
    }

    pub async fn retain(&mut self, topic: &str, payload: &str) -> PubAckReason {
        self.send(topic, payload, true, PublishProperties::default())
            .await
    }

    pub async fn send(
        &mut self,
        topic: &str,
        payload: &str,
        retain: bool,
        properties: PublishProperties,
    ) -> PubAckReason {
        let payload = Bytes::copy_from_slice(payload.as_bytes());
        self.client
            .publish_with_properties(topic, QoS::AtLeastOnce, retain, payload, properties)
            .await
            .unwrap();
        self.answer(|p| match p {
            Packet::PubAck(ack) => Some(ack.reason),
            _ => None,
        })
        .await
    }

    /// Without waiting for an answer.
    pub async fn fling(&self, topic: &str, payload: Vec<u8>, qos: QoS) {
        let _ = self.client.publish(topic, qos, false, payload).await;
    }

    /// The next message, as topic and text.
    pub async fn next(&mut self) -> (String, String) {
        let message = self.next_message().await;
        (text(&message.topic), text(&message.payload))
    }

    pub async fn next_message(&mut self) -> Publish {
        if let Some(message) = self.messages.pop_front() {
            return message;
        }
        self.answer_or_message(|_| None::<()>)
            .await
            .expect_err("a message")
    }

    /// True if nothing arrives for a while.
    pub async fn hears_nothing(&mut self) -> bool {
        self.messages.is_empty()
            && !matches!(
                timeout(QUIET, async {
                    loop {
                        match self.packets.recv().await {
                            Some(Packet::Publish(_)) => return true,
                            Some(_) => {}
                            None => std::future::pending().await,
                        }
                    }
                })
                .await,
                Ok(true)
            )
    }

    /// Waits until the broker has ended the connection.
    pub async fn ended(mut self) {
        timeout(PATIENCE, async {
            while self.packets.recv().await.is_some() {}
        })
        .await
        .expect("the connection should have been ended");
    }

    pub fn is_connected(&self) -> bool {
        !self.task.is_finished()
    }

    /// The network is gone: the socket closes without DISCONNECT.
    pub async fn vanish(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    /// DISCONNECT, then the socket closes, as MQTT asks of a client.
    pub async fn disconnect(mut self) {
        self.client.disconnect().await.unwrap();
        timeout(PATIENCE, async {
            while self.packets.recv().await.is_some() {}
        })
        .await
        .expect("it should have gone out");
    }

    async fn answer<T>(&mut self, wanted: impl Fn(&Packet) -> Option<T>) -> T {
        loop {
            match self.answer_or_message(&wanted).await {
                Ok(answer) => return answer,
                Err(message) => self.messages.push_back(message),
            }
        }
    }

    async fn answer_or_message<T>(
        &mut self,
        wanted: impl Fn(&Packet) -> Option<T>,
    ) -> Result<T, Publish> {
        timeout(PATIENCE, async {
            loop {
                let packet = self.packets.recv().await.expect("the connection ended");
                if let Some(answer) = wanted(&packet) {
                    return Ok(answer);
                }
                if let Packet::Publish(message) = packet {
                    return Err(message);
                }
            }
        })
        .await
        .expect("the broker did not answer in time")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
