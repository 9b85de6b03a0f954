//! A real mosquitto process with the dynamic security plugin, on a port and in a directory of its own.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::PATIENCE;

pub struct Mosquitto {
    pub port: u16,
    dir: TempDir,
    child: Child,
}

impl Mosquitto {
    /// `box` is the administrator.
    pub async fn start(password: &str) -> Self {
        Self::start_with(password, "").await
    }

    /// With more lines for its listener.
    pub async fn start_with(password: &str, listener: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let dynsec = dir.path().join("dynsec.json");
        let made = Command::new(find("mosquitto_ctrl"))
            .args(["dynsec", "init"])
            .arg(&dynsec)
            .args(["box", password])
            .output()
            .await
            .expect("mosquitto_ctrl is needed: install the package `mosquitto`");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        // Another process may take the port between finding and using it: then find another.
        for _ in 0..10 {
            let port = std::net::TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port();
            let conf = format!(
                "user root\nallow_anonymous false\npersistence false\nlog_type none\nlistener {port} 127.0.0.1\n{listener}\nplugin {}\nplugin_opt_config_file {}\n",
                plugin().display(),
                dynsec.display(),
            );
            std::fs::write(dir.path().join("mosquitto.conf"), conf).unwrap();
            let mut child = spawn(&dir);
            if wait_until_up(&mut child, port).await {
                return Self { port, dir, child };
            }
        }
        panic!("no port could be found for mosquitto");
    }

    pub async fn kill_and_restart(&mut self) {
        self.kill().await;
        self.restart().await;
    }

    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// On the same port, after [`Mosquitto::kill`].
    pub async fn restart(&mut self) {
        self.child = spawn(&self.dir);
        assert!(
            wait_until_up(&mut self.child, self.port).await,
            "mosquitto did not come back"
        );
    }
}

async fn wait_until_up(child: &mut Child, port: u16) -> bool {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_ok()
        {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

fn spawn(dir: &TempDir) -> Child {
    Command::new(find("mosquitto"))
        .arg("-c")
        .arg(dir.path().join("mosquitto.conf"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("mosquitto is needed: install the package `mosquitto`")
}

/// Debian keeps the broker in sbin, which is not on a user's path.
fn find(program: &str) -> PathBuf {
    let mut dirs: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    dirs.push("/usr/sbin".into());
    dirs.into_iter()
        .map(|d| d.join(program))
        .find(|p| p.exists())
        .unwrap_or_else(|| program.into())
}

fn plugin() -> PathBuf {
    for lib in ["/usr/lib", "/usr/lib64", "/usr/local/lib"] {
        let below = std::fs::read_dir(lib)
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.path());
        for dir in below.chain([PathBuf::from(lib)]) {
            let plugin = dir.join("mosquitto_dynamic_security.so");
            if plugin.exists() {
                return plugin;
            }
        }
    }
    panic!("mosquitto_dynamic_security.so is needed: install the package `mosquitto`");
}
