//! What comes to a depayloader from a peer that means no good.
#![allow(clippy::expect_used)]

use gst::prelude::*;
use gstdais::elements::packets::without_header_extensions;

/// With an extension of one word, as browsers send for congestion control.
fn packet(sequence: u16, time: u32, payload: &[u8]) -> gst::Buffer {
    let mut bytes = vec![0x90, 96];
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(time.to_be_bytes());
    bytes.extend([0, 0, 0, 1]);
    bytes.extend([0xbe, 0xde, 0, 1, 0x51, 0, 1, 0]);
    bytes.extend(payload);
    gst::Buffer::from_slice(bytes)
}

/// GStreamer 1.24 to 1.28 abort the process here if the packets keep their extensions.
#[test]
fn a_fragment_that_is_never_ended_does_not_end_the_process() {
    gst::init().expect("GStreamer");
    let mut harness = gst_check::Harness::new("rtph264depay");
    let depayloader = harness.element().expect("the depayloader");
    without_header_extensions(&depayloader.static_pad("sink").expect("its sink"));
    harness.set_sink_caps_str("video/x-h264,stream-format=byte-stream,alignment=au");
    harness.set_src_caps_str(
        "application/x-rtp,media=video,clock-rate=90000,encoding-name=H264,payload=96",
    );
    // The start of a keyframe in fragments (RFC 6184, FU-A), and then a whole unit of the next frame.
    let fragment = [0x7c, 0x85, 1, 2, 3, 4];
    let unit = [0x41, 0x9a, 1, 2, 3, 4];
    for n in 0..8u16 {
        let payload = if n % 2 == 0 { fragment } else { unit };
        let time = u32::from(n) * 3000;
        assert!(harness.push(packet(n, time, &payload)).is_ok());
    }
    let whole = [0x65, 0x88, 0x84, 0x21];
    assert!(harness.push(packet(8, 24_000, &whole)).is_ok());
    assert!(harness.push(packet(9, 27_000, &whole)).is_ok());
    assert!(harness.buffers_received() > 0, "nothing came out");
}
