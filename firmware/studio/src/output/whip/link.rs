//! STUN and TURN servers that a WHIP server names in `Link` headers (RFC 9725, 4.6).

use crate::config::{Secret, TurnServer};

/// As many as a peer connection can use; each costs candidates and time.
const MAX_TURN: usize = 4;
const MAX_URL: usize = 256;
const MAX_WORD: usize = 512;

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct IceServers {
    pub stun: Option<String>,
    pub turn: Vec<TurnServer>,
}

impl IceServers {
    pub fn is_empty(&self) -> bool {
        self.stun.is_none() && self.turn.is_empty()
    }

    /// What is no server is passed over.
    pub fn parse<'a>(headers: impl Iterator<Item = &'a str>) -> IceServers {
        let mut servers = IceServers::default();
        for link in headers.flat_map(|header| split(header, ',')) {
            servers.add(link);
        }
        servers
    }

    fn add(&mut self, link: &str) {
        let mut parts = split(link, ';').into_iter();
        let url = parts.next().unwrap_or_default().trim();
        let Some(url) = url.strip_prefix('<').and_then(|u| u.strip_suffix('>')) else {
            return;
        };
        let (mut rel, mut username, mut credential) = (String::new(), String::new(), String::new());
        for part in parts {
            let Some((name, value)) = part.split_once('=') else {
                continue;
            };
            let value = unquoted(value.trim());
            match name.trim() {
                "rel" => rel = value,
                "username" => username = value,
                "credential" => credential = value,
                _ => {}
            }
        }
        let fits = url.len() <= MAX_URL && username.len().max(credential.len()) <= MAX_WORD;
        let plain = !url
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || c == '@');
        if !fits || !plain || !rel.split(' ').any(|r| r == "ice-server") {
            return;
        }
        if url.starts_with("stun:") {
            self.stun.get_or_insert_with(|| url.to_owned());
        } else if (url.starts_with("turn:") || url.starts_with("turns:"))
            && self.turn.len() < MAX_TURN
        {
            self.turn.push(TurnServer {
                url: url.to_owned(),
                username,
                credential: Secret::new(credential),
            });
        }
    }
}

/// At each `separator` that stands neither in quotes nor between `<` and `>`.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped, mut angle) = (false, false, false);
    text.split(|c| {
        let was_escaped = escaped;
        escaped = quoted && c == '\\' && !was_escaped;
        match c {
            '"' if !was_escaped && !angle => quoted = !quoted,
            '<' if !quoted => angle = true,
            '>' if !quoted => angle = false,
            _ => {}
        }
        c == separator && !quoted && !angle
    })
    .collect()
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut escaped = false;
    inner
        .chars()
        .filter(|&c| {
            escaped = c == '\\' && !escaped;
            !escaped
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_from_one_header_or_several() {
        let servers = IceServers::parse(
            [
                r#"<stun:stun.example.net>; rel="ice-server", <https://whip.example/ext>; rel="urn:ietf:params:whip:ext:example""#,
                r#"<turn:turn.example.net?transport=udp>; rel="ice-server"; username="us,er;1"; credential="my \"Pass\\word\""; credential-type="password""#,
                "<turns:turn.example.net:5349>; rel=ice-server; username=u; credential=c",
            ]
            .into_iter(),
        );
        assert_eq!(servers.stun.as_deref(), Some("stun:stun.example.net"));
        let turn = |url: &str, username: &str, credential: &str| TurnServer {
            url: url.into(),
            username: username.into(),
            credential: Secret::new(credential),
        };
        assert_eq!(
            servers.turn,
            [
                turn(
                    "turn:turn.example.net?transport=udp",
                    "us,er;1",
                    r#"my "Pass\word""#
                ),
                turn("turns:turn.example.net:5349", "u", "c"),
            ]
        );
    }

    #[test]
    fn what_is_no_server_is_passed_over_and_their_number_is_bounded() {
        for header in [
            "",
            "stun:x; rel=ice-server",
            "<http://x>; rel=ice-server",
            "<turn:user:pw@x>; rel=ice-server",
            "<turn:x\u{7}>; rel=ice-server",
            "<stun:x>; rel=\"next\"",
            "<stun:x; rel=\"ice-server\"",
        ] {
            assert!(
                IceServers::parse([header].into_iter()).is_empty(),
                "{header}"
            );
        }
        let many = "<turn:x>; rel=ice-server,".repeat(100);
        assert_eq!(
            IceServers::parse([many.as_str()].into_iter()).turn.len(),
            MAX_TURN
        );
    }
}
