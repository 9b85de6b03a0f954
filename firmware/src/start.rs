//! Starts a box from its settings, in the order in which the parts need each other, and runs it until it is told to stop.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use dais_broker::{
    Broker, BrokerError, EmbeddedConfig, ExternalConfig, Incoming, Limits, Link, LinkConfig,
    Provisioning, TlsRoots, connect_external, start_embedded,
};
use dais_protocol::{HostState, Id, Online};
use dais_room::access::BOX_USERNAME;
use dais_room::room::Opening;
use dais_studio::{Studio, StudioError};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};

use crate::appliance::{Appliance, Inbox, Parts};
use crate::book::Book;
use crate::clock::Clock;
use crate::config::{self, BrokerMode, Config};
use crate::control::Control;
use crate::destinations::Destinations;
use crate::http::{self, Door, Listeners};
use crate::journal::{Journal, JournalError};
use crate::reach::Reach;
use crate::store::{Store, StoreError};
use crate::tls::{Certificates, TlsError};

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
    #[error("{0}")]
    Studio(#[from] StudioError),
    #[error(
        "The web door cannot listen on {bind}: {source}. Choose another [http] listen (port 0 takes a free one) or stop what uses it."
    )]
    Http {
        bind: SocketAddr,
        source: std::io::Error,
    },
    #[error(
        "The web door cannot listen on {bind} for https://: {source}. Choose another [https] listen (port 0 takes a free one; below 1024 the service needs CAP_NET_BIND_SERVICE) or stop what uses it."
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

/// Runs the box. `announce`: says on standard output, in one line of JSON, where it is, once the programme moves.
pub async fn run(
    config: Config,
    announce: bool,
    stop: watch::Receiver<bool>,
) -> Result<(), StartError> {
    let clock = Clock::start();
    let data = config.identity.data_dir.clone();
    std::fs::create_dir_all(&data).map_err(|source| StartError::Folder {
        path: data.clone(),
        source,
    })?;
    let _only_one = lock(&data)?;
    let (presence_out, presence) = mpsc::unbounded_channel();
    let book = Arc::new(Book::open(
        Store::new(&data, "book.json"),
        clock,
        presence_out,
    )?);
    let (journal, room) = Journal::open(&data, clock, opening(&config))?;

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

    let (studio_out, studio_events) = mpsc::unbounded_channel();
    let studio_config = config.studio();
    // Opening devices and encoders takes its time, and must not hold up the doors.
    let studio = tokio::task::spawn_blocking(move || Studio::start(studio_config, studio_out))
        .await
        .map_err(|e| StartError::Part(e.to_string()))??;
    let studio = Arc::new(studio);
    let destinations = Destinations::resume(
        studio.clone(),
        Store::new(&data, "outputs.json"),
        config.recordings(),
        config.outputs.max_outputs,
        clock.now_ms(),
    )?;

    let (health_out, health) = watch::channel(None);
    let (moving_out, moving) = watch::channel(false);
    let door = Door {
        book: book.clone(),
        broker: broker.clone(),
        box_id: config.identity.id.clone(),
        ice_servers: config.ice_servers().into(),
        health,
        moving: moving.clone(),
        sockets: Arc::new(Semaphore::new(config.mqtt.max_connections)),
        reach: reach.clone(),
        root: root.clone(),
        hall: Arc::default(),
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
    let announcement = Announcement {
        reach: reach.clone(),
        mqtt: mqtt_url,
        box_id: config.identity.id.clone(),
        pairing_code: book.pairing_code().to_owned(),
        fingerprint: root,
    };
    tokio::spawn(async move {
        let mut moving = moving;
        if moving.wait_for(|moving| *moving).await.is_ok() {
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
            let said = if announce {
                announcement.line()
            } else {
                announcement.words()
            };
            let _ = writeln!(std::io::stdout(), "{said}");
        }
    });

    let control = Control::new(link, &config.identity.id);
    let parts = Parts {
        config,
        clock,
        room,
        journal,
        control,
        studio,
        destinations,
        broker: broker.clone(),
        book,
        health: health_out,
        reach,
        moving: moving_out,
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

/// What the box says on its standard output, once. The pairing code is for whoever stands at the box: it is never in the log.
struct Announcement {
    reach: Reach,
    mqtt: String,
    box_id: Id,
    pairing_code: String,
    fingerprint: Option<String>,
}

impl Announcement {
    fn line(&self) -> String {
        serde_json::json!({
            "event": "ready",
            "http": self.reach.programs(),
            "https": self.reach.https(),
            "mqtt": self.mqtt,
            "box": self.box_id,
            "pairing_code": self.pairing_code,
            "trust": self.trust(),
            "ca_sha256": self.fingerprint,
        })
        .to_string()
    }

    /// With a certificate of the studio's own there is nothing to install.
    fn trust(&self) -> Option<String> {
        self.fingerprint.as_ref()?;
        self.reach.trust()
    }

    fn words(&self) -> String {
        let mut words = format!(
            "The companion is at {}, and pairs with the code {}.",
            self.reach.people(),
            self.pairing_code
        );
        if let (Some(trust), Some(fingerprint)) = (self.trust(), &self.fingerprint) {
            words += &format!(
                "\nA phone that was never here opens {trust} first. The certificate there must show the SHA-256 fingerprint\n{fingerprint}"
            );
        }
        words
    }
}
