//! The table as the contract prints it, and what must hold for any filter against any topic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use proptest::prelude::*;

const BOX: &str = "studio-a";

fn host() -> Identity {
    Identity::host("h1").unwrap()
}

fn guest() -> Identity {
    Identity::guest("g1").unwrap()
}

fn t(rest: &str) -> String {
    format!("dais/v1/{BOX}/{rest}")
}

/// Topics of the table with two people in each role, and who may publish and read each.
fn table() -> Vec<(&'static str, [bool; 3], [bool; 3])> {
    // (topic, [box, host h1, guest g1] may publish, the same may read)
    let w_box = [true, false, false];
    vec![
        ("online", w_box, [true, true, true]),
        ("room", w_box, [true, true, true]),
        ("meters", w_box, [true, true, true]),
        ("pending", w_box, [true, true, false]),
        ("outputs", w_box, [true, true, false]),
        ("health", w_box, [true, true, false]),
        ("host/events", w_box, [true, true, false]),
        ("host/h1/up", [false, true, false], [true, false, false]),
        ("host/h1/down", w_box, [true, true, false]),
        ("host/h1/down/r/1", w_box, [true, true, false]),
        ("host/h2/up", [false, false, false], [true, false, false]),
        ("host/h2/down", w_box, [true, false, false]),
        ("guest/g1/up", [false, false, true], [true, false, false]),
        ("guest/g1/down", w_box, [true, false, true]),
        ("guest/g1/down/r", w_box, [true, false, true]),
        ("guest/g2/up", [false, false, false], [true, false, false]),
        ("guest/g2/down", w_box, [true, false, false]),
        // An id that is a host's and a guest's at once must not cross over.
        ("guest/h1/down", w_box, [true, false, false]),
        ("guest/h1/up", [false, false, false], [true, false, false]),
        ("host/g1/up", [false, false, false], [true, false, false]),
        // Not in the table.
        ("nothing", [false; 3], [false; 3]),
        ("host/h1/up/more", [false; 3], [false; 3]),
        ("host/h1", [false; 3], [false; 3]),
        ("host/H1/up", [false; 3], [false; 3]),
        ("", [false; 3], [false; 3]),
    ]
}

#[test]
fn every_row_of_the_table_is_kept() {
    for (topic, publish, read) in table() {
        for (i, who) in [Identity::the_box(), host(), guest()].iter().enumerate() {
            assert_eq!(
                may_publish(who, BOX, &t(topic)),
                publish[i],
                "{who} publishes {topic}"
            );
            assert_eq!(
                may_subscribe(who, BOX, &t(topic)),
                read[i],
                "{who} reads {topic}"
            );
        }
    }
}

#[test]
fn a_wildcard_is_allowed_only_if_all_it_covers_is_readable() {
    for (filter, by_host, by_guest) in [
        ("+", true, false),      // a guest may not read `pending`
        ("#", false, false),     // other people's `up` and `down`
        ("host/+", true, false), // `host/events` alone
        ("host/#", false, false),
        ("host/+/down", false, false),
        ("host/h1/+", false, false), // the own `up` is the box's to read
        ("host/h1/#", false, false),
        ("host/h1/down/#", true, false),
        ("host/h1/down/+", true, false),
        ("guest/g1/down/#", false, true),
        ("guest/+/down", false, false),
        ("+/g1/down", false, false), // a host of that name
        ("room/#", true, true),
        ("room/+", false, false),
        ("online/#/x", false, false),
        ("on+", false, false),
    ] {
        assert_eq!(
            may_subscribe(&host(), BOX, &t(filter)),
            by_host,
            "host {filter}"
        );
        assert_eq!(
            may_subscribe(&guest(), BOX, &t(filter)),
            by_guest,
            "guest {filter}"
        );
    }
}

#[test]
fn nothing_outside_the_own_box_can_be_read_or_written() {
    for filter in [
        "#",
        "+/#",
        "dais/#",
        "dais/v1/#",
        "dais/v1/other/online",
        "dais/v1/studio-ab/online",
        "/dais/v1/studio-a/online",
        "$SYS/#",
        "$share/g/dais/v1/studio-a/online",
        "$CONTROL/dynamic-security/v1",
        "",
    ] {
        for who in [Identity::the_box(), host(), guest()] {
            assert!(!may_subscribe(&who, BOX, filter), "{who} {filter}");
            assert!(!may_publish(&who, BOX, filter), "{who} {filter}");
        }
    }
}

#[test]
fn a_topic_with_a_wildcard_is_never_published() {
    assert!(!may_publish(&Identity::the_box(), BOX, &t("guest/+/down")));
    assert!(!may_publish(
        &Identity::the_box(),
        BOX,
        &t("guest/g1/down/#")
    ));
}

#[test]
fn user_names_out_of_form_belong_to_nobody() {
    for bad in [
        "",
        "Box",
        "boxer",
        "host",
        "host-",
        "guest-",
        "guest-Ana",
        "guest-a/b",
        "guest-+",
        "root",
        "guest-é",
        "guest-123456789012345678901234567890123",
    ] {
        assert_eq!(Identity::from_username(bad), None, "{bad}");
    }
    assert_eq!(Identity::from_username("guest-a-b").unwrap().id, "a-b");
}

fn any_identity() -> impl Strategy<Value = Identity> {
    prop_oneof![
        Just(Identity::the_box()),
        "[a-z0-9-]{1,32}".prop_map(|id| Identity::host(&id).unwrap()),
        "[a-z0-9-]{1,32}".prop_map(|id| Identity::guest(&id).unwrap()),
        Just(host()),
        Just(guest()),
    ]
}

/// Filters made of the table's own levels and wildcards, so that many are near misses.
fn any_filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![
        Just("host"),
        Just("guest"),
        Just("h1"),
        Just("g1"),
        Just("g2"),
        Just("up"),
        Just("down"),
        Just("events"),
        Just("online"),
        Just("room"),
        Just("pending"),
        Just("meters"),
        Just("+"),
        Just("#"),
        Just("x"),
        Just(""),
    ];
    prop::collection::vec(level, 1..5).prop_map(|levels| t(&levels.join("/")))
}

/// MQTT's own rule, written apart from the code under test.
fn mqtt_matches(filter: &str, topic: &str) -> bool {
    let f: Vec<&str> = filter.split('/').collect();
    let t: Vec<&str> = topic.split('/').collect();
    for (i, level) in f.iter().enumerate() {
        if *level == "#" {
            return true;
        }
        match t.get(i) {
            Some(have) if level == have || *level == "+" => {}
            _ => return false,
        }
    }
    f.len() == t.len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn user_names_come_back_as_the_same_identity(who in any_identity()) {
        prop_assert_eq!(Identity::from_username(&who.username()), Some(who));
    }

    #[test]
    fn an_allowed_filter_matches_no_topic_that_may_not_be_read(who in any_identity(), filter in any_filter()) {
        if may_subscribe(&who, BOX, &filter) {
            for (topic, _, _) in table() {
                let topic = t(topic);
                let written_by_somebody = [Identity::the_box(), host(), guest(), Identity::host("h2").unwrap(),
                    Identity::guest("g2").unwrap(), Identity::guest("h1").unwrap(), Identity::host("g1").unwrap()]
                    .iter().any(|w| may_publish(w, BOX, &topic));
                if written_by_somebody && mqtt_matches(&filter, &topic) {
                    prop_assert!(may_subscribe(&who, BOX, &topic), "{} by {} covers {}", filter, who, topic);
                }
            }
        }
    }

    #[test]
    fn a_client_writes_its_own_up_and_nothing_else(who in any_identity(), filter in any_filter()) {
        if who.role != Role::Box && may_publish(&who, BOX, &filter) {
            prop_assert_eq!(Some(filter.clone()), who.up_topic(BOX));
            prop_assert_eq!(Identity::from_up_topic(BOX, &filter), Some(who));
        }
    }

    #[test]
    fn what_an_external_broker_is_told_agrees_with_what_the_embedded_one_asks(who in any_identity(), topic in any_filter()) {
        let concrete = !topic.contains(['+', '#']);
        let told_read = readable_filters(&who, BOX).iter().any(|f| mqtt_matches(f, &topic));
        let told_write = publish_topics(&who, BOX).iter().any(|f| mqtt_matches(f, &topic));
        if concrete && may_subscribe(&who, BOX, &topic) {
            prop_assert!(told_read, "{} reads {}", who, topic);
        }
        if concrete && may_publish(&who, BOX, &topic) {
            prop_assert!(told_write, "{} writes {}", who, topic);
        }
        if concrete && told_read {
            prop_assert!(may_subscribe(&who, BOX, &topic) || topic.contains("//") || topic.ends_with('/'));
        }
        if concrete && told_write && who.role != Role::Box {
            prop_assert!(may_publish(&who, BOX, &topic));
        }
    }

    #[test]
    fn no_input_panics(who in any_identity(), s in "\\PC*") {
        let _ = may_publish(&who, BOX, &s);
        let _ = may_subscribe(&who, BOX, &s);
        let _ = Identity::from_username(&s);
        let _ = Identity::from_up_topic(BOX, &s);
    }
}

#[test]
fn a_console_that_knows_no_box_id_may_look_for_online_and_nothing_else() {
    let guest = Identity::guest("ana").unwrap();
    assert!(may_subscribe(&guest, "dais", "dais/v1/+/online"));
    for filter in [
        "dais/v1/+/room",
        "dais/+/+/online",
        "+/v1/+/online",
        "dais/v1/+/#",
    ] {
        assert!(!may_subscribe(&guest, "dais", filter), "{filter}");
    }
}
