//! Where a session may be reached: addresses, ports, STUN and TURN.

use std::net::IpAddr;

use gst::glib;
use gst::prelude::*;

use crate::config::{IceConfig, TurnServer};
use crate::error::StudioError;

/// Says which setting can't be used.
pub(crate) fn check(config: &IceConfig) -> Result<(), StudioError> {
    let bad = |key, what| Err(StudioError::Config { key, what });
    if let Some(address) = config
        .addresses
        .iter()
        .find(|a| a.parse::<IpAddr>().is_err())
    {
        return bad(
            "ice.addresses",
            format!("\"{address}\" is not an IP address"),
        );
    }
    if let Some(url) = config.stun.iter().find(|u| !u.starts_with("stun:")) {
        return bad("ice.stun", format!("\"{url}\" does not begin with stun:"));
    }
    if let Some(turn) = config
        .turn
        .iter()
        .find(|t| !t.url.starts_with("turn:") && !t.url.starts_with("turns:"))
    {
        return bad(
            "ice.turn",
            format!("\"{}\" begins neither with turn: nor with turns:", turn.url),
        );
    }
    Ok(())
}

/// Addresses to offer; `None`: libnice finds them by itself (every interface but loopback).
pub(super) fn addresses(config: &IceConfig) -> Option<Vec<IpAddr>> {
    if config.addresses.is_empty() && config.interfaces.is_empty() && !config.loopback {
        return None;
    }
    let mut addresses: Vec<IpAddr> = config
        .addresses
        .iter()
        .filter_map(|a| a.parse().ok())
        .collect();
    if config.addresses.is_empty() {
        let found = if_addrs::get_if_addrs().unwrap_or_else(|error| {
            tracing::warn!(%error, "the addresses of this machine's interfaces could not be read");
            Vec::new()
        });
        // A link-local address of IPv6 is of no use to a browser: it can't name the interface.
        addresses.extend(
            found
                .iter()
                .filter(|i| !i.is_loopback() && !i.is_link_local())
                .filter(|i| config.interfaces.is_empty() || config.interfaces.contains(&i.name))
                .map(if_addrs::Interface::ip),
        );
    }
    if config.loopback {
        addresses.push(IpAddr::from([127, 0, 0, 1]));
    }
    addresses.dedup();
    Some(addresses)
}

/// Before the first state change of `webrtc`.
pub(crate) fn set_up(webrtc: &gst::Element, config: &IceConfig) -> Result<(), StudioError> {
    let ice = webrtc.property::<gst_webrtc::WebRTCICE>("ice-agent");
    // Browsers connect by UDP or over TURN: candidates of TCP cost sockets and time. UPnP would search the network for routers.
    if ice.has_property("agent") {
        let agent = ice.property::<glib::Object>("agent");
        for name in ["ice-tcp", "upnp"] {
            if agent.has_property(name) {
                agent.set_property(name, false);
            }
        }
    }
    let addresses = addresses(config);
    if addresses.as_ref().is_some_and(Vec::is_empty) {
        // Left empty, libnice would offer every interface of the machine: also those that were not to be.
        let why = format!(
            "none of the interfaces {} has an address now",
            config.interfaces.join(", ")
        );
        return Err(StudioError::Unavailable { why });
    }
    for address in addresses.unwrap_or_default() {
        // An action signal of the agent since 1.18: naming one address ends libnice's own search.
        if !ice.emit_by_name::<bool>("add-local-ip-address", &[&address.to_string()]) {
            tracing::warn!(%address, "the address could not be offered to guests");
        }
    }
    if config.max_port != 0 {
        ice.set_property("min-rtp-port", u32::from(config.min_port));
        ice.set_property("max-rtp-port", u32::from(config.max_port));
    }
    if let Some(stun) = config.stun.first() {
        use_stun(webrtc, stun);
    }
    for turn in &config.turn {
        use_turn(webrtc, turn);
    }
    Ok(())
}

pub(crate) fn use_stun(webrtc: &gst::Element, url: &str) {
    webrtc.set_property("stun-server", with_slashes(url, &["stun"]));
}

pub(crate) fn use_turn(webrtc: &gst::Element, turn: &TurnServer) {
    let url = with_slashes(&turn.url, &["turns", "turn"]);
    let Some((scheme, host)) = url.split_once("://") else {
        return;
    };
    let url = format!(
        "{scheme}://{}:{}@{host}",
        percent(&turn.username),
        percent(turn.credential.reveal())
    );
    if !webrtc.emit_by_name::<bool>("add-turn-server", &[&url]) {
        tracing::warn!(server = turn.url, "the TURN server could not be used");
    }
}

/// `stun:host:port`, as browsers write it, becomes `stun://host:port`, as webrtcbin reads it.
fn with_slashes(url: &str, schemes: &[&str]) -> String {
    for scheme in schemes {
        if let Some(rest) = url.strip_prefix(scheme).and_then(|r| r.strip_prefix(':')) {
            return format!("{scheme}://{}", rest.trim_start_matches('/'));
        }
    }
    url.to_owned()
}

/// What a user name or password may not contain in a URL, as `%XX`.
fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn loopback_is_offered_beside_what_else_there_is_and_nothing_is_chosen_unasked() {
        assert_eq!(addresses(&IceConfig::default()), None);
        let config = IceConfig {
            loopback: true,
            ..IceConfig::default()
        };
        assert!(
            addresses(&config)
                .unwrap()
                .contains(&IpAddr::from([127, 0, 0, 1]))
        );
        let config = IceConfig {
            addresses: vec!["192.0.2.1".into()],
            loopback: true,
            ..IceConfig::default()
        };
        assert_eq!(
            addresses(&config).unwrap(),
            [IpAddr::from([192, 0, 2, 1]), IpAddr::from([127, 0, 0, 1])]
        );
        let config = IceConfig {
            interfaces: vec!["no-such-interface".into()],
            ..IceConfig::default()
        };
        assert_eq!(addresses(&config), Some(Vec::new()));
    }

    #[test]
    fn what_is_no_address_is_told_with_its_key() {
        let config = IceConfig {
            addresses: vec!["eth0".into()],
            ..IceConfig::default()
        };
        assert!(
            check(&config)
                .unwrap_err()
                .to_string()
                .contains("ice.addresses")
        );
        let config = IceConfig {
            stun: vec!["example.org".into()],
            ..IceConfig::default()
        };
        assert!(check(&config).unwrap_err().to_string().contains("ice.stun"));
    }

    #[test]
    fn a_browsers_url_becomes_one_of_webrtcbin_and_secrets_are_escaped() {
        assert_eq!(
            with_slashes("stun:s.example:3478", &["stun"]),
            "stun://s.example:3478"
        );
        assert_eq!(
            with_slashes("turns://t.example", &["turns", "turn"]),
            "turns://t.example"
        );
        assert_eq!(percent("1700:a/b+c="), "1700%3Aa%2Fb%2Bc%3D");
    }
}
