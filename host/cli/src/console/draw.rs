//! Paints the console: the same state and the same time give the same frame.

use dais_protocol::{
    CameraSignal, GuestState, Health, Layout, Output, OutputKind, OutputState, Outputs, SeatState,
};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout as Split, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table};

use super::keys::name_of;
use super::state::{Item, Prompt, State};

/// Cells of a level meter, from -60 dB to full scale.
const METER: usize = 15;
/// So many lists are shown whole; a show has ten seats.
const MOST_LINES: usize = 6;

pub fn draw(frame: &mut Frame, state: &State, now: u64) {
    let requests = state.pending.requests.len().clamp(1, MOST_LINES) as u16;
    let outputs = state.outputs.as_ref().map_or(0, |o| o.outputs.len());
    let outputs = (1 + outputs.min(MOST_LINES)) as u16;
    let alarms = state.health.as_ref().map_or(0, |h| h.alarms.len());
    let [head, asking, seats, sending, health, said, help] = Split::vertical([
        Constraint::Length(1),
        Constraint::Length(requests + 1),
        Constraint::Length(11),
        Constraint::Length(outputs + 1),
        Constraint::Length(alarms.clamp(1, MOST_LINES) as u16 + 1),
        Constraint::Length(1),
        Constraint::Length(2),
    ])
    .areas(frame.area());
    frame.render_widget(header(state), head);
    draw_requests(frame, asking, state, now);
    draw_seats(frame, seats, state, now);
    draw_outputs(frame, sending, state);
    draw_health(frame, health, state);
    frame.render_widget(sentence(state, now), said);
    let everywhere =
        "↑↓ choose · r record · v layout · o open or close requests · i invite · q leave";
    let dim = Style::new().add_modifier(Modifier::DIM);
    let keys = Paragraph::new(vec![
        Line::from(state.help()),
        Line::styled(everywhere, dim),
    ]);
    frame.render_widget(keys, help);
}

fn header(state: &State) -> Line<'static> {
    let mut spans = Vec::new();
    match &state.room {
        None => spans.push(Span::raw("waiting for the box")),
        Some(room) => {
            let on_air = room
                .guests
                .iter()
                .filter(|g| g.state == SeatState::OnAir)
                .count();
            let open = if room.accepting { "open" } else { "closed" };
            spans.push(Span::styled(
                room.title.to_string(),
                Style::new().add_modifier(Modifier::BOLD),
            ));
            spans.push(Span::raw(format!(
                " · {on_air} of {} on air · requests {open} · layout {}",
                room.max_guests.get(),
                name_of(room.layout)
            )));
        }
    }
    if let Some(talkback) = &state.pending.talkback {
        let guests = state.room.iter().flat_map(|room| &room.guests);
        let named = guests
            .map(|guest| (&guest.user_id, &guest.name))
            .chain(state.pending.requests.iter().map(|r| (&r.user_id, &r.name)))
            .find(|(user, _)| **user == talkback.user_id);
        let name = named.map_or_else(
            || talkback.user_id.to_string(),
            |(_, name)| name.to_string(),
        );
        let off_air = Style::new().fg(Color::Black).bg(Color::Yellow);
        spans.push(Span::raw(" "));
        spans.push(Span::styled(
            format!(" only {name} hears the host "),
            off_air,
        ));
    }
    if let Some(why) = &state.lost {
        let lost = Style::new().fg(Color::White).bg(Color::Red);
        spans.push(Span::raw(" "));
        spans.push(Span::styled(format!(" no connection: {why} "), lost));
    }
    Line::from(spans)
}

fn titled(title: String) -> Block<'static> {
    Block::new().borders(Borders::TOP).title(title)
}

/// A list whose chosen line is marked; the lines around the cursor are shown where not all fit.
fn table<const N: usize>(
    frame: &mut Frame,
    area: Rect,
    title: String,
    widths: [Constraint; N],
    rows: Vec<(bool, [Cell<'static>; N])>,
) {
    let chosen = rows.iter().position(|(chosen, _)| *chosen);
    let height = usize::from(area.height.saturating_sub(1)).max(1);
    let skip = chosen.map_or(0, |at| (at + 1).saturating_sub(height));
    let rows = rows.into_iter().skip(skip).map(|(chosen, cells)| {
        let mark = Cell::from(if chosen { ">" } else { " " });
        let style = if chosen {
            Style::new().add_modifier(Modifier::REVERSED)
        } else {
            Style::new()
        };
        Row::new([mark].into_iter().chain(cells)).style(style)
    });
    let widths = [Constraint::Length(1)].into_iter().chain(widths);
    frame.render_widget(Table::new(rows, widths).block(titled(title)), area);
}

fn draw_requests(frame: &mut Frame, area: Rect, state: &State, now: u64) {
    let requests = &state.pending.requests;
    let title = match requests.len() {
        0 => " Requests ".into(),
        n => format!(" Requests ({n}) "),
    };
    if requests.is_empty() {
        let nobody = Paragraph::new("  nobody asks to come on air").block(titled(title));
        return frame.render_widget(nobody, area);
    }
    let rows = requests.iter().map(|r| {
        let left = state.left_ms(r, now);
        let urgent = if left < 10_000 {
            Color::Red
        } else {
            Color::Reset
        };
        let chosen = state.cursor == Some(Item::Request(r.user_id.clone()));
        let cells = [
            Cell::from(r.name.to_string()),
            Cell::from(if r.camera { "camera" } else { "sound only" }),
            Cell::from(Span::styled(
                format!("{} left", clock(left)),
                Style::new().fg(urgent),
            )),
        ];
        (chosen, cells)
    });
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(12),
        Constraint::Length(12),
    ];
    table(frame, area, title, widths, rows.collect());
}

fn draw_seats(frame: &mut Frame, area: Rect, state: &State, now: u64) {
    let rows = (0..=9).map(|seat| {
        let guest = state.guest_on(seat);
        let (name, what) = match (seat, guest, &state.room) {
            (0, _, Some(room)) => (
                room.host.name.to_string(),
                host_notes(room.host.muted, room.host.camera),
            ),
            (_, Some(guest), _) => (guest.name.to_string(), notes(state, guest, now)),
            _ if state.is_locked(seat) => (String::new(), "locked".into()),
            _ => (String::new(), String::new()),
        };
        let meter = state.meter(seat, now).filter(|_| !name.is_empty());
        let colour = match meter.map(|m| m.peak_db) {
            Some(peak) if peak > -3.0 => Color::Red,
            Some(peak) if peak > -12.0 => Color::Yellow,
            _ => Color::Green,
        };
        let speaking = meter.is_some_and(|m| m.speaking);
        let bar = meter.map_or(String::new(), |m| bar(m.level_db));
        let cells = [
            Cell::from(seat.to_string()),
            Cell::from(name),
            Cell::from(Span::styled(bar, Style::new().fg(colour))),
            Cell::from(if speaking { "●" } else { "" }),
            Cell::from(what),
        ];
        (state.cursor == Some(Item::Seat(seat)), cells)
    });
    let widths = [
        Constraint::Length(1),
        Constraint::Fill(2),
        Constraint::Length(METER as u16),
        Constraint::Length(1),
        Constraint::Fill(3),
    ];
    table(frame, area, " Seats ".into(), widths, rows.collect());
}

fn host_notes(muted: bool, camera: bool) -> String {
    let mut notes = vec!["host"];
    if muted {
        notes.push("muted");
    }
    if !camera {
        notes.push("camera off");
    }
    notes.join(", ")
}

fn notes(state: &State, guest: &GuestState, now: u64) -> String {
    let mut notes = vec![match guest.state {
        SeatState::Connecting => "connecting".into(),
        SeatState::OnAir => format!("on air {}", clock(state.connected_ms(guest, now))),
        SeatState::Reconnecting => "reconnecting".into(),
    }];
    if guest.muted_by_host {
        notes.push("muted by host".into());
    } else if guest.audio_muted {
        notes.push("muted".into());
    }
    if !guest.camera {
        notes.push("no camera".into());
    } else if guest.hidden_by_host {
        notes.push("picture off by host".into());
    } else if guest.video_muted {
        notes.push("picture off".into());
    }
    if guest.gain_db.get() != 0.0 {
        notes.push(format!("{:+} dB", guest.gain_db.get()));
    }
    notes.join(", ")
}

/// `██████         `, one cell for 4 dB.
fn bar(level_db: f32) -> String {
    let lit = ((level_db + 60.0) / 60.0 * METER as f32)
        .round()
        .clamp(0.0, METER as f32);
    "█".repeat(lit as usize)
}

fn draw_outputs(frame: &mut Frame, area: Rect, state: &State) {
    let Some(Outputs {
        outputs, record, ..
    }) = &state.outputs
    else {
        return frame.render_widget(titled(" Recording and destinations ".into()), area);
    };
    let mut what = Vec::new();
    if let Some(file) = &record.file {
        // Its folder is the box's, and long.
        what.push(file.rsplit('/').next().unwrap_or(file).to_owned());
    }
    if record.state != OutputState::Stopped || record.bytes > 0 {
        what.push(bytes(record.bytes));
    }
    if let Some(left) = record
        .seconds_left
        .filter(|_| record.state == OutputState::Live)
    {
        what.push(format!("room for {}", hours(left)));
    }
    what.extend(record.error.clone());
    let mut rows = vec![(
        state.cursor == Some(Item::Recording),
        [
            Cell::from("Recording"),
            Cell::from(Span::styled(word(record.state), colour(record.state))),
            Cell::from(what.join(", ")),
        ],
    )];
    rows.extend(outputs.iter().map(|output| {
        let cells = [
            Cell::from(format!("{} ({})", output.name, kind(output.kind))),
            Cell::from(Span::styled(word(output.state), colour(output.state))),
            Cell::from(output_notes(output)),
        ];
        (
            state.cursor == Some(Item::Output(output.output_id.clone())),
            cells,
        )
    }));
    let widths = [
        Constraint::Fill(2),
        Constraint::Length(10),
        Constraint::Fill(4),
    ];
    table(
        frame,
        area,
        " Recording and destinations ".into(),
        widths,
        rows,
    );
}

fn output_notes(output: &Output) -> String {
    let mut notes = Vec::new();
    if output.state == OutputState::Live {
        notes.push(format!("{} kbit/s", output.kbps));
    }
    if output.dropped > 0 {
        notes.push(format!("{} dropped", output.dropped));
    }
    notes.extend(output.error.clone());
    notes.join(", ")
}

fn draw_health(frame: &mut Frame, area: Rect, state: &State) {
    let block = Block::new().borders(Borders::TOP);
    let Some(health) = &state.health else {
        return frame.render_widget(block, area);
    };
    let lines: Vec<Line> = if health.alarms.is_empty() {
        vec![Line::from(figures(health))]
    } else {
        let alarm = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
        let told = health.alarms.iter().map(|a| {
            let since = clock(a.since_ms);
            Line::from(vec![
                Span::styled(format!("! {} ({since})", a.what), alarm),
                Span::raw(format!(" {}", a.advice)),
            ])
        });
        told.collect()
    };
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// The health line, when all is well.
fn figures(health: &Health) -> String {
    let dropped: u64 = health.dropped.values().sum();
    let mut all = vec![
        format!("{:.1} frames/s", health.fps),
        format!("{dropped} dropped"),
        format!("{:.2} cores", health.cpu),
    ];
    all.extend(health.camera.map(|signal| camera(signal).to_owned()));
    all.extend(health.temperature_c.map(|t| format!("{t:.0} °C")));
    all.extend(health.disk_free_bytes.map(|b| format!("{} free", bytes(b))));
    let stages = health.latency.iter();
    all.extend(stages.map(|(stage, l)| format!("{} {:.1} ms", stage.replace('_', " "), l.p99_ms)));
    all.join(" · ")
}

fn camera(signal: CameraSignal) -> &'static str {
    match signal {
        CameraSignal::Ok => "camera ok",
        CameraSignal::NoCamera => "no camera",
        CameraSignal::NoCable => "camera: no cable",
        CameraSignal::NoSignal => "camera: no signal",
        CameraSignal::NoSync => "camera: no sync",
        CameraSignal::Unsupported => "camera: unsupported format",
    }
}

fn sentence(state: &State, now: u64) -> Line<'static> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    match &state.prompt {
        Some(Prompt::Sure { question, .. }) => return Line::styled(question.clone(), bold),
        Some(Prompt::Layout) => {
            let layouts = Layout::ALL.iter().enumerate();
            let layouts = layouts.map(|(n, l)| format!("{} {}", n + 1, name_of(*l)));
            let layouts = layouts.collect::<Vec<_>>().join(" · ");
            return Line::styled(format!("Layout: {layouts}"), bold);
        }
        Some(Prompt::Move { name, .. }) => {
            return Line::styled(format!("Move {name} to seat 1 to 9:"), bold);
        }
        None => {}
    }
    match state.said(now) {
        Some(Ok(said)) => Line::from(said.clone()),
        Some(Err(why)) => Line::styled(why.clone(), Style::new().fg(Color::Red)),
        None => Line::default(),
    }
}

fn word(state: OutputState) -> &'static str {
    match state {
        OutputState::Connecting => "connecting",
        OutputState::Live => "live",
        OutputState::Retrying => "retrying",
        OutputState::Stopped => "stopped",
        OutputState::Failed => "failed",
    }
}

fn colour(state: OutputState) -> Style {
    Style::new().fg(match state {
        OutputState::Live => Color::Green,
        OutputState::Connecting | OutputState::Retrying => Color::Yellow,
        OutputState::Failed => Color::Red,
        OutputState::Stopped => Color::Reset,
    })
}

fn kind(kind: OutputKind) -> &'static str {
    match kind {
        OutputKind::Rtmp => "RTMP",
        OutputKind::Srt => "SRT",
        OutputKind::Whip => "WHIP",
    }
}

/// `0:42`, `1:02:03`; what runs out is shown as 0:01 until it has.
fn clock(ms: u64) -> String {
    let s = ms.div_ceil(1000);
    match s / 3600 {
        0 => format!("{}:{:02}", s / 60, s % 60),
        h => format!("{h}:{:02}:{:02}", s / 60 % 60, s % 60),
    }
}

fn hours(seconds: u64) -> String {
    match seconds / 3600 {
        0 => format!("{} min", seconds / 60),
        hours => format!("{hours} h"),
    }
}

fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes / 1000),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}
