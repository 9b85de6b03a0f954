//! A session description as plain lines. What a stranger wrote is read here, by code that can't crash; GStreamer's
//! parsers see only what [`super::answer`] wrote from it. (webrtcbin 1.22 ends the process on some descriptions.)

/// What RFC 8866 calls a description: attributes of the session and the m-lines with theirs.
#[derive(Debug, Default)]
pub(super) struct Description<'a> {
    pub attributes: Vec<Attribute<'a>>,
    pub media: Vec<Media<'a>>,
}

#[derive(Debug)]
pub(super) struct Media<'a> {
    pub kind: &'a str,
    pub port: u16,
    pub proto: &'a str,
    pub formats: Vec<&'a str>,
    pub attributes: Vec<Attribute<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Attribute<'a> {
    pub name: &'a str,
    pub value: &'a str,
}

/// The contract's bound for any payload.
const MAX_BYTES: usize = 64 * 1024;
/// A browser's answer has about 100 lines, the longest about 200 bytes.
const MAX_LINES: usize = 2000;
const MAX_LINE: usize = 2048;
const MAX_MEDIA: usize = 8;

impl<'a> Description<'a> {
    pub fn parse(text: &'a str) -> Result<Description<'a>, String> {
        if text.len() > MAX_BYTES {
            return Err(format!(
                "the description has {} bytes; {MAX_BYTES} are allowed",
                text.len()
            ));
        }
        let mut description = Description::default();
        let mut lines = 0;
        for (index, line) in text.lines().enumerate() {
            let at = index + 1;
            if line.is_empty() {
                continue;
            }
            lines += 1;
            if lines > MAX_LINES {
                return Err(format!("the description has more than {MAX_LINES} lines"));
            }
            if line.len() > MAX_LINE {
                return Err(format!(
                    "line {at} of the description is longer than {MAX_LINE} bytes"
                ));
            }
            if line.chars().any(char::is_control) {
                return Err(format!(
                    "line {at} of the description contains a control character"
                ));
            }
            let Some((kind, value)) = line.split_once('=').filter(|(kind, _)| kind.len() == 1)
            else {
                return Err(format!(
                    "line {at} of the description is not of the form x=value"
                ));
            };
            if lines == 1 && (kind, value) != ("v", "0") {
                return Err("the description does not begin with v=0".into());
            }
            match kind {
                "m" => {
                    if description.media.len() == MAX_MEDIA {
                        return Err(format!("the description has more than {MAX_MEDIA} m-lines"));
                    }
                    let media = Media::parse(value)
                        .ok_or_else(|| format!("the m-line in line {at} can't be read"))?;
                    description.media.push(media);
                }
                "a" => {
                    let (name, value) = value.split_once(':').unwrap_or((value, ""));
                    let attribute = Attribute { name, value };
                    match description.media.last_mut() {
                        Some(media) => media.attributes.push(attribute),
                        None => description.attributes.push(attribute),
                    }
                }
                _ => {}
            }
        }
        if lines == 0 {
            return Err("the description is empty".into());
        }
        Ok(description)
    }

    /// The value of `name` in the m-line, else of the whole session.
    pub fn value(&self, media: &Media<'a>, name: &str) -> Option<&'a str> {
        media.value(name).or_else(|| value(&self.attributes, name))
    }

    /// Every value of an attribute that may stand more than once: the m-line's, then the session's.
    pub fn values<'s>(
        &'s self,
        media: &'s Media<'a>,
        name: &'s str,
    ) -> impl Iterator<Item = &'a str> + 's {
        media.values(name).chain(values(&self.attributes, name))
    }
}

fn value<'a>(attributes: &[Attribute<'a>], name: &str) -> Option<&'a str> {
    attributes.iter().find(|a| a.name == name).map(|a| a.value)
}

fn values<'s, 'a>(
    attributes: &'s [Attribute<'a>],
    name: &'s str,
) -> impl Iterator<Item = &'a str> + 's {
    attributes
        .iter()
        .filter(move |a| a.name == name)
        .map(|a| a.value)
}

impl<'a> Media<'a> {
    fn parse(value: &'a str) -> Option<Media<'a>> {
        let mut words = value.split_ascii_whitespace();
        let (kind, port, proto) = (words.next()?, words.next()?, words.next()?);
        let port = port.parse().ok()?;
        let formats: Vec<_> = words.collect();
        if formats.is_empty() || formats.len() > 256 {
            return None;
        }
        Some(Media {
            kind,
            port,
            proto,
            formats,
            attributes: Vec::new(),
        })
    }

    pub fn value(&self, name: &str) -> Option<&'a str> {
        value(&self.attributes, name)
    }

    pub fn values<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'a str> + 's {
        values(&self.attributes, name)
    }

    /// The rest of `a=name:PT rest`, for a payload type.
    pub fn of_payload<'s>(
        &'s self,
        name: &'s str,
        payload: &'s str,
    ) -> impl Iterator<Item = &'a str> + 's {
        self.values(name).filter_map(move |value| {
            let (pt, rest) = value.split_once(' ')?;
            (pt == payload).then_some(rest)
        })
    }

    pub fn direction(&self) -> Option<Direction> {
        self.attributes
            .iter()
            .find_map(|a| Direction::named(a.name))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    fn named(name: &str) -> Option<Direction> {
        Some(match name {
            "sendrecv" => Direction::SendRecv,
            "sendonly" => Direction::SendOnly,
            "recvonly" => Direction::RecvOnly,
            "inactive" => Direction::Inactive,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    pub fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    pub fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }
}
