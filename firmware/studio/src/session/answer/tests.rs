#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

/// As webrtcbin 1.22 makes it for a guest with a camera.
const OFFER: &str = "v=0
o=- 1930901988126664846 0 IN IP4 0.0.0.0
s=-
t=0 0
a=ice-options:trickle
a=group:BUNDLE audio0 video1
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=setup:actpass
a=ice-ufrag:7ylquNU4gLZIkY5UZDS3MMYlyiQkCdxp
a=ice-pwd:D91AxgPwmwasYCyRqBGsyEj8H0EZRNuE
a=rtcp-mux
a=sendrecv
a=rtpmap:111 OPUS/48000/2
a=fmtp:111 minptime=10;useinbandfec=1
a=mid:audio0
a=fingerprint:sha-256 22:EF:58:97:1B:BF:91:74:0E:F8:56:9B:55:1D:D5:1F:DA:58:B8:F7:96:52:B9:A7:5C:94:98:28:2F:9F:DB:F5
m=video 0 UDP/TLS/RTP/SAVPF 96 97 98
c=IN IP4 0.0.0.0
a=setup:actpass
a=bundle-only
a=rtcp-mux
a=sendrecv
a=rtpmap:96 H264/90000
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtcp-fb:96 transport-cc
a=extmap:5 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=fmtp:96 packetization-mode=1;profile-level-id=42e01f;level-asymmetry-allowed=1
a=rtpmap:97 VP8/90000
a=rtcp-fb:97 nack pli
a=rtpmap:98 rtx/90000
a=fmtp:98 apt=96
a=mid:video1
a=fingerprint:sha-256 22:EF:58:97:1B:BF:91:74:0E:F8:56:9B:55:1D:D5:1F:DA:58:B8:F7:96:52:B9:A7:5C:94:98:28:2F:9F:DB:F5
";

/// As Chromium answers it, shortened.
const ANSWER: &str = "v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE audio0 video1
a=msid-semantic: WMS
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:1 1 udp 2113937151 192.0.2.5 51000 typ host generation 0
a=ice-ufrag:EEtu
a=ice-pwd:asd88fgpdd777uzjYhagZg12
a=ice-options:trickle
a=fingerprint:sha-256 D9:4D:A8:6C:59:2A:08:F9:EA:6C:64:C7:95:25:9D:B0:D9:13:F8:B5:05:FF:99:06:46:F2:2C:98:FC:2C:DA:38
a=setup:active
a=mid:audio0
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;useinbandfec=1
a=ssrc:1015220662 cname:x
m=video 9 UDP/TLS/RTP/SAVPF 96 97 98
c=IN IP4 0.0.0.0
a=ice-ufrag:EEtu
a=ice-pwd:asd88fgpdd777uzjYhagZg12
a=fingerprint:sha-256 D9:4D:A8:6C:59:2A:08:F9:EA:6C:64:C7:95:25:9D:B0:D9:13:F8:B5:05:FF:99:06:46:F2:2C:98:FC:2C:DA:38
a=setup:active
a=mid:video1
a=extmap:5 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=sendrecv
a=rtcp-mux
a=rtpmap:96 H264/90000
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtcp-fb:96 goog-remb
a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=rtpmap:97 VP8/90000
a=rtcp-fb:97 nack pli
a=rtpmap:98 rtx/90000
a=fmtp:98 apt=96
a=ssrc-group:FID 4211067280 77
a=ssrc:4211067280 cname:x
a=ssrc:77 cname:x
";

fn refused(answer: &str) -> String {
    check(OFFER, answer).unwrap_err()
}

#[test]
fn one_of_several_fingerprints_is_enough() {
    let several = ANSWER.replace(
        "a=fingerprint:sha-256",
        "a=fingerprint:sha-1 00:11\na=fingerprint:sha-256",
    );
    let answer = check(OFFER, &several).unwrap();
    assert_eq!(answer.fingerprint[..2], [0xd9, 0x4d]);
}

#[test]
fn a_browsers_answer_is_written_anew_with_what_both_sides_have() {
    let answer = check(OFFER, ANSWER).unwrap();
    assert_eq!(
        answer.audio,
        Some(Down {
            codec: Codec::Opus,
            payload: 111
        })
    );
    assert_eq!(
        answer.video,
        Some(Down {
            codec: Codec::H264,
            payload: 96
        })
    );
    assert_eq!(answer.fingerprint[..2], [0xd9, 0x4d]);
    assert_eq!(
        answer.candidates,
        ["candidate:1 1 UDP 2113937151 192.0.2.5 51000 typ host"]
    );
    for kept in [
        "m=video 9 UDP/TLS/RTP/SAVPF 96 97 98",
        "a=fmtp:98 apt=96",
        "a=ssrc-group:FID 4211067280 77",
        "a=rtcp-fb:96 nack pli",
        "a=extmap:5 ",
    ] {
        assert!(answer.sdp.contains(kept), "{kept}: {}", answer.sdp);
    }
    for dropped in [
        "goog-remb",
        "transport-cc\r",
        "msid",
        "candidate",
        "a=rtcp-fb:97 nack\r",
    ] {
        assert!(!answer.sdp.contains(dropped), "{dropped}: {}", answer.sdp);
    }
}

#[test]
fn the_codec_that_the_answer_names_first_is_sent() {
    let answer = check(OFFER, &ANSWER.replace("SAVPF 96 97 98", "SAVPF 97 96 98")).unwrap();
    assert_eq!(
        answer.video,
        Some(Down {
            codec: Codec::Vp8,
            payload: 97
        })
    );
    let answer = check(OFFER, &ANSWER.replace("SAVPF 96 97 98", "SAVPF 97")).unwrap();
    assert!(answer.sdp.contains("SAVPF 97\r\n"), "{}", answer.sdp);
}

#[test]
fn who_wants_no_return_gets_none() {
    let answer = check(OFFER, &ANSWER.replace("a=sendrecv", "a=sendonly")).unwrap();
    assert_eq!((answer.audio, answer.video), (None, None));
}

#[test]
fn each_thing_that_is_wrong_in_an_answer_is_named() {
    let change = |from: &str, to: &str| {
        assert!(ANSWER.contains(from), "{from}");
        refused(&ANSWER.replacen(from, to, 1))
    };
    let everywhere = |from: &str, to: &str| refused(&ANSWER.replace(from, to));
    let video = ANSWER.find("m=video").unwrap();
    for (error, what) in [
        (refused(""), "empty"),
        (refused("hello"), "x=value"),
        (refused("v=1\n"), "v=0"),
        (refused("v=0\ns=-\nt=0 0\n"), "0 m-lines"),
        (refused(&"a=x\n".repeat(20_000)), "65536"),
        (
            refused(&format!("v=0\n{}", "a=x\n".repeat(3000))),
            "2000 lines",
        ),
        (refused(&format!("v=0\na={}", "x".repeat(3000))), "2048"),
        (refused(&ANSWER[..video]), "1 m-lines, the offer has 2"),
        (
            refused(&format!(
                "{ANSWER}m=application 9 UDP/DTLS/SCTP webrtc-datachannel\n"
            )),
            "3 m-lines",
        ),
        (
            change("a=setup:active", "a=setup:active\0"),
            "control character",
        ),
        (change("m=audio 9 ", "m=audio nine "), "m-line in line"),
        (change("m=audio", "m=text"), "kind is \"text\""),
        (change("m=video 9", "m=video 0"), "rejects"),
        (
            change("UDP/TLS/RTP/SAVPF 111", "RTP/AVP 111"),
            "transport \"RTP/AVP\"",
        ),
        (
            change("a=group:BUNDLE audio0 video1", "a=group:BUNDLE audio0"),
            "lacks the mid \"video1\"",
        ),
        (
            change("a=group:BUNDLE audio0 video1\n", ""),
            "no a=group:BUNDLE",
        ),
        (
            change("a=mid:video1", "a=mid:video2"),
            "mid is not \"video1\"",
        ),
        (change("a=mid:video1\n", ""), "mid is not \"video1\""),
        (everywhere("a=ice-ufrag:EEtu\n", ""), "no a=ice-ufrag"),
        (everywhere("EEtu", "E"), "ice-ufrag is not"),
        (everywhere("EEtu", "EE u"), "ice-ufrag is not"),
        (
            everywhere("a=ice-pwd:asd88fgpdd777uzjYhagZg12\n", ""),
            "no a=ice-pwd",
        ),
        (
            everywhere("asd88fgpdd777uzjYhagZg12", "short"),
            "ice-pwd is not",
        ),
        (
            everywhere("a=fingerprint:", "a=thumbprint:"),
            "no a=fingerprint",
        ),
        (everywhere("sha-256", "sha-1"), "sha-256"),
        (everywhere("D9:4D:", "D9:"), "32 hexadecimal"),
        (everywhere("D9:4D:", "D9:4D:00:"), "32 hexadecimal"),
        (everywhere("D9:4D:", "+9:4D:"), "32 hexadecimal"),
        (
            everywhere("a=setup:active", "a=setup:actpass"),
            "must be active or passive",
        ),
        (everywhere("a=setup:active\n", ""), "no a=setup"),
        (everywhere("a=rtcp-mux\n", ""), "rtcp-mux"),
        (
            change("SAVPF 111", "SAVPF 0"),
            "payload type 0 was not offered",
        ),
        (
            change("SAVPF 111", "SAVPF x"),
            "payload type x was not offered",
        ),
        (change("SAVPF 96 97 98", "SAVPF 98"), "none of the codecs"),
        (change("SAVPF 96 97 98", "SAVPF 96 96"), "stands twice"),
        (
            change("a=rtpmap:96 H264", "a=rtpmap:96 VP9"),
            "is not H264/90000",
        ),
        (
            change("a=rtpmap:111 opus/48000/2", "a=rtpmap:111 opus/48000"),
            "is not OPUS/48000/2",
        ),
        (
            change("a=fmtp:98 apt=96", "a=fmtp:98 apt=97"),
            "do not belong to 96",
        ),
        (change("a=fmtp:98 apt=96\n", ""), "do not belong to 96"),
        (
            change("packetization-mode=1;", "packetization-mode=0;"),
            "packetization-mode=1",
        ),
        (change("a=ssrc:77 ", "a=ssrc:-1 "), "no number"),
        (
            change("a=ssrc:77 cname:x", "a=ssrc:1015220662 cname:x"),
            "two m-lines",
        ),
        (change("FID 4211067280 77", "FID 77 77"), "does not pair"),
        (
            change("FID 4211067280 77", "FID 4211067280 78"),
            "does not pair",
        ),
        (change("FID 4211067280 77", "FID 4211067280"), "not a pair"),
        (
            change("192.0.2.5 51000", "example.com 51000"),
            "neither an IP address",
        ),
    ] {
        assert!(error.contains(what), "expected \"{what}\", got \"{error}\"");
    }
}

#[test]
fn an_answer_that_takes_what_was_not_offered_is_refused() {
    let watch = OFFER.replace("a=sendrecv", "a=sendonly");
    assert!(
        check(&watch, ANSWER)
            .unwrap_err()
            .contains("sendrecv is no answer to sendonly")
    );
    assert!(check(&watch, &ANSWER.replace("a=sendrecv", "a=recvonly")).is_ok());
    assert!(check(&watch, &ANSWER.replace("a=sendrecv", "a=inactive")).is_ok());
}

/// Lines of the answer lost, doubled, swapped, and bytes changed anywhere.
fn mutated() -> impl Strategy<Value = String> {
    let change = (
        0..5u8,
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        "\\PC{0,12}",
    );
    prop::collection::vec(change, 1..6).prop_map(|changes| {
        let mut lines: Vec<String> = ANSWER.lines().map(str::to_owned).collect();
        for (kind, at, other, text) in changes {
            if lines.is_empty() {
                break;
            }
            let (at, other) = (at.index(lines.len()), other.index(lines.len()));
            match kind {
                0 => drop(lines.remove(at)),
                1 => lines.insert(other, lines[at].clone()),
                2 => lines.swap(at, other),
                3 => lines.insert(at, text),
                _ => {
                    let cut: usize = other % (lines[at].chars().count() + 1);
                    lines[at] = lines[at].chars().take(cut).chain(text.chars()).collect();
                }
            }
        }
        lines.join("\n")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_mutation_of_an_answer_panics_and_what_is_taken_has_no_foreign_word(answer in mutated()) {
        gst::init().unwrap();
        if let Ok(written) = check(OFFER, &answer) {
            gst_sdp::SDPMessage::parse_buffer(written.sdp.as_bytes()).unwrap();
            prop_assert!(written.sdp.is_ascii());
            prop_assert_eq!(written.sdp.matches("m=").count(), 2);
            let known = ["v=0", "o=-", "s=-", "t=0", "m=audio 9 UDP/TLS/RTP/SAVPF 111", "m=video 9 UDP/TLS/RTP/SAVPF 9", "c=IN IP4 0.0.0.0",
                "a=ice-options:trickle", "a=group:BUNDLE audio0 video1", "a=rtcp-mux", "a=mid:", "a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive", "a=ice-ufrag:",
                "a=ice-pwd:", "a=setup:", "a=fingerprint:sha-256 ", "a=rtpmap:", "a=fmtp:", "a=rtcp-fb:", "a=extmap:5 ", "a=ssrc:", "a=ssrc-group:FID "];
            for line in written.sdp.lines() {
                prop_assert!(known.iter().any(|k| line.starts_with(k)), "{}", line);
            }
        }
    }

    #[test]
    fn no_text_at_all_panics(answer in "\\PC{0,400}", lines in prop::collection::vec("[vamsc]=[ -~]{0,40}", 0..30)) {
        let _ = check(OFFER, &answer);
        let _ = check(OFFER, &format!("v=0\n{}", lines.join("\n")));
    }
}
