//! Pictures into buffers and back, whatever their format.

use std::sync::Once;

use gst_video::prelude::*;
use gstdais::blend::Yuv;
use gstdais::frame::I420;
use gstdais::nv12::Chroma;

pub const FRAME: u64 = 33_333_333;

pub const RED: Yuv = Yuv::from_rgb(220, 30, 30);
pub const BLUE: Yuv = Yuv::from_rgb(30, 30, 220);
pub const GREEN: Yuv = Yuv::from_rgb(30, 220, 30);

pub fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gst::init().unwrap();
        gstdais::plugin_register_static().unwrap();
    });
}

pub fn caps(format: &str, width: usize, height: usize, fps: i32) -> gst::Caps {
    gst::Caps::builder("video/x-raw")
        .field("colorimetry", "bt709")
        .field("format", format)
        .field("width", width as i32)
        .field("height", height as i32)
        .field("framerate", gst::Fraction::new(fps, 1))
        .build()
}

/// A buffer of this format that shows the picture.
pub fn buffer(format: &str, picture: &I420, pts: Option<u64>) -> gst::Buffer {
    let (width, height) = (picture.width(), picture.height());
    let info = gst_video::VideoInfo::from_caps(&caps(format, width, height, 30)).unwrap();
    let buffer = gst::Buffer::with_size(info.size()).unwrap();
    let mut frame = gst_video::VideoFrame::from_buffer_writable(buffer, &info).unwrap();
    let strides = frame.plane_stride().to_vec();
    let view = picture.as_ref();
    let planes = if format == "NV12" { 1 } else { 3 };
    for (p, stride) in strides.iter().enumerate().take(planes) {
        let stride = *stride as usize;
        let data = frame.plane_data_mut(p as u32).unwrap();
        for y in 0..view.plane(p).height() {
            let row = view.plane(p).row(y);
            data[y * stride..][..row.len()].copy_from_slice(row);
        }
    }
    if format == "NV12" {
        let data = frame.plane_data_mut(1).unwrap();
        let joined = |p: usize| -> Vec<u8> {
            let plane = view.plane(p);
            (0..plane.height())
                .flat_map(|y| plane.row(y).to_vec())
                .collect()
        };
        let (u, v) = (joined(1), joined(2));
        gstdais::nv12::join_chroma(width, height, &u, &v, data, strides[1] as usize).unwrap();
    }
    let mut buffer = frame.into_buffer();
    let writable = buffer.get_mut().unwrap();
    writable.set_pts(pts.map(gst::ClockTime::from_nseconds));
    writable.set_duration(gst::ClockTime::from_nseconds(FRAME));
    buffer
}

pub fn flat(width: usize, height: usize, colour: Yuv) -> I420 {
    I420::of_colour(width, height, colour)
}

/// The picture of a buffer with these caps.
pub fn picture(buffer: gst::Buffer, caps: &gst::CapsRef) -> I420 {
    let info = gst_video::VideoInfo::from_caps(caps).unwrap();
    let frame = gst_video::VideoFrame::from_buffer_readable(buffer, &info).unwrap();
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let strides: Vec<usize> = frame.plane_stride().iter().map(|s| *s as usize).collect();
    let luma = frame.plane_data(0).unwrap();
    if frame.format() == gst_video::VideoFormat::Nv12 {
        let mut chroma = Chroma::default();
        chroma
            .split(width, height, frame.plane_data(1).unwrap(), strides[1])
            .unwrap();
        return chroma.with_luma(luma, strides[0]).unwrap().to_owned();
    }
    let planes = [
        luma,
        frame.plane_data(1).unwrap(),
        frame.plane_data(2).unwrap(),
    ];
    gstdais::frame::I420Ref::new(width, height, planes, [strides[0], strides[1], strides[2]])
        .unwrap()
        .to_owned()
}

pub fn at(picture: &I420, x: usize, y: usize) -> Yuv {
    let p = |n: usize, x: usize, y: usize| picture.as_ref().plane(n).row(y)[x];
    Yuv {
        y: p(0, x, y),
        u: p(1, x / 2, y / 2),
        v: p(2, x / 2, y / 2),
    }
}
