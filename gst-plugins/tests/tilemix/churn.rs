//! Pads come and go, and the element stops, while threads push into it.

use std::sync::mpsc;
use std::time::Duration;

use gst::prelude::*;
use gst_check::Harness;

use crate::pictures::*;

/// A pad that plays into a sink pad of the element.
pub fn source(sink: &gst::Pad) -> gst::Pad {
    let src = gst::Pad::builder(gst::PadDirection::Src).build();
    src.set_active(true).unwrap();
    src.link(sink).unwrap();
    assert!(src.push_event(gst::event::StreamStart::new("guest")));
    assert!(src.push_event(gst::event::Caps::new(&caps("I420", 64, 36, 30))));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    assert!(src.push_event(gst::event::Segment::new(&segment)));
    src
}

#[test]
fn a_thousand_pads_come_and_go_without_a_lost_frame_or_a_leak() {
    init();
    let mut clock = Harness::with_padnames("daistilemix", Some("sink_0"), Some("src"));
    clock.use_testclock();
    clock.set_sink_caps_str("video/x-raw,format=I420,width=128,height=72,framerate=30/1");
    clock.set_src_caps(caps("I420", 64, 36, 30));
    let element = clock.element().unwrap();
    let picture = flat(64, 36, RED);
    let mut pads = Vec::new();
    let mut guests = Vec::new();
    for n in 0..1000u64 {
        let sink = element.request_pad_simple("sink_%u").unwrap();
        pads.push(sink.downgrade());
        let src = source(&sink);
        src.push(buffer("I420", &picture, None)).unwrap();
        guests.push((src, sink));
        let pts = n * FRAME + n / 3;
        clock.push(buffer("I420", &picture, Some(pts))).unwrap();
        let out = clock.try_pull().expect("no frame is lost");
        assert_eq!(out.pts().unwrap().nseconds(), pts);
        if guests.len() > 5 {
            // The oldest, or the newest before its second frame.
            let (src, sink) = guests.remove(if n % 2 == 0 { 0 } else { 5 });
            element.release_request_pad(&sink);
            assert!(src.push(buffer("I420", &picture, None)).is_err());
        }
    }
    for (_, sink) in guests.drain(..) {
        element.release_request_pad(&sink);
    }
    assert_eq!(pads.iter().filter(|p| p.upgrade().is_some()).count(), 0);
    assert_eq!(element.num_sink_pads(), 1);
    let gone = element.downgrade();
    drop((element, clock));
    assert!(gone.upgrade().is_none());
}

#[test]
fn pads_come_and_go_in_threads_of_their_own() {
    init();
    let mut clock = Harness::with_padnames("daistilemix", Some("sink_0"), Some("src"));
    clock.use_testclock();
    clock.set_sink_caps_str("video/x-raw,format=NV12,width=128,height=72,framerate=30/1");
    clock.set_src_caps(caps("I420", 64, 36, 30));
    let element = clock.element().unwrap();
    let picture = flat(64, 36, RED);
    clock.push(buffer("I420", &picture, Some(0))).unwrap();
    let guests: Vec<_> = (0..4)
        .map(|_| {
            let (element, picture) = (element.clone(), picture.clone());
            std::thread::spawn(move || {
                for _ in 0..100 {
                    let sink = element.request_pad_simple("sink_%u").unwrap();
                    let src = source(&sink);
                    for _ in 0..3 {
                        src.push(buffer("I420", &picture, None)).unwrap();
                    }
                    sink.set_property("xpos", 20i32);
                    element.release_request_pad(&sink);
                }
            })
        })
        .collect();
    let mut n = 1u64;
    while guests.iter().any(|g| !g.is_finished()) {
        let pts = n * FRAME + n / 3;
        // However long the threads take, the clock keeps up with the timestamps.
        clock.set_time(gst::ClockTime::from_nseconds(pts)).unwrap();
        clock.push(buffer("I420", &picture, Some(pts))).unwrap();
        n += 1;
    }
    guests.into_iter().for_each(|g| g.join().unwrap());
    let left = std::iter::from_fn(|| clock.try_pull()).count() as u64;
    assert_eq!(left, n);
}

/// Runs `work` elsewhere: it must return.
fn returns<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, wait) = mpsc::channel();
    std::thread::spawn(move || done.send(work()));
    wait.recv_timeout(Duration::from_secs(60)).expect(what)
}

#[test]
fn a_blocked_input_does_not_keep_the_element_or_its_pad() {
    init();
    for release in [false, true] {
        let element = gst::ElementFactory::make("daistilemix")
            .property_from_str("mode", "offline")
            .build()
            .unwrap();
        let [first, second] = [0, 1].map(|_| element.request_pad_simple("sink_%u").unwrap());
        element.set_state(gst::State::Playing).unwrap();
        let (src, _other) = (source(&first), source(&second));
        let (said, heard) = mpsc::channel();
        let pusher = std::thread::spawn(move || {
            // The other pad has nothing: after its queue is full this one waits.
            for n in 0u64.. {
                let frame = buffer("I420", &flat(64, 36, RED), Some(n * FRAME));
                said.send(n).unwrap();
                if let Err(error) = src.push(frame) {
                    return error;
                }
            }
            unreachable!()
        });
        while heard.recv_timeout(Duration::from_secs(60)).unwrap() < 2 {}
        let stopped = element.clone();
        returns("it stops", move || {
            if release {
                stopped.release_request_pad(&first);
            } else {
                stopped.set_state(gst::State::Null).unwrap();
            }
        });
        let error = returns("it is let go", || pusher.join().unwrap());
        // It may just have been between two frames when its pad was unlinked.
        let unlinked = release && error == gst::FlowError::NotLinked;
        assert!(error == gst::FlowError::Flushing || unlinked, "{error}");
        let stopped = element.clone();
        returns("it stops", move || {
            stopped.set_state(gst::State::Null).unwrap()
        });
    }
}

#[test]
fn it_plays_again_after_it_was_stopped() {
    init();
    let pipeline = gst::parse::launch(
        "videotestsrc is-live=true ! video/x-raw,framerate=100/1 ! daistilemix name=mix ! appsink name=out sync=false max-buffers=1 drop=true \
         videotestsrc num-buffers=3 is-live=true ! mix.sink_1",
    )
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    let sink = pipeline
        .by_name("out")
        .unwrap()
        .downcast::<gst_app::AppSink>()
        .unwrap();
    let src = pipeline.by_name("mix").unwrap().static_pad("src").unwrap();
    for state in [
        gst::State::Null,
        gst::State::Ready,
        gst::State::Paused,
        gst::State::Null,
    ] {
        pipeline.set_state(gst::State::Playing).unwrap();
        for n in 0..5 {
            let sample = sink.try_pull_sample(gst::ClockTime::from_seconds(60));
            assert!(sample.expect("it plays").caps().is_some());
            // In READY the sink keeps its frame from before.
            if n > 1 {
                assert!(src.sticky_event::<gst::event::Segment>(0).is_some());
            }
        }
        let pipeline = pipeline.clone();
        returns("it stops", move || pipeline.set_state(state).unwrap());
    }
}

#[test]
fn who_pushes_hears_that_downstream_is_gone() {
    init();
    let element = gst::ElementFactory::make("daistilemix")
        .property_from_str("mode", "offline")
        .build()
        .unwrap();
    let sink = element.request_pad_simple("sink_%u").unwrap();
    element.set_state(gst::State::Playing).unwrap();
    let src = source(&sink);
    let stopped = element.clone();
    let error = returns("a push is refused", move || {
        (0u64..).find_map(|n| {
            src.push(buffer("I420", &flat(64, 36, RED), Some(n * FRAME)))
                .err()
        })
    });
    assert_eq!(error, Some(gst::FlowError::NotLinked));
    returns("it stops", move || {
        stopped.set_state(gst::State::Null).unwrap()
    });
}
