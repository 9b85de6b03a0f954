//! Starts a box from its settings, in the order in which the parts need each other, and runs it until it is told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dais_broker::{
    Broker, BrokerError, EmbeddedConfig, ExternalBroker, ExternalConfig, Incoming, Limits, Link,
    LinkConfig, Provisioning, TlsRoots, start_embedded,
};
use dais_protocol::{HostState, Id, Online};
use dais_room::access::BOX_USERNAME;
use dais_room::room::Opening;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};

use crate::appliance::{Appliance, Inbox, Parts, Phones};
use crate::book::Book;
use crate::clock::{self, Clock};
use crate::config::{self, BrokerMode, Config, Settings};
use crate::control::Control;
use crate::destinations::Destinations;
use crate::flight::Flight;
use crate::http::{self, Door, Listeners};
use crate::journal::{Journal, JournalError};
use crate::patches::Patches;
use crate::plane::Plane;
use crate::reach::Reach;
use crate::recordings::Recordings;
use crate::store::{Store, StoreError};
use crate::tls::{Certificates, TlsError};
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
    #[error(
        "The web door cannot listen on {bind} for https://: {source}. Choose another [https] listen (port 0 takes a free one; one below 1024 takes the sysctl net.ipv4.ip_unprivileged_port_start) or stop what uses it."
    )]
    Https {
        bind: SocketAddr,
        source: std::io::Error,
    },
    #[error(transparent)]
    Tls(#[from] TlsError),
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
    let https = https_listener(&config, web.ip()).await?;
    let https_at = https.as_ref().and_then(|https| https.local_addr().ok());
    let reach = Reach::new(
        &config.identity.id,
        web,
        https_at,
        config.http.public_url.as_deref(),
    );
    let (root, https) = match https {
        Some(listener) => {
            let (certificates, tls) =
                Certificates::open(&data, &config.identity.id, config.https.own())?;
            tokio::spawn(certificates.keep());
            (tls.root, Some((listener, tls.server)))
        }
        None => (None, None),
    };
    tokio::spawn(reach.clone().keep());

    let recordings = Arc::new(Recordings::new(config.recordings(), clock));
    let destinations = Destinations::open(
        plane.clone(),
        Store::new(&data, "outputs.json"),
        recordings.clone(),
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
        reach: reach.clone(),
        root: root.clone(),
        hall: Arc::default(),
        recordings,
    };
    let listeners = Listeners {
        http: listener,
        https,
    };
    // The web door stays open until the box has said good-bye: consoles hear it through there.
    let mut serving = tokio::spawn(http::serve(listeners, door));

    let mqtt_url = format!(
        "mqtt://{}:{}",
        broker.endpoint().host,
        broker.endpoint().port
    );
    let root = root.map(|root| root.fingerprint());
    tracing::info!(
        http = reach.programs(),
        https = reach.https(),
        mqtt = mqtt_url,
        root,
        "the doors are open"
    );
    let place = Place {
        reach: reach.clone(),
        mqtt: mqtt_url,
        box_id: config.identity.id.clone(),
        pairing_code: book.pairing_code().to_owned(),
        fingerprint: root,
    };
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
        reach,
        moving: moving_out,
        flight,
        beat,
        mistake: mistake.map(|mistake| mistake.what),
    };
    let inbox = Inbox {
        phones: Phones { mqtt, presence },
        studio: studio_events,
    };
    let result = tokio::select! {
        () = Appliance::run(parts, inbox, stop) => Ok(()),
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
            let broker = Arc::new(ExternalBroker::new(external)?);
            // Switched on before the studio's network is: the programme does not wait for it.
            if let Err(error) = broker.admit().await {
                tracing::error!(%error, "the box goes on without its broker, and tries again");
                tokio::spawn(admit_later(broker.clone()));
            }
            Ok(broker)
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

/// Until it is done. What the box says by MQTT goes out as soon as the link is up.
async fn admit_later(broker: Arc<ExternalBroker>) {
    let mut told = String::new();
    for pause in clock::pauses_s() {
        tokio::time::sleep(Duration::from_secs(pause)).await;
        match broker.admit().await {
            Ok(()) => return tracing::info!("the broker takes the box now"),
            Err(error) if error.to_string() == told => {}
            Err(error) => {
                told = error.to_string();
                tracing::warn!(%error, "the broker does not take the box yet");
            }
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

/// The port that browsers take by themselves, and the one where the system gives that to root alone.
const HTTPS_PORTS: [u16; 2] = [443, 8443];

/// `None` where https:// is switched off, or no usual port is to be had: a box without it is still good for its own machine.
async fn https_listener(
    config: &Config,
    web: std::net::IpAddr,
) -> Result<Option<TcpListener>, StartError> {
    if !config.https.enabled {
        return Ok(None);
    }
    if let Some(bind) = config.https.listen {
        let listener = TcpListener::bind(bind).await;
        return listener
            .map(Some)
            .map_err(|source| StartError::Https { bind, source });
    }
    for port in HTTPS_PORTS {
        match TcpListener::bind((web, port)).await {
            Ok(listener) => return Ok(Some(listener)),
            Err(error) => tracing::info!(port, %error, "this port is not to be had for https://"),
        }
    }
    tracing::error!(
        "there is no https://, so phones get no camera here: name a free port in [https] listen"
    );
    Ok(None)
}
