//! What the image of a board says for its boxes: it lies below a box's own settings, key by key, and comes with each update.

use std::path::Path;

use toml::{Table, Value};

use super::{Config, ConfigError, read};

/// In the images of boards alone.
pub const BOARD: &str = "/usr/share/dais/board.toml";

/// A board's settings, which pass every check by themselves.
#[derive(Clone, Debug, Default)]
pub struct Board(Table);

impl Board {
    /// None on a machine that no image was made for.
    pub fn read(path: &Path) -> Result<Board, ConfigError> {
        if !path.exists() {
            return Ok(Board::default());
        }
        Board::parse(path, &read(path)?)
    }

    /// `path` is only named in errors.
    pub fn parse(path: &Path, text: &str) -> Result<Board, ConfigError> {
        Config::parse(path, text)?;
        Ok(Board(text.parse().unwrap_or_default()))
    }

    /// The board's settings with `over` above them.
    pub fn below(&self, over: Table) -> Table {
        let mut all = self.0.clone();
        lay(&mut all, over);
        all
    }
}

fn lay(below: &mut Table, over: Table) {
    for (key, value) in over {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(over)) => lay(below, over),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}
