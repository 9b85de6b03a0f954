#![allow(clippy::unwrap_used)]

use super::*;

fn noise(seed: &mut u64) -> f32 {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) as f32 / (1u64 << 30) as f32 - 1.0
}

fn hear(sound: &[f32]) -> Vec<Heard> {
    let mut ear = Ear::new();
    // Blocks of an odd length, as files have them.
    let heard = sound.chunks(317).flat_map(|block| ear.push(block).to_vec());
    heard.collect()
}

/// `seconds` of a source's marker from this time on.
fn voice(source: u8, from_ns: u64, seconds: usize) -> Vec<f32> {
    let mut voice = Voice::new(source);
    voice.at(from_ns);
    (0..seconds * 48_000).map(|_| voice.next_sample()).collect()
}

#[test]
fn a_wrong_bit_is_seen_by_the_check_code() {
    for (source, second) in [(0, 0), (255, 4095), (9, 1000)] {
        let bits = encode(source, second);
        assert_eq!(decode(bits), Some((source, second)));
        for a in 0..32 {
            assert_eq!(decode(bits ^ (1 << a)), None);
            for b in 0..a {
                assert_eq!(decode(bits ^ (1 << a) ^ (1 << b)), None);
            }
        }
    }
}

#[test]
fn every_source_is_heard_to_a_fiftieth_of_a_millisecond() {
    for source in (0..16).chain([16, 200, 255]) {
        // 4094.75 s: the second wraps on the way.
        let heard = hear(&voice(source, 4_094_750_000_000, 4));
        let got: Vec<_> = heard.iter().map(|h| (h.source, h.second)).collect();
        assert_eq!(got, [(source, 4095), (source, 0), (source, 1), (source, 2)]);
        for (n, heard) in heard.iter().enumerate() {
            let off = heard.sample - (12_000.0 + 48_000.0 * n as f64);
            assert!(off.abs() < 1.0, "source {source}: {off} samples off");
        }
    }
}

#[test]
fn sixteen_sources_at_once_with_noise_and_speech_like_tones_are_all_heard() {
    let mut mix = vec![0.0f32; 5 * 48_000];
    for source in 0..16u8 {
        // Each late by another part of a second.
        let late = usize::from(source) * 1237;
        for (to, from) in mix[late..].iter_mut().zip(voice(source, 10_000_000_000, 5)) {
            *to += 0.05 * from;
        }
    }
    let mut seed = 3;
    for (i, sample) in mix.iter_mut().enumerate() {
        let t = i as f32 / 48_000.0;
        let hum: f32 = (1..20)
            .map(|n| 0.3 / n as f32 * (t * 150.0 * n as f32 * std::f32::consts::TAU).sin())
            .sum();
        *sample += hum + 0.02 * noise(&mut seed);
    }
    let heard = hear(&mix);
    for source in 0..16u8 {
        let own: Vec<_> = heard.iter().filter(|h| h.source == source).collect();
        assert_eq!(own.len(), 5, "source {source}");
        for (n, one) in own.iter().enumerate() {
            assert_eq!(one.second, 10 + n as u32);
            let off = one.sample - (usize::from(source) * 1237 + n * 48_000) as f64;
            assert!(off.abs() < 24.0, "source {source}: {off} samples off");
        }
    }
}

#[test]
fn minutes_of_noise_music_and_silence_say_nothing() {
    let mut seed = 9;
    let mut sound: Vec<f32> = (0..60 * 48_000).map(|_| noise(&mut seed)).collect();
    sound.extend(vec![0.0; 48_000]);
    // Sweeps through all bands, up and down, as slow and as fast as the chirp.
    let mut phase = 0.0f32;
    sound.extend((0..30 * 48_000).map(|i| {
        let sweep = (i % 4_800) as f32 / 4_800.0;
        let hz = if i / 48_000 % 2 == 0 {
            2_000.0 + 10_000.0 * sweep
        } else {
            3_000.0 + 320.0 * sweep
        };
        phase = (phase + hz / 48_000.0).fract();
        0.5 * (phase * std::f32::consts::TAU).sin()
    }));
    assert_eq!(hear(&sound), []);
}

#[test]
fn a_wavering_timestamp_tears_no_burst_and_a_jump_is_followed() {
    let mut voice = Voice::new(4);
    let mut seed = 1;
    let mut sound = Vec::new();
    for block in 0..500u64 {
        // 10 ms blocks, whose timestamps are off by up to 2 ms; after 2.2 s a jump of 3 s.
        let jump = if block >= 220 { 3_000_000_000 } else { 0 };
        let waver = (noise(&mut seed) * 2e6) as i64;
        voice.at((block * 10_000_000 + jump + 300_000_000).saturating_add_signed(waver));
        sound.extend((0..480).map(|_| voice.next_sample()));
    }
    let seconds: Vec<_> = hear(&sound).iter().map(|h| h.second).collect();
    assert_eq!(seconds, [1, 6, 7], "2 and 5 are torn by the jump");
}

#[test]
fn a_broken_sample_deafens_nobody() {
    let mut sound = voice(1, 0, 3);
    sound[70_000] = f32::NAN;
    sound[70_001] = f32::INFINITY;
    assert_eq!(hear(&sound).len(), 3);
}
