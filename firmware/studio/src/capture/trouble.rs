//! What is wrong now with one of the host's devices, told once when it comes and once when it goes.

use crate::api::Event;
use crate::studio::Shared;

pub(crate) struct Trouble {
    shared: Shared,
    now: Option<&'static str>,
}

impl Trouble {
    pub fn new(shared: &Shared) -> Trouble {
        Trouble {
            shared: shared.clone(),
            now: None,
        }
    }

    /// `what` is wrong, and nothing else of this device any more.
    pub fn is(&mut self, what: &'static str, advice: impl FnOnce() -> String) {
        if self.now == Some(what) {
            return;
        }
        let before = self.now.replace(what);
        // First the new one: no console shall see all well in between.
        self.shared.tell(Event::Trouble {
            what: what.into(),
            advice: advice(),
        });
        self.tell_over(before);
    }

    pub fn over(&mut self) {
        let before = self.now.take();
        self.tell_over(before);
    }

    fn tell_over(&self, what: Option<&'static str>) {
        if let Some(what) = what {
            self.shared.tell(Event::TroubleOver { what: what.into() });
        }
    }
}
