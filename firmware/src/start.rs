//! Starts a box from its settings, in the order in which the parts need each other, and runs it until it is told to stop.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use dais_broker::{
    Broker, BrokerError, EmbeddedConfig, ExternalConfig, Incoming, Limits, Link, LinkConfig,
    Provisioning, TlsRoots, connect_external, start_embedded,
};
use dais_protocol::{HostState, Id, Online};
use dais_room::access::BOX_USERNAME;
use dais_room::room::Opening;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};

use crate::appliance::{Appliance, Inbox, Parts};
use crate::book::Book;
use crate::clock::Clock;
use crate::config::{self, BrokerMode, Config, Settings};
use crate::control::Control;
use crate::destinations::Destinations;
use crate::flight::Flight;
use crate::http::{self, Door};
use crate::journal::{Journal, JournalError};
use crate::patches::Patches;
use crate::plane::Plane;
use crate::store::{Store, StoreError};
use crate::told::{self, Place};
use crate::watchdog::{self, Beat, Stalls};

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("The folder {path} cannot be made: {source}. Name another one in [box] data_dir.")]
    Folder {
        path: std::path::PathBuf,
        source: std::io::Error,
    },
    #[error("Another box is running on {path}. Stop it, or name another [box] data_dir.")]
    Running { path: std::path::PathBuf },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error("A thread cannot be started: {0}.")]
    Thread(std::io::Error),
    #[error(
        "The web door cannot listen on {bind}: {source}. Choose another [http] listen (port 0 takes a free one) or stop what uses it."
    )]
    Http {
        bind: SocketAddr,
        source: std::io::Error,
    },
    #[error("{path} cannot be read: {source}. It is named in [broker] password_file.")]
    Password {
        path: std::path::PathBuf,
        source: std::io::Error,
    },
    #[error("The box stopped, because a part of it ended: {0}.")]
    Part(String),
}

/// The media part is given so long before the doors open: a start that succeeds takes less, and guests who come back
/// after a restart find their seats with it. One that hangs must not keep people out.
const MEDIA_FIRST: Duration = Duration::from_secs(20);

/// Runs the box. `announce`: says on standard output, in one line of JSON, where it is, once the programme moves, or
/// that it cannot.
pub async fn run(
    settings: Settings,
    announce: bool,
    flight: Flight,
    stop: watch::Receiver<bool>,
) -> Result<(), StartError> {
    let Settings { config, mistake } = settings;
    let clock = Clock::start();
    let data = config.identity.data_dir.clone();
    std::fs::create_dir_all(&data).map_err(|source| StartError::Folder {
        path: data.clone(),
        source,
    })?;
    let _only_one = lock(&data)?;
    flight.write_below(&data);
    // The programme first: what follows takes its time too, and goes on beside it.
    let (studio_out, studio_events) = mpsc::unbounded_channel();
    let plane = match &mistake {
        Some(mistake) if mistake.media => Plane::down(&format!(
            "{} Correct the settings and restart the box",
            mistake.what
        )),
        _ => {
            let plane = Plane::default();
            tokio::spawn(plane.clone().start(config.studio(), studio_out));
            plane
        }
    };
    let mut first = plane.changes();
    let (presence_out, presence) = mpsc::unbounded_channel();
    let book = Arc::new(Book::open(
        Patches::new(&data, "book.jsonl"),
        clock,
        presence_out,
    )?);

    let broker = broker(&config, book.clone()).await?;
    let (link, mqtt) = link(&config, &*broker, &book)?;
    let listener = TcpListener::bind(config.http.listen)
        .await
        .map_err(|source| StartError::Http {
            bind: config.http.listen,
            source,
        })?;
    let web = listener.local_addr().map_err(|source| StartError::Http {
        bind: config.http.listen,
        source,
    })?;
    let origin = config
        .http
        .public_url
        .clone()
        .map_or_else(|| origin(web), |url| url.trim_end_matches('/').to_owned());

    let destinations = Destinations::open(
        plane.clone(),
        Store::new(&data, "outputs.json"),
        config.recordings(),
        config.outputs.max_outputs,
        clock.now_ms(),
    )?;
    let _ = tokio::time::timeout(MEDIA_FIRST, first.settled()).await;
    // Last, since the time in which guests may come back to their seats begins here.
    let (journal, room) = Journal::open(&data, clock, opening(&config))?;

    let (health_out, health) = watch::channel(None);
    let (moving_out, moving) = watch::channel(false);
    let door = Door {
        book: book.clone(),
        broker: broker.clone(),
        box_id: config.identity.id.clone(),
        ice_servers: config.ice_servers().into(),
        health,
        moving: moving.clone(),
        plane: plane.clone(),
        sockets: Arc::new(Semaphore::new(config.mqtt.max_connections)),
    };
    // The web door stays open until the box has said good-bye: consoles hear it through there.
    let mut serving = tokio::spawn(http::serve(listener, door));

    let mqtt_url = format!(
        "mqtt://{}:{}",
        broker.endpoint().host,
        broker.endpoint().port
    );
    let place = Place {
        line: serde_json::json!({"http": origin, "mqtt": mqtt_url, "box": config.identity.id, "pairing_code": book.pairing_code()}),
        // The pairing code is for whoever stands at the box: on its standard output, never in its log.
        for_people: format!(
            "The companion is at {origin}, and pairs with the code {}.",
            book.pairing_code()
        ),
    };
    tracing::info!(%origin, mqtt = mqtt_url, "the doors are open");
    tokio::spawn(told::tell(place, announce, moving, plane.clone()));
    let beat = Beat::default();
    watchdog::start(
        plane.clone(),
        beat.clone(),
        clock,
        flight.clone(),
        Stalls::of_this_service(),
    )
    .map_err(StartError::Thread)?;

    let control = Control::new(link, &config.identity.id);
    let parts = Parts {
        config,
        clock,
        room,
        journal,
        control,
        plane,
        destinations,
        broker: broker.clone(),
        book,
        health: health_out,
        origin,
        moving: moving_out,
        flight,
        beat,
        mistake: mistake.map(|mistake| mistake.what),
    };
    let inbox = Inbox {
        mqtt,
        studio: studio_events,
        presence,
    };
    let result = tokio::select! {
        ended = Appliance::run(parts, inbox, stop) => ended.map_err(StartError::from),
        served = &mut serving => Err(StartError::Part(format!("the web door closed: {served:?}"))),
    };
    serving.abort();
    broker.stop().await;
    result
}

/// One box a folder: two would write one journal.
fn lock(data: &std::path::Path) -> Result<std::fs::File, StartError> {
    let path = data.join("lock");
    let file = std::fs::File::create(&path).map_err(|source| StartError::Folder {
        path: data.into(),
        source,
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(StartError::Running { path: data.into() }),
        Err(std::fs::TryLockError::Error(source)) => Err(StartError::Folder { path, source }),
    }
}

fn opening(config: &Config) -> Opening {
    Opening {
        seed: Id::random(),
        title: config.room.title.clone(),
        max_guests: config.room.max_guests,
        accepting: config.room.accepting,
        layout: Default::default(),
        host: HostState {
            name: config.room.host_name.clone(),
            muted: false,
            camera: true,
        },
    }
}

async fn broker(config: &Config, book: Arc<Book>) -> Result<Arc<dyn Broker>, StartError> {
    match (config.broker.mode, &config.broker.url) {
        (BrokerMode::External, Some(url)) => {
            let external = ExternalConfig {
                url: url.clone(),
                username: config
                    .broker
                    .username
                    .clone()
                    .unwrap_or_else(|| BOX_USERNAME.into()),
                password: broker_password(config)?,
                roots: config
                    .broker
                    .ca_file
                    .clone()
                    .map_or(TlsRoots::System, TlsRoots::File),
                provisioning: match config.broker.provisioning {
                    config::Provisioning::Dynsec => Provisioning::Dynsec,
                    config::Provisioning::None => Provisioning::None,
                },
                box_id: config.identity.id.to_string(),
            };
            Ok(Arc::new(connect_external(external).await?))
        }
        _ => {
            let embedded = EmbeddedConfig {
                bind: config.mqtt.listen,
                box_id: config.identity.id.to_string(),
                limits: Limits {
                    max_connections: config.mqtt.max_connections,
                    ..Limits::default()
                },
            };
            Ok(Arc::new(start_embedded(embedded, book).await?))
        }
    }
}

fn broker_password(config: &Config) -> Result<String, StartError> {
    match (&config.broker.password, &config.broker.password_file) {
        (Some(password), _) => Ok(password.0.clone()),
        (None, Some(path)) => std::fs::read_to_string(path)
            .map(|text| text.trim_end().to_owned())
            .map_err(|source| StartError::Password {
                path: path.clone(),
                source,
            }),
        (None, None) => Ok(String::new()),
    }
}

fn link(
    config: &Config,
    broker: &dyn Broker,
    book: &Book,
) -> Result<(Link, mpsc::Receiver<Incoming>), StartError> {
    let external = config.broker.mode == BrokerMode::External;
    let boot_id = uuid::Uuid::new_v4();
    let online = |online| {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        serde_json::to_vec(&Online {
            online,
            boot_id,
            version,
        })
        .unwrap_or_default()
        .into()
    };
    let username = config
        .broker
        .username
        .clone()
        .filter(|_| external)
        .unwrap_or_else(|| BOX_USERNAME.into());
    let password = if external {
        broker_password(config)?
    } else {
        book.box_password().to_owned()
    };
    Ok(Link::start(LinkConfig {
        endpoint: broker.endpoint(),
        username,
        password,
        box_id: config.identity.id.to_string(),
        will_payload: online(false),
        birth_payload: online(true),
    }))
}

/// The origin under which phones and this machine reach the box.
fn origin(web: SocketAddr) -> String {
    let host = match web.ip() {
        // Browsers give camera and microphone to localhost without a certificate.
        ip if ip.is_loopback() => "localhost".to_owned(),
        ip if ip.is_unspecified() => lan_address().map_or("localhost".into(), |ip| ip.to_string()),
        IpAddr::V6(ip) => format!("[{ip}]"),
        ip => ip.to_string(),
    };
    format!("http://{host}:{}", web.port())
}

/// The address that this machine would send from. Connecting a UDP socket sends nothing; the target is a documentation
/// address (RFC 5737).
fn lan_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).ok()?;
    socket.connect(("192.0.2.1", 9)).ok()?;
    socket
        .local_addr()
        .ok()
        .map(|address| address.ip())
        .filter(|ip| !ip.is_unspecified())
}
