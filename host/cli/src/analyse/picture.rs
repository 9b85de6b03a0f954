//! What one video stream is like: steady or not, black or frozen, and the marks in it.

use gstdais::mark::{Luma, Reader};
use serde::Serialize;

use super::spans::{Spans, Watch};

/// Every so many pixels of every so many rows are compared.
const LATTICE: usize = 8;
const BLACK_LEVEL: u8 = 32;
/// So many of a hundred points must be dark.
const BLACK_PERCENT: usize = 98;
/// A still picture's noise after an encoder.
const SAME_LEVELS: u8 = 3;
const LEAST_BLACK_S: f64 = 0.1;
const LEAST_FROZEN_S: f64 = 0.5;
const MOST_MARKS: usize = 32;

/// One mark in one frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sight {
    pub frame: u64,
    /// When it is shown, seconds of the file.
    pub at: f64,
    pub mark: gstdais::mark::Mark,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stills {
    /// Shown frames that are dark all over, for a tenth of a second and more.
    pub black: Spans,
    /// The same picture for half a second and more.
    pub frozen: Spans,
    /// Decoded frames whose time is that of the one before, or earlier.
    pub backward: u64,
}

pub struct Picture {
    reader: Reader,
    lattice: Vec<u8>,
    previous: Vec<u8>,
    black: Watch,
    frozen: Watch,
    pub frames: u64,
    pub size: (usize, usize),
    pub fps: Option<f64>,
    pub sights: Vec<Sight>,
    pub first: Option<f64>,
    last: Option<f64>,
    pub end: f64,
    backward: u64,
}

impl Picture {
    pub fn new() -> Picture {
        Picture {
            reader: Reader::new(MOST_MARKS),
            lattice: Vec::new(),
            previous: Vec::new(),
            black: Watch::new(LEAST_BLACK_S),
            frozen: Watch::new(LEAST_FROZEN_S),
            frames: 0,
            size: (0, 0),
            fps: None,
            sights: Vec::new(),
            first: None,
            last: None,
            end: 0.0,
            backward: 0,
        }
    }

    pub fn push(&mut self, luma: &Luma<'_>, at: Option<f64>, duration: Option<f64>) {
        let at = at.unwrap_or(self.end);
        self.first.get_or_insert(at);
        self.backward += u64::from(self.last.is_some_and(|last| at <= last));
        for sighting in self.reader.read(luma) {
            self.sights.push(Sight {
                frame: self.frames,
                at,
                mark: sighting.mark,
            });
        }
        self.look_still(luma, at);
        self.frames += 1;
        self.last = Some(at);
        self.end = at + duration.unwrap_or(0.0);
    }

    fn look_still(&mut self, luma: &Luma<'_>, at: f64) {
        std::mem::swap(&mut self.lattice, &mut self.previous);
        self.lattice.clear();
        for y in (0..luma.height()).step_by(LATTICE) {
            self.lattice.extend(luma.row(y).iter().step_by(LATTICE));
        }
        let dark = self.lattice.iter().filter(|p| **p <= BLACK_LEVEL).count();
        self.black
            .see(at, dark * 100 >= self.lattice.len() * BLACK_PERCENT);
        let same = self.lattice.len() == self.previous.len()
            && self
                .lattice
                .iter()
                .zip(&self.previous)
                .all(|(a, b)| a.abs_diff(*b) <= SAME_LEVELS);
        // It froze when the first of the equal frames was shown.
        let since = self.last.unwrap_or(at);
        self.frozen.see(if same { since } else { at }, same);
    }

    pub fn stills(self) -> Stills {
        Stills {
            black: self.black.end(self.end),
            frozen: self.frozen.end(self.end),
            backward: self.backward,
        }
    }
}
