#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

const NAMES: [&str; 12] = [
    "Ana",
    "Maximiliane von Württemberg-Hohenzollern-Sigmaringen zu Lichtenberg",
    "李小龙",
    "محمد الفاتح",
    "שלום כהן",
    "Ольга Петровна",
    "अमिताभ बच्चन",
    "👩🏽‍🚀 Mae 🚀",
    "Z̸̨̛͇̘͙̈́̉a̶̡͔̙͌l̵̰̮͛g̸̙͐̕o̷̢͘",
    "",
    "\u{202e}evil\n\t\0name\u{2066}",
    "@@@",
];

fn ink(bitmap: &Rgba) -> usize {
    bitmap
        .data()
        .as_chunks::<4>()
        .0
        .iter()
        .filter(|p| p[1] > 128)
        .count()
}

#[test]
fn a_tag_has_the_height_asked_for_and_never_more_than_the_widest_width() {
    for name in NAMES {
        for height in [16, 28, 41, 64] {
            let tag = name_tag(name, height);
            assert_eq!(tag.height(), height as usize, "{name}");
            assert!(
                tag.width() <= (height * TAG_WIDEST) as usize,
                "{name}: {}",
                tag.width()
            );
            assert_eq!(tag.width() % 2, 0, "{name}");
        }
    }
    assert!(name_tag("Ana", 32).width() < name_tag("Ana Maria", 32).width());
}

#[test]
fn text_stays_inside_the_tag_with_a_margin_on_both_sides() {
    for name in [
        "Ana",
        NAMES[1],
        NAMES[3],
        NAMES[4],
        &format!("{0} {0} {0}", NAMES[3]),
    ] {
        let tag = name_tag(name, 40);
        let column = |x: usize| (0..40).any(|y| tag.row(y)[4 * x + 1] > 128);
        let first = (0..tag.width()).position(column).unwrap();
        let last = (0..tag.width()).rposition(column).unwrap();
        let right = tag.width() - 1 - last;
        assert!(
            first >= 8 && right >= 8,
            "{name}: {first} left, {right} right of {}",
            tag.width()
        );
        assert!(
            first <= 40 && right <= 40,
            "{name}: {first} left, {right} right of {}",
            tag.width()
        );
    }
}

#[test]
fn every_name_gives_a_card_of_the_size_asked_for_with_no_hole_in_it() {
    for name in NAMES {
        for (w, h) in [(640, 360), (480, 360), (202, 114), (200, 600), (2, 2)] {
            let card = name_card(name, w, h);
            assert_eq!((card.width(), card.height()), (w as usize, h as usize));
            assert!(
                card.data().as_chunks::<4>().0.iter().all(|p| p[3] == 255),
                "{name}"
            );
        }
    }
    assert!(ink(&name_card("Ana", 640, 360)) > 500);
}

#[test]
fn initials_are_the_first_letters_of_the_first_and_the_last_word() {
    let all = [
        "ana",
        "Ana Maria de la Cruz",
        "李小龙",
        "@ben (home)",
        "👩🏽‍🚀 mae",
        "",
        "@@",
        "ﬁona",
    ];
    let got = all.map(|name| initials(&clean(name)));
    assert_eq!(got, ["A", "AC", "李", "BH", "👩🏽‍🚀M", "", "@", "FI"]);
}

#[test]
fn a_name_can_not_break_its_line_or_turn_the_text_beside_it() {
    assert_eq!(clean("\u{202e}evil\n\t\0name\u{2066} "), "evil name");
}

/// With the fonts that `board/deps` and the images install.
#[test]
fn names_of_many_scripts_have_letters_and_not_boxes() {
    let surface = ImageSurface::create(Format::ARgb32, 1, 1).unwrap();
    let cr = Context::new(&surface).unwrap();
    for name in [
        "Maximiliane von Württemberg",
        "李小龙",
        "さくら",
        "김민준",
        "Ольга Петровна",
        "Ελένη",
        "שלום כהן",
        "محمد الفاتح",
    ] {
        let line = line(&cr, name, 20.0, f64::INFINITY);
        assert_eq!(line.layout.unknown_glyphs_count(), 0, "{name}");
    }
}
