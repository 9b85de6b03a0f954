//! Connections: taken in, bounded for as long as nobody has spoken, by TLS where they begin so, then HTTP.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// How long a connection may take until its first bytes are there and TLS is agreed; a phone on a bad network needs two seconds.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a request's head may take, and how long a connection may rest between two requests.
const REST: Duration = Duration::from_secs(30);
/// Connections at once that have not come so far: each is a file descriptor and up to 50 kB.
const MAX_ARRIVING: usize = 1024;
/// The same from one address: a whole audience behind one router may knock at once, and nobody fills the hall alone.
const MAX_ARRIVING_OF_ONE: usize = 256;
/// Where the system has no file descriptor left, asking again at once would only burn a core.
const NO_DESCRIPTOR: Duration = Duration::from_millis(200);
/// The first byte of a TLS connection: a record of a handshake (RFC 8446, 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// How a request came here.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub tls: bool,
    /// From this machine, so that nobody else's network lies between.
    pub from_here: bool,
}

/// Counts who is arriving.
#[derive(Default)]
pub struct Hall {
    arriving: Mutex<HashMap<IpAddr, usize>>,
    turned_away: AtomicU64,
}

/// One who is arriving.
struct Place {
    hall: Arc<Hall>,
    address: IpAddr,
}

impl Hall {
    /// Connections that found no place.
    pub fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }

    fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let address = whose(peer);
        let mut arriving = self.arriving.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = arriving.values().sum();
        let own = arriving.get(&address).copied().unwrap_or(0);
        if all >= MAX_ARRIVING || own >= MAX_ARRIVING_OF_ONE {
            self.turned_away.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        arriving.insert(address, own + 1);
        Some(Place {
            hall: Arc::clone(self),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut arriving = self
            .hall
            .arriving
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = arriving.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                arriving.remove(&self.address);
            }
        }
    }
}

/// Who an address counts as: an IPv6 network of 64 bits is one household's, and has addresses without end.
fn whose(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 => v4,
    }
}

/// Serves until it is aborted. With `tls`, a connection that does not begin with it is served too: [`super::secure`] sends it on.
pub async fn serve(
    listener: TcpListener,
    tls: Option<watch::Receiver<Arc<ServerConfig>>>,
    hall: Arc<Hall>,
    router: Router,
) {
    loop {
        let (tcp, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(NO_DESCRIPTOR).await;
                continue;
            }
        };
        let Some(place) = hall.enter(peer.ip()) else {
            continue;
        };
        let tls = tls.as_ref().map(|tls| tls.borrow().clone());
        let router = router.clone();
        tokio::spawn(async move {
            if let Err(error) = take_in(tcp, peer, tls, place, router).await {
                tracing::debug!(%error, %peer, "a connection ended early");
            }
        });
    }
}

async fn take_in(
    tcp: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    place: Place,
    router: Router,
) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let own = tcp.local_addr()?.ip().to_canonical();
    let peer = peer.ip().to_canonical();
    let from_here = peer.is_loopback() || peer == own;
    let first = async {
        let mut first = [0];
        tcp.peek(&mut first).await.map(|_| first[0])
    };
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "nothing was said in time");
    let first = timeout(HANDSHAKE, first).await.map_err(late)??;
    match tls.filter(|_| first == TLS_HANDSHAKE) {
        Some(tls) => {
            let agreed = TlsAcceptor::from(tls).accept(tcp);
            let stream = timeout(HANDSHAKE, agreed).await.map_err(late)??;
            drop(place);
            let arrival = Arrival {
                tls: true,
                from_here,
            };
            speak(stream, arrival, router).await
        }
        None => {
            drop(place);
            let arrival = Arrival {
                tls: false,
                from_here,
            };
            speak(tcp, arrival, router).await
        }
    }
}

pub(super) async fn speak(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    arrival: Arrival,
    router: Router,
) -> io::Result<()> {
    let service = TowerToHyperService::new(router.layer(Extension(arrival)));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REST)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await
        .map_err(io::Error::other)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_fill_the_hall_and_all_together_not_more_than_it_holds() {
        let hall = Arc::new(Hall::default());
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut crowd: Vec<Place> = (0..MAX_ARRIVING_OF_ONE)
            .map(|_| hall.enter(ip("10.0.0.1")).unwrap())
            .collect();
        assert!(hall.enter(ip("10.0.0.1")).is_none());
        assert!(hall.enter(ip("::ffff:10.0.0.1")).is_none());
        crowd.push(hall.enter(ip("10.0.0.2")).unwrap());
        crowd.remove(0);
        crowd.push(hall.enter(ip("10.0.0.1")).unwrap());
        let mut others = 0;
        while let Some(place) = hall.enter(ip(&format!("10.1.{}.{}", others / 200, others % 200))) {
            crowd.push(place);
            others += 1;
        }
        assert_eq!(crowd.len(), MAX_ARRIVING);
        assert_eq!(hall.turned_away(), 3);
        drop(crowd);
        assert!(hall.enter(ip("10.0.0.1")).is_some());
    }

    #[test]
    fn a_household_of_ipv6_counts_as_one() {
        let same = |a: &str, b: &str| whose(a.parse().unwrap()) == whose(b.parse().unwrap());
        assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"));
        assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
    }
}
