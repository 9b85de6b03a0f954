//! Once only: the last 256 ids of each sender, for ten minutes, with their replies.

use std::collections::{BTreeMap, VecDeque};

use dais_protocol::RpcError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Caller;

pub(super) const IDS_PER_SENDER: usize = 256;
pub(super) const REMEMBER_MS: u64 = 10 * 60 * 1000;
/// The sender who was silent longest is forgotten past this: all guests and consoles that can be live, and some.
pub(super) const SENDERS: usize = super::PEOPLE + 100;

type Reply = Result<Value, RpcError>;

/// Whether a request is to be carried out.
#[derive(Clone, Debug, PartialEq)]
pub enum Once {
    /// Its id is new: carry it out.
    New,
    /// It was answered, with this.
    Answered(Result<Value, RpcError>),
    /// It came before and is still being carried out: its reply is on the way.
    Underway,
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    id: String,
    reply: Option<Reply>,
    forget_at: u64,
}

/// A reply as the journal keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub from: Caller,
    pub id: String,
    pub reply: Reply,
    pub forget_at: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Replies {
    senders: BTreeMap<Caller, VecDeque<Entry>>,
}

impl Replies {
    /// Looks an id up; one that is new counts as underway from now on.
    pub fn begin(&mut self, from: &Caller, id: &str, now: u64) -> Once {
        if let Some(entry) = self.find(from, id, now) {
            return match &entry.reply {
                Some(reply) => Once::Answered(reply.clone()),
                None => Once::Underway,
            };
        }
        self.push(
            from,
            Entry {
                id: id.to_owned(),
                reply: None,
                forget_at: now.saturating_add(REMEMBER_MS),
            },
        );
        Once::New
    }

    pub fn finish(&mut self, from: &Caller, id: &str, reply: Reply, now: u64) {
        if let Some(entry) = self.find(from, id, now) {
            entry.reply = Some(reply);
        } else {
            self.push(
                from,
                Entry {
                    id: id.to_owned(),
                    reply: Some(reply),
                    forget_at: now.saturating_add(REMEMBER_MS),
                },
            );
        }
    }

    pub fn purge(&mut self, now: u64) {
        self.senders.retain(|_, entries| {
            entries.retain(|entry| entry.forget_at > now);
            !entries.is_empty()
        });
    }

    pub fn kept(&self, from: &Caller, id: &str) -> Option<Kept> {
        self.senders
            .get(from)?
            .iter()
            .find(|entry| entry.id == id)
            .and_then(|entry| keep(from, entry))
    }

    pub fn all_kept(&self) -> Vec<Kept> {
        self.senders
            .iter()
            .flat_map(|(from, entries)| entries.iter().filter_map(|entry| keep(from, entry)))
            .collect()
    }

    pub fn restore(kept: impl IntoIterator<Item = Kept>) -> Self {
        let mut replies = Self::default();
        for Kept {
            from,
            id,
            reply,
            forget_at,
        } in kept
        {
            replies.push(
                &from,
                Entry {
                    id,
                    reply: Some(reply),
                    forget_at,
                },
            );
        }
        replies
    }

    fn find(&mut self, from: &Caller, id: &str, now: u64) -> Option<&mut Entry> {
        self.senders
            .get_mut(from)?
            .iter_mut()
            .find(|entry| entry.id == id && entry.forget_at > now)
    }

    fn push(&mut self, from: &Caller, entry: Entry) {
        if !self.senders.contains_key(from) && self.senders.len() >= SENDERS {
            let silent = self
                .senders
                .iter()
                .min_by_key(|(_, entries)| entries.back().map_or(0, |entry| entry.forget_at));
            if let Some(from) = silent.map(|(from, _)| from.clone()) {
                self.senders.remove(&from);
            }
        }
        let entries = self.senders.entry(from.clone()).or_default();
        entries.retain(|old| old.id != entry.id);
        if entries.len() >= IDS_PER_SENDER {
            entries.pop_front();
        }
        entries.push_back(entry);
    }

    #[cfg(test)]
    pub fn retain(&mut self, keep: impl Fn(&Caller, &str) -> bool) {
        for (from, entries) in &mut self.senders {
            entries.retain(|entry| keep(from, &entry.id));
        }
        self.senders.retain(|_, entries| !entries.is_empty());
    }
}

fn keep(from: &Caller, entry: &Entry) -> Option<Kept> {
    let reply = entry.reply.clone()?;
    Some(Kept {
        from: from.clone(),
        id: entry.id.clone(),
        reply,
        forget_at: entry.forget_at,
    })
}
