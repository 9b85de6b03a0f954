//! What `dais dev` shows to a person.

use std::fmt::Write;

use qrcode::{QrCode, render::unicode::Dense1x2};
use url::Url;

use super::Ready;

/// Where everything is, and a QR code that opens the companion and pairs it.
pub fn text(ready: &Ready, lan: bool) -> String {
    let http = ready.announced.http.trim_end_matches('/');
    let pairing = format!("{http}/#pair={}", ready.announced.pairing_code);
    let mut text = String::from("\nDais is up, and its programme is moving.\n\n");
    let mut line = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name:<14}{value}");
    };
    line("Console", &pairing);
    line("Pairing code", &ready.announced.pairing_code);
    line("Invite", &ready.invite_url);
    line("Watch", &ready.invite_url.replacen("/join?", "/watch?", 1));
    line("MQTT", &ready.announced.mqtt);
    line("Data", &ready.data.display().to_string());
    if lan {
        for origin in in_the_lan(http) {
            line("In the network", &origin);
        }
    }
    if let Some(code) = qr(&pairing) {
        let _ = write!(text, "\n{code}\n");
    }
    text.push_str("\nThe code opens the console. Ctrl-C ends the box.\n");
    text
}

/// The origin under each address of this machine that another one can reach.
fn in_the_lan(http: &str) -> Vec<String> {
    let Ok(origin) = Url::parse(http) else {
        return Vec::new();
    };
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let addresses = interfaces
        .iter()
        .filter(|interface| !interface.is_loopback())
        .map(if_addrs::Interface::ip);
    let origins = addresses
        .filter(std::net::IpAddr::is_ipv4)
        .filter_map(|address| {
            let mut origin = origin.clone();
            origin.set_ip_host(address).ok()?;
            Some(origin.origin().ascii_serialization())
        });
    origins.collect()
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
        let shown = text(&ready, true);
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
    }
}
