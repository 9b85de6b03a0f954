//! What a mark says, as 96 bits, and back.

/// Units of [`Mark::time`] in a second.
pub const TICKS_PER_SECOND: u64 = 10_000;

pub(super) const BITS: usize = super::DATA_COLUMNS * super::DATA_ROWS;
/// So many of the least certain cells are tried both ways when the check code does not fit.
const DOUBTFUL: usize = 4;
/// Closer to the middle than this (black is -1, white 1) is doubtful.
const DOUBT: f32 = 0.4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Counts frames; 24 bits, then from 0 again (77 hours at 60 a second).
    pub number: u32,
    /// Units of 100 us, less than [`Mark::PERIOD`]: 118 hours, then from 0 again.
    pub time: u32,
    pub source: u8,
}

impl Mark {
    pub const NUMBERS: u32 = 1 << 24;
    /// Fits 32 bits, and is a multiple of the sound marker's period, so that both name the same second for ever.
    pub const PERIOD: u32 = 104 * crate::tone::SECONDS * TICKS_PER_SECOND as u32;

    /// With the parts that don't fit cut off.
    pub fn new(number: u64, nanoseconds: u64, source: u8) -> Mark {
        let number = number % u64::from(Self::NUMBERS);
        let ticks = nanoseconds / (1_000_000_000 / TICKS_PER_SECOND) % u64::from(Self::PERIOD);
        Mark {
            number: number as u32,
            time: ticks as u32,
            source,
        }
    }

    /// From `earlier` to this one's time in seconds, across the wrap.
    pub fn seconds_since(&self, earlier: u32) -> f64 {
        let period = i64::from(Self::PERIOD);
        let ticks = (i64::from(self.time) - i64::from(earlier)).rem_euclid(period);
        let ticks = if ticks > period / 2 {
            ticks - period
        } else {
            ticks
        };
        ticks as f64 / TICKS_PER_SECOND as f64
    }

    fn payload(&self) -> u64 {
        (u64::from(self.number % Self::NUMBERS) << 40)
            | (u64::from(self.time) << 8)
            | u64::from(self.source)
    }

    pub(super) fn bits(&self) -> u128 {
        let payload = self.payload();
        (u128::from(payload) << 32) | u128::from(crc(payload))
    }

    fn from_bits(bits: u128) -> Option<Mark> {
        let payload = (bits >> 32) as u64;
        (crc(payload) == bits as u32).then_some(Mark {
            number: (payload >> 40) as u32,
            time: (payload >> 8) as u32,
            source: payload as u8,
        })
    }

    /// From how white each cell is, -1 to 1; and how many cells were taken for their opposite.
    pub(super) fn from_cells(cells: &[f32; BITS]) -> Option<(Mark, u32)> {
        let mut bits = 0u128;
        for cell in cells {
            bits = (bits << 1) | u128::from(*cell > 0.0);
        }
        if let Some(mark) = Self::from_bits(bits) {
            return Some((mark, 0));
        }
        let mut doubtful = [(DOUBT, 0u128); DOUBTFUL];
        for (i, cell) in cells.iter().enumerate() {
            let (mut certainty, mut flip) = (cell.abs(), 1 << (BITS - 1 - i));
            for slot in &mut doubtful {
                if certainty < slot.0 {
                    std::mem::swap(&mut certainty, &mut slot.0);
                    std::mem::swap(&mut flip, &mut slot.1);
                }
            }
        }
        let usable = doubtful.iter().take_while(|(_, flip)| *flip != 0).count();
        (1u32..1 << usable).find_map(|choice| {
            let mut tried = bits;
            for (i, (_, flip)) in doubtful.iter().enumerate() {
                if (choice >> i) & 1 == 1 {
                    tried ^= flip;
                }
            }
            Some((Self::from_bits(tried)?, choice.count_ones()))
        })
    }
}

/// CRC-32 of Ethernet: at this length any seven wrong bits are seen.
fn crc(payload: u64) -> u32 {
    let mut crc = !0u32;
    for byte in payload.to_be_bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn cells(bits: u128) -> [f32; BITS] {
        std::array::from_fn(|i| {
            if (bits >> (BITS - 1 - i)) & 1 == 1 {
                1.0
            } else {
                -1.0
            }
        })
    }

    #[test]
    fn the_check_code_is_the_well_known_one() {
        assert_eq!(crc(u64::from_be_bytes(*b"12345678")), 0x9ae0_daaf);
    }

    #[test]
    fn four_doubtful_cells_are_put_right() {
        let mark = Mark::new(1_234_567, 3_600_000_123_456_789, 9);
        let mut seen = cells(mark.bits());
        assert_eq!(Mark::from_cells(&seen), Some((mark, 0)));
        for i in [3, 40, 41, 90] {
            seen[i] *= -0.1;
        }
        assert_eq!(Mark::from_cells(&seen), Some((mark, 4)));
        seen[50] *= -0.2;
        assert_eq!(Mark::from_cells(&seen), None, "the fifth");
    }

    #[test]
    fn three_confident_errors_beside_four_doubtful_cells_are_never_misread() {
        let mark = Mark::new(77, 5_000_000_000, 3);
        let clean = cells(mark.bits());
        let mut seed = 1u64;
        for _ in 0..20_000 {
            let mut seen = clean;
            for n in 0..7 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = (seed >> 33) as usize % BITS;
                seen[at] = clean[at] * if n < 4 { -0.1 } else { -1.0 };
            }
            if let Some((read, _)) = Mark::from_cells(&seen) {
                assert_eq!(read, mark);
            }
        }
    }

    #[test]
    fn times_are_compared_across_their_wrap() {
        let late = Mark {
            number: 0,
            time: 5,
            source: 0,
        };
        assert_eq!(late.seconds_since(Mark::PERIOD - 5), 0.001);
        assert_eq!(
            Mark::new(1 << 24, 1_000_000_000, 0),
            Mark::new(0, 1_000_000_000, 0)
        );
    }
}
