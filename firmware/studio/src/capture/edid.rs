//! What the box says of itself at an HDMI input whose card has no EDID of its own (bridges such as the TC358743): a display
//! of 1920x1080 at 60 frames a second, with 720p and 1080p at all usual rates and two channels of 48 kHz sound.
//!
//! Layout: VESA E-EDID 1.3 and CTA-861.

/// Width, height, blanking, front porch and width of the sync pulse, horizontally and vertically, and kHz of the pixel clock.
struct Timing {
    khz: u32,
    h: [u16; 4],
    v: [u16; 4],
}

/// CTA-861's format 16 and 4.
const FULL_HD_60: Timing = Timing {
    khz: 148_500,
    h: [1920, 280, 88, 44],
    v: [1080, 45, 4, 5],
};
const HD_60: Timing = Timing {
    khz: 74_250,
    h: [1280, 370, 110, 40],
    v: [720, 30, 5, 5],
};

/// CTA-861's numbers of 1080p60, 50, 30, 25, 24, of 720p60, 50 and of 640x480p60; the first is the preferred one.
const FORMATS: [u8; 8] = [16, 31, 34, 33, 32, 4, 19, 1];

pub(crate) fn bytes() -> [u8; 256] {
    let mut edid = [0; 256];
    let (base, extension) = edid.split_at_mut(128);
    put(base, 0, &[0, 255, 255, 255, 255, 255, 255, 0]);
    // Maker "DAI" in three times five bits, product 1, no serial number, 2024, EDID 1.3.
    let maker = b"DAI"
        .iter()
        .fold(0u16, |bits, c| bits << 5 | u16::from(c - b'A' + 1));
    put(base, 8, &maker.to_be_bytes());
    put(base, 10, &[1, 0, 0, 0, 0, 0, 1, 34, 1, 3]);
    // Digital, no size, gamma 2.2, RGB, sRGB, the first detailed timing is preferred.
    put(base, 20, &[0x80, 0, 0, 120, 0x0e]);
    // The primaries of sRGB.
    put(
        base,
        25,
        &[0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54],
    );
    // 640x480 at 60, and no further standard timings.
    put(base, 35, &[0x20, 0, 0]);
    base[38..54].fill(1);
    put(base, 54, &detailed(&FULL_HD_60));
    put(base, 72, &detailed(&HD_60));
    put(base, 90, b"\0\0\0\xfc\0Dais\n        ");
    // 24 to 61 frames and 15 to 68 lines (k) a second, 150 MHz.
    put(base, 108, b"\0\0\0\xfd\0\x17\x3d\x0f\x44\x0f\0\n      ");
    base[126] = 1;
    seal(base);

    put(extension, 0, &[2, 3]);
    // Underscan, basic audio, YCbCr 4:4:4 and 4:2:2.
    extension[3] = 0xf0;
    let mut at = 4;
    let mut block = |tag: u8, data: &[u8]| {
        extension[at] = tag << 5 | data.len() as u8;
        put(extension, at + 1, data);
        at += 1 + data.len();
    };
    let mut formats = FORMATS;
    formats[0] |= 0x80;
    block(2, &formats);
    // Linear PCM, two channels, 48 kHz, 16 bit; front left and right.
    block(1, &[0x09, 0x04, 0x01]);
    block(4, &[0x01, 0, 0]);
    // HDMI, at the physical address 1.0.0.0.
    block(3, &[0x03, 0x0c, 0x00, 0x10, 0x00]);
    extension[2] = at as u8;
    seal(extension);
    edid
}

fn put(to: &mut [u8], at: usize, bytes: &[u8]) {
    to[at..at + bytes.len()].copy_from_slice(bytes);
}

/// The 18 bytes of a detailed timing, both syncs positive.
fn detailed(t: &Timing) -> [u8; 18] {
    let low = |n: u16| n as u8;
    let high = |n: u16| (n >> 8) as u8;
    let [clock_low, clock_high] = ((t.khz / 10) as u16).to_le_bytes();
    let ([w, hb, hf, hs], [h, vb, vf, vs]) = (t.h, t.v);
    [
        clock_low,
        clock_high,
        low(w),
        low(hb),
        high(w) << 4 | high(hb),
        low(h),
        low(vb),
        high(h) << 4 | high(vb),
        low(hf),
        low(hs),
        low(vf) << 4 | low(vs) & 15,
        high(hf) << 6 | high(hs) << 4 | (low(vf) >> 4) << 2 | low(vs) >> 4,
        0,
        0,
        0,
        0,
        0,
        0x1e,
    ]
}

/// The last byte makes the sum of a block 0.
fn seal(block: &mut [u8]) {
    let sum = block[..127].iter().fold(0u8, |sum, b| sum.wrapping_add(*b));
    block[127] = sum.wrapping_neg();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_block_has_its_head_and_its_checksum() {
        let edid = bytes();
        for block in edid.chunks(128) {
            assert_eq!(block.iter().fold(0u8, |s, b| s.wrapping_add(*b)), 0);
        }
        assert_eq!(edid[..8], [0, 255, 255, 255, 255, 255, 255, 0]);
        assert_eq!((edid[126], edid[128], edid[129]), (1, 2, 3));
        // The data blocks end where the header says that they do.
        let (mut at, end) = (4, usize::from(edid[130]));
        while at < end {
            at += 1 + usize::from(edid[128 + at] & 31);
        }
        assert_eq!(at, end);
    }

    #[test]
    fn the_preferred_timing_reads_back_as_1080p60() {
        let d = &bytes()[54..72];
        let clock = u32::from(u16::from_le_bytes([d[0], d[1]])) * 10_000;
        let wide = |low: u8, high: u8| u32::from(low) | u32::from(high) << 8;
        let (width, h_blank) = (wide(d[2], d[4] >> 4), wide(d[3], d[4] & 15));
        let (height, v_blank) = (wide(d[5], d[7] >> 4), wide(d[6], d[7] & 15));
        assert_eq!((width, height), (1920, 1080));
        assert_eq!(clock / ((width + h_blank) * (height + v_blank)), 60);
    }
}
