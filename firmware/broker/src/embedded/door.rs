//! The door before the broker: what a stranger may hold open, for how long, and a handle to shut it again.
//!
//! `rmqtt` accepts any number of sockets and waits without limit for their first bytes, and its sessions can't be
//! reached while they are blocked in a write. So the public port is accepted here; once a connection has begun to
//! speak MQTT it is joined to the broker's own port on loopback, and can be cut at any time.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use super::Limits;

/// The shortest CONNECT there is: fixed header, protocol name and version, flags, keep alive, and an empty client id.
const OPENING: usize = 14;
/// First byte of an MQTT CONNECT.
const CONNECT: u8 = 0x10;
/// A copy buffer holds many control messages; a big one only costs memory times connections.
const BUFFER: usize = 4 * 1024;
/// Time for a refused client to read why, before its socket closes.
const LINGER: Duration = Duration::from_secs(2);

pub(super) struct Door {
    inner: SocketAddr,
    slots: Arc<Semaphore>,
    opening_timeout: Duration,
    /// By the address that the broker sees: what to notify to cut that connection.
    joined: Mutex<HashMap<SocketAddr, Arc<Notify>>>,
}

/// Binds the public port.
pub(super) fn listen(bind: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = if bind.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A box that restarts must get its port back while old connections linger.
    socket.set_reuseaddr(true)?;
    socket.bind(bind)?;
    let listener = socket.listen(512)?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

impl Door {
    pub(super) fn new(inner: SocketAddr, limits: &Limits) -> Self {
        Self {
            inner,
            slots: Arc::new(Semaphore::new(limits.max_connections)),
            opening_timeout: limits.handshake_timeout,
            joined: Mutex::default(),
        }
    }

    /// Accepts for as long as the runtime lives.
    pub(super) async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            let (client, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(e) => {
                    // Usually out of file descriptors: they come back when somebody leaves.
                    tracing::warn!("the MQTT broker could not accept a connection: {e}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
                tracing::warn!(%peer, "an MQTT connection was refused: all places are taken");
                continue;
            };
            let door = Arc::clone(&self);
            tokio::spawn(async move {
                if let Err(e) = door.admit(client).await {
                    tracing::debug!(%peer, "an MQTT connection ended: {e}");
                }
                drop(slot);
            });
        }
    }

    /// Closes the connection that the broker knows by this address, at once.
    pub(super) fn cut(&self, seen_by_broker: SocketAddr) {
        if let Some(cut) = self.joined().get(&seen_by_broker) {
            cut.notify_one();
        }
    }

    fn joined(&self) -> std::sync::MutexGuard<'_, HashMap<SocketAddr, Arc<Notify>>> {
        self.joined.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn admit(&self, mut client: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        let mut opening = [0_u8; OPENING];
        timeout(self.opening_timeout, client.read_exact(&mut opening)).await??;
        if opening[0] != CONNECT {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it did not begin with an MQTT CONNECT",
            ));
        }
        let mut broker = TcpStream::connect(self.inner).await?;
        broker.set_nodelay(true)?;
        broker.write_all(&opening).await?;

        let seen_by_broker = broker.local_addr()?;
        let cut = Arc::new(Notify::new());
        self.joined().insert(seen_by_broker, Arc::clone(&cut));
        let ended = tokio::select! {
            ended = join(&mut client, &mut broker) => ended,
            () = cut.notified() => Ok(()),
        };
        self.joined().remove(&seen_by_broker);
        ended
    }
}

/// Carries bytes both ways until either side ends.
async fn join(client: &mut TcpStream, broker: &mut TcpStream) -> io::Result<()> {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_broker, mut to_broker) = broker.split();
    tokio::select! {
        // When the client is gone, dropping the broker's socket tells the broker so.
        ended = carry(&mut from_client, &mut to_broker) => return ended,
        ended = carry(&mut from_broker, &mut to_client) => ended?,
    }
    // The broker has ended it. Unread bytes of the client would turn the close into a reset, which destroys the
    // CONNACK or DISCONNECT that says why: so say goodbye, and read until the client goes too.
    to_client.shutdown().await?;
    let mut scrap = [0_u8; 512];
    let drain = async { while matches!(from_client.read(&mut scrap).await, Ok(n) if n > 0) {} };
    let _ = timeout(LINGER, drain).await;
    Ok(())
}

async fn carry<R, W>(from: &mut R, to: &mut W) -> io::Result<()>
where
    R: tokio::io::AsyncRead + Unpin,
    W: tokio::io::AsyncWrite + Unpin,
{
    let mut buffer = vec![0_u8; BUFFER];
    loop {
        let n = from.read(&mut buffer).await?;
        if n == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..n]).await?;
    }
}
