//! One listener is spoken to, and nobody else hears of it.

use super::*;

/// Host, guest who is spoken to, another guest.
const HOST: usize = 0;
const ANA: usize = 1;
const BO: usize = 2;
/// Blocks of silence for the ramps (20 ms) and the limiter's delay, then of measure.
const SETTLED: usize = 5 * BLOCK_SAMPLES;

fn switch(mixer: &mut MixMinus, on: bool) {
    mixer.set_mute(HOST, on);
    mixer.set_talkback(ANA, on.then_some(HOST));
}

fn speak(mixer: &mut MixMinus) -> (Vec<f32>, Vec<Vec<f32>>) {
    run(mixer, 55, |i, b| tone(hz(i), 0.1, b), |_, _| {})
}

#[test]
fn a_voice_for_one_is_in_that_return_alone_and_lowers_the_rest_of_it() {
    let mut mixer = MixMinus::new(3);
    speak(&mut mixer);
    switch(&mut mixer, true);
    let (programme, returns) = speak(&mut mixer);
    let level = |sound: &[f32], input: usize| db(amplitude(&sound[SETTLED..], hz(input)));
    let voice = level(&returns[ANA], HOST);
    assert!((voice - db(0.1)).abs() < 0.1, "the voice is at {voice} dB");
    for (what, sound) in [("programme", &programme), ("other return", &returns[BO])] {
        let leak = level(sound, HOST);
        assert!(leak < voice - 100.0, "the {what} has it at {leak} dB");
    }
    let under = level(&returns[ANA], BO);
    assert!(
        (under - db(0.1) - TALKBACK_DUCK_DB).abs() < 0.1,
        "the rest is at {under} dB"
    );
    assert!((level(&programme, BO) - db(0.1)).abs() < 0.1);
    assert!(level(&returns[ANA], ANA) < -100.0, "mix-minus still holds");

    switch(&mut mixer, false);
    let (programme, returns) = speak(&mut mixer);
    for sound in [&programme, &returns[ANA], &returns[BO]] {
        assert!((level(sound, HOST) - db(0.1)).abs() < 0.1);
    }
    assert!((level(&returns[ANA], BO) - db(0.1)).abs() < 0.1);
}

/// Between neighbouring samples: a step of the gain is a click, a ramp is none.
#[test]
fn beginning_and_ending_do_not_click() {
    let mut mixer = MixMinus::new(3);
    let toggle = |block: usize, mixer: &mut MixMinus| {
        if block % 7 == 3 {
            switch(mixer, block % 14 == 3);
        }
    };
    let low = |input: usize, block: usize| match input {
        ANA => SILENCE,
        _ => tone(100.0, 0.2, block),
    };
    let (programme, returns) = run(&mut mixer, 70, low, toggle);
    let steepest = |sound: &[f32]| {
        let left: Vec<f32> = sound.iter().step_by(2).copied().collect();
        left.windows(2)
            .map(|pair| (pair[1] - pair[0]).abs())
            .fold(0.0, f32::max)
    };
    // Two tones of 100 Hz at 0.2 move by 0.0053 a sample, a ramp of 20 ms adds 0.0004; a switch would be up to 0.4.
    for sound in [&programme, &returns[ANA], &returns[BO]] {
        assert!(steepest(sound) < 0.008, "a step of {}", steepest(sound));
    }
}

#[test]
fn a_voice_that_is_too_loud_is_limited_and_garbage_is_silence() {
    let mut mixer = MixMinus::new(3);
    switch(&mut mixer, true);
    let loud = |input: usize, block: usize| match (input, block) {
        (HOST, 30..) => [f32::NAN; BLOCK_SAMPLES],
        _ => tone(hz(input), 1.5, block),
    };
    let (_, returns) = run(&mut mixer, 60, loud, |_, _| {});
    let peak = returns[ANA].iter().fold(0.0_f32, |m, x| m.max(x.abs()));
    assert!(peak <= OUTPUT_CEILING, "{peak}");
    assert!(returns[ANA].iter().all(|x| x.is_finite()));
}

#[test]
fn who_takes_an_input_anew_is_not_spoken_to() {
    let mut mixer = MixMinus::new(3);
    switch(&mut mixer, true);
    speak(&mut mixer);
    mixer.reset_input(ANA);
    let (_, returns) = speak(&mut mixer);
    assert!(db(amplitude(&returns[ANA][SETTLED..], hz(HOST))) < -100.0);
    // An input that is not there is no panic.
    mixer.set_talkback(99, Some(HOST));
    mixer.set_talkback(ANA, Some(99));
    speak(&mut mixer);
}
