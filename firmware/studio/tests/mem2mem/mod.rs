//! An H.264 encoder with a V4L2 mem2mem one beside it: each picture goes through the driver before x264 has it.
//!
//! What the driver makes of it (FWHT) is thrown away: its own decoder keeps the last pictures, and asks nobody for keyframes.

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use crate::faulty::{pads, x264};

pub const ELEMENT: &str = "testmem2memenc";

/// The driver's node.
pub fn device() -> String {
    let encoder = gst::ElementFactory::make("v4l2fwhtenc").build().unwrap();
    encoder.property("device")
}

mod imp {
    use super::*;

    #[derive(Default)]
    pub struct Encoder;

    #[glib::object_subclass]
    impl ObjectSubclass for Encoder {
        const NAME: &'static str = "TestMem2Mem";
        type Type = super::Encoder;
        type ParentType = gst::Bin;
    }

    impl ObjectImpl for Encoder {
        fn properties() -> &'static [glib::ParamSpec] {
            static PROPERTIES: std::sync::LazyLock<Vec<glib::ParamSpec>> =
                std::sync::LazyLock::new(|| {
                    let bitrate = glib::ParamSpecUInt::builder("bitrate").write_only();
                    let device = glib::ParamSpecString::builder("device").read_only();
                    vec![bitrate.build(), device.build()]
                });
            &PROPERTIES
        }

        fn set_property(&self, _: usize, value: &glib::Value, _: &glib::ParamSpec) {
            let inner = self.obj().by_name("inner").unwrap();
            inner.set_property("bitrate", value.get::<u32>().unwrap());
        }

        fn property(&self, _: usize, _: &glib::ParamSpec) -> glib::Value {
            self.obj()
                .by_name("hardware")
                .unwrap()
                .property_value("device")
        }

        fn constructed(&self) {
            self.parent_constructed();
            let make = gst::ElementFactory::make;
            // YUY2 is what GStreamer and this driver understand each other in.
            let yuy2 = gst::Caps::builder("video/x-raw").field("format", "YUY2");
            let tee = make("tee").build().unwrap();
            let driver = [
                make("videoconvert").build().unwrap(),
                make("capsfilter")
                    .property("caps", yuy2.build())
                    .build()
                    .unwrap(),
                make("v4l2fwhtenc").name("hardware").build().unwrap(),
                make("fakesink")
                    .property("async", false)
                    .property("sync", false)
                    .build()
                    .unwrap(),
            ];
            let x264 = x264();
            let bin = self.obj();
            bin.add_many([&tee, &x264]).unwrap();
            bin.add_many(&driver).unwrap();
            gst::Element::link_many(&driver).unwrap();
            // The first that is linked is the first to be given a picture.
            tee.link(&driver[0]).unwrap();
            tee.link(&x264).unwrap();
            for (element, pad) in [(&tee, "sink"), (&x264, "src")] {
                let target = element.static_pad(pad).unwrap();
                let ghost = gst::GhostPad::with_target(&target).unwrap();
                bin.add_pad(&ghost).unwrap();
            }
        }
    }

    impl GstObjectImpl for Encoder {}

    impl ElementImpl for Encoder {
        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: std::sync::LazyLock<Vec<gst::PadTemplate>> =
                std::sync::LazyLock::new(pads);
            &TEMPLATES
        }
    }

    impl BinImpl for Encoder {}
}

glib::wrapper! {
    pub struct Encoder(ObjectSubclass<imp::Encoder>)
        @extends gst::Bin, gst::Element, gst::Object;
}

pub fn register() {
    let rank = gst::Rank::NONE;
    gst::Element::register(None, ELEMENT, rank, Encoder::static_type()).unwrap();
}
