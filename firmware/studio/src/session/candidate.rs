//! Checks ICE candidates of the other side and writes them anew.

use std::net::IpAddr;

use crate::api::IceCandidate;

/// A browser on a PC with many interfaces sends about 20.
pub(super) const MAX_REMOTE: usize = 64;
const MAX_BYTES: usize = 512;

#[derive(Debug, PartialEq)]
pub(super) enum Remote {
    /// Written by us.
    Use(String),
    /// Nothing is wrong with it, and it is of no use here: TCP, another component, a name only the other side's
    /// network can resolve (the connection then comes from that side's own checks), or the end of the candidates.
    Ignore,
}

/// A candidate with its m-line.
pub(super) fn check_init(init: &IceCandidate) -> Result<Remote, String> {
    if init.sdp_mid.as_ref().is_some_and(|mid| mid.len() > 32)
        || init.sdp_m_line_index.is_some_and(|i| i > 8)
    {
        return Err("the candidate's m-line is none of the session's".into());
    }
    check(&init.candidate)
}

pub(super) fn check(text: &str) -> Result<Remote, String> {
    if text.len() > MAX_BYTES {
        return Err(format!(
            "the candidate has {} bytes; {MAX_BYTES} are allowed",
            text.len()
        ));
    }
    if text.trim().is_empty() {
        return Ok(Remote::Ignore);
    }
    if text.chars().any(char::is_control) {
        return Err("the candidate contains a control character".into());
    }
    let text = text.strip_prefix("a=").unwrap_or(text);
    let Some(rest) = text.strip_prefix("candidate:") else {
        return Err("the candidate does not begin with \"candidate:\"".into());
    };
    let words: Vec<_> = rest.split_ascii_whitespace().collect();
    let [
        foundation,
        component,
        transport,
        priority,
        address,
        port,
        "typ",
        kind,
        more @ ..,
    ] = words.as_slice()
    else {
        return Err("the candidate is not of the form foundation component transport priority address port typ …".into());
    };
    let ice_chars = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_');
    if foundation.len() > 32 || !foundation.bytes().all(ice_chars) {
        return Err("the candidate's foundation is not 1 to 32 ICE characters".into());
    }
    let component: u16 = component
        .parse()
        .map_err(|_| "the candidate's component is not a number")?;
    let priority: u32 = priority
        .parse()
        .map_err(|_| "the candidate's priority is not a number of 32 bits")?;
    let port: u16 = port
        .parse()
        .map_err(|_| "the candidate's port is not a port")?;
    if !matches!(*kind, "host" | "srflx" | "prflx" | "relay") {
        return Err("the candidate's type is not host, srflx, prflx or relay".into());
    }
    if !transport.eq_ignore_ascii_case("udp") || component != 1 {
        return Ok(Remote::Ignore);
    }
    let Ok(address) = address.parse::<IpAddr>() else {
        // Looking up a name that a stranger chose would let guests make the box ask any name server.
        return match address.strip_suffix(".local") {
            Some(name) if name.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') => {
                Ok(Remote::Ignore)
            }
            _ => Err("the candidate's address is neither an IP address nor a .local name".into()),
        };
    };
    if port == 0 || address.is_multicast() || address.is_unspecified() {
        return Err(format!(
            "nothing can be sent to the candidate's address {address} port {port}"
        ));
    }
    let mut written =
        format!("candidate:{foundation} 1 UDP {priority} {address} {port} typ {kind}");
    for pair in more.chunks_exact(2) {
        let [name, value] = pair else { continue };
        let known = match *name {
            "raddr" => value.parse::<IpAddr>().is_ok(),
            "rport" => value.parse::<u16>().is_ok(),
            _ => false,
        };
        if known {
            written.push_str(&format!(" {name} {value}"));
        }
    }
    Ok(Remote::Use(written))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const GOOD: &str = "candidate:842163049 1 udp 1677729535 203.0.113.7 46154 typ srflx raddr 10.0.0.17 rport 46154 generation 0 ufrag EEtu network-id 1";

    #[test]
    fn a_good_candidate_is_written_anew_without_what_is_not_needed() {
        let written = "candidate:842163049 1 UDP 1677729535 203.0.113.7 46154 typ srflx raddr 10.0.0.17 rport 46154";
        assert_eq!(check(GOOD), Ok(Remote::Use(written.into())));
        assert_eq!(check(&format!("a={GOOD}")), Ok(Remote::Use(written.into())));
    }

    #[test]
    fn what_is_of_no_use_is_passed_over_without_an_error() {
        for text in [
            "",
            "candidate:1 1 tcp 1518280447 192.168.1.2 9 typ host tcptype active",
            "candidate:1 2 udp 1518280447 192.168.1.2 9 typ host",
            "candidate:1 1 udp 2113937151 4f1c2b3a-0001-4a5b-8c9d-0123456789ab.local 51234 typ host generation 0",
        ] {
            assert_eq!(check(text), Ok(Remote::Ignore), "{text}");
        }
    }

    #[test]
    fn a_bad_candidate_is_refused_with_what_is_wrong() {
        for (text, what) in [
            ("candidate", "begin with"),
            ("candidate:", "of the form"),
            ("candidate:1 1 udp 1 10.0.0.1 1", "of the form"),
            ("candidate:? 1 udp 1 10.0.0.1 1 typ host", "foundation"),
            ("candidate:1 x udp 1 10.0.0.1 1 typ host", "component"),
            ("candidate:1 1 udp -1 10.0.0.1 1 typ host", "priority"),
            ("candidate:1 1 udp 1 10.0.0.1 70000 typ host", "port"),
            ("candidate:1 1 udp 1 10.0.0.1 1 typ guest", "type"),
            (
                "candidate:1 1 udp 1 metadata.internal 80 typ host",
                "neither an IP address",
            ),
            (
                "candidate:1 1 udp 1 224.0.0.1 80 typ host",
                "nothing can be sent",
            ),
            (
                "candidate:1 1 udp 1 0.0.0.0 80 typ host",
                "nothing can be sent",
            ),
            (
                "candidate:1 1 udp 1 10.0.0.1 0 typ host",
                "nothing can be sent",
            ),
            (
                "candidate:1 1 udp 1 10.0.0.1 1 typ host\r\na=x",
                "control character",
            ),
            (&"x".repeat(600), "512"),
        ] {
            let error = check(text).unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        }
    }
}
