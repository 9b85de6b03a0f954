//! What `dais dev` shows to a person.

use std::fmt::Write;

use qrcode::{QrCode, render::unicode::Dense1x2};

use super::Ready;

/// Where everything is, and a QR code that opens the companion and pairs it: on this machine, or on a phone in its network.
pub fn text(ready: &Ready) -> String {
    let announced = &ready.announced;
    let with_code = |url: &str| format!("{url}#pair={}", announced.pairing_code);
    let pairing = with_code(&format!("{}/", announced.http.trim_end_matches('/')));
    let mut text = String::from("\nDais is up, and its programme is moving.\n\n");
    let mut line = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name:<14}{value}");
    };
    line("Console", &pairing);
    if let Some(https) = &announced.https {
        line("By https", &format!("{https}/"));
    }
    line("Pairing code", &announced.pairing_code);
    line("Invite", &ready.invite_url);
    line("Watch", &ready.invite_url.replacen("/join?", "/watch?", 1));
    line("MQTT", &announced.mqtt);
    line("Data", &ready.data.display().to_string());
    let opened = match (&announced.trust, &announced.ca_sha256) {
        (Some(trust), Some(fingerprint)) => {
            line("New phones", trust);
            line("", &format!("and compare SHA-256 {fingerprint}"));
            with_code(trust)
        }
        _ => pairing,
    };
    if let Some(code) = qr(&opened) {
        let _ = write!(text, "\n{code}\n");
    }
    text.push_str(if opened.contains("/ca#") {
        "\nThe code opens the console on a phone that trusts this box, and says to a new one how to. Ctrl-C ends the box.\n"
    } else {
        "\nThe code opens the console. Ctrl-C ends the box; with --lan phones reach it.\n"
    });
    text
}

/// Light modules are drawn and dark ones left out: a terminal is dark, and a code with the colours swapped is not read by every phone.
fn qr(link: &str) -> Option<String> {
    let code = QrCode::new(link).ok()?;
    Some(
        code.render::<Dense1x2>()
            .dark_color(Dense1x2::Light)
            .light_color(Dense1x2::Dark)
            .build(),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn a_person_gets_the_console_the_code_and_the_invite() {
        let ready = Ready {
            announced: serde_json::from_value(
                json!({"http": "http://localhost:8080", "mqtt": "mqtt://127.0.0.1:1883", "box": "dev", "pairing_code": "042137"}),
            )
            .unwrap(),
            host: serde_json::from_value(json!({"user_id": "a", "username": "host-a", "password": "hush", "box": "dev"})).unwrap(),
            invite_url: "http://localhost:8080/join?invite=abc".into(),
            data: "/tmp/d".into(),
        };
        let shown = text(&ready);
        for part in [
            "http://localhost:8080/#pair=042137",
            "http://localhost:8080/join?invite=abc",
            "http://localhost:8080/watch?invite=abc",
            "█",
        ] {
            assert!(shown.contains(part), "{part} is missing in {shown}");
        }
        assert!(!shown.contains("hush"), "a password on the screen");
        let line: serde_json::Value = serde_json::from_str(&ready.line()).unwrap();
        assert_eq!(
            line["host"],
            json!({"user_id": "a", "username": "host-a", "password": "hush"})
        );
        assert_eq!(line["http"], "http://localhost:8080");
    }

    #[test]
    fn a_phone_in_the_network_is_sent_to_the_page_that_makes_it_trust_the_box() {
        let ready = Ready {
            announced: serde_json::from_value(json!({"http": "http://localhost:8080", "https": "https://10.0.0.5:8443", "trust": "http://10.0.0.5:8080/ca",
                "ca_sha256": "3F:A2", "mqtt": "mqtt://127.0.0.1:1883", "box": "dev", "pairing_code": "042137"}))
            .unwrap(),
            host: serde_json::from_value(json!({"user_id": "a", "username": "host-a", "password": "hush", "box": "dev"})).unwrap(),
            invite_url: "https://10.0.0.5:8443/join?invite=abc".into(),
            data: "/tmp/d".into(),
        };
        let shown = text(&ready);
        for part in [
            "https://10.0.0.5:8443/",
            "http://10.0.0.5:8080/ca",
            "3F:A2",
            "http://localhost:8080/#pair=042137",
        ] {
            assert!(shown.contains(part), "{part} is missing in {shown}");
        }
        let code = qr("http://10.0.0.5:8080/ca#pair=042137").unwrap();
        assert!(shown.contains(&code), "another code in {shown}");
        let line: serde_json::Value = serde_json::from_str(&ready.line()).unwrap();
        assert_eq!(line["http"], "http://localhost:8080");
        assert_eq!(line["ca_file"], "/tmp/d/tls/ca.pem");
    }
}
