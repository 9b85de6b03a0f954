//! Topic names: everything lives under `dais/v1/{box}/`.

use crate::Id;

/// Builds the topic names of one box.
#[derive(Clone, Debug)]
pub struct Topics {
    root: String,
}

impl Topics {
    pub fn new(box_id: &Id) -> Self {
        Self {
            root: format!("dais/v1/{box_id}/"),
        }
    }
    /// `dais/v1/{box}/`
    pub fn root(&self) -> &str {
        &self.root
    }
    pub fn online(&self) -> String {
        self.under("online")
    }
    pub fn room(&self) -> String {
        self.under("room")
    }
    pub fn pending(&self) -> String {
        self.under("pending")
    }
    pub fn outputs(&self) -> String {
        self.under("outputs")
    }
    pub fn health(&self) -> String {
        self.under("health")
    }
    pub fn meters(&self) -> String {
        self.under("meters")
    }
    pub fn host_events(&self) -> String {
        self.under("host/events")
    }
    pub fn host_up(&self, id: &str) -> String {
        self.under(&format!("host/{id}/up"))
    }
    pub fn host_down(&self, id: &str) -> String {
        self.under(&format!("host/{id}/down"))
    }
    pub fn guest_up(&self, id: &str) -> String {
        self.under(&format!("guest/{id}/up"))
    }
    pub fn guest_down(&self, id: &str) -> String {
        self.under(&format!("guest/{id}/down"))
    }
    fn under(&self, rest: &str) -> String {
        format!("{}{rest}", self.root)
    }
}
