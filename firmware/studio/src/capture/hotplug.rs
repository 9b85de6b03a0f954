//! Tells when a device was plugged in, from udev: its messages come after its rules, when links and permissions stand.

use udev::{EventType, MonitorBuilder, MonitorSocket};

/// Devices of one subsystem of the kernel that come.
pub(crate) struct Plugs {
    monitor: Option<MonitorSocket>,
}

impl Plugs {
    /// `video4linux` or `sound`. Without udev (a container) nothing ever comes, and devices are tried again from time to time.
    pub fn listen(subsystem: &'static str) -> Plugs {
        let monitor = MonitorBuilder::new()
            .and_then(|monitor| monitor.match_subsystem(subsystem))
            .and_then(MonitorBuilder::listen);
        if let Err(error) = &monitor {
            tracing::info!(
                subsystem,
                %error,
                "udev does not tell here when a device is plugged in"
            );
        }
        Plugs {
            monitor: monitor.ok(),
        }
    }

    /// Nothing: for what is never plugged.
    pub fn none() -> Plugs {
        Plugs { monitor: None }
    }

    /// Whether a device was plugged in, or changed, since the last call. Never waits.
    pub fn came(&self) -> bool {
        let Some(monitor) = &self.monitor else {
            return false;
        };
        // All of them: a card comes as several devices.
        monitor.iter().fold(false, |came, event| {
            let comes = matches!(event.event_type(), EventType::Add | EventType::Change);
            tracing::debug!(device = ?event.sysname(), kind = %event.event_type(), "udev");
            came || comes
        })
    }
}
