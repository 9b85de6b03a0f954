//! Where marks lie in a picture: rows of luma are searched for the runs of the sync, at any scale.

use super::{DATA_COLUMNS, DATA_ROWS, Luma, SYNC};

/// A mark's place as it was found: left edge of the first data column, upper edge of the upper sync row, sizes of a cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Grid {
    pub x: f32,
    pub y: f32,
    pub cell_width: f32,
    pub cell_height: f32,
}

/// Half of limited range; and for tiles that are dimmed to half their light.
const THRESHOLDS: [u8; 2] = [126, 70];
/// Every second row: a cell that can be read has more rows than that.
const ROW_STEP: usize = 2;
/// In pixels; smaller ones don't survive an encoder.
const SMALLEST_CELL: f32 = 2.5;
/// More can't be marks; a picture made to look like many must not take for ever.
const MOST_STRIPS: usize = 256;

const RUNS: usize = 11;
/// Edges of the upper sync row in cells from its left end: ends of [`RUNS`].
const EDGES: [f32; RUNS + 1] = {
    let mut edges = [0.0; RUNS + 1];
    let (mut at, mut found) = (1, 1);
    while at < DATA_COLUMNS {
        if SYNC[at] != SYNC[at - 1] {
            edges[found] = at as f32;
            found += 1;
        }
        at += 1;
    }
    edges[found] = DATA_COLUMNS as f32;
    edges
};

/// Rows one above the other that show the same sync.
#[derive(Clone, Copy)]
struct Strip {
    mirrored: bool,
    x: f32,
    cell: f32,
    first: usize,
    last: usize,
}

impl Strip {
    fn same(&self, x: f32, cell: f32) -> bool {
        (self.cell - cell).abs() < 0.08 * cell.max(self.cell)
            && (self.x - x).abs() < 0.6 * cell
            && (self.x + 16.0 * self.cell - x - 16.0 * cell).abs() < 0.6 * cell
    }

    fn middle(&self) -> f32 {
        (self.first + self.last + 1) as f32 / 2.0
    }
}

#[derive(Default)]
pub(super) struct Finder {
    edges: Vec<f32>,
    strips: Vec<Strip>,
}

impl Finder {
    /// Calls `found` for each place where a mark may be.
    pub fn search(&mut self, luma: &Luma<'_>, mut found: impl FnMut(Grid)) {
        for threshold in THRESHOLDS {
            self.strips.clear();
            for y in (0..luma.height).step_by(ROW_STEP) {
                self.search_row(luma.row(y), threshold, y);
            }
            for upper in self.strips.iter().filter(|s| !s.mirrored) {
                for lower in self.strips.iter().filter(|s| s.mirrored) {
                    if !upper.same(lower.x, lower.cell) || lower.first <= upper.last {
                        continue;
                    }
                    let cell_width = (upper.cell + lower.cell) / 2.0;
                    let cell_height = (lower.middle() - upper.middle()) / (DATA_ROWS + 1) as f32;
                    if (0.4..2.5).contains(&(cell_height / cell_width)) {
                        found(Grid {
                            x: (upper.x + lower.x) / 2.0,
                            y: upper.middle() - cell_height / 2.0,
                            cell_width,
                            cell_height,
                        });
                    }
                }
            }
        }
    }

    fn search_row(&mut self, row: &[u8], threshold: u8, y: usize) {
        find_edges(row, threshold, &mut self.edges);
        // The first edge of the row goes up or down; a sync starts with one that goes up.
        let first_up = usize::from(row[0] >= threshold);
        let mut at = first_up;
        while let Some(window) = self.edges.get(at..at + RUNS + 1) {
            if let Some((mirrored, x, cell)) = sync(window) {
                note(&mut self.strips, mirrored, x, cell, y);
            }
            at += 2;
        }
    }
}

fn note(strips: &mut Vec<Strip>, mirrored: bool, x: f32, cell: f32, y: usize) {
    let near = strips.iter_mut().rev().find(|s| {
        s.mirrored == mirrored && s.same(x, cell) && (y - s.last) as f32 <= (cell / 2.0).max(4.0)
    });
    if let Some(strip) = near {
        let rows = ((strip.last - strip.first) / ROW_STEP + 1) as f32;
        strip.x += (x - strip.x) / (rows + 1.0);
        strip.cell += (cell - strip.cell) / (rows + 1.0);
        strip.last = y;
    } else if strips.len() < MOST_STRIPS {
        strips.push(Strip {
            mirrored,
            x,
            cell,
            first: y,
            last: y,
        });
    }
}

/// Whether these edges are those of a sync: mirrored or not, its left end, the width of a cell.
fn sync(edges: &[f32]) -> Option<(bool, f32, f32)> {
    let x = edges[0];
    let cell = (edges[RUNS] - x) / DATA_COLUMNS as f32;
    if cell < SMALLEST_CELL {
        return None;
    }
    // Ringing and a scaler's blur move an edge by a part of a pixel, however small the cell is.
    let slack = (0.25 * cell + 0.4).min(0.45 * cell);
    let fits = |wanted: f32, edge: f32| (edge - x - wanted * cell).abs() <= slack;
    let plain = (1..RUNS).all(|i| fits(EDGES[i], edges[i]));
    if plain {
        return Some((false, x, cell));
    }
    (1..RUNS)
        .all(|i| fits(DATA_COLUMNS as f32 - EDGES[RUNS - i], edges[i]))
        .then_some((true, x, cell))
}

/// Where the row crosses the threshold, between pixels.
fn find_edges(row: &[u8], threshold: u8, edges: &mut Vec<f32>) {
    const CHUNK: usize = 16;
    edges.clear();
    let mut white = row[0] >= threshold;
    for (i, chunk) in row.chunks(CHUNK).enumerate() {
        // Most of a picture has no edge in 16 pixels, and this test is a few vector instructions.
        let above = chunk.iter().map(|p| u8::from(*p >= threshold)).sum::<u8>();
        if usize::from(above) == if white { chunk.len() } else { 0 } {
            continue;
        }
        for (j, pixel) in chunk.iter().enumerate() {
            if (*pixel >= threshold) != white {
                white = !white;
                let at = i * CHUNK + j;
                let (a, b) = (f32::from(row[at - 1]), f32::from(*pixel));
                edges.push(at as f32 - 0.5 + (f32::from(threshold) - a) / (b - a));
            }
        }
    }
}
