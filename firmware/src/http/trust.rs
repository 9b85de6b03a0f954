//! `/ca`: how a phone is made to trust this box, and the certificate for that. Served in the open, for those who do not yet.

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::{Door, pages};
use crate::tls::Root;

/// The page; its placeholders are filled in here, so that it needs no script to be of use.
pub async fn page(
    State(door): State<Door>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let Some(root) = &door.root else {
        return nothing_to_trust();
    };
    let file = match language(query.as_deref(), &headers) {
        Language::English => "ca.html",
        Language::Chinese => "ca.zh.html",
    };
    let Some(template) = pages::text(file) else {
        return nothing_to_trust();
    };
    let secure = door.reach.secure_origin(&headers).unwrap_or_default();
    let device = Device::of(&headers);
    let open = |this: Device| if this == device { "open" } else { "" };
    let page = template
        .replace("{{box}}", door.box_id.as_str())
        .replace("{{fingerprint}}", &root.fingerprint())
        .replace("{{secure}}", &secure)
        .replace("{{iphone}}", open(Device::Iphone))
        .replace("{{android}}", open(Device::Android))
        .replace("{{computer}}", open(Device::Computer));
    // Its script asks whether this device trusts the box already, which is another origin for a page that came in the open.
    let policy = super::POLICY.replace(
        "connect-src 'self'",
        &format!("connect-src 'self' {secure}"),
    );
    (
        [
            (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
            (header::CACHE_CONTROL, "no-cache".to_owned()),
            (header::VARY, "accept-language, user-agent, host".to_owned()),
            (header::CONTENT_SECURITY_POLICY, policy),
        ],
        page,
    )
        .into_response()
}

/// DER: what Android, Windows and macOS open.
pub async fn certificate(State(door): State<Door>) -> Response {
    file(&door, "application/x-x509-ca-cert", "crt", |root| {
        root.der.to_vec()
    })
}

/// For programs, and Linux.
pub async fn pem(State(door): State<Door>) -> Response {
    file(&door, "application/x-pem-file", "pem", |root| {
        root.pem.clone().into_bytes()
    })
}

/// What iPhones and iPads install.
pub async fn profile(State(door): State<Door>) -> Response {
    let name = format!("Dais {}", door.box_id);
    file(
        &door,
        "application/x-apple-aspen-config",
        "mobileconfig",
        |root| mobileconfig(root, &name).into_bytes(),
    )
}

fn file(
    door: &Door,
    kind: &'static str,
    ending: &str,
    content: impl Fn(&Root) -> Vec<u8>,
) -> Response {
    let Some(root) = &door.root else {
        return nothing_to_trust();
    };
    let name = format!("attachment; filename=\"dais-ca.{ending}\"");
    (
        [
            (header::CONTENT_TYPE, kind.to_owned()),
            (header::CONTENT_DISPOSITION, name),
            (header::CACHE_CONTROL, "no-cache".to_owned()),
        ],
        content(root),
    )
        .into_response()
}

fn nothing_to_trust() -> Response {
    (
        StatusCode::NOT_FOUND,
        "Nothing is to be installed for this box: it has no certificate authority of its own, or https:// is switched off.\n",
    )
        .into_response()
}

/// An unsigned configuration profile with the certificate as its one payload
/// (<https://developer.apple.com/documentation/devicemanagement/certificateroot>).
fn mobileconfig(root: &Root, name: &str) -> String {
    let base64: String = root
        .pem
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    // The same certificate is the same profile: installed again, it takes the place of the one before.
    let id = |part: u8| {
        let mut bytes = [part; 16];
        let digits = root.fingerprint();
        for (byte, hex) in bytes.iter_mut().zip(digits.split(':').skip(1)) {
            *byte = u8::from_str_radix(hex, 16).unwrap_or(0);
        }
        bytes[0] = part;
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    };
    let (payload, profile): (Uuid, Uuid) = (id(1), id(2));
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>PayloadType</key><string>Configuration</string>
  <key>PayloadVersion</key><integer>1</integer>
  <key>PayloadIdentifier</key><string>dais.{profile}</string>
  <key>PayloadUUID</key><string>{profile}</string>
  <key>PayloadDisplayName</key><string>{name}</string>
  <key>PayloadDescription</key><string>Lets this device trust the box {name} in its local network.</string>
  <key>PayloadContent</key>
  <array>
    <dict>
      <key>PayloadType</key><string>com.apple.security.root</string>
      <key>PayloadVersion</key><integer>1</integer>
      <key>PayloadIdentifier</key><string>dais.{payload}</string>
      <key>PayloadUUID</key><string>{payload}</string>
      <key>PayloadDisplayName</key><string>{name}</string>
      <key>PayloadCertificateFileName</key><string>dais-ca.crt</string>
      <key>PayloadContent</key><data>{base64}</data>
    </dict>
  </array>
</dict>
</plist>
"#
    )
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    English,
    Chinese,
}

/// `?lang=` if somebody chose, else the first language of the browser that there is a page in.
fn language(query: Option<&str>, headers: &HeaderMap) -> Language {
    let accepted = headers
        .get(header::ACCEPT_LANGUAGE)
        .and_then(|languages| languages.to_str().ok())
        .unwrap_or_default();
    let chosen =
        query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("lang=")));
    let known = |tag: &str| match tag.trim().get(..2) {
        Some("zh") => Some(Language::Chinese),
        Some("en") => Some(Language::English),
        _ => None,
    };
    chosen
        .and_then(known)
        .or_else(|| accepted.split(',').find_map(known))
        .unwrap_or(Language::English)
}

/// Whose steps are shown unfolded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Device {
    Iphone,
    Android,
    Computer,
}

impl Device {
    fn of(headers: &HeaderMap) -> Self {
        let agent = headers
            .get(header::USER_AGENT)
            .and_then(|agent| agent.to_str().ok())
            .unwrap_or_default();
        // Android first: its browsers name several others. An iPad calls itself a Macintosh, and finds its steps folded.
        if agent.contains("Android") {
            Self::Android
        } else if agent.contains("iPhone") || agent.contains("iPad") {
            Self::Iphone
        } else {
            Self::Computer
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn the_page_speaks_the_phones_language() {
        let of =
            |query, accepted: &str| language(query, &headers(header::ACCEPT_LANGUAGE, accepted));
        assert_eq!(of(None, "zh-CN,zh;q=0.9,en;q=0.8"), Language::Chinese);
        assert_eq!(of(None, "de-DE, en;q=0.5, zh;q=0.1"), Language::English);
        assert_eq!(of(None, "fr"), Language::English);
        assert_eq!(of(Some("lang=en"), "zh-CN"), Language::English);
        assert_eq!(of(Some("a=b&lang=zh"), "en"), Language::Chinese);
    }

    #[test]
    fn the_steps_of_the_phone_at_hand_are_unfolded() {
        let of = |agent: &str| Device::of(&headers(header::USER_AGENT, agent));
        assert_eq!(
            of("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X)"),
            Device::Iphone
        );
        assert_eq!(
            of("Mozilla/5.0 (Linux; Android 14; Pixel 8)"),
            Device::Android
        );
        assert_eq!(of("Mozilla/5.0 (X11; Linux x86_64)"), Device::Computer);
    }
}
