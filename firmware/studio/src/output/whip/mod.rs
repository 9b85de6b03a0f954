//! A live destination by WHIP (RFC 9725): WebRTC, set up by one HTTP exchange.
//!
//! ```text
//! appsrc ! rtph264pay ! ┐
//!                       webrtcbin      POST offer, 201 answer … DELETE
//! appsrc ! opusenc ! rtpopuspay ! ┘
//! ```
//!
//! The offer goes out with all its candidates, so that nothing has to be trickled. Live is what the server's RTCP reports call
//! received: neither ICE nor DTLS notices a server that is gone.

mod door;
mod link;
mod peer;

use std::time::{Duration, Instant};

use url::Url;

use super::OutputSpec;
use super::report::{Ended, LOOK, Report};
use crate::config::Secret;
use crate::error::StudioError;
use crate::session::answer;
use door::{Door, Refusal};
use link::IceServers;
use peer::Peer;

/// From the answer to the end of the DTLS handshake, and from there to the first report of received media.
const CONNECT: Duration = Duration::from_secs(10);
/// Reports come each 1 to 6 s (RFC 3550); two that are lost are no reason to leave.
const SILENT: Duration = Duration::from_secs(15);

pub(super) struct Whip {
    endpoint: Url,
    key: Option<Secret>,
    /// What the server named in its last answer, for the next offer: candidates are gathered before that.
    ice_servers: IceServers,
}

impl Whip {
    pub fn parse(spec: &OutputSpec) -> Result<Whip, StudioError> {
        let bad = |what: &str| Err(StudioError::BadUrl { what: what.into() });
        let mut endpoint = match Url::parse(spec.url.trim()) {
            Ok(endpoint) => endpoint,
            Err(error) => return bad(&error.to_string()),
        };
        if !matches!(endpoint.scheme(), "http" | "https") {
            return bad("a WHIP address begins with https:// or http://");
        }
        if !endpoint.username().is_empty() || endpoint.password().is_some() {
            return bad("a WHIP address holds no user and no password: give the key beside it");
        }
        endpoint.set_fragment(None);
        let key = spec.key.as_ref().map(|k| k.reveal().trim());
        let key = key.filter(|k| !k.is_empty());
        if key.is_some_and(|k| !k.bytes().all(|b| b.is_ascii_graphic())) {
            let what = "it holds what no bearer token holds: copy it again".into();
            return Err(StudioError::BadKey { what });
        }
        Ok(Whip {
            endpoint,
            key: key.map(Secret::new),
            ice_servers: IceServers::default(),
        })
    }

    /// One connection, until it breaks or is stopped.
    pub fn once(&mut self, report: &mut Report) -> Ended {
        let door = Door::new(self.key.clone());
        let mut resource = None;
        let mut live = false;
        let knew = !self.ice_servers.is_empty();
        let ended = self.connect(&door, report, &mut resource, &mut live);
        if let Some(resource) = resource {
            // That the server is gone is known already, then.
            if let Err(why) = door.delete(&resource) {
                tracing::debug!(why, "a WHIP session was left behind on its server");
            }
        }
        match ended {
            Refusal::ForGood(why) => Ended::Refused(self.clean(&why)),
            Refusal::NoPath(why) if !knew && !self.ice_servers.is_empty() => Ended::Again(why),
            Refusal::ForNow(why) | Refusal::NoPath(why) => Ended::Broken {
                was_live: live,
                why: self.clean(&why),
            },
        }
    }

    /// From the offer to the end of the DTLS handshake; `resource` is what a DELETE has to end, whatever comes of it.
    fn start(
        &mut self,
        door: &Door,
        report: &Report,
        resource: &mut Option<Url>,
    ) -> Result<Peer, Refusal> {
        let mut peer = Peer::new(report, &self.ice_servers)
            .map_err(|error| Refusal::ForNow(error.to_string()))?;
        let offer = peer.offer(report)?;
        let answered = door.post(&self.endpoint, &offer)?;
        *resource = answered.resource;
        self.ice_servers = answered.ice_servers;
        let answer = answer::check(&offer, &answered.sdp)
            .map_err(|what| Refusal::ForNow(format!("the server's answer is of no use: {what}")))?;
        peer.connect(report, &answer, CONNECT)?;
        Ok(peer)
    }

    /// Why it ended.
    fn connect(
        &mut self,
        door: &Door,
        report: &mut Report,
        resource: &mut Option<Url>,
        live: &mut bool,
    ) -> Refusal {
        let peer = match self.start(door, report, resource) {
            Ok(peer) => peer,
            Err(refusal) => return refusal,
        };
        let (mut received, mut progress) = (0, Instant::now());
        while !report.stopped() {
            std::thread::sleep(LOOK);
            if let Some(why) = peer.broken() {
                return Refusal::ForNow(why);
            }
            let flow = peer.flow();
            report.count(flow.sent_bytes, peer.dropped());
            if flow.received != received {
                (received, progress) = (flow.received, Instant::now());
                *live = true;
            } else if progress.elapsed() > if *live { SILENT } else { CONNECT } {
                let seconds = progress.elapsed().as_secs();
                return Refusal::ForNow(format!(
                    "the server has reported no media received for {seconds} s"
                ));
            }
            if *live {
                report.live(flow.sent_bytes);
            }
        }
        Refusal::ForNow(String::new())
    }

    /// A message without secrets: many addresses hold one.
    fn clean(&self, why: &str) -> String {
        let key = self.key.as_ref().map_or("", Secret::reveal);
        [
            self.endpoint.as_str(),
            self.endpoint.query().unwrap_or(""),
            key,
        ]
        .into_iter()
        .filter(|secret| !secret.is_empty())
        .fold(why.to_owned(), |why, secret| why.replace(secret, "…"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::OutputKind;

    #[test]
    fn a_message_holds_neither_the_key_nor_the_address() {
        let spec = OutputSpec {
            output_id: "o1".into(),
            kind: OutputKind::Whip,
            url: "https://whip.example/in?token=hidden".into(),
            key: Some(Secret::new(" also-hidden ")),
        };
        let whip = Whip::parse(&spec).unwrap();
        let why = "bad uri: https://whip.example/in?token=hidden, Bearer also-hidden, token=hidden";
        assert!(!whip.clean(why).contains("hidden"), "{}", whip.clean(why));
    }
}
