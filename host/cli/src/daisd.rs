//! The firmware as a child process: found, started, watched, and ended with its parent.

use std::{
    collections::VecDeque,
    io,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};

/// A box closes its recordings (20 s at most, `SHUT_DOWN` of the studio) and says good-bye within this, or is killed.
pub const GRACE: Duration = Duration::from_secs(25);
/// The last words of a box that died.
const KEPT_LINES: usize = 12;
/// The hidden subcommand that ties a process to its parent.
pub const TIED: &str = "run-tied";

#[derive(Debug, thiserror::Error)]
pub enum DaisdError {
    #[error(
        "the firmware \"daisd\" is neither beside this program ({beside}) nor in PATH. Build it with: cargo build -p daisd"
    )]
    Missing { beside: String },
    #[error("\"{program}\" could not be started: {source}")]
    Start { program: String, source: io::Error },
}

/// `daisd` beside this program, else in PATH.
pub fn find() -> Result<PathBuf, DaisdError> {
    let own = std::env::current_exe().ok();
    let beside = own.and_then(|own| own.parent().map(|folder| folder.join("daisd")));
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = beside
        .clone()
        .into_iter()
        .chain(std::env::split_paths(&in_path).map(|folder| folder.join("daisd")));
    candidates
        .into_iter()
        .find(|file| file.is_file())
        .ok_or_else(|| DaisdError::Missing {
            beside: beside.map_or_else(|| "unknown".into(), |file| file.display().to_string()),
        })
}

/// A running box, its standard output piped to the caller.
pub struct Daisd {
    child: Child,
    last_lines: Arc<Mutex<VecDeque<String>>>,
    logs: Option<JoinHandle<()>>,
}

impl Daisd {
    /// Starts it tied to this process: it gets SIGTERM when this process ends, however that happens.
    /// Must be called on a thread that lives as long as the process, because the kernel ties a child to the *thread* that made it.
    pub fn start(arguments: &[&str]) -> Result<Self, DaisdError> {
        let daisd = find()?;
        let failed = |source| DaisdError::Start {
            program: daisd.display().to_string(),
            source,
        };
        let own = std::env::current_exe().map_err(failed)?;
        let mut command = Command::new(own);
        command
            .arg(TIED)
            .arg(std::process::id().to_string())
            .arg(&daisd)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: Ctrl-C in the terminal reaches this program only, which then ends the box in order.
            .process_group(0)
            .kill_on_drop(true)
            // Its log goes through a pipe, and may end in a file.
            .env("NO_COLOR", "1")
            // As in the unit: after 200 joins and leaves the box held 154 MB with two arenas, 202 MB without the limit.
            .env("MALLOC_ARENA_MAX", "2");
        if std::env::var_os("DAIS_LOG").is_none() {
            command.env("DAIS_LOG", "warn");
        }
        let mut child = command.spawn().map_err(failed)?;
        let last_lines = Arc::default();
        let logs = child
            .stderr
            .take()
            .map(|stderr| tokio::spawn(pass_on(stderr, Arc::clone(&last_lines))));
        Ok(Self {
            child,
            last_lines,
            logs,
        })
    }

    /// The next line of its standard output; `None` when it has closed it.
    pub fn announcements(
        &mut self,
    ) -> Option<tokio::io::Lines<BufReader<tokio::process::ChildStdout>>> {
        self.child
            .stdout
            .take()
            .map(|stdout| BufReader::new(stdout).lines())
    }

    /// Until it ends by itself.
    pub async fn ended(&mut self) -> String {
        let status = self.child.wait().await;
        // What it still had to say is in the pipe.
        if let Some(logs) = self.logs.take() {
            let _ = timeout(Duration::from_secs(1), logs).await;
        }
        match status {
            Ok(status) => format!("daisd ended ({status}){}", self.last_words()),
            Err(error) => format!("daisd cannot be waited for: {error}"),
        }
    }

    /// Its last log lines, each on a line of its own.
    pub fn last_words(&self) -> String {
        let lines = self
            .last_lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if lines.is_empty() {
            return "; it said nothing".into();
        }
        lines
            .iter()
            .fold(". Its last words:".to_owned(), |all, line| {
                all + "\n  " + line
            })
    }

    /// SIGTERM, then the time to close recordings; killed after that, which is `Err`.
    pub async fn stop(&mut self) -> Result<ExitStatus, String> {
        if let Some(pid) = self
            .child
            .id()
            .and_then(|pid| Pid::from_raw(pid.cast_signed()))
        {
            let _ = kill_process(pid, Signal::TERM);
        }
        match timeout(GRACE, self.child.wait()).await {
            Ok(Ok(status)) => Ok(status),
            Ok(Err(error)) => Err(format!("daisd cannot be waited for: {error}")),
            Err(_) => {
                let _ = self.child.kill().await;
                Err(format!(
                    "daisd did not end within {} s and was killed; a recording may lack its last second",
                    GRACE.as_secs()
                ))
            }
        }
    }
}

async fn pass_on(stderr: impl AsyncRead + Unpin, last: Arc<Mutex<VecDeque<String>>>) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        eprintln!("{line}");
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == KEPT_LINES {
            last.pop_front();
        }
        last.push_back(line);
    }
}

/// The hidden subcommand: asks the kernel for SIGTERM at the parent's death, then becomes `program`. It is a process in between
/// because the request must be made in the child before it becomes `daisd`, which safe Rust cannot do between fork and exec.
pub fn run_tied(parent: u32, program: &[String]) -> io::Error {
    if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
        return error.into();
    }
    // The parent may have died before the request.
    if getppid().map(|pid| pid.as_raw_nonzero().get().cast_unsigned()) != Some(parent) {
        return io::Error::other("the parent has ended");
    }
    match program {
        [program, arguments @ ..] => std::process::Command::new(program).args(arguments).exec(),
        [] => io::Error::other("no program is named"),
    }
}
