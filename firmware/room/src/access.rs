//! Who may publish and read what: the access table of the control contract, as pure functions.
//!
//! The embedded broker asks these functions at each packet, and an external broker is given roles made from
//! [`publish_topics`] and [`readable_filters`], so that both enforce the same table. Whatever the table does not
//! name is refused.

use std::fmt;

/// What someone on the control plane is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The firmware itself.
    Box,
    /// An operator's console.
    Host,
    /// Someone who watches and may go on air.
    Guest,
}

/// Somebody with a credential: a role, and the bare id that stands in topics and payloads.
///
/// The box has no id of its own: `id` is empty exactly when `role` is [`Role::Box`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// What they are.
    pub role: Role,
    /// Their bare id, as in `guest/{id}/up`.
    pub id: String,
}

/// The user name of the firmware's own client.
pub const BOX_USERNAME: &str = "box";

/// The longest id that the contract allows.
pub const MAX_ID_LEN: usize = 32;

/// The first levels of every topic, before `{box}`.
const ROOT: &str = "dais/v1";

/// True for 1 to 32 characters of `a-z 0-9 -`: the form of `{box}` and of every `<id>`.
#[must_use]
pub fn is_valid_id(id: &str) -> bool {
    (1..=MAX_ID_LEN).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

impl Identity {
    /// The firmware itself.
    #[must_use]
    pub fn the_box() -> Self {
        Self {
            role: Role::Box,
            id: String::new(),
        }
    }

    /// A console, if `id` has the form of an id.
    #[must_use]
    pub fn host(id: &str) -> Option<Self> {
        Self::with_id(Role::Host, id)
    }

    /// A guest, if `id` has the form of an id.
    #[must_use]
    pub fn guest(id: &str) -> Option<Self> {
        Self::with_id(Role::Guest, id)
    }

    fn with_id(role: Role, id: &str) -> Option<Self> {
        is_valid_id(id).then(|| Self {
            role,
            id: id.to_owned(),
        })
    }

    /// The MQTT user name: `box`, `host-<id>` or `guest-<id>`.
    #[must_use]
    pub fn username(&self) -> String {
        match self.role {
            Role::Box => BOX_USERNAME.to_owned(),
            Role::Host => format!("host-{}", self.id),
            Role::Guest => format!("guest-{}", self.id),
        }
    }

    /// Reads an MQTT user name back; `None` if it is not one that this contract gives out.
    #[must_use]
    pub fn from_username(username: &str) -> Option<Self> {
        if username == BOX_USERNAME {
            return Some(Self::the_box());
        }
        if let Some(id) = username.strip_prefix("host-") {
            return Self::host(id);
        }
        Self::guest(username.strip_prefix("guest-")?)
    }

    /// Whose request a message on this topic is: `{who}/{id}/up` of that host or guest, and nothing else.
    #[must_use]
    pub fn from_up_topic(box_id: &str, topic: &str) -> Option<Self> {
        let mut levels = below_root(box_id, topic)?.split('/');
        let (who, id, up) = (levels.next()?, levels.next()?, levels.next()?);
        if up != "up" || levels.next().is_some() {
            return None;
        }
        match who {
            "host" => Self::host(id),
            "guest" => Self::guest(id),
            _ => None,
        }
    }

    /// The topic on which this client sends its requests. The box sends none.
    #[must_use]
    pub fn up_topic(&self, box_id: &str) -> Option<String> {
        Some(format!("{ROOT}/{box_id}/{}/{}/up", self.level()?, self.id))
    }

    /// The topic on which this client gets its replies. The box gets none.
    #[must_use]
    pub fn down_topic(&self, box_id: &str) -> Option<String> {
        Some(format!(
            "{ROOT}/{box_id}/{}/{}/down",
            self.level()?,
            self.id
        ))
    }

    fn level(&self) -> Option<&'static str> {
        match self.role {
            Role::Box => None,
            Role::Host => Some("host"),
            Role::Guest => Some("guest"),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.username())
    }
}

/// Who reads a row of the table. The box may read all of them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readers {
    All,
    Hosts,
    /// Only the client whose id stands in the topic.
    Own(Role),
    /// Only the box.
    Nobody,
}

/// Who writes a row of the table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writer {
    Box,
    Own(Role),
}

struct Row {
    /// Below `dais/v1/{box}/`; `+` stands for any id, and a last `#` for the topic itself and all below it.
    pattern: &'static [&'static str],
    writer: Writer,
    readers: Readers,
}

const fn row(pattern: &'static [&'static str], writer: Writer, readers: Readers) -> Row {
    Row {
        pattern,
        writer,
        readers,
    }
}

/// The table of the contract. Replies may go to topics below a client's `down`, hence `#` there.
const TABLE: [Row; 11] = [
    row(&["online"], Writer::Box, Readers::All),
    row(&["room"], Writer::Box, Readers::All),
    row(&["meters"], Writer::Box, Readers::All),
    row(&["pending"], Writer::Box, Readers::Hosts),
    row(&["outputs"], Writer::Box, Readers::Hosts),
    row(&["health"], Writer::Box, Readers::Hosts),
    row(&["host", "events"], Writer::Box, Readers::Hosts),
    row(
        &["host", "+", "up"],
        Writer::Own(Role::Host),
        Readers::Nobody,
    ),
    row(
        &["host", "+", "down", "#"],
        Writer::Box,
        Readers::Own(Role::Host),
    ),
    row(
        &["guest", "+", "up"],
        Writer::Own(Role::Guest),
        Readers::Nobody,
    ),
    row(
        &["guest", "+", "down", "#"],
        Writer::Box,
        Readers::Own(Role::Guest),
    ),
];

/// May this client publish to this topic of this box?
#[must_use]
pub fn may_publish(who: &Identity, box_id: &str, topic: &str) -> bool {
    if topic.contains(['+', '#', '\0']) {
        return false;
    }
    let Some(rest) = below_root(box_id, topic) else {
        return false;
    };
    let levels: Vec<&str> = rest.split('/').collect();
    let Some(row) = TABLE.iter().find(|row| topic_matches(row.pattern, &levels)) else {
        return false;
    };
    match row.writer {
        Writer::Box => who.role == Role::Box,
        Writer::Own(role) => who.role == role && levels.get(1) == Some(&who.id.as_str()),
    }
}

/// `online` of whichever box this broker serves.
const ANY_ONLINE: &str = "dais/v1/+/online";

/// May this client subscribe to this filter of this box?
///
/// A filter with wildcards is allowed only if every row of the table that it could match is readable by this client.
/// A filter that matches nothing in the table, reaches beyond this box, or begins with `$` is refused.
#[must_use]
pub fn may_subscribe(who: &Identity, box_id: &str, filter: &str) -> bool {
    // Everybody may read `online`; a console that was given only an address finds the box's id by it.
    if filter == ANY_ONLINE {
        return true;
    }
    let Some(rest) = below_root(box_id, filter) else {
        return false;
    };
    let levels: Vec<&str> = rest.split('/').collect();
    if !is_valid_filter(&levels) {
        return false;
    }
    let mut matched = TABLE
        .iter()
        .filter(|row| overlaps(row.pattern, &levels))
        .peekable();
    matched.peek().is_some() && matched.all(|row| may_read(who, row, &levels))
}

/// The filters that together name everything this client may read, for a broker that is told instead of asking.
#[must_use]
pub fn readable_filters(who: &Identity, box_id: &str) -> Vec<String> {
    TABLE
        .iter()
        .filter(|row| match row.readers {
            _ if who.role == Role::Box => true,
            Readers::All => true,
            Readers::Hosts => who.role == Role::Host,
            Readers::Own(role) => who.role == role,
            Readers::Nobody => false,
        })
        .map(|row| full(row, who, box_id))
        .collect()
}

/// The topics that this client may publish to, as filters (`+` for any id where the box writes to each client).
#[must_use]
pub fn publish_topics(who: &Identity, box_id: &str) -> Vec<String> {
    TABLE
        .iter()
        .filter(|row| match row.writer {
            Writer::Box => who.role == Role::Box,
            Writer::Own(role) => who.role == role,
        })
        .map(|row| full(row, who, box_id))
        .collect()
}

fn full(row: &Row, who: &Identity, box_id: &str) -> String {
    let levels: Vec<&str> = row
        .pattern
        .iter()
        .map(|level| match *level {
            "+" if who.role != Role::Box => who.id.as_str(),
            other => other,
        })
        .collect();
    format!("{ROOT}/{box_id}/{}", levels.join("/"))
}

fn may_read(who: &Identity, row: &Row, filter: &[&str]) -> bool {
    match row.readers {
        _ if who.role == Role::Box => true,
        Readers::All => true,
        Readers::Hosts => who.role == Role::Host,
        // A wildcard in the place of the id matches other people's topics as well.
        Readers::Own(role) => who.role == role && filter.get(1) == Some(&who.id.as_str()),
        Readers::Nobody => false,
    }
}

/// What follows `dais/v1/{box}/`, which must stand there literally.
fn below_root<'a>(box_id: &str, topic: &'a str) -> Option<&'a str> {
    topic
        .strip_prefix(ROOT)?
        .strip_prefix('/')?
        .strip_prefix(box_id)?
        .strip_prefix('/')
}

/// `+` and `#` stand alone in their level, and `#` only last.
fn is_valid_filter(levels: &[&str]) -> bool {
    levels.iter().enumerate().all(|(i, level)| match *level {
        "+" => true,
        "#" => i + 1 == levels.len(),
        other => !other.contains(['+', '#', '\0']),
    })
}

/// Does a row name this topic? An id must have the form of an id.
fn topic_matches(pattern: &[&str], topic: &[&str]) -> bool {
    match (pattern.split_first(), topic.split_first()) {
        (None, None) => true,
        (Some((&"#", _)), _) => true,
        (Some((&"+", pattern)), Some((id, topic))) => {
            is_valid_id(id) && topic_matches(pattern, topic)
        }
        (Some((want, pattern)), Some((have, topic))) => {
            want == have && topic_matches(pattern, topic)
        }
        _ => false,
    }
}

/// Is there a topic that both a row and a filter match?
fn overlaps(pattern: &[&str], filter: &[&str]) -> bool {
    match (pattern.split_first(), filter.split_first()) {
        (None, None) => true,
        // `a/#` matches `a` as well, on either side.
        (_, Some((&"#", _))) | (Some((&"#", _)), _) => true,
        (Some((&"+", pattern)), Some((level, filter))) => {
            (*level == "+" || is_valid_id(level)) && overlaps(pattern, filter)
        }
        (Some((want, pattern)), Some((level, filter))) => {
            (*level == "+" || want == level) && overlaps(pattern, filter)
        }
        _ => false,
    }
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
