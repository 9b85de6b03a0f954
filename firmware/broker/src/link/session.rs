//! One connection after another: connect, subscribe, carry, and begin again with a fresh client.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dais_room::access::Identity;
use rumqttc::NetworkOptions;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnectProperties, Filter, LastWill, Packet, Publish as WirePublish, PublishProperties,
    RetainForwardRule, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions, Request as WireRequest};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant as TokioInstant, sleep, timeout, timeout_at};

use super::{
    INCOMING_RESERVE, Incoming, LinkConfig, Publish, Qos, Request, STOP_TIMEOUT, outbox::Outbox,
};
use crate::MAX_PACKET;

/// A broker that is gone without a word is noticed within twice this.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// The library makes an event at least once a keep-alive; without one for this long it is stuck.
const SILENCE: Duration = Duration::from_secs(25);
/// TCP, TLS and CONNACK together.
const CONNECT_TIMEOUT_S: u64 = 5;
/// Messages sent and not acknowledged at once.
const INFLIGHT: u16 = 64;
const FIRST_BACK_OFF: Duration = Duration::from_millis(100);
const MAX_BACK_OFF: Duration = Duration::from_secs(5);
/// A connection that stood this long starts the back-off anew.
const STEADY: Duration = Duration::from_secs(30);

pub(super) async fn run(
    config: LinkConfig,
    outbox: Arc<Outbox>,
    incoming: mpsc::Sender<Incoming>,
    mut stop: watch::Receiver<bool>,
) {
    let mut back_off = FIRST_BACK_OFF;
    while !*stop.borrow() && !incoming.is_closed() {
        let began = Instant::now();
        let (client, events) = AsyncClient::new(options(&config), usize::from(INFLIGHT));
        let one = Connection {
            config: config.clone(),
            outbox: Arc::clone(&outbox),
            incoming: incoming.clone(),
            stop: stop.clone(),
        };
        // In a task of its own, so that a panic in the library is one more reason to start afresh.
        let ended = tokio::spawn(one.carry(client, events)).await;
        let why = match ended {
            Ok(Some(why)) => why,
            Ok(None) => return,
            Err(e) => {
                outbox.disconnected(Vec::new());
                format!("the MQTT library failed: {e}")
            }
        };
        tracing::warn!(broker = %config.endpoint, "the link to the MQTT broker is down: {why}");
        if incoming.try_send(Incoming::Disconnected { why }).is_err() {
            tracing::error!("nobody takes what the MQTT link reports");
        }
        if began.elapsed() >= STEADY {
            back_off = FIRST_BACK_OFF;
        }
        tokio::select! {
            () = sleep(back_off) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        back_off = (back_off * 2).min(MAX_BACK_OFF);
    }
}

fn options(config: &LinkConfig) -> MqttOptions {
    let endpoint = &config.endpoint;
    // The client id is the user name: the embedded broker gives it to nobody else.
    let mut options = endpoint.mqtt_options(&config.username);
    options.set_credentials(&config.username, &config.password);
    options.set_keep_alive(KEEP_ALIVE);
    options.set_clean_start(true);
    options.set_connection_timeout(CONNECT_TIMEOUT_S);
    options.set_outgoing_inflight_upper_limit(INFLIGHT);
    // Without this each reply that follows a PUBACK waits 40 ms for the other side's delayed acknowledgement.
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    let mut properties = ConnectProperties::new();
    properties.max_packet_size = Some(MAX_PACKET);
    properties.session_expiry_interval = Some(0);
    options.set_connect_properties(properties);
    options.set_last_will(LastWill::new(
        online_topic(&config.box_id),
        config.will_payload.clone(),
        QoS::AtLeastOnce,
        true,
        None,
    ));
    options
}

fn online_topic(box_id: &str) -> String {
    format!("dais/v1/{box_id}/online")
}

pub(super) fn online(config: &LinkConfig, payload: bytes::Bytes) -> Publish {
    Publish {
        topic: online_topic(&config.box_id),
        payload,
        qos: Qos::AtLeastOnce,
        retain: true,
        expiry_s: None,
        correlation_data: None,
    }
}

struct Connection {
    config: LinkConfig,
    outbox: Arc<Outbox>,
    incoming: mpsc::Sender<Incoming>,
    stop: watch::Receiver<bool>,
}

impl Connection {
    /// Carries one connection to its end. `None` if it was ended on purpose.
    async fn carry(mut self, client: AsyncClient, mut events: EventLoop) -> Option<String> {
        let (begin, began) = watch::channel(false);
        let feed = tokio::spawn(feed(client.clone(), Arc::clone(&self.outbox), began));
        let why = self.poll(&client, &mut events, &begin).await;
        feed.abort();
        // What was half-way into the library's channel when the feed ended is in there, or was never taken out.
        let _ = feed.await;
        self.outbox.disconnected(undelivered(&mut events));
        why
    }

    async fn poll(
        &mut self,
        client: &AsyncClient,
        events: &mut EventLoop,
        begin: &watch::Sender<bool>,
    ) -> Option<String> {
        let mut stop_by: Option<TokioInstant> = None;
        let mut stopping = self.stop.clone();
        loop {
            if *stopping.borrow() {
                if !*begin.borrow() {
                    return None;
                }
                let by = *stop_by.get_or_insert_with(|| TokioInstant::now() + STOP_TIMEOUT);
                if TokioInstant::now() >= by || self.all_sent(events) {
                    say_goodbye(client, events).await;
                    return None;
                }
            }
            let silence = TokioInstant::now() + SILENCE;
            let until = stop_by.map_or(silence, |by| by.min(silence));
            let event = tokio::select! {
                event = timeout_at(until, events.poll()) => event,
                // While connecting, a poll may be cancelled. Later it may not: it could lose a packet that it holds.
                // Then the farewell, which `stop` puts into the outbox, makes an event.
                _ = stopping.wait_for(|stop| *stop), if !*begin.borrow() => continue,
            };
            let event = match event {
                Ok(Ok(event)) => event,
                Ok(Err(e)) => return Some(e.to_string()),
                Err(_) if stop_by.is_some() => continue,
                Err(_) => {
                    return Some(format!(
                        "nothing happened on the connection for {} s",
                        SILENCE.as_secs()
                    ));
                }
            };
            match event {
                Event::Incoming(Packet::ConnAck(_)) => {
                    if let Err(why) = self.subscribe(client) {
                        return Some(why);
                    }
                }
                Event::Incoming(Packet::SubAck(ack)) => {
                    if let Some(refused) = ack
                        .return_codes
                        .iter()
                        .find(|code| !matches!(code, SubscribeReasonCode::Success(_)))
                    {
                        return Some(format!(
                            "the broker does not let the box read requests ({refused:?})"
                        ));
                    }
                    // Only now would a request be heard; so only now the box says that it is there.
                    self.outbox
                        .push(online(&self.config, self.config.birth_payload.clone()));
                    self.outbox.connected();
                    let _ = begin.send(true);
                    tracing::info!(broker = %self.config.endpoint, "the link to the MQTT broker is up");
                    if self.incoming.try_send(Incoming::Connected).is_err() {
                        return Some("nobody takes what arrives".to_owned());
                    }
                }
                Event::Incoming(Packet::Publish(publish)) => self.receive(publish),
                _ => {}
            }
        }
    }

    /// The channel is empty at this moment of a connection, so this can't fail for want of room.
    fn subscribe(&self, client: &AsyncClient) -> Result<(), String> {
        let filters = ["host", "guest"].map(|who| {
            let mut filter = Filter::new(
                format!("dais/v1/{}/{who}/+/up", self.config.box_id),
                QoS::AtLeastOnce,
            );
            // Keep the retain flag, so that such requests can be refused, and never get one that was stored.
            filter.preserve_retain = true;
            filter.retain_forward_rule = RetainForwardRule::Never;
            filter
        });
        client
            .try_subscribe_many(filters)
            .map_err(|e| format!("the subscription could not be sent: {e}"))
    }

    fn receive(&self, publish: WirePublish) {
        let topic = String::from_utf8_lossy(&publish.topic);
        let Some(from) = Identity::from_up_topic(&self.config.box_id, &topic) else {
            tracing::debug!(%topic, "a message outside of the contract was ignored");
            return;
        };
        let properties = publish.properties.unwrap_or_default();
        let request = Request {
            from,
            payload: publish.payload,
            retain: publish.retain,
            expires_at: properties
                .message_expiry_interval
                .map(|s| Instant::now() + Duration::from_secs(u64::from(s))),
            response_topic: properties.response_topic,
            correlation_data: properties.correlation_data,
        };
        let sent = self.incoming.capacity() > INCOMING_RESERVE
            && self.incoming.try_send(Incoming::Request(request)).is_ok();
        self.outbox.count(|c| {
            if sent {
                c.received += 1
            } else {
                c.dropped_requests += 1
            }
        });
    }

    fn all_sent(&self, events: &EventLoop) -> bool {
        self.outbox.is_empty() && events.state.inflight() == 0 && events.state.events.is_empty()
    }
}

/// DISCONNECT goes through the same channel as the messages, hence after them.
async fn say_goodbye(client: &AsyncClient, events: &mut EventLoop) {
    if client.try_disconnect().is_err() {
        return;
    }
    let until_said = async {
        while let Ok(event) = events.poll().await {
            if matches!(event, Event::Outgoing(rumqttc::Outgoing::Disconnect)) {
                return;
            }
        }
    };
    let _ = timeout(Duration::from_secs(1), until_said).await;
}

/// Moves messages from the outbox into the library, once the subscription stands.
async fn feed(client: AsyncClient, outbox: Arc<Outbox>, mut begin: watch::Receiver<bool>) {
    if begin.wait_for(|begin| *begin).await.is_err() {
        return;
    }
    loop {
        while let Some(message) = outbox.pop() {
            let Publish {
                topic,
                payload,
                qos,
                retain,
                expiry_s,
                correlation_data,
            } = message;
            // As the published description says: JSON in UTF-8.
            let properties = PublishProperties {
                payload_format_indicator: Some(1),
                content_type: Some("application/json".into()),
                message_expiry_interval: expiry_s,
                correlation_data,
                ..PublishProperties::default()
            };
            let qos = match qos {
                Qos::AtMostOnce => QoS::AtMostOnce,
                Qos::AtLeastOnce => QoS::AtLeastOnce,
            };
            if let Err(e) = client
                .publish_with_properties(topic, qos, retain, payload, properties)
                .await
            {
                // A topic with a wildcard, or the connection has just ended.
                tracing::debug!("a message could not be sent: {e}");
            } else {
                outbox.sent();
            }
        }
        outbox.filled.notified().await;
    }
}

/// What the library had taken but the broker had not acknowledged.
fn undelivered(events: &mut EventLoop) -> Vec<Publish> {
    let collided = events.state.collision.take();
    events.clean();
    events
        .pending
        .drain(..)
        .filter_map(|request| match request {
            WireRequest::Publish(publish) => Some(publish),
            _ => None,
        })
        .chain(collided)
        .map(|publish| {
            let properties = publish.properties.unwrap_or_default();
            Publish {
                topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                payload: publish.payload,
                qos: if publish.qos == QoS::AtMostOnce {
                    Qos::AtMostOnce
                } else {
                    Qos::AtLeastOnce
                },
                retain: publish.retain,
                expiry_s: properties.message_expiry_interval,
                correlation_data: properties.correlation_data,
            }
        })
        .collect()
}
