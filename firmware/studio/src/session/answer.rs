//! Checks an answer against our own offer and writes it anew from the few facts that were understood: webrtcbin gets
//! no word of it that we did not write or check. An answer without a fingerprint, with foreign payload types or with
//! a retransmission that points nowhere would end the process there.

use std::fmt::Write as _;

use super::candidate::{self, Remote};
use super::sdp::{Description, Direction, Media};

/// A codec that an m-line can carry, with the payload type of our offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    H264,
    Vp8,
    Opus,
}

impl Codec {
    fn of_rtpmap(rtpmap: &str) -> Option<Codec> {
        let name = rtpmap.split('/').next()?;
        [
            (Codec::H264, "H264"),
            (Codec::Vp8, "VP8"),
            (Codec::Opus, "opus"),
        ]
        .into_iter()
        .find_map(|(codec, known)| name.eq_ignore_ascii_case(known).then_some(codec))
    }
}

/// What the other side shall get of one m-line, if it wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Down {
    pub codec: Codec,
    pub payload: u8,
}

/// An answer that can be used.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Written by us.
    pub sdp: String,
    pub video: Option<Down>,
    pub audio: Option<Down>,
    pub sends_picture: bool,
    /// SHA-256 of the certificate that the DTLS handshake must show.
    pub fingerprint: [u8; 32],
    /// Candidates that stood in the answer.
    pub candidates: Vec<String>,
}

/// More than a simulcast sender uses.
const MAX_SSRCS: usize = 8;

pub(crate) fn check(offer: &str, answer: &str) -> Result<Answer, String> {
    let offer = Description::parse(offer).map_err(|what| format!("our own offer: {what}"))?;
    let answer = Description::parse(answer)?;
    if answer.media.len() != offer.media.len() {
        return Err(format!(
            "the answer has {} m-lines, the offer has {}",
            answer.media.len(),
            offer.media.len()
        ));
    }
    check_bundle(&offer, &answer)?;
    let transport = Transport::of(&answer)?;

    let mut sdp = String::from(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-options:trickle\r\na=group:BUNDLE",
    );
    for media in &offer.media {
        let _ = write!(sdp, " {}", media.value("mid").unwrap_or_default());
    }
    sdp.push_str("\r\n");
    let (mut video, mut audio, mut candidates, mut ssrcs) = (None, None, Vec::new(), Vec::new());
    let mut sends_picture = false;
    for (index, (offered, answered)) in offer.media.iter().zip(&answer.media).enumerate() {
        let line = Line {
            index,
            offered,
            answered,
        };
        let down = line.write(&transport, &mut ssrcs, &mut sdp)?;
        match offered.kind {
            "video" => {
                video = down;
                sends_picture = line.direction()?.sends();
            }
            _ => audio = down,
        }
        for written in answered.values("candidate") {
            match candidate::check(&format!("candidate:{written}"))? {
                Remote::Use(text) if candidates.len() < candidate::MAX_REMOTE => {
                    candidates.push(text)
                }
                _ => {}
            }
        }
    }
    Ok(Answer {
        sdp,
        video,
        audio,
        sends_picture,
        fingerprint: transport.fingerprint,
        candidates,
    })
}

fn check_bundle(offer: &Description, answer: &Description) -> Result<(), String> {
    let group = answer
        .attributes
        .iter()
        .filter(|a| a.name == "group")
        .find_map(|a| a.value.strip_prefix("BUNDLE"));
    let Some(group) = group else {
        return Err(
            "the answer has no a=group:BUNDLE: all m-lines must share one transport".into(),
        );
    };
    let mids: Vec<_> = group.split_ascii_whitespace().collect();
    for media in &offer.media {
        let mid = media.value("mid").unwrap_or_default();
        if !mids.contains(&mid) {
            return Err(format!("the answer's BUNDLE group lacks the mid \"{mid}\""));
        }
    }
    Ok(())
}

/// What all m-lines share: ICE credentials, certificate and role.
struct Transport<'a> {
    ufrag: &'a str,
    pwd: &'a str,
    fingerprint: [u8; 32],
    setup: &'a str,
}

impl<'a> Transport<'a> {
    fn of(answer: &Description<'a>) -> Result<Transport<'a>, String> {
        let Some(first) = answer.media.first() else {
            return Err("the answer has no m-line".into());
        };
        let need = |name: &str| {
            answer
                .value(first, name)
                .ok_or_else(|| format!("the answer has no a={name}"))
        };
        let (ufrag, pwd) = (need("ice-ufrag")?, need("ice-pwd")?);
        let ice_chars = |s: &str| {
            s.bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_'))
        };
        // RFC 8839: 4 to 256 and 22 to 256 ice-chars.
        if !(4..=256).contains(&ufrag.len()) || !ice_chars(ufrag) {
            return Err("the answer's ice-ufrag is not 4 to 256 ICE characters".into());
        }
        if !(22..=256).contains(&pwd.len()) || !ice_chars(pwd) {
            return Err("the answer's ice-pwd is not 22 to 256 ICE characters".into());
        }
        let setup = need("setup")?;
        if !matches!(setup, "active" | "passive") {
            return Err(format!(
                "the answer's a=setup is \"{}\"; it must be active or passive",
                shown(setup)
            ));
        }
        need("fingerprint")?;
        // RFC 8122: there may be one of each hash that the other side knows.
        let fingerprint = answer
            .values(first, "fingerprint")
            .find_map(sha256)
            .ok_or("the answer's a=fingerprint is not sha-256 followed by 32 hexadecimal bytes")?;
        Ok(Transport {
            ufrag,
            pwd,
            fingerprint,
            setup,
        })
    }
}

fn sha256(value: &str) -> Option<[u8; 32]> {
    let (hash, digest) = value.trim().split_once(' ')?;
    if !hash.eq_ignore_ascii_case("sha-256") {
        return None;
    }
    let mut bytes = [0; 32];
    let mut parts = digest.split(':');
    for byte in &mut bytes {
        let part = parts
            .next()
            .filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

/// A stranger's word in a sentence of ours: short.
fn shown(word: &str) -> String {
    word.chars().take(40).collect()
}

struct Line<'a, 'b> {
    index: usize,
    offered: &'b Media<'a>,
    answered: &'b Media<'a>,
}

impl Line<'_, '_> {
    fn bad<T>(&self, what: impl std::fmt::Display) -> Result<T, String> {
        Err(format!(
            "m-line {} ({}): {what}",
            self.index, self.offered.kind
        ))
    }

    fn write(
        &self,
        transport: &Transport,
        ssrcs: &mut Vec<u32>,
        sdp: &mut String,
    ) -> Result<Option<Down>, String> {
        let (offered, answered) = (self.offered, self.answered);
        if answered.kind != offered.kind {
            return self.bad(format_args!(
                "the answer's kind is \"{}\"",
                shown(answered.kind)
            ));
        }
        let mid = offered.value("mid").unwrap_or_default();
        if answered.value("mid") != Some(mid) {
            return self.bad(format_args!("the answer's mid is not \"{mid}\""));
        }
        if answered.port == 0 {
            return self.bad("the answer rejects it (port 0)");
        }
        if !matches!(answered.proto, "UDP/TLS/RTP/SAVPF" | "UDP/TLS/RTP/SAVP") {
            return self.bad(format_args!(
                "the transport \"{}\" is not UDP/TLS/RTP/SAVPF",
                shown(answered.proto)
            ));
        }
        if answered.value("rtcp-mux").is_none() {
            return self.bad("the answer has no a=rtcp-mux");
        }
        let direction = self.direction()?;
        let (payloads, down) = self.payloads()?;

        let _ = write!(sdp, "m={} 9 UDP/TLS/RTP/SAVPF", offered.kind);
        for payload in &payloads {
            let _ = write!(sdp, " {payload}");
        }
        let _ = write!(
            sdp,
            "\r\nc=IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=mid:{mid}\r\na={}\r\na=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=setup:{}\r\na=fingerprint:sha-256 ",
            direction.name(),
            transport.ufrag,
            transport.pwd,
            transport.setup
        );
        for (index, byte) in transport.fingerprint.iter().enumerate() {
            let _ = write!(sdp, "{}{byte:02X}", if index == 0 { "" } else { ":" });
        }
        sdp.push_str("\r\n");
        for payload in &payloads {
            for name in ["rtpmap", "fmtp"] {
                for rest in offered.of_payload(name, payload) {
                    let _ = write!(sdp, "a={name}:{payload} {rest}\r\n");
                }
            }
            for feedback in offered.of_payload("rtcp-fb", payload) {
                let wanted = |p| answered.of_payload("rtcp-fb", p).any(|f| f == feedback);
                if wanted(payload) || wanted("*") {
                    let _ = write!(sdp, "a=rtcp-fb:{payload} {feedback}\r\n");
                }
            }
        }
        for extension in offered.values("extmap") {
            let same = |a: &str| {
                let (mut a, mut o) = (a.split(' '), extension.split(' '));
                let number =
                    |w: Option<&str>| w.and_then(|w| w.split('/').next().map(str::to_owned));
                number(a.next()) == number(o.next()) && a.next() == o.next()
            };
            if answered.values("extmap").any(same) {
                let _ = write!(sdp, "a=extmap:{extension}\r\n");
            }
        }
        if direction.sends() {
            self.write_ssrcs(ssrcs, sdp)?;
        }
        Ok(down.filter(|_| direction.receives()))
    }

    fn direction(&self) -> Result<Direction, String> {
        let offered = self.offered.direction().unwrap_or(Direction::SendRecv);
        let answered = self.answered.direction().unwrap_or(Direction::SendRecv);
        if answered.sends() && !offered.receives() || answered.receives() && !offered.sends() {
            return self.bad(format_args!(
                "{} is no answer to {}",
                answered.name(),
                offered.name()
            ));
        }
        Ok(answered)
    }

    /// The payload types that both sides have, in the answer's order, and what we shall send.
    fn payloads(&self) -> Result<(Vec<String>, Option<Down>), String> {
        let mut taken: Vec<String> = Vec::new();
        let mut down = None;
        let mut repairs = Vec::new();
        for &format in &self.answered.formats {
            if taken.iter().any(|t| t == format) || repairs.iter().any(|(f, _)| *f == format) {
                return self.bad(format_args!(
                    "payload type {} stands twice in the answer",
                    shown(format)
                ));
            }
            let Some(ours) = self.offered.of_payload("rtpmap", format).next() else {
                return self.bad(format_args!(
                    "payload type {} was not offered",
                    shown(format)
                ));
            };
            let theirs = self.answered.of_payload("rtpmap", format).next();
            if !theirs.is_some_and(|theirs| same_rtpmap(ours, theirs)) {
                return self.bad(format_args!(
                    "payload type {format} is not {ours}, as it was offered"
                ));
            }
            let apt = self
                .offered
                .of_payload("fmtp", format)
                .find_map(|f| f.strip_prefix("apt="));
            if let Some(apt) = apt {
                let theirs = self
                    .answered
                    .of_payload("fmtp", format)
                    .find_map(|f| f.strip_prefix("apt="));
                if theirs != Some(apt) {
                    return self.bad(format_args!(
                        "retransmissions of {format} do not belong to {apt}, as offered"
                    ));
                }
                repairs.push((format, apt));
                continue;
            }
            let (Some(codec), Ok(payload)) = (Codec::of_rtpmap(ours), format.parse()) else {
                continue;
            };
            if codec == Codec::H264 && !self.packetization_mode_1(format) {
                return self.bad(format_args!(
                    "payload type {format} has not packetization-mode=1, as it was offered"
                ));
            }
            down = down.or(Some(Down { codec, payload }));
            taken.push(format.to_owned());
        }
        if down.is_none() {
            return self.bad("the answer takes none of the codecs that were offered");
        }
        for (format, apt) in repairs {
            if taken.iter().any(|t| t == apt) {
                taken.push(format.to_owned());
            }
        }
        Ok((taken, down))
    }

    fn packetization_mode_1(&self, format: &str) -> bool {
        self.answered
            .of_payload("fmtp", format)
            .any(|f| f.split(';').any(|p| p.trim() == "packetization-mode=1"))
    }

    fn write_ssrcs(&self, all: &mut Vec<u32>, sdp: &mut String) -> Result<(), String> {
        let mut own: Vec<u32> = Vec::new();
        for value in self.answered.values("ssrc") {
            let Some(ssrc) = value.split(' ').next().and_then(|n| n.parse::<u32>().ok()) else {
                return self.bad(format_args!("a=ssrc:{} has no number", shown(value)));
            };
            if own.contains(&ssrc) {
                continue;
            }
            if all.contains(&ssrc) {
                return self.bad(format_args!("the ssrc {ssrc} stands in two m-lines"));
            }
            if own.len() == MAX_SSRCS {
                return self.bad(format_args!("more than {MAX_SSRCS} ssrcs"));
            }
            own.push(ssrc);
            all.push(ssrc);
        }
        let mut grouped = Vec::new();
        for group in self
            .answered
            .values("ssrc-group")
            .filter_map(|g| g.strip_prefix("FID "))
        {
            let pair: Vec<_> = group.split(' ').map(str::parse::<u32>).collect();
            let [Ok(first), Ok(second)] = pair[..] else {
                return self.bad("an ssrc-group:FID is not a pair of numbers");
            };
            let fresh = |s: &u32| own.contains(s) && !grouped.contains(s);
            if first == second || !fresh(&first) || !fresh(&second) {
                return self.bad("an ssrc-group:FID does not pair two ssrcs of its m-line");
            }
            grouped.extend([first, second]);
            let _ = write!(sdp, "a=ssrc-group:FID {first} {second}\r\n");
        }
        for ssrc in own {
            let _ = write!(sdp, "a=ssrc:{ssrc} cname:peer\r\n");
        }
        Ok(())
    }
}

/// `opus/48000/2`: the name in any case, a missing channel count is 1.
fn same_rtpmap(ours: &str, theirs: &str) -> bool {
    let parts = |s: &str| {
        let mut parts = s.split('/').map(|p| p.trim().to_ascii_lowercase());
        let (name, rate, channels) = (parts.next(), parts.next(), parts.next());
        (name, rate, channels.unwrap_or_else(|| "1".into()))
    };
    parts(ours) == parts(theirs)
}

#[cfg(test)]
mod tests;
