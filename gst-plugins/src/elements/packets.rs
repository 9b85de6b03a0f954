//! RTP packets on their way to a depayloader.

use gst::prelude::*;

/// RFC 3550, 5.1: bit X says that an extension follows the header, CC how many sources of 4 bytes the header ends with.
const FIXED_HEADER: usize = 12;
const BIT_X: u8 = 0x10;

/// Takes the header extensions off each packet that comes to this pad, in place: whatever needed them (bundling,
/// congestion control) comes before a depayloader.
///
/// From 1.24 on GStreamer's depayloaders collect the extensions of the packets that make a frame, and the process is aborted
/// (`hdrext_buffers … should be TRUE`) when a fragmented H.264 unit is not ended before the next begins: a lost packet
/// or a guest who means harm would take the whole box down. The switch for it has no property, and 1.22 none at all. See
/// <https://gitlab.freedesktop.org/gstreamer/gstreamer/-/issues/5057>; mended after 1.28.6.
pub fn without_header_extensions(pad: &gst::Pad) {
    change_each(pad, strip);
}

/// Changes each packet that comes to this pad, alone or in a list.
pub fn change_each(
    pad: &impl IsA<gst::Pad>,
    change: impl Fn(&mut gst::Buffer) + Send + Sync + 'static,
) {
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    pad.add_probe(kinds, move |_, info| {
        match &mut info.data {
            Some(gst::PadProbeData::Buffer(packet)) => change(packet),
            Some(gst::PadProbeData::BufferList(packets)) => {
                packets.make_mut().foreach_mut(|mut packet, _| {
                    change(&mut packet);
                    std::ops::ControlFlow::Continue(Some(packet))
                });
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

/// A packet that nobody else holds, as those of a jitter buffer are, is not copied.
fn strip(packet: &mut gst::Buffer) {
    let extension = packet.map_readable().ok().and_then(|map| extension(&map));
    let Some((start, length)) = extension else {
        return;
    };
    let packet = packet.make_mut();
    if let Ok(mut map) = packet.map_writable() {
        map.copy_within(..start, length);
        map[length] &= !BIT_X;
    } else {
        return;
    }
    // Fails for no range within the packet, and `extension` is within.
    let _ = packet.resize(length..);
}

/// Where the extension of a packet starts and how long it is; none in a packet that is shorter than it says, which
/// depayloaders drop.
fn extension(packet: &[u8]) -> Option<(usize, usize)> {
    let first = *packet.first()?;
    if first & BIT_X == 0 {
        return None;
    }
    let start = FIXED_HEADER + 4 * usize::from(first & 0x0f);
    let words = packet.get(start + 2..start + 4)?;
    let length = 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
    (start + length <= packet.len()).then_some((start, length))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn packet(first: u8, rest: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![first, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        bytes.extend(rest.concat());
        bytes
    }

    fn stripped(bytes: &[u8]) -> Vec<u8> {
        gst::init().unwrap();
        let mut buffer = gst::Buffer::from_slice(bytes.to_vec());
        strip(&mut buffer);
        buffer.map_readable().unwrap().to_vec()
    }

    #[test]
    fn an_extension_is_taken_off_and_all_else_stays() {
        let (sources, payload) = ([7; 8], [9; 5]);
        let two_words = [0xbe, 0xde, 0, 2, 1, 1, 1, 1, 1, 1, 1, 1];
        assert_eq!(
            stripped(&packet(0x92, &[&sources, &two_words, &payload])),
            packet(0x82, &[&sources, &payload])
        );
        assert_eq!(
            stripped(&packet(0x90, &[&[0xbe, 0xde, 0, 0], &payload])),
            packet(0x80, &[&payload])
        );
    }

    #[test]
    fn packets_without_one_and_broken_ones_stay_as_they_are() {
        for whole in [
            packet(0x80, &[&[1, 2, 3]]),
            packet(0x90, &[&[0xbe, 0xde, 0, 2, 1, 1, 1]]),
            packet(0x9f, &[&[0xbe, 0xde]]),
            vec![0x90],
            vec![],
        ] {
            assert_eq!(stripped(&whole), whole);
        }
    }
}
