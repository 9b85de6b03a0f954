//! Values with bounds: what cannot be built cannot reach the room.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Why a value was refused; shown to the sender behind the name of the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OutOfBounds(String);

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $pattern:expr, $max:expr, $check:expr, $why:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String", extend("minLength" = 1, "maxLength" = $max, "pattern" = $pattern))]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = OutOfBounds;
            fn try_from(text: String) -> Result<Self, OutOfBounds> {
                if ($check)(&text) { Ok(Self(text)) } else { Err(OutOfBounds($why.into())) }
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }
        impl std::str::FromStr for $name {
            type Err = OutOfBounds;
            fn from_str(text: &str) -> Result<Self, OutOfBounds> {
                Self::try_from(text.to_owned())
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl std::ops::Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

text!(
    /// The bare id of a user or a box: 1 to 32 of `a-z 0-9 -`.
    Id, "^[a-z0-9-]+$", 32,
    |t: &str| (1..=32).contains(&t.len()) && t.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')),
    "an id is 1 to 32 of a-z, 0-9 and -"
);
text!(
    /// What people call a person, a room or an output: 1 to 40 characters, none of them a control character or one that turns the
    /// direction of what is written around it, not only blanks.
    Name, "\\S", 40,
    |t: &str| (1..=40).contains(&t.chars().count()) && !t.chars().any(|c| c.is_control() || turns(c)) && !t.trim().is_empty(),
    "a name is 1 to 40 characters, with no control characters and not only blanks"
);
text!(
    /// A sentence from the host to a guest: 1 to 200 characters.
    Words, "^", 200,
    |t: &str| (1..=200).contains(&t.chars().count()) && !t.chars().any(|c| c.is_control() && c != '\n'),
    "a message is 1 to 200 characters, with no control characters"
);
text!(
    /// A media session, a request or an output as the box named it: 1 to 64 printable ASCII characters.
    Token, "^[!-~]+$", 64,
    |t: &str| (1..=64).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_graphic()),
    "an identifier is 1 to 64 printable ASCII characters"
);

impl Id {
    /// A new random id: 16 of `a-f 0-9`, 64 bits.
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().simple().to_string()[..16].to_owned())
    }
}

impl Token {
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().simple().to_string())
    }
}

/// Embeddings, overrides and isolates of the bidirectional algorithm (UAX #9): in a name they would reverse the sentence that it
/// stands in. Names written from right to left need none.
fn turns(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

macro_rules! number {
    ($(#[doc = $doc:literal])* $name:ident, $inner:ident, $min:expr, $max:expr, $what:expr) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
        #[serde(try_from = "f64")]
        pub struct $name($inner);

        // By hand, because derived through f64 a seat would go out as `1.0` and its schema would be a double's.
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                number!(@wire $inner, self.0).serialize(serializer)
            }
        }
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "description": concat!($($doc),*).trim(),
                    "type": number!(@type $inner),
                    "minimum": $min as $inner,
                    "maximum": $max as $inner,
                })
            }
        }

        impl $name {
            pub const MIN: $inner = $min;
            pub const MAX: $inner = $max;
            pub const fn get(self) -> $inner {
                self.0
            }
        }
        impl TryFrom<f64> for $name {
            type Error = OutOfBounds;
            fn try_from(value: f64) -> Result<Self, OutOfBounds> {
                let bounded = (f64::from($min as $inner)..=f64::from($max as $inner)).contains(&value);
                let whole = number!(@type $inner) == "number" || value.fract() == 0.0;
                if bounded && whole {
                    Ok(Self(value as $inner))
                } else {
                    Err(OutOfBounds(format!("{} is {} to {}", $what, $min, $max)))
                }
            }
        }
    };
    (@type f32) => { "number" };
    // -3.3 as f32 is -3.2999999523… as f64, and would be told so: through its shortest text it stays -3.3.
    (@wire f32, $value:expr) => { $value.to_string().parse::<f64>().unwrap_or_default() };
    (@wire $int:ty, $value:expr) => { $value };
    (@type $int:ty) => { "integer" };
}

number!(
    /// How long a request or an invitation stays open, in seconds: 1 to 300, 60 if left out.
    TimeoutS, u32, 1, 300, "a timeout in whole seconds"
);
number!(
    /// A guest's seat, 1 to 9. The host sits on seat 0, which no message names.
    Seat, u8, 1, 9, "a seat"
);
number!(
    /// How many guests may be on air, 1 to 9.
    MaxGuests, u8, 1, 9, "the number of guests"
);
number!(
    /// The gain of a seat in dB, -60 to 12.
    GainDb, f32, -60.0, 12.0, "a gain in dB"
);
number!(
    /// How often an invite may be used, 1 to 1,000.
    Uses, u32, 1, 1000, "the number of uses"
);
number!(
    /// How long an invite is good, in seconds: 1 second to 30 days.
    TtlS, u32, 1, 2_592_000, "a lifetime in whole seconds"
);

impl Eq for Seat {}
impl PartialOrd for Seat {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Seat {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl std::hash::Hash for Seat {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl Seat {
    /// All nine, lowest first.
    pub fn all() -> impl Iterator<Item = Seat> {
        (Self::MIN..=Self::MAX).map(Seat)
    }
}
impl Default for TimeoutS {
    fn default() -> Self {
        Self(60)
    }
}
impl Default for MaxGuests {
    fn default() -> Self {
        Self(9)
    }
}
impl Default for GainDb {
    fn default() -> Self {
        Self(0.0)
    }
}

/// How the programme's picture is divided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    #[default]
    Auto,
    Solo,
    SideBySide,
    Grid,
    Spotlight,
    Pip,
}

impl Layout {
    pub const ALL: [Layout; 6] = [
        Self::Auto,
        Self::Solo,
        Self::SideBySide,
        Self::Grid,
        Self::Spotlight,
        Self::Pip,
    ];
}

/// The kinds of destination that `output.start` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OutputKind {
    Rtmp,
    Srt,
    Whip,
}

/// In characters; no service's key is near it.
const MAX_SECRET: usize = 1024;

/// A stream key or password. It prints as `***` and is never serialised into a log or a snapshot.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(extend("writeOnly" = true, "maxLength" = MAX_SECRET))]
pub struct Secret(pub String);

impl TryFrom<String> for Secret {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.chars().count() > MAX_SECRET {
            return Err("a key is at most 1024 characters");
        }
        Ok(Self(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
