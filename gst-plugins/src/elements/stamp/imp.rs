use std::sync::{LazyLock, Mutex, PoisonError};

use gst::glib;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;
use gst_video::prelude::*;
use gst_video::subclass::prelude::*;

use crate::elements::filter;
use crate::elements::time_source::{TimeSource, stamped};
use crate::mark::{self, Mark, Place};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "daisstamp",
        gst::DebugColorFlags::empty(),
        Some("Marks in pictures"),
    )
});

const DEFAULT_SOURCE: u32 = 0;
/// The usual place, or the usual size.
const USUAL: i32 = -1;

#[derive(Clone, Copy)]
struct Settings {
    source: u32,
    x: i32,
    y: i32,
    width: i32,
    height: i32,
    time_source: TimeSource,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            source: DEFAULT_SOURCE,
            x: USUAL,
            y: USUAL,
            width: USUAL,
            height: USUAL,
            time_source: TimeSource::default(),
        }
    }
}

impl Settings {
    fn place(&self, width: usize, height: usize) -> Option<Place> {
        let usual = Place::usual(width, height);
        let or = |given: i32, usual: Option<usize>| usize::try_from(given).ok().or(usual);
        let size = (
            or(self.width, usual.map(|u| u.width))?,
            or(self.height, usual.map(|u| u.height))?,
        );
        // A mark of another size than the usual one is centred about the same point, as far as it fits.
        let centred = |at: usize, usual: usize, size: usize, side: usize| {
            (at + usual / 2)
                .saturating_sub(size / 2)
                .min(side.saturating_sub(size))
        };
        let place = Place {
            x: or(self.x, usual.map(|u| centred(u.x, u.width, size.0, width)))?,
            y: or(
                self.y,
                usual.map(|u| centred(u.y, u.height, size.1, height)),
            )?,
            width: size.0,
            height: size.1,
        };
        place.fits(width, height).then_some(place)
    }
}

#[derive(Default)]
struct State {
    /// Of the next frame.
    number: u64,
    warned: bool,
}

#[derive(Default)]
pub struct Stamp {
    // Locked one at a time, each for the copying of a few words.
    settings: Mutex<Settings>,
    state: Mutex<State>,
}

impl Stamp {
    fn settings(&self) -> Settings {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[glib::object_subclass]
impl ObjectSubclass for Stamp {
    const NAME: &'static str = "GstDaisStamp";
    type Type = super::Stamp;
    type ParentType = gst_video::VideoFilter;
}

impl ObjectImpl for Stamp {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let side = |name: &'static str, blurb: &'static str| {
                glib::ParamSpecInt::builder(name)
                    .blurb(blurb)
                    .minimum(USUAL)
                    .default_value(USUAL)
                    .mutable_playing()
                    .build()
            };
            vec![
                glib::ParamSpecUInt::builder("source-id")
                    .nick("Source")
                    .blurb("Number of this source, in each mark")
                    .maximum(255)
                    .default_value(DEFAULT_SOURCE)
                    .mutable_playing()
                    .build(),
                side("x", "Left edge of the mark in pixels (-1 = in the middle)"),
                side(
                    "y",
                    "Upper edge of the mark in pixels (-1 = in the upper half)",
                ),
                side(
                    "width",
                    "Width of the mark in pixels (-1 = 45 % of the picture)",
                ),
                side(
                    "height",
                    "Height of the mark in pixels (-1 = 10/18 of the usual width)",
                ),
                glib::ParamSpecEnum::builder_with_default("time-source", TimeSource::default())
                    .nick("Time source")
                    .blurb("Which time is stamped")
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt64::builder("frames")
                    .nick("Frames")
                    .blurb("Frames stamped since the start; the next one's number")
                    .read_only()
                    .build(),
            ]
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        // GLib has checked type and range.
        let int = || value.get().unwrap_or(USUAL);
        match pspec.name() {
            "source-id" => settings.source = value.get().unwrap_or(DEFAULT_SOURCE),
            "x" => settings.x = int(),
            "y" => settings.y = int(),
            "width" => settings.width = int(),
            "height" => settings.height = int(),
            "time-source" => settings.time_source = value.get().unwrap_or_default(),
            _ => {}
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let settings = self.settings();
        match pspec.name() {
            "source-id" => settings.source.to_value(),
            "x" => settings.x.to_value(),
            "y" => settings.y.to_value(),
            "width" => settings.width.to_value(),
            "height" => settings.height.to_value(),
            "time-source" => settings.time_source.to_value(),
            _ => {
                let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.number.to_value()
            }
        }
    }
}

impl GstObjectImpl for Stamp {}

impl ElementImpl for Stamp {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Dais mark painter",
                "Filter/Effect/Video",
                "Paints frame number, capture time and source into each frame, for daisread",
                "Dais",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            use gst_video::VideoFormat::{I420, Nv12, Nv21, Yv12};
            let caps = gst_video::VideoCapsBuilder::new()
                .format_list([I420, Nv12, Yv12, Nv21])
                .build();
            filter::pad_templates(&caps)
        });
        &TEMPLATES
    }
}

impl BaseTransformImpl for Stamp {
    const MODE: gst_base::subclass::BaseTransformMode =
        gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
        Ok(())
    }
}

impl VideoFilterImpl for Stamp {
    fn transform_frame_ip(
        &self,
        frame: &mut gst_video::VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let settings = self.settings();
        let element = self.obj();
        let number = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.number += 1;
            state.number - 1
        };
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        let Some(place) = settings.place(width, height) else {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if !std::mem::replace(&mut state.warned, true) {
                gst::element_imp_warning!(
                    self,
                    gst::StreamError::Format,
                    [
                        "No mark is painted: it does not fit into {width}x{height}; it takes at least 36x20 pixels inside the picture"
                    ]
                );
            }
            return Ok(gst::FlowSuccess::Ok);
        };
        let running_time = filter::running_time(&*element, frame.buffer());
        let time = stamped(settings.time_source, element.upcast_ref(), running_time);
        if time.is_none() {
            gst::debug!(CAT, imp = self, "frame {number} has no time, 0 is stamped");
        }
        let mark = Mark::new(number, time.unwrap_or(0), settings.source as u8);
        let strides: [usize; 3] =
            std::array::from_fn(|p| frame.plane_stride().get(p).map_or(0, |s| *s as usize));
        let planes = frame.n_planes();
        // 4:2:0 in two planes: both chroma samples side by side.
        let samples = if planes == 2 { 2 } else { 1 };
        for plane in 0..planes.min(3) {
            let stride = strides[plane as usize];
            let Ok(data) = frame.plane_data_mut(plane) else {
                return Err(gst::FlowError::Error);
            };
            if plane == 0 {
                mark::paint(data, stride, place, mark);
            } else {
                mark::neutral_chroma(data, stride, samples, place);
            }
        }
        Ok(gst::FlowSuccess::Ok)
    }
}
