//! A client of the control contract: MQTT 5 over TCP or WebSocket, JSON-RPC on top, one task that owns the connection.
//!
//! The consoles and the synthetic guests use the same one. What `rumqttc` leaves to its user is done here: it takes packets of
//! 10 KiB only unless told otherwise (an offer is larger), it does not subscribe again after a reconnect, it keeps requests in
//! its queue while it is offline (they would act late), and it retries at once, without a pause.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use dais_protocol::{
    Call, Credential, Health, Id, Meters, Notification, Online, Outbound, Outputs, Pending, Reason,
    Request, RoomSnapshot, RpcError, Secret, Topics,
};
use rumqttc::{
    NetworkOptions,
    v5::{
        AsyncClient, ConnectionError, Event, EventLoop, MqttOptions,
        mqttbytes::{
            QoS,
            v5::{
                ConnectReturnCode, Filter, LastWill, Packet, Publish, PublishProperties,
                SubscribeReasonCode,
            },
        },
    },
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{sleep, timeout},
};

use crate::address::{Address, AddressError};

/// How long a call waits for its reply, and how long the broker may keep the request: a later one must not act.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// A request or its answer can be lost where a broker restarts: without an answer for this long it is sent once more.
const ASK_AGAIN: Duration = Duration::from_secs(3);
/// How long the first connection may take, with its subscriptions.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// More than the contract's 64 KiB of payload, so that the topic and the properties fit too.
const MAX_PACKET: u32 = 128 * 1024;
/// A program that is this many messages behind is not reading; what comes then is dropped and logged.
const HEARD: usize = 1024;

/// Who connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Host,
    Guest,
}

impl Role {
    /// The role and the bare id in an MQTT user name, `host-<id>` or `guest-<id>`.
    pub fn of(username: &str) -> Option<(Role, Id)> {
        let (role, id) = match username.split_once('-')? {
            ("host", id) => (Role::Host, id),
            ("guest", id) => (Role::Guest, id),
            _ => return None,
        };
        Some((role, id.parse().ok()?))
    }
}

/// Where to connect, and as whom.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// `mqtt://host:port`, `mqtts://…`, `ws://…/mqtt`, `wss://…/mqtt`, or the box's web origin, `http://…` or `https://…`.
    pub url: String,
    pub username: String,
    pub password: Secret,
    pub box_id: Id,
    pub role: Role,
    pub user_id: Id,
    /// Certificates in PEM to trust for `wss` and `mqtts`; the system's if left out.
    pub ca: Option<Vec<u8>>,
    /// Whether to listen to `meters`, ten times a second.
    pub meters: bool,
}

impl ClientConfig {
    /// What `POST /api/pair` or `/api/join` gave out, for the box at `url`.
    pub fn new(url: impl Into<String>, credential: &Credential) -> Result<Self, ConnectError> {
        let (role, _) = Role::of(&credential.username)
            .ok_or_else(|| ConnectError::UserName(credential.username.clone()))?;
        Ok(Self {
            url: url.into(),
            username: credential.username.clone(),
            password: Secret(credential.password.clone()),
            box_id: credential.box_id.clone(),
            role,
            user_id: credential.user_id.clone(),
            ca: None,
            meters: false,
        })
    }
}

/// What comes from the box unasked, and what becomes of the connection.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// Connected again, and subscribed; the retained snapshots follow.
    Connected,
    /// The connection broke. It is being built again.
    Lost {
        why: String,
    },
    /// The broker no longer takes this user: banned, unpaired or expired. Nothing follows.
    Refused {
        why: String,
    },
    Online(Online),
    Room(RoomSnapshot),
    Pending(Pending),
    Outputs(Outputs),
    Health(Health),
    Meters(Meters),
    Notification {
        rev: u64,
        notification: Notification,
    },
}

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("\"{0}\" is no user name of a box: it is host-<id> or guest-<id>")]
    UserName(String),
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(
        "{url} refused the user {username}: {why}. Check the user name and the password, or pair or join again"
    )]
    Refused {
        url: String,
        username: String,
        why: String,
    },
    #[error("{url} refused the subscription to {topic} for {username}: {why}")]
    Subscription {
        url: String,
        username: String,
        topic: String,
        why: String,
    },
    #[error("no connection to {url}: {why}")]
    Unreachable { url: String, why: String },
    #[error("no box shows itself at {url}: name its id with --box")]
    NoBox { url: String },
}

impl ConnectError {
    pub(crate) fn refused(url: &str, username: &str, code: ConnectReturnCode) -> Self {
        Self::Refused {
            url: url.into(),
            username: username.into(),
            why: refusal(code),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("the box refused {method}: {error}")]
    Refused {
        method: &'static str,
        error: RpcError,
    },
    #[error("the box did not answer {method} within {} s", .after.as_secs())]
    TimedOut {
        method: &'static str,
        after: Duration,
    },
    #[error(
        "the connection to the box broke before it answered {method}; whether it acted is not known"
    )]
    Lost { method: &'static str },
    #[error("{method} is {bytes} bytes, more than the 64 KiB that a message may have")]
    TooLarge { method: &'static str, bytes: usize },
    #[error("the box answered {method} with something this version does not know: {why}")]
    Unexpected { method: &'static str, why: String },
}

impl CallError {
    /// The box's own error, if it was the box that refused.
    pub fn rpc(&self) -> Option<&RpcError> {
        match self {
            Self::Refused { error, .. } => Some(error),
            _ => None,
        }
    }

    /// For how long the box takes no more requests of this client: it did not act on this one.
    fn retry_after(&self) -> Option<Duration> {
        let error = self
            .rpc()
            .filter(|error| error.reason() == Reason::RateLimited)?;
        let ms = error.data.more.get("retry_after_ms")?.as_u64()?;
        Some(Duration::from_millis(ms))
    }
}

type Reply = Result<Value, RpcError>;
type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<Reply>>>>;

/// One user's connection to one box. Clones share it; when the last one goes, the socket closes and the broker sends the will.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    mqtt: AsyncClient,
    waiting: Waiting,
    connected: watch::Receiver<bool>,
    up: String,
    down: String,
    /// Dropped with the last clone, which ends the task.
    _alive: oneshot::Sender<()>,
}

impl Client {
    /// Connects, subscribes to all that the role may read, and returns when the broker has granted it.
    pub async fn connect(
        config: ClientConfig,
    ) -> Result<(Client, mpsc::Receiver<Heard>), ConnectError> {
        let topics = Topics::new(&config.box_id);
        let (up, down) = match config.role {
            Role::Host => (
                topics.host_up(&config.user_id),
                topics.host_down(&config.user_id),
            ),
            Role::Guest => (
                topics.guest_up(&config.user_id),
                topics.guest_down(&config.user_id),
            ),
        };
        let options = options(&config, &up)?;
        let (mqtt, events) = AsyncClient::new(options, 64);
        let (heard_tx, heard) = mpsc::channel(HEARD);
        let (connected_tx, connected) = watch::channel(false);
        let (alive, gone) = oneshot::channel();
        let waiting = Waiting::default();
        let mut connection = Connection {
            filters: filters(&config, &topics, &down),
            mqtt: mqtt.clone(),
            events,
            topics,
            down: down.clone(),
            heard: heard_tx,
            connected: connected_tx,
            waiting: waiting.clone(),
            url: config.url.clone(),
            username: config.username.clone(),
        };
        match timeout(CONNECT_TIMEOUT, connection.establish()).await {
            Ok(done) => done?,
            Err(_) => {
                let why = format!(
                    "the broker did not answer within {} s",
                    CONNECT_TIMEOUT.as_secs()
                );
                return Err(ConnectError::Unreachable {
                    url: config.url,
                    why,
                });
            }
        }
        tokio::spawn(async move {
            tokio::select! {
                () = connection.run() => {}
                _ = gone => {}
            }
        });
        Ok((
            Client {
                inner: Arc::new(Inner {
                    mqtt,
                    waiting,
                    connected,
                    up,
                    down,
                    _alive: alive,
                }),
            },
            heard,
        ))
    }

    /// Calls a method and waits for the reply. While the connection is being rebuilt, waits for that, within the same time,
    /// and asks again with the same id if the answer seems lost. If the box says that these were too many requests, asks again when it said.
    pub async fn call(&self, call: Call) -> Result<Value, CallError> {
        let method = call.method();
        let id = uuid::Uuid::new_v4().to_string();
        let payload = Request::encode(&id, &call);
        if payload.len() > dais_protocol::MAX_PAYLOAD {
            return Err(CallError::TooLarge {
                method,
                bytes: payload.len(),
            });
        }
        let answered = async {
            loop {
                let exchange = self.exchange(method, &id, payload.clone());
                // The box acts once on an id, and gives the same answer again.
                let answer = match timeout(ASK_AGAIN, exchange).await {
                    Ok(Err(CallError::Lost { .. })) if self.is_running() => continue,
                    Ok(answer) => answer,
                    Err(_) => continue,
                };
                let Some(pause) = answer.as_ref().err().and_then(CallError::retry_after) else {
                    return answer;
                };
                sleep(pause).await;
            }
        };
        let outcome = timeout(CALL_TIMEOUT, answered)
            .await
            .unwrap_or(Err(CallError::TimedOut {
                method,
                after: CALL_TIMEOUT,
            }));
        lock(&self.inner.waiting).remove(&id);
        outcome
    }

    /// Whether the connection is there or is being built again.
    fn is_running(&self) -> bool {
        self.inner.connected.has_changed().is_ok()
    }

    /// [`Client::call`], with the result as its type.
    pub async fn ask<T: DeserializeOwned>(&self, call: Call) -> Result<T, CallError> {
        let method = call.method();
        let result = self.call(call).await?;
        serde_json::from_value(result).map_err(|error| CallError::Unexpected {
            method,
            why: error.to_string(),
        })
    }

    async fn exchange(
        &self,
        method: &'static str,
        id: &str,
        payload: Vec<u8>,
    ) -> Result<Value, CallError> {
        let lost = || CallError::Lost { method };
        self.inner
            .connected
            .clone()
            .wait_for(|up| *up)
            .await
            .map_err(|_| lost())?;
        let (tx, rx) = oneshot::channel();
        lock(&self.inner.waiting).insert(id.to_owned(), tx);
        let properties = PublishProperties {
            message_expiry_interval: Some(CALL_TIMEOUT.as_secs() as u32),
            response_topic: Some(self.inner.down.clone()),
            correlation_data: Some(id.to_owned().into()),
            content_type: Some("application/json".into()),
            ..Default::default()
        };
        let sent = self.inner.mqtt.publish_with_properties(
            &self.inner.up,
            QoS::AtLeastOnce,
            false,
            payload,
            properties,
        );
        sent.await.map_err(|_| lost())?;
        rx.await
            .map_err(|_| lost())?
            .map_err(|error| CallError::Refused { method, error })
    }

    /// Says good-bye (`session.gone`) and ends the connection; returns when the broker has both, or after a second.
    pub async fn leave(self) {
        let mut connected = self.inner.connected.clone();
        if *connected.borrow() {
            let _ = self
                .inner
                .mqtt
                .publish(&self.inner.up, QoS::AtLeastOnce, false, session_gone())
                .await;
            let _ = self.inner.mqtt.disconnect().await;
            let _ = timeout(Duration::from_secs(1), connected.wait_for(|up| !*up)).await;
        }
    }
}

fn session_gone() -> Vec<u8> {
    br#"{"jsonrpc":"2.0","method":"session.gone"}"#.to_vec()
}

fn options(config: &ClientConfig, up: &str) -> Result<MqttOptions, ConnectError> {
    let address = Address::parse(&config.url)?;
    // A user may connect from two places; a broker ends the older of two sessions with one client id.
    let client_id = format!(
        "{}-{}",
        config.username,
        &uuid::Uuid::new_v4().simple().to_string()[..8]
    );
    let mut options = address.mqtt_options(client_id, config.ca.as_deref())?;
    options.set_credentials(&config.username, &config.password.0);
    options.set_keep_alive(KEEP_ALIVE);
    options.set_clean_start(true);
    options.set_connection_timeout(CONNECT_TIMEOUT.as_secs());
    options.set_max_packet_size(Some(MAX_PACKET));
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    options.set_last_will(LastWill::new(
        up,
        session_gone(),
        QoS::AtLeastOnce,
        false,
        None,
    ));
    Ok(options)
}

fn filters(config: &ClientConfig, topics: &Topics, down: &str) -> Vec<Filter> {
    let mut filters = vec![
        Filter::new(down, QoS::AtLeastOnce),
        Filter::new(topics.online(), QoS::AtLeastOnce),
        Filter::new(topics.room(), QoS::AtLeastOnce),
    ];
    if config.role == Role::Host {
        filters.push(Filter::new(topics.pending(), QoS::AtLeastOnce));
        filters.push(Filter::new(topics.outputs(), QoS::AtLeastOnce));
        filters.push(Filter::new(topics.host_events(), QoS::AtLeastOnce));
        filters.push(Filter::new(topics.health(), QoS::AtMostOnce));
    }
    if config.meters {
        filters.push(Filter::new(topics.meters(), QoS::AtMostOnce));
    }
    filters
}

/// A panic elsewhere cannot leave the map half-changed: each use is one insert, one remove or one clear.
fn lock(waiting: &Waiting) -> MutexGuard<'_, HashMap<String, oneshot::Sender<Reply>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The task's side.
struct Connection {
    mqtt: AsyncClient,
    events: EventLoop,
    topics: Topics,
    down: String,
    filters: Vec<Filter>,
    heard: mpsc::Sender<Heard>,
    connected: watch::Sender<bool>,
    waiting: Waiting,
    url: String,
    username: String,
}

impl Connection {
    /// Until the subscriptions are granted. Retained messages that come before the grant are passed on too.
    async fn establish(&mut self) -> Result<(), ConnectError> {
        loop {
            match self.events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => self.subscribe(),
                Ok(Event::Incoming(Packet::SubAck(ack))) => {
                    for (filter, code) in self.filters.iter().zip(&ack.return_codes) {
                        if !matches!(code, SubscribeReasonCode::Success(_)) {
                            let (topic, why) = (filter.path.clone(), format!("{code:?}"));
                            return Err(ConnectError::Subscription {
                                url: self.url.clone(),
                                username: self.username.clone(),
                                topic,
                                why,
                            });
                        }
                    }
                    self.connected.send_replace(true);
                    return Ok(());
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => self.take(&publish),
                Ok(_) => {}
                Err(ConnectionError::ConnectionRefused(code)) => {
                    return Err(ConnectError::refused(&self.url, &self.username, code));
                }
                Err(error) => {
                    return Err(ConnectError::Unreachable {
                        url: self.url.clone(),
                        why: error.to_string(),
                    });
                }
            }
        }
    }

    async fn run(&mut self) {
        let mut pause = FIRST_PAUSE;
        let mut leaving = false;
        loop {
            match self.events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => self.subscribe(),
                Ok(Event::Incoming(Packet::SubAck(_))) => {
                    pause = FIRST_PAUSE;
                    self.connected.send_replace(true);
                    self.tell(Heard::Connected);
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => self.take(&publish),
                Ok(Event::Outgoing(rumqttc::Outgoing::Disconnect)) => leaving = true,
                Ok(_) => {}
                Err(error) => {
                    self.broken();
                    match error {
                        _ if leaving => return,
                        ConnectionError::ConnectionRefused(code) if final_refusal(code) => {
                            return self.tell(Heard::Refused { why: refusal(code) });
                        }
                        error => self.tell(Heard::Lost {
                            why: error.to_string(),
                        }),
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Fails what waits for an answer, and forgets what was not sent: a request must not act after a reconnect.
    fn broken(&mut self) {
        self.connected.send_replace(false);
        self.events.clean();
        self.events.pending.clear();
        lock(&self.waiting).clear();
    }

    fn subscribe(&self) {
        if self.mqtt.try_subscribe_many(self.filters.clone()).is_err() {
            tracing::error!("the queue to the broker is full before the subscriptions");
        }
    }

    fn take(&self, publish: &Publish) {
        let Ok(topic) = std::str::from_utf8(&publish.topic) else {
            return;
        };
        let Some(rest) = topic.strip_prefix(self.topics.root()) else {
            return;
        };
        let heard = match rest {
            "online" => read(publish).map(Heard::Online),
            "room" => read(publish).map(Heard::Room),
            "pending" => read(publish).map(Heard::Pending),
            "outputs" => read(publish).map(Heard::Outputs),
            "health" => read(publish).map(Heard::Health),
            "meters" => read(publish).map(Heard::Meters),
            _ if topic == self.down || rest == "host/events" => {
                match Outbound::parse(&publish.payload) {
                    Some(Outbound::Reply { id, result }) => return self.answered(id, result),
                    Some(Outbound::Notification { rev, notification }) => {
                        Some(Heard::Notification { rev, notification })
                    }
                    None => None,
                }
            }
            _ => None,
        };
        match heard {
            Some(heard) => self.tell(heard),
            None => tracing::warn!(
                topic,
                bytes = publish.payload.len(),
                "a message that this version does not know was passed over"
            ),
        }
    }

    fn answered(&self, id: Option<String>, result: Reply) {
        match id.as_ref().and_then(|id| lock(&self.waiting).remove(id)) {
            Some(waiting) => drop(waiting.send(result)),
            None => tracing::debug!(?id, "a reply that nobody waits for any more"),
        }
    }

    fn tell(&self, heard: Heard) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.heard.try_send(heard) {
            tracing::warn!("{HEARD} messages wait unread; this one is dropped");
        }
    }
}

fn read<T: DeserializeOwned>(publish: &Publish) -> Option<T> {
    serde_json::from_slice(&publish.payload).ok()
}

fn refusal(code: ConnectReturnCode) -> String {
    match code {
        ConnectReturnCode::BadUserNamePassword => "the user name or the password is wrong".into(),
        ConnectReturnCode::NotAuthorized => "not authorized".into(),
        ConnectReturnCode::Banned => "this user is banned".into(),
        other => format!("{other:?}"),
    }
}

/// Whether asking again with the same credential can only fail again.
fn final_refusal(code: ConnectReturnCode) -> bool {
    matches!(
        code,
        ConnectReturnCode::BadUserNamePassword
            | ConnectReturnCode::NotAuthorized
            | ConnectReturnCode::Banned
    )
}
