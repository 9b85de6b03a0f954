//! The broker inside this process: `rmqtt` as a library, behind a door that bounds what strangers can hold open.
//!
//! It runs on a small runtime of its own with two threads, for two reasons: a flood of packets then costs no other
//! task of the box its turn, and stopping is whole, because every task and socket goes with the runtime (`rmqtt`
//! spawns a task a connection and has no stop of its own).
//!
//! Nothing is kept on flash: the box publishes its retained topics again at each start.

mod door;
mod retained;
mod rules;
mod sessions;
mod terms;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dais_room::access::{Identity, is_valid_id};
use rmqtt::context::ServerContext;
use rmqtt::net::Builder;
use rmqtt::router::DefaultRouter;
use rmqtt::server::MqttServer;
use rmqtt::shared::{DefaultShared, Entry};
use rmqtt::types::QoS;
use tokio::runtime::{Handle, Runtime};

use crate::{Authenticate, Broker, BrokerError, Endpoint, MAX_PACKET};
use door::Door;
use sessions::Sessions;

/// What the embedded broker allows before it refuses.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// TCP connections at once, counted before anybody has said who they are.
    pub max_connections: usize,
    /// MQTT sessions at once, including those that wait for their client to come back.
    pub max_sessions: usize,
    /// Packets a second that one client may publish for long. The contract allows 200 a second at most.
    pub publishes_per_s: u32,
    /// Messages that wait for one slow reader before the newest are dropped.
    pub max_queued: usize,
    /// How long a session without a connection is kept, whatever its client asked for.
    pub max_session_expiry: Duration,
    /// How long a connection may take to say who it is.
    pub handshake_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A studio's phones and an audience page; each costs about 20 KiB and three file descriptors.
            max_connections: 2048,
            max_sessions: 2048,
            // Twice what the contract allows, so that its own answer (`rate_limited`) comes first.
            publishes_per_s: 400,
            max_queued: 1000,
            max_session_expiry: Duration::from_secs(300),
            handshake_timeout: Duration::from_secs(10),
        }
    }
}

/// How to start the embedded broker.
#[derive(Clone, Debug)]
pub struct EmbeddedConfig {
    /// Where to listen. Port 0 takes a free one: see [`Broker::endpoint`].
    pub bind: SocketAddr,
    /// `{box}` in every topic.
    pub box_id: String,
    /// What to allow.
    pub limits: Limits,
}

/// A running embedded broker.
pub struct EmbeddedBroker {
    bound: SocketAddr,
    scx: ServerContext,
    sessions: Arc<Sessions>,
    door: Arc<Door>,
    handle: Handle,
    runtime: Mutex<Option<Runtime>>,
}

/// Starts the embedded broker; when this returns, clients can connect.
///
/// # Errors
/// If the address can't be bound, or the box id is out of form.
pub async fn start_embedded(
    config: EmbeddedConfig,
    auth: Arc<dyn Authenticate>,
) -> Result<EmbeddedBroker, BrokerError> {
    if !is_valid_id(&config.box_id) {
        return Err(BrokerError::BoxId(config.box_id));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("mqtt-broker")
        .enable_all()
        .build()
        .map_err(|e| BrokerError::Start(e.to_string()))?;
    let handle = runtime.handle().clone();
    match handle.spawn(build(config, auth)).await {
        Ok(Ok((bound, scx, sessions, door))) => Ok(EmbeddedBroker {
            bound,
            scx,
            sessions,
            door,
            handle,
            runtime: Mutex::new(Some(runtime)),
        }),
        failed => {
            // A runtime may not be dropped on another runtime's thread, but it may be told to go away.
            runtime.shutdown_background();
            match failed {
                Ok(Err(e)) => Err(e),
                Err(e) => Err(BrokerError::Start(e.to_string())),
                Ok(Ok(_)) => Err(BrokerError::Stopped),
            }
        }
    }
}

type Parts = (SocketAddr, ServerContext, Arc<Sessions>, Arc<Door>);

async fn build(config: EmbeddedConfig, auth: Arc<dyn Authenticate>) -> Result<Parts, BrokerError> {
    let EmbeddedConfig {
        bind,
        box_id,
        limits,
    } = config;
    let start = |e: &dyn std::fmt::Display| BrokerError::Start(e.to_string());

    let (listener, bound) =
        door::listen(bind).map_err(|source| BrokerError::Bind { bind, source })?;

    let scx = ServerContext::new()
        // The box encodes video: a busy processor is no reason to turn a console away.
        .busy_check_enable(false)
        .mqtt_max_sessions(isize::try_from(limits.max_sessions).unwrap_or(isize::MAX))
        .task_exec_workers(64)
        .task_exec_queue_max(limits.max_connections)
        .build()
        .await;
    let inner = Builder::new()
        .name("dais")
        .laddr(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .nodelay(true)
        .allow_anonymous(false)
        .max_connections(limits.max_connections)
        .max_handshaking_limit(64)
        .max_packet_size(MAX_PACKET)
        .handshake_timeout(limits.handshake_timeout)
        .send_timeout(Duration::from_secs(10))
        .max_inflight(NonZeroU16::MIN.saturating_add(99))
        .max_mqueue_len(limits.max_queued)
        .max_clientid_len(128)
        .max_qos_allowed(QoS::AtLeastOnce)
        .session_expiry_interval(Duration::ZERO)
        .max_session_expiry_interval(limits.max_session_expiry)
        // MQTT 5 forbids sending again on a live connection, and a message without an expiry has none.
        .message_retry_interval(Duration::ZERO)
        .message_expiry_interval(Duration::ZERO)
        .bind()
        .and_then(rmqtt::net::Listener::tcp)
        .map_err(|e| start(&e))?;
    let inner_addr = inner.local_addr().map_err(|e| start(&e))?;
    let door = Arc::new(Door::new(inner_addr, &limits));

    let sessions = Arc::new(Sessions::new(&limits, Arc::clone(&auth)));
    rules::register(&scx, &box_id, auth, &sessions, &door).await;
    *scx.extends.retain_mut().await = Box::new(retained::BoxOnly::new());
    *scx.extends.fitter_mgr_mut().await = Box::new(terms::Terms);

    // `start()` would end the whole process on an error; `run()` returns.
    let server = MqttServer::new(scx.clone())
        .listener_by_id(inner, inner_addr.port())
        .build();
    tokio::spawn(server.run());
    tokio::spawn(Arc::clone(&door).serve(listener));
    tracing::info!(%bound, box_id, "the embedded MQTT broker is listening");
    Ok((bound, scx, sessions, door))
}

impl EmbeddedBroker {
    /// The address that is listened on, with the port that was found if 0 was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.bound
    }

    /// MQTT sessions that are known now, connected or waiting for their client.
    pub async fn session_count(&self) -> usize {
        self.scx.extends.shared().await.sessions_count()
    }

    fn take_runtime(&self) -> Option<Runtime> {
        self.runtime
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

#[async_trait]
impl Broker for EmbeddedBroker {
    fn endpoint(&self) -> Endpoint {
        let host = match self.bound.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        Endpoint::tcp(host.to_string(), self.bound.port())
    }

    async fn grant(&self, _who: &Identity, _password: &str) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn revoke(&self, who: &Identity) -> Result<(), BrokerError> {
        let (scx, sessions, door, who) = (
            self.scx.clone(),
            Arc::clone(&self.sessions),
            Arc::clone(&self.door),
            who.clone(),
        );
        let kicked = self
            .handle
            .spawn(async move { kick(&scx, &sessions, &door, &who).await });
        kicked.await.map_err(|_| BrokerError::Stopped)
    }

    async fn stop(&self) {
        let Some(runtime) = self.take_runtime() else {
            return;
        };
        // The box's last word was taken just now and is on its way to the clients; the library has no way to wait for that.
        tokio::time::sleep(LAST_WORDS).await;
        // The context, its router and its session map hold each other: open the ring, so that the memory is freed.
        *self.scx.extends.shared_mut().await = Box::new(DefaultShared::new(None));
        *self.scx.extends.router_mut().await = Box::new(DefaultRouter::new(None));
        // Dropping a runtime waits for its threads, which must not happen on an async thread.
        let _ =
            tokio::task::spawn_blocking(move || runtime.shutdown_timeout(Duration::from_secs(5)))
                .await;
        tracing::info!(bound = %self.bound, "the embedded MQTT broker has stopped");
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        if let Some(runtime) = self.take_runtime() {
            runtime.shutdown_background();
        }
    }
}

/// What is queued for clients is out of a local network's sockets within milliseconds.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Ends every session of one user: the sockets at once, then the state.
async fn kick(scx: &ServerContext, sessions: &Sessions, door: &Door, who: &Identity) {
    sessions.note_revocation();
    let username = who.username();
    let entries: Vec<Box<dyn Entry>> = scx
        .extends
        .shared()
        .await
        .iter()
        .filter(|entry| {
            entry
                .session()
                .is_some_and(|s| s.id.username_ref() == username)
        })
        .collect();
    for mut entry in entries {
        // A client that does not read would keep its session blocked in a write; without its socket it can't.
        if let Some(addr) = entry.session().and_then(|s| s.id.remote_addr) {
            door.cut(addr);
        }
        match entry.try_lock().await {
            Ok(locked) => entry = locked,
            // The client is reconnecting this instant: the new session is checked again when it is complete.
            Err(e) => tracing::debug!(%username, "kicking without the lock: {e}"),
        }
        if let Err(e) = entry.kick(true, true, true).await {
            tracing::debug!(%username, "the session was gone before it could be kicked: {e}");
        }
    }
}
