//! Reads the marks of a picture, several at once, and follows them from picture to picture.

use super::code::{BITS, Mark};
use super::find::{Finder, Grid};
use super::{COLUMNS, DATA_COLUMNS, DATA_ROWS, Luma, ROWS, SYNC};

/// A picture is searched again after so many, for marks that came.
const SEARCH_EVERY: u32 = 16;
/// A mark that was not read in so many pictures has gone.
const GONE_AFTER: u32 = 60;
/// Between the sync's black and white, in levels of luma.
const LEAST_CONTRAST: f32 = 48.0;
/// Of 32.
const MOST_WRONG_SYNC: usize = 3;
/// Tries beside the found place, in cells.
const NUDGES: [(f32, f32); 5] = [
    (0.0, 0.0),
    (0.0, 0.25),
    (0.0, -0.25),
    (0.25, 0.0),
    (-0.25, 0.0),
];

/// A mark that was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sighting {
    pub mark: Mark,
    /// The place with its margins: left, top, width, height in pixels.
    pub rect: [f32; 4],
    /// Doubtful cells that were taken for their opposite before the check code fitted.
    pub corrected: u32,
}

impl Sighting {
    fn holds(&self, x: f32, y: f32) -> bool {
        let [left, top, width, height] = self.rect;
        (left..left + width).contains(&x) && (top..top + height).contains(&y)
    }

    fn middle(&self) -> (f32, f32) {
        let [left, top, width, height] = self.rect;
        (left + width / 2.0, top + height / 2.0)
    }
}

struct Known {
    grid: Grid,
    source: u8,
    missed: u32,
}

/// Finds marks once and then looks where they were; what is missing there is searched for again.
pub struct Reader {
    most: usize,
    known: Vec<Known>,
    seen: Vec<Sighting>,
    finder: Finder,
    since_search: u32,
}

impl Reader {
    /// Reads at most `most` marks a picture.
    pub fn new(most: usize) -> Reader {
        Reader {
            most,
            known: Vec::new(),
            seen: Vec::new(),
            finder: Finder::default(),
            since_search: SEARCH_EVERY,
        }
    }

    pub fn read(&mut self, luma: &Luma<'_>) -> &[Sighting] {
        self.seen.clear();
        let mut missing = self.known.is_empty();
        for known in &mut self.known {
            match decode(luma, known.grid) {
                Some((sighting, grid)) => {
                    *known = Known {
                        grid,
                        source: sighting.mark.source,
                        missed: 0,
                    };
                    self.seen.push(sighting);
                }
                None => {
                    known.missed += 1;
                    missing = true;
                }
            }
        }
        self.since_search += 1;
        if missing || self.since_search >= SEARCH_EVERY {
            self.since_search = 0;
            self.search(luma);
        }
        self.known.retain(|known| known.missed < GONE_AFTER);
        &self.seen
    }

    fn search(&mut self, luma: &Luma<'_>) {
        let Reader {
            most,
            known,
            seen,
            finder,
            ..
        } = self;
        finder.search(luma, |grid| {
            let (x, y) = (
                grid.x + grid.cell_width * DATA_COLUMNS as f32 / 2.0,
                grid.y + grid.cell_height * (DATA_ROWS + 2) as f32 / 2.0,
            );
            if seen.len() >= *most || seen.iter().any(|s| s.holds(x, y)) {
                return;
            }
            let Some((sighting, grid)) = decode(luma, grid) else {
                return;
            };
            let (x, y) = sighting.middle();
            // It moved, or another took its place.
            known.retain(|k| {
                let there = rect(k.grid);
                let covered = (there[0]..there[0] + there[2]).contains(&x)
                    && (there[1]..there[1] + there[3]).contains(&y);
                k.missed == 0 || (k.source != sighting.mark.source && !covered)
            });
            known.push(Known {
                grid,
                source: sighting.mark.source,
                missed: 0,
            });
            seen.push(sighting);
        });
    }
}

fn rect(grid: Grid) -> [f32; 4] {
    [
        grid.x - grid.cell_width,
        grid.y - grid.cell_height,
        grid.cell_width * COLUMNS as f32,
        grid.cell_height * ROWS as f32,
    ]
}

fn decode(luma: &Luma<'_>, grid: Grid) -> Option<(Sighting, Grid)> {
    NUDGES.iter().find_map(|(dx, dy)| {
        let grid = Grid {
            x: grid.x + dx * grid.cell_width,
            y: grid.y + dy * grid.cell_height,
            ..grid
        };
        let (mark, corrected) = decode_at(luma, grid)?;
        let sighting = Sighting {
            mark,
            rect: rect(grid),
            corrected,
        };
        Some((sighting, grid))
    })
}

fn decode_at(luma: &Luma<'_>, grid: Grid) -> Option<(Mark, u32)> {
    let right = grid.x + grid.cell_width * DATA_COLUMNS as f32;
    let bottom = grid.y + grid.cell_height * (DATA_ROWS + 2) as f32;
    if grid.x < 0.0 || grid.y < 0.0 || right > luma.width as f32 || bottom > luma.height as f32 {
        return None;
    }
    // Row 0 is the upper sync, then the data, then the lower sync.
    let mut sync = [0.0f32; 2 * DATA_COLUMNS];
    for column in 0..DATA_COLUMNS {
        sync[column] = cell(luma, grid, column, 0);
        sync[2 * DATA_COLUMNS - 1 - column] = cell(luma, grid, column, DATA_ROWS + 1);
    }
    let white_at = |i: usize| SYNC[i % DATA_COLUMNS];
    let mean = |white: bool| {
        let (sum, n) = (0..sync.len())
            .filter(|i| white_at(*i) == white)
            .fold((0.0, 0.0), |(sum, n), i| (sum + sync[i], n + 1.0));
        sum / n
    };
    let (white, black) = (mean(true), mean(false));
    if white - black < LEAST_CONTRAST {
        return None;
    }
    let (middle, half) = ((white + black) / 2.0, (white - black) / 2.0);
    let wrong = (0..sync.len())
        .filter(|i| (sync[*i] > middle) != white_at(*i))
        .count();
    if wrong > MOST_WRONG_SYNC {
        return None;
    }
    let cells: [f32; BITS] = std::array::from_fn(|i| {
        let value = cell(luma, grid, i % DATA_COLUMNS, i / DATA_COLUMNS + 1);
        (value - middle) / half
    });
    Mark::from_cells(&cells)
}

/// The mean of the cell's inner half.
fn cell(luma: &Luma<'_>, grid: Grid, column: usize, row: usize) -> f32 {
    let span = |start: f32, size: f32, index: usize, side: usize| {
        let from = start + size * (index as f32 + 0.25);
        let first = ((from + 0.5) as usize).min(side - 1);
        let last = ((from + 0.5 * size + 0.5) as usize).clamp(first + 1, side);
        first..last
    };
    let columns = span(grid.x, grid.cell_width, column, luma.width);
    let rows = span(grid.y, grid.cell_height, row, luma.height);
    let count = columns.len() * rows.len();
    let sum: u64 = rows
        .map(|y| {
            let pixels = &luma.row(y)[columns.clone()];
            pixels.iter().map(|p| u64::from(*p)).sum::<u64>()
        })
        .sum();
    sum as f32 / count as f32
}
