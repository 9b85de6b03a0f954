//! The test program once more, in a process of its own: it can be killed, frozen and counted without touching the box.
//! Both speak lines, what the child says is JSON.
#![allow(dead_code)] // each of the test programs uses a part

use std::fmt::Display;
use std::io::{BufRead, Write};
use std::process::{self, ChildStdin, Command, Stdio};

use serde_json::Value;

/// Marks our lines among those of the test harness.
const MARK: &str = "child> ";

/// Killed when dropped.
pub struct Child {
    process: process::Child,
    stdin: ChildStdin,
    pub messages: tokio::sync::mpsc::UnboundedReceiver<Value>,
}

impl Child {
    /// Runs this ignored test of the same program.
    pub fn start(test: &str, env: &[(&str, String)]) -> Child {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", test, "--nocapture"])
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = process.stdin.take().unwrap();
        let stdout = process.stdout.take().unwrap();
        let (tell, messages) = tokio::sync::mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let lines = std::io::BufReader::new(stdout).lines();
            for line in lines.map_while(Result::ok) {
                if let Some((_, message)) = line.split_once(MARK)
                    && tell.send(serde_json::from_str(message).unwrap()).is_err()
                {
                    return;
                }
            }
        });
        Child {
            process,
            stdin,
            messages,
        }
    }

    pub fn tell(&mut self, line: &dyn Display) {
        // One that was killed hears nothing.
        let _ = writeln!(self.stdin, "{line}");
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Without a word to anybody.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What the child says.
pub fn say(message: &Value) {
    let mut out = std::io::stdout().lock();
    // The test is over.
    let _ = writeln!(out, "\n{MARK}{message}");
    let _ = out.flush();
}
