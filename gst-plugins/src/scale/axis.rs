//! Which source samples make which output sample, in one direction.

/// Beyond this reduction weights of 8 bits would be too coarse.
const LARGEST_OF_8_BITS: usize = 16;
/// So many taps has an axis with weights of 8 bits at most: one sample may be cut at both ends.
pub(super) const MOST_TAPS: usize = LARGEST_OF_8_BITS + 2;

/// Output sample i is made of `taps` source samples from `start[i]` on.
#[derive(Clone)]
pub(super) struct Axis {
    /// An even number: vectors take them in pairs.
    taps: usize,
    start: Vec<u32>,
    weights: Vec<u16>,
    /// The weights of one output add up to 1 << bits, always exactly, so that a flat colour stays itself.
    bits: u32,
    identity: bool,
}

impl Axis {
    /// All positions are whole numbers of 1/dst or 1/(2 dst) of a source sample: nothing here is rounded but the weights.
    pub(super) fn new(src: usize, dst: usize) -> Self {
        if src > 2 * dst {
            Self::area(src, dst)
        } else {
            Self::two_taps(src, dst)
        }
    }

    fn two_taps(src: usize, dst: usize) -> Self {
        let bits = 8;
        let (mut start, mut weights) = (Vec::with_capacity(dst), Vec::with_capacity(2 * dst));
        for i in 0..dst {
            // Centres of samples meet centres of samples; past the edge the edge is repeated.
            let centre = ((2 * i + 1) * src).saturating_sub(dst);
            let (whole, part) = (centre / (2 * dst), centre % (2 * dst));
            let second = match (src, whole + 1 < src) {
                (_, true) => (((part << bits) + dst) / (2 * dst)) as u16,
                (1, false) => 0,
                (_, false) => 1 << bits,
            };
            start.push(whole.min(src.saturating_sub(2)) as u32);
            weights.extend([(1 << bits) - second, second]);
        }
        Self {
            taps: 2,
            start,
            weights,
            bits,
            identity: src == dst,
        }
    }

    fn area(src: usize, dst: usize) -> Self {
        let bits = if src > LARGEST_OF_8_BITS * dst { 16 } else { 8 };
        // Output i covers i * src to (i + 1) * src, source sample k covers k * dst to (k + 1) * dst.
        let first = |i: usize| i * src / dst;
        let touched = |i: usize| ((i + 1) * src).div_ceil(dst) - first(i);
        let taps = (0..dst).map(touched).max().unwrap_or(1);
        let taps = taps.next_multiple_of(2);
        let mut weights = Vec::with_capacity(taps * dst);
        for i in 0..dst {
            // Rounding the running sum instead of each weight makes the weights add up.
            let mut sum = 0;
            for k in first(i)..first(i) + taps {
                let covered = ((k + 1) * dst).min((i + 1) * src) - i * src;
                let upto = (2 * (covered << bits) + src) / (2 * src);
                weights.push((upto - sum) as u16);
                sum = upto;
            }
        }
        Self {
            taps,
            start: (0..dst).map(|i| first(i) as u32).collect(),
            weights,
            bits,
            identity: false,
        }
    }

    pub(super) fn identity(&self) -> bool {
        self.identity
    }

    /// Weights have 16 bits and not 8: only the portable rung knows those.
    pub(super) fn wide(&self) -> bool {
        self.bits > 8
    }

    pub(super) fn bits(&self) -> u32 {
        self.bits
    }

    pub(super) fn taps(&self) -> usize {
        self.taps
    }

    pub(super) fn outputs(&self) -> usize {
        self.start.len()
    }

    pub(super) fn tap(&self, i: usize) -> (usize, &[u16]) {
        (
            self.start[i] as usize,
            &self.weights[i * self.taps..][..self.taps],
        )
    }

    /// All outputs' first samples and weights, for an axis of `N` taps.
    pub(super) fn all<const N: usize>(&self) -> impl Iterator<Item = (usize, &[u16; N])> {
        let starts = self.start.iter().map(|s| *s as usize);
        starts.zip(self.weights.as_chunks::<N>().0)
    }

    /// One past the last source sample that any output names, be it with weight zero.
    pub(super) fn reach(&self) -> usize {
        self.start.last().map_or(0, |s| *s as usize) + self.taps
    }

    /// Where the first two taps of output `i` lie, for a table of weights in bytes: 256 is no byte, so a sample that
    /// stands alone is taken twice, with half of the weight each time. Past the last output the last is repeated.
    pub(super) fn first_pair(&self, i: usize) -> [usize; 2] {
        let (start, weights) = self.tap(i.min(self.outputs() - 1));
        match weights {
            [_, 256] => [start + 1; 2],
            [256, _] => [start; 2],
            _ => [start, start + 1],
        }
    }

    /// The weights of taps 2 `pair` and 2 `pair` + 1 of output `i`, with [`Axis::first_pair`]'s positions.
    pub(super) fn byte_weights(&self, i: usize, pair: usize) -> [u8; 2] {
        debug_assert!(!self.wide());
        let (_, weights) = self.tap(i.min(self.outputs() - 1));
        match weights[2 * pair..][..2] {
            [256, _] | [_, 256] => [128; 2],
            [a, b] => [a as u8, b as u8],
            _ => [0; 2],
        }
    }

    /// For a shuffle of bytes: where the window of outputs `outputs` starts, and where in it the first two taps of each
    /// lie. `None` if they don't fit in `window` bytes. Later pairs lie the same way in a window that starts 2 later.
    pub(super) fn window(
        &self,
        outputs: std::ops::Range<usize>,
        window: usize,
    ) -> Option<(u32, Vec<u8>)> {
        let at: Vec<usize> = outputs.flat_map(|i| self.first_pair(i)).collect();
        let (base, last) = (at.iter().min()?, at.iter().max()?);
        (last - base < window)
            .then(|| (*base as u32, at.iter().map(|a| (a - base) as u8).collect()))
    }
}

/// How far beyond the source rows of output row `y` those are that should be fetched meanwhile, in bytes. The processor's own
/// prefetcher begins anew in each row and page; four output rows ahead is where fetching stops to gain, and what is
/// fetched should not drive out what is in use.
#[cfg(target_arch = "x86_64")]
pub(super) fn ahead(axis: &Axis, y: usize, src: crate::frame::Plane<'_>) -> usize {
    const BYTES: usize = 12 * 1024;
    let rows = (BYTES / (axis.taps * src.width())).clamp(1, 4);
    let at = |y: usize| {
        src.row(axis.start[y.min(axis.outputs() - 1)] as usize)
            .as_ptr() as usize
    };
    at(y + rows) - at(y)
}
