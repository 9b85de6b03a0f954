//! A trial finds out what is wrong with an encoder, and measures what is right.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
mod faulty;

use std::sync::atomic::{AtomicBool, Ordering};

use common::config;
use dais_studio::probe::try_encoder;
use dais_studio::{Passport, StudioConfig};
use faulty::{blocks, crawls, deaf, errs, garbles, holds, on_top, repeats, spends, stalls};

fn with(element: &str) -> StudioConfig {
    let mut config = config();
    // Few, so that a busy machine is fast enough.
    (config.programme.fps, config.returns.fps) = (5, 5);
    on_top(&mut config, element);
    config
}

fn tried(element: &str) -> Passport {
    try_encoder(&with(element), element).unwrap()
}

/// One test for all, because each fault is one switch for the whole process.
#[test]
fn a_trial_refuses_each_fault_for_what_it_is() {
    type Case = (fn(), &'static str, &'static AtomicBool, &'static str);
    let cases: [Case; 9] = [
        (stalls::register, stalls::ELEMENT, &stalls::ON, "it stalls"),
        (blocks::register, blocks::ELEMENT, &blocks::ON, "it stalls"),
        (
            garbles::register,
            garbles::ELEMENT,
            &garbles::ON,
            "it garbles",
        ),
        (
            repeats::register,
            repeats::ELEMENT,
            &repeats::ON,
            "other pictures",
        ),
        (deaf::register, deaf::ELEMENT, &deaf::ON, "ignores requests"),
        (
            errs::register,
            errs::ELEMENT,
            &errs::ON,
            "the test wants it",
        ),
        (
            crawls::register,
            crawls::ELEMENT,
            &crawls::ON,
            "it is too slow",
        ),
        (spends::register, spends::ELEMENT, &spends::ON, "bit rate"),
        (holds::register, holds::ELEMENT, &holds::ON, "it holds 1"),
    ];
    for (register, element, on, what) in cases {
        register();
        let passport = tried(element);
        assert_eq!(passport.verdict(), Ok(()), "{element}: {passport:?}");
        on.store(true, Ordering::Relaxed);
        let passport = tried(element);
        on.store(false, Ordering::Relaxed);
        let why = passport.verdict().expect_err(element);
        assert!(why.contains(what), "{element}: {why}: {passport:?}");
    }
}

#[test]
fn a_trial_of_the_software_encoders_measures_them() {
    for element in ["x264enc", "openh264enc"] {
        let passport = tried(element);
        let f = &passport.figures;
        assert_eq!(passport.verdict(), Ok(()), "{passport:?}");
        assert!(f.psnr_db.unwrap().iter().all(|db| *db > 30.0), "{f:?}");
        assert!(f.fps.unwrap() > 1.0 && f.opens_ms.unwrap() > 0.0, "{f:?}");
        assert_eq!(f.held, Some(0), "{f:?}");
        assert!(f.keyframe_after.unwrap() <= 2, "{f:?}");
        // So small a picture can't use the whole rate at five frames a second.
        assert!((0.05..1.6).contains(&f.rate.unwrap()), "{f:?}");
    }
    // What makes no H.264 is measured all the same.
    let other = tried("jpegenc");
    assert!(other.figures.psnr_db.unwrap()[0] > 25.0, "{other:?}");
    assert!(
        other.verdict().unwrap_err().contains("image/jpeg"),
        "{other:?}"
    );
}
