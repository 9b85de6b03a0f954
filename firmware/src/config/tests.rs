#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;

fn complaint(text: &str) -> String {
    Config::parse(Path::new("dais.toml"), text)
        .expect_err("a mistake was taken")
        .to_string()
}

#[test]
fn the_example_file_parses_and_shows_the_defaults() {
    let text = include_str!("../../dais.example.toml");
    let example = Config::parse(Path::new("dais.example.toml"), text).unwrap();
    assert_eq!(format!("{example:?}"), format!("{:?}", Config::default()));
}

#[test]
fn every_key_stands_in_the_example_file() {
    // The commented keys too: uncommented, each is known and well typed.
    let text: String = include_str!("../../dais.example.toml")
        .lines()
        .map(|line| line.strip_prefix("#: ").unwrap_or(line).to_owned() + "\n")
        .collect();
    let text = text.replace("mode = \"embedded\"", "mode = \"external\"");
    let whole = Config::parse(Path::new("dais.example.toml"), &text).unwrap();
    assert!(
        whole.broker.url.is_some()
            && !whole.ice.turn.is_empty()
            && whole.http.public_url.is_some()
            && whole.https.listen.is_some()
            && whole.https.own().is_some()
    );
}

#[test]
fn a_mistake_names_file_line_and_key() {
    let unknown = complaint("[http]\nlisten = \"127.0.0.1:80\"\n\n[programme]\nfsp = 30\n");
    assert!(
        unknown.starts_with("dais.toml:5: ") && unknown.contains("fsp"),
        "{unknown}"
    );
    let typed = complaint("[programme]\nwidth = 1280\nfps = \"fast\"\n");
    assert!(typed.starts_with("dais.toml:3: programme.fps: "), "{typed}");
    let bound = complaint("[room]\n\nmax_guests = 10\n");
    assert!(
        bound.starts_with("dais.toml:3: room.max_guests: ") && bound.contains("1 to 9"),
        "{bound}"
    );
    let syntax = complaint("[room]\ntitle = \n");
    assert!(syntax.starts_with("dais.toml:2: "), "{syntax}");
    let section = complaint("[rooom]\ntitle = \"x\"\n");
    assert!(
        section.starts_with("dais.toml:1: ") && section.contains("rooom"),
        "{section}"
    );
}

#[test]
fn a_mistake_that_two_keys_make_names_a_line() {
    let fps = complaint("# a box\n[programme]\nfps = 999\n");
    assert!(fps.starts_with("dais.toml:3: programme.fps: "), "{fps}");
    let broker = complaint("[broker]\nmode = \"external\"\n");
    assert!(broker.starts_with("dais.toml:2: broker.mode: "), "{broker}");
}

fn recovered(text: &str) -> (Config, Recovered) {
    let mistake = Config::parse(Path::new("dais.toml"), text).expect_err("it has a mistake");
    let settings = Settings::recover(&Board::default(), text, &mistake);
    (settings.config, settings.mistake.unwrap())
}

#[test]
fn a_mistake_costs_its_own_section_and_is_told() {
    let (config, mistake) =
        recovered("[room]\ntitle = \"Late show\"\nmax_guests = 12\n[mqtt]\nmax_connections = 7\n");
    assert_eq!(config.mqtt.max_connections, 7);
    assert_eq!(config.room.title.as_str(), "Dais");
    assert!(
        !mistake.media && mistake.what.starts_with("dais.toml:3: room.max_guests: "),
        "{}",
        mistake.what
    );
    assert!(mistake.what.contains("[room]"), "{}", mistake.what);
}

#[test]
fn a_mistake_of_the_media_part_keeps_it_from_starting() {
    for text in [
        "[box]\nid = \"b7\"\n[capture]\nvideo = \"vhs:1\"\n",
        "[box]\nid = \"b7\"\n[programme]\nfsp = 15\n",
        "[box]\nid = \"b7\"\n[returns]\nfps = 99\n",
    ] {
        let (config, mistake) = recovered(text);
        assert!(mistake.media, "{}", mistake.what);
        assert_eq!(config.identity.id.as_str(), "b7", "{}", mistake.what);
    }
}

#[test]
fn a_mistake_at_the_door_leaves_the_media_part_as_it_is() {
    let (config, mistake) =
        recovered("[programme]\nfps = 15\n[returns]\nfps = 15\n[broker]\nmode = \"external\"\n");
    assert!(!mistake.media, "{}", mistake.what);
    assert_eq!((config.programme.fps, config.returns.fps), (15, 15));
    assert_eq!(config.broker.mode, BrokerMode::Embedded);
}

#[test]
fn a_file_that_is_no_toml_leaves_the_defaults() {
    let (config, mistake) = recovered("[http\n");
    assert!(mistake.media && mistake.what.starts_with("dais.toml:1: "));
    assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
}

#[test]
fn a_section_that_nobody_knows_is_told_and_costs_nothing() {
    let (config, mistake) = recovered("[rooom]\nx = 1\n[room]\ntitle = \"A\"\n");
    assert!(!mistake.media && mistake.what.contains("rooom"));
    assert_eq!(config.room.title.as_str(), "A");
}

#[test]
fn a_certificate_of_ones_own_needs_its_key_and_its_address() {
    let alone = complaint("[https]\ncertificate = \"c\"\n");
    assert!(
        alone.starts_with("dais.toml:2: https.certificate: "),
        "{alone}"
    );
    let key = complaint("[https]\n\nkey = \"k\"\n");
    assert!(key.starts_with("dais.toml:3: https.key: "), "{key}");
    let both = complaint("[https]\ncertificate = \"c\"\nkey = \"k\"\n");
    assert!(both.contains("http.public_url"), "{both}");
}

#[test]
fn a_certificate_that_is_not_there_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dais.toml");
    std::fs::write(&path, "[http]\npublic_url = \"https://x\"\n[https]\nkey = \"/none/k\"\ncertificate = \"/none/c\"\n").unwrap();
    Config::load(&path).unwrap();
    let missing = Config::load_with_files(&path).unwrap_err().to_string();
    let wanted = format!("{}:5: https.certificate: /none/c", path.display());
    assert!(missing.starts_with(&wanted), "{missing}");
}

#[test]
fn a_board_names_its_encoders_and_their_settings() {
    let board = "[programme]\nencoders = [\"mpph264enc\"]\n[programme.encoder_settings.mpph264enc]\nmax-pending = 1\nzero-copy-pkt = true\nbps = \"{bps}\"\n";
    let config = Config::parse(Path::new("x"), board).unwrap().studio();
    assert_eq!(config.programme.encoders, ["mpph264enc"]);
    let settings = &config.programme.encoder_settings["mpph264enc"];
    assert_eq!(settings["max-pending"].to_string(), "1");
    assert_eq!(settings["zero-copy-pkt"].to_string(), "true");
    assert_eq!(settings["bps"].to_string(), "{bps}");
    let name = complaint("[programme]\nencoders = [\"x264enc ! fakesink\"]\n");
    assert!(
        name.starts_with("dais.toml:2: programme.encoders: "),
        "{name}"
    );
    let word = complaint("[programme.encoder_settings.x264enc]\nbitrate = \"{kpbs}\"\n");
    assert!(
        word.starts_with("dais.toml:1: programme.encoder_settings: {kpbs} of x264enc bitrate"),
        "{word}"
    );
    let value = complaint("[programme.encoder_settings.x264enc]\ntune = [1]\n");
    assert!(value.starts_with("dais.toml:2: "), "{value}");
}

#[test]
fn secrets_do_not_print() {
    let config = Config::parse(
        Path::new("x"),
        "[broker]\nmode='external'\nurl='mqtt://h:1'\npassword='hush'\n[[ice.turn]]\nurl='turn://t:3478'\nusername='u'\ncredential='hush'\n",
    );
    assert!(!format!("{:?}", config.unwrap()).contains("hush"));
    for text in [
        "[broker]\npassword = 123456\n",
        "[[ice.turn]]\ncredential = 123456\n",
    ] {
        let told = complaint(text);
        assert!(
            told.contains("in quotes") && !told.contains("123456"),
            "{told}"
        );
    }
}

const PI: &str = "[capture]\nvideo = \"auto\"\n[programme]\nfps = 25\nwidth = 1280\nheight = 720\n[programme.encoder_settings.x264enc]\nspeed-preset = \"ultrafast\"\n[returns]\nfps = 25\n";

#[test]
fn a_box_has_what_its_board_says_where_its_own_file_says_nothing() {
    let board = Board::parse(Path::new("board.toml"), PI).unwrap();
    let own = "[room]\ntitle = \"Late\"\n[programme]\nwidth = 640\n[programme.encoder_settings.x264enc]\nrc-lookahead = 0\n";
    let config = Config::parse_over(&board, Path::new("dais.toml"), own).unwrap();
    let p = &config.programme;
    assert_eq!((p.width, p.height, p.fps), (640, 720, 25));
    assert_eq!(
        (config.capture.video.as_str(), config.room.title.as_str()),
        ("auto", "Late")
    );
    let x264 = &p.encoder_settings["x264enc"];
    assert_eq!(x264["speed-preset"].to_string(), "ultrafast");
    assert_eq!(x264["rc-lookahead"].to_string(), "0");
    // What goes ill with the board's is told of the box's own file.
    let over = |own| Config::parse_over(&board, Path::new("dais.toml"), own);
    let told = over("\n[programme]\nwidth = 641\n")
        .unwrap_err()
        .to_string();
    assert!(told.starts_with("dais.toml:"), "{told}");
    assert!(told.contains("programme.width"), "{told}");
    // Fewer pictures than the board's returns have are no mistake: these have as few then.
    let slow = over("\n[programme]\nfps = 20\n").unwrap().studio();
    assert_eq!((slow.returns.fps, slow.returns_fps()), (25, 20));
}

#[test]
fn a_mistake_leaves_the_boards_settings_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (board, own) = (folder.path().join("board"), folder.path().join("dais"));
    let load = |own_text: &str| {
        std::fs::write(&own, own_text).unwrap();
        Settings::load_over(&board, &own).unwrap()
    };
    // No image: no board.
    assert_eq!(load("").config.programme.fps, 30);
    std::fs::write(&board, PI).unwrap();
    for text in ["[room]\nmax_guests = 12\n", "[programme]\nfps = 99\n", "["] {
        let settings = load(text);
        assert!(settings.mistake.is_some(), "{text}");
        assert_eq!(settings.config.programme.fps, 25, "{text}");
        assert_eq!(settings.config.capture.video, "auto", "{text}");
    }
    // A board's own mistake is told with its file, and the media part does not start on half of it.
    std::fs::write(&board, "[programme]\nfsp = 1\n").unwrap();
    let mistake = load("").mistake.unwrap();
    let begins = format!("{}:2: ", board.display());
    assert!(
        mistake.media && mistake.what.starts_with(&begins),
        "{}",
        mistake.what
    );
}
