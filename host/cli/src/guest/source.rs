//! What a synthetic guest sends: a picture and a sound, live, encoded and packed for one peer connection.

use std::path::Path;
use std::sync::LazyLock;

use gst::prelude::*;

use super::peer::PeerError;
use super::spec::{AudioSpec, Mark, VideoSpec};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    H264,
    Vp8,
}

/// What the box can use of the picture, `media.want`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    pub width: u32,
    pub height: u32,
    pub max_fps: u32,
    pub max_kbps: u32,
}

/// One payload type of the offer.
pub struct Payload {
    pub number: u32,
    /// Written over what the payloader says of itself, so that its caps fit the offer's.
    pub fixed: gst::Caps,
}

/// A file that plays for ever, in a pipeline of its own: `appsink ─▶ appsrc` of the peer.
struct Player(gst::Pipeline);

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

pub struct Picture {
    pub bin: gst::Bin,
    size: gst::Element,
    encoder: gst::Element,
    mute: gst::Element,
    codec: Codec,
    _player: Option<Player>,
}

pub struct Sound {
    pub bin: gst::Bin,
    mute: gst::Element,
    _player: Option<Player>,
}

fn part(bin: &gst::Bin, name: &str) -> Result<gst::Element, PeerError> {
    bin.by_name(name)
        .ok_or_else(|| PeerError::Pipeline(format!("the source has no {name}")))
}

fn parse(description: &str) -> Result<gst::Bin, PeerError> {
    gst::parse::bin_from_description(description, true)
        .map_err(|error| PeerError::Pipeline(error.to_string()))
}

/// An element that marks what passes, for `dais analyse`: with the clock's time, which a box on this machine shares.
fn marker(element: &str, mark: Option<Mark>, number: u32) -> Result<String, PeerError> {
    static REGISTERED: LazyLock<Result<(), String>> =
        LazyLock::new(|| gstdais::plugin_register_static().map_err(|error| error.to_string()));
    let Some(mark) = mark else {
        return Ok(String::new());
    };
    REGISTERED.clone().map_err(PeerError::Pipeline)?;
    let source = mark.source(number);
    Ok(format!("! {element} time-source=clock source-id={source}"))
}

/// The test machine's CPU goes into the box, not into the guests: the fastest presets, one thread.
fn video_encoder(codec: Codec) -> &'static str {
    match codec {
        Codec::Vp8 => {
            "vp8enc name=encoder deadline=1 cpu-used=8 threads=1 keyframe-max-dist=3000 error-resilient=default"
        }
        Codec::H264 if gst::ElementFactory::find("x264enc").is_some() => {
            "x264enc name=encoder tune=zerolatency speed-preset=ultrafast key-int-max=3000 threads=1 ! video/x-h264,profile=constrained-baseline"
        }
        Codec::H264 => {
            "openh264enc name=encoder complexity=low gop-size=3000 ! video/x-h264,profile=constrained-baseline"
        }
    }
}

impl Picture {
    pub fn new(
        spec: &VideoSpec,
        number: u32,
        codec: Codec,
        payload: &Payload,
    ) -> Result<Picture, PeerError> {
        let source = match spec {
            VideoSpec::Test { .. } => {
                // Drawn small and made as large as is wanted: half the work, which on one machine is the box's.
                "videotestsrc name=source is-live=true pattern=ball motion=wavy ! video/x-raw,width=320,height=180 ! videoscale add-borders=false"
            }
            VideoSpec::File(_) => {
                "appsrc name=source is-live=true do-timestamp=true format=time max-buffers=2 leaky-type=downstream ! videoconvert ! videoscale ! videorate drop-only=true"
            }
            VideoSpec::V4l2(_) => {
                "v4l2src name=source ! videoconvert ! videoscale ! videorate drop-only=true"
            }
        };
        let payloader = match codec {
            Codec::H264 => {
                "rtph264pay name=payloader config-interval=-1 aggregate-mode=zero-latency mtu=1200"
            }
            Codec::Vp8 => "rtpvp8pay name=payloader picture-id-mode=15-bit mtu=1200",
        };
        let encoder = video_encoder(codec);
        let marker = match spec {
            VideoSpec::Test { mark, .. } => marker("daisstamp", *mark, number)?,
            _ => String::new(),
        };
        let bin = parse(&format!(
            "{source} ! capsfilter name=size {marker} ! videobalance name=mute ! {encoder} ! {payloader} ! capssetter name=fixed join=true replace=false"
        ))?;
        let source = part(&bin, "source")?;
        let mut player = None;
        match spec {
            VideoSpec::Test { color, .. } => {
                let color = color.unwrap_or_else(|| super::spec::color(number));
                source.set_property("background-color", 0xff00_0000 | color);
                source.set_property("foreground-color", 0xffff_ffffu32);
            }
            VideoSpec::V4l2(device) => source.set_property("device", device),
            VideoSpec::File(path) => player = Some(play(path, "videoconvert", &source)?),
        }
        part(&bin, "payloader")?.set_property("pt", payload.number);
        part(&bin, "fixed")?.set_property("caps", &payload.fixed);
        let (size, encoder, mute) = (
            part(&bin, "size")?,
            part(&bin, "encoder")?,
            part(&bin, "mute")?,
        );
        Ok(Picture {
            bin,
            size,
            encoder,
            mute,
            codec,
            _player: player,
        })
    }

    /// Applies what the box can use: size, frame rate and bit rate.
    pub fn want(&self, want: Want) {
        let even = |n: u32| i32::try_from(n.clamp(16, 1920) & !1).unwrap_or(16);
        let fps = i32::try_from(want.max_fps.clamp(1, 60)).unwrap_or(30);
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", "I420")
            .field("width", even(want.width))
            .field("height", even(want.height))
            // At most: a file or a camera may be slower, and frames are only left out.
            .field(
                "framerate",
                gst::FractionRange::new(gst::Fraction::new(1, 1), gst::Fraction::new(fps, 1)),
            )
            .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
            .build();
        self.size.set_property("caps", caps);
        let kbps = want.max_kbps.clamp(30, 20_000);
        match (
            self.codec,
            self.encoder
                .factory()
                .map(|f| f.name().to_string())
                .as_deref(),
        ) {
            (Codec::Vp8, _) => self.encoder.set_property(
                "target-bitrate",
                i32::try_from(kbps * 1000).unwrap_or(i32::MAX),
            ),
            (Codec::H264, Some("x264enc")) => self.encoder.set_property("bitrate", kbps),
            (Codec::H264, _) => self.encoder.set_property("bitrate", kbps * 1000),
        }
    }

    /// A muted picture is black, as a browser sends it.
    pub fn mute(&self, muted: bool) {
        self.mute
            .set_property("brightness", if muted { -1.0 } else { 0.0 });
        self.mute
            .set_property("contrast", if muted { 0.0 } else { 1.0 });
    }
}

impl Sound {
    pub fn new(spec: &AudioSpec, number: u32, payload: &Payload) -> Result<Sound, PeerError> {
        let source = match spec {
            AudioSpec::Test { .. } => {
                "audiotestsrc name=source is-live=true wave=sine volume=0.25 samplesperbuffer=480"
            }
            AudioSpec::None => {
                "audiotestsrc name=source is-live=true wave=silence samplesperbuffer=480"
            }
            AudioSpec::File(_) => {
                "appsrc name=source is-live=true do-timestamp=true format=time max-time=200000000 leaky-type=downstream ! audioconvert ! audioresample"
            }
            AudioSpec::Alsa(_) => {
                "alsasrc name=source buffer-time=100000 latency-time=10000 ! audioconvert ! audioresample"
            }
        };
        let marker = match spec {
            AudioSpec::Test { mark, .. } => marker("daistonestamp", *mark, number)?,
            _ => String::new(),
        };
        let bin = parse(&format!(
            "{source} ! audio/x-raw,format=S16LE,layout=interleaved,rate=48000,channels=2 {marker} ! volume name=mute \
             ! opusenc bitrate=64000 complexity=5 ! rtpopuspay name=payloader ! capssetter name=fixed join=true replace=false"
        ))?;
        let source = part(&bin, "source")?;
        let mut player = None;
        match spec {
            AudioSpec::Test { tone_hz, .. } => {
                source.set_property(
                    "freq",
                    f64::from(tone_hz.unwrap_or_else(|| super::spec::tone_hz(number))),
                );
            }
            AudioSpec::Alsa(device) => source.set_property("device", device),
            AudioSpec::File(path) => player = Some(play(path, "audioconvert", &source)?),
            AudioSpec::None => {}
        }
        part(&bin, "payloader")?.set_property("pt", payload.number);
        part(&bin, "fixed")?.set_property("caps", &payload.fixed);
        let mute = part(&bin, "mute")?;
        Ok(Sound {
            bin,
            mute,
            _player: player,
        })
    }

    /// Silence is sent: nothing sent would look like a lost guest.
    pub fn mute(&self, muted: bool) {
        self.mute.set_property("mute", muted);
    }
}

fn play(path: &Path, convert: &str, source: &gst::Element) -> Result<Player, PeerError> {
    let broken = |what: String| PeerError::File {
        path: path.to_owned(),
        what,
    };
    let absolute = path
        .canonicalize()
        .map_err(|error| broken(error.to_string()))?;
    let uri =
        gst::glib::filename_to_uri(&absolute, None).map_err(|error| broken(error.to_string()))?;
    // Only a stream that the converter takes is linked; what else the file holds goes nowhere.
    let description =
        format!("uridecodebin name=file ! {convert} ! appsink name=sink sync=true max-buffers=2");
    let pipeline = gst::parse::launch(&description)
        .ok()
        .and_then(|p| p.downcast::<gst::Pipeline>().ok())
        .ok_or_else(|| broken("no player for it could be built".into()))?;
    let (Some(file), Some(sink), Ok(source)) = (
        pipeline.by_name("file"),
        pipeline
            .by_name("sink")
            .and_then(|s| s.downcast::<gst_app::AppSink>().ok()),
        source.clone().downcast::<gst_app::AppSrc>(),
    ) else {
        return Err(broken("no player for it could be built".into()));
    };
    file.set_property("uri", uri.as_str());
    let source = source.downgrade();
    sink.set_callbacks(
        gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let (Ok(sample), Some(source)) = (sink.pull_sample(), source.upgrade()) else {
                    return Err(gst::FlowError::Eos);
                };
                if let Some(caps) = sample
                    .caps_owned()
                    .filter(|c| source.caps().as_ref() != Some(c))
                {
                    source.set_caps(Some(&caps));
                }
                if let Some(buffer) = sample.buffer() {
                    let mut buffer = buffer.to_owned();
                    // Played by now: it is stamped anew as it leaves.
                    let stamps = buffer.make_mut();
                    stamps.set_pts(gst::ClockTime::NONE);
                    stamps.set_dts(gst::ClockTime::NONE);
                    // The peer is on its way down, then.
                    let _ = source.push_buffer(buffer);
                }
                Ok(gst::FlowSuccess::Ok)
            })
            .build(),
    );
    if let Some(bus) = pipeline.bus() {
        let player = pipeline.downgrade();
        bus.set_sync_handler(move |_, message| {
            match message.view() {
                gst::MessageView::Eos(_) => {
                    if let Some(player) = player.upgrade() {
                        // Seeking from the thread that ended would wait for itself.
                        std::thread::spawn(move || {
                            player.seek_simple(
                                gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT,
                                gst::ClockTime::ZERO,
                            )
                        });
                    }
                }
                gst::MessageView::Error(error) => {
                    tracing::error!(error = %error.error(), "a file can't be played")
                }
                _ => {}
            }
            gst::BusSyncReply::Drop
        });
    }
    pipeline
        .set_state(gst::State::Playing)
        .map_err(|error| broken(error.to_string()))?;
    Ok(Player(pipeline))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn stamp(bin: &gst::Bin, factory: &str) -> Option<(u32, gstdais::elements::TimeSource)> {
        let elements = bin.iterate_all_by_element_factory_name(factory);
        let element = elements.into_iter().next()?.unwrap();
        Some((
            element.property("source-id"),
            element.property("time-source"),
        ))
    }

    #[test]
    fn a_marked_guest_stamps_the_clocks_time_and_its_number() {
        gst::init().unwrap();
        let payload = Payload {
            number: 96,
            fixed: gst::Caps::new_empty_simple("application/x-rtp"),
        };
        let clock = gstdais::elements::TimeSource::Clock;
        for (spec, wanted) in [
            ("test", None),
            ("test:mark=own", Some((4, clock))),
            ("test:mark=9", Some((9, clock))),
        ] {
            let picture = Picture::new(&spec.parse().unwrap(), 4, Codec::H264, &payload).unwrap();
            assert_eq!(stamp(&picture.bin, "daisstamp"), wanted, "{spec}");
            let sound = Sound::new(&spec.parse().unwrap(), 4, &payload).unwrap();
            assert_eq!(stamp(&sound.bin, "daistonestamp"), wanted, "{spec}");
        }
    }
}
