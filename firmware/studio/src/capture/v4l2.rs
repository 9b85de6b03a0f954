//! The calls to a V4L2 device for which crate `v4l` has no function: inputs, DV timings, EDID. Structures and the call itself
//! are that crate's; what is unsafe is here and nowhere else in capture.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::io;
use std::mem::zeroed;
use std::path::Path;

use v4l::v4l_sys as sys;
use v4l::v4l2::vidioc::_IOC_TYPE as Request;

/// `_IOR('V', n, T)` and `_IOWR('V', n, T)` of linux/ioctl.h.
const fn reads<T>(n: Request) -> Request {
    request::<T>(2, n)
}
const fn exchanges<T>(n: Request) -> Request {
    request::<T>(3, n)
}
const fn request<T>(direction: Request, n: Request) -> Request {
    direction << 30 | (size_of::<T>() as Request) << 16 | (b'V' as Request) << 8 | n
}

const QUERYCAP: Request = reads::<sys::v4l2_capability>(0);
const G_CTRL: Request = exchanges::<sys::v4l2_control>(27);
const G_INPUT: Request = reads::<i32>(38);
const ENUM_INPUT: Request = exchanges::<sys::v4l2_input>(26);
const G_EDID: Request = exchanges::<sys::v4l2_edid>(40);
const S_EDID: Request = exchanges::<sys::v4l2_edid>(41);
const S_DV_TIMINGS: Request = exchanges::<sys::v4l2_dv_timings>(87);
const G_DV_TIMINGS: Request = exchanges::<sys::v4l2_dv_timings>(88);
const QUERY_DV_TIMINGS: Request = reads::<sys::v4l2_dv_timings>(99);

const RX_POWER_PRESENT: u32 = sys::V4L2_CID_DV_RX_POWER_PRESENT;
/// The input is one of digital video: HDMI, SDI.
const CAP_DV_TIMINGS: u32 = sys::V4L2_IN_CAP_DV_TIMINGS;

const CAPTURES: u32 = sys::V4L2_CAP_VIDEO_CAPTURE | sys::V4L2_CAP_VIDEO_CAPTURE_MPLANE;
/// A codec or a scaler has pictures of its own as little as an output has; and a part of a graph, as sensors without a processor of
/// their own are, gives none before somebody has set up the others.
const NO_CAMERA: u32 =
    sys::V4L2_CAP_VIDEO_M2M | sys::V4L2_CAP_VIDEO_M2M_MPLANE | sys::V4L2_CAP_IO_MC;

fn is_camera(can: u32) -> bool {
    can & CAPTURES != 0 && can & sys::V4L2_CAP_STREAMING != 0 && can & NO_CAMERA == 0
}

/// Whether a node captures pictures, and if so, by HDMI or SDI.
pub(crate) fn captures(node: &Path) -> Option<bool> {
    let card = Card::open(node).ok()?;
    if !is_camera(card.can().ok()?) {
        return None;
    }
    Some(card.input().is_ok_and(|input| input.has_timings))
}

/// A capture device beside the pipeline that streams from it; V4L2 lets several look.
pub(crate) struct Card {
    device: v4l::Device,
}

/// What the input that is chosen says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Input {
    pub index: u32,
    /// `V4L2_IN_ST_*`.
    pub status: u32,
    pub has_timings: bool,
}

/// The format of a digital video signal.
#[derive(Clone, Copy)]
pub(crate) struct Timings(sys::v4l2_dv_timings);

impl Card {
    pub fn open(node: &Path) -> io::Result<Card> {
        let device = v4l::Device::with_path(node)?;
        Ok(Card { device })
    }

    /// # Safety
    /// `T` is what the kernel reads and writes for `request`.
    unsafe fn call<T>(&self, request: Request, argument: &mut T) -> io::Result<()> {
        let argument: *mut T = argument;
        // SAFETY: the pointer is valid for the call, and `T` is `request`'s as the caller promises.
        unsafe {
            v4l::v4l2::ioctl(
                self.device.handle().fd(),
                request,
                argument.cast::<c_void>(),
            )
        }
    }

    /// What this node can, of all that its device can: `V4L2_CAP_*`. (Crate `v4l` panics over a name that is not UTF-8.)
    fn can(&self) -> io::Result<u32> {
        // SAFETY: all fields may be zero, and the structure is the request's.
        let mut capability: sys::v4l2_capability = unsafe { zeroed() };
        unsafe { self.call(QUERYCAP, &mut capability)? };
        Ok(match capability.capabilities & sys::V4L2_CAP_DEVICE_CAPS {
            0 => capability.capabilities,
            _ => capability.device_caps,
        })
    }

    pub fn input(&self) -> io::Result<Input> {
        let mut index = 0i32;
        // SAFETY: all fields of this structure may be zero, and each request gets the structure that its constant is made of.
        let mut input: sys::v4l2_input = unsafe { zeroed() };
        unsafe { self.call(G_INPUT, &mut index)? };
        input.index = index.unsigned_abs();
        unsafe { self.call(ENUM_INPUT, &mut input)? };
        Ok(Input {
            index: input.index,
            status: input.status,
            has_timings: input.capabilities & CAP_DV_TIMINGS != 0,
        })
    }

    /// Whether the other end of the cable gives power, for cards that know; a bit for each connector.
    pub fn power_present(&self) -> Option<bool> {
        let mut control = sys::v4l2_control {
            id: RX_POWER_PRESENT,
            value: 0,
        };
        // SAFETY: the structure is the request's.
        unsafe { self.call(G_CTRL, &mut control) }.ok()?;
        Some(control.value != 0)
    }

    /// What comes in now.
    pub fn incoming(&self) -> io::Result<Timings> {
        self.timings(QUERY_DV_TIMINGS)
    }

    /// What the card is set to.
    pub fn set_to(&self) -> io::Result<Timings> {
        self.timings(G_DV_TIMINGS)
    }

    fn timings(&self, request: Request) -> io::Result<Timings> {
        // SAFETY: all fields may be zero, and both requests take this structure.
        let mut timings: sys::v4l2_dv_timings = unsafe { zeroed() };
        unsafe { self.call(request, &mut timings)? };
        Ok(Timings(timings))
    }

    /// Sets the card to a format. Refused while it streams.
    pub fn set(&self, timings: &Timings) -> io::Result<()> {
        let mut timings = timings.0;
        // SAFETY: the structure is the request's.
        unsafe { self.call(S_DV_TIMINGS, &mut timings) }
    }

    /// How many blocks of 128 bytes the EDID of an input has; 0: none was set.
    pub fn edid_blocks(&self, input: u32) -> io::Result<u32> {
        // SAFETY: all fields may be zero; with no blocks asked for, the kernel does not touch the pointer.
        let mut edid: sys::v4l2_edid = unsafe { zeroed() };
        edid.pad = input;
        match unsafe { self.call(G_EDID, &mut edid) } {
            Ok(()) => Ok(edid.blocks),
            // What drivers answer that have none yet.
            Err(error) if error.raw_os_error() == Some(ENODATA) => Ok(0),
            Err(error) => Err(error),
        }
    }

    pub fn set_edid(&self, input: u32, bytes: &[u8]) -> io::Result<()> {
        let mut bytes = bytes.to_vec();
        // SAFETY: all fields may be zero; the pointer is valid for as many blocks as are named, for the length of the call.
        let mut edid: sys::v4l2_edid = unsafe { zeroed() };
        edid.pad = input;
        edid.blocks = (bytes.len() / 128) as u32;
        edid.edid = bytes.as_mut_ptr();
        unsafe { self.call(S_EDID, &mut edid) }
    }
}

const ENODATA: i32 = 61;

impl Timings {
    fn bt(&self) -> sys::v4l2_bt_timings {
        // SAFETY: numbers alone; every bit pattern is a value. `V4L2_DV_BT_656_1120` is the only kind there is.
        unsafe { self.0.__bindgen_anon_1.bt }
    }

    /// The same format, as far as a measurement can tell: pixel clocks are measured to about 1 %.
    pub fn is_like(&self, other: &Timings) -> bool {
        let (a, b) = (self.bt(), other.bt());
        let size = |t: &sys::v4l2_bt_timings| (t.width, t.height, t.interlaced);
        size(&a) == size(&b) && a.pixelclock.abs_diff(b.pixelclock) <= b.pixelclock / 50
    }
}

impl std::fmt::Display for Timings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let t = self.bt();
        let (width, height, clock) = (t.width, t.height, t.pixelclock);
        let total_width = width + t.hfrontporch + t.hsync + t.hbackporch;
        let total_height = height + t.vfrontporch + t.vsync + t.vbackporch;
        let total = (u64::from(total_width) * u64::from(total_height)).max(1);
        let kind = if t.interlaced == 0 { "p" } else { "i" };
        write!(
            f,
            "{width}x{height}{kind}{:.2}",
            clock as f64 / total as f64
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of linux/videodev2.h on 64-bit machines: a structure of another size would be another request.
    #[test]
    fn the_requests_are_those_of_the_kernel() {
        assert_eq!(QUERY_DV_TIMINGS, 0x8084_5663);
        assert_eq!(S_DV_TIMINGS, 0xc084_5657);
        assert_eq!(G_DV_TIMINGS, 0xc084_5658);
        assert_eq!(S_EDID, 0xc028_5629);
        assert_eq!(G_EDID, 0xc028_5628);
        assert_eq!(ENUM_INPUT, 0xc050_561a);
        assert_eq!(G_INPUT, 0x8004_5626);
        assert_eq!(G_CTRL, 0xc008_561b);
        assert_eq!(QUERYCAP, 0x8068_5600);
    }

    #[test]
    fn a_camera_is_what_captures_and_no_codec_metadata_or_part_of_a_graph() {
        let streams = sys::V4L2_CAP_STREAMING;
        let table = [
            (sys::V4L2_CAP_VIDEO_CAPTURE | streams, true),
            (sys::V4L2_CAP_VIDEO_CAPTURE_MPLANE | streams, true),
            (sys::V4L2_CAP_VIDEO_CAPTURE | sys::V4L2_CAP_READWRITE, false),
            (sys::V4L2_CAP_META_CAPTURE | streams, false),
            (sys::V4L2_CAP_VIDEO_OUTPUT | streams, false),
            (sys::V4L2_CAP_VIDEO_M2M_MPLANE | streams, false),
            (
                sys::V4L2_CAP_VIDEO_M2M | sys::V4L2_CAP_VIDEO_CAPTURE | streams,
                false,
            ),
            (
                sys::V4L2_CAP_VIDEO_CAPTURE | sys::V4L2_CAP_IO_MC | streams,
                false,
            ),
        ];
        for (can, camera) in table {
            assert_eq!(is_camera(can), camera, "{can:08x}");
        }
    }

    #[test]
    fn what_is_no_video_device_says_so() {
        assert!(Card::open(Path::new("/dev/video-that-is-not-there")).is_err());
        let null = Card::open(Path::new("/dev/null")).ok();
        assert!(null.is_some_and(|null| null.input().is_err() && null.incoming().is_err()));
        assert_eq!(captures(Path::new("/dev/null")), None);
    }
}
