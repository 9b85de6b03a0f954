//! The terminal: taken for the console, and given back however the console ends.

use std::io;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use tokio::sync::mpsc;

/// How soon the thread that reads keys sees that nobody wants them any more.
const LOOK: Duration = Duration::from_millis(200);
/// A person types ten keys a second; a paste may be longer, and is not meant for a console.
const WAITING: usize = 64;

/// The whole screen, as long as this lives. A panic gives it back before its message is printed.
pub struct Screen(DefaultTerminal);

pub fn open() -> io::Result<Screen> {
    ratatui::try_init().map(Screen)
}

impl Screen {
    pub fn draw(&mut self, paint: impl FnOnce(&mut ratatui::Frame)) -> io::Result<()> {
        self.0.draw(paint).map(drop)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.0.show_cursor();
        // A panic has given it back already; twice would put the cursor onto its message.
        if !std::thread::panicking()
            && let Err(error) = ratatui::try_restore()
        {
            eprintln!("dais: the terminal could not be restored ({error}): type `reset`");
        }
    }
}

/// Keys as they are pressed; ends with the terminal. A change of its size is a key that means nothing: all is painted anew.
pub fn keys() -> io::Result<mpsc::Receiver<KeyEvent>> {
    let (pressed, keys) = mpsc::channel(WAITING);
    std::thread::Builder::new()
        .name("keys".into())
        .spawn(move || {
            while !pressed.is_closed() {
                let key = match event::poll(LOOK) {
                    Ok(false) => continue,
                    Ok(true) => event::read(),
                    Err(error) => Err(error),
                };
                match key {
                    Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => {
                        // Too many at once: what is lost is pressed again.
                        let _ = pressed.try_send(key);
                    }
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
        })?;
    Ok(keys)
}
