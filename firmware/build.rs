//! Takes the built companion into the binary.
//!
//! The page is built by npm before cargo runs (`make companion`). Where it was not, a page that says so is taken
//! instead, so that the Rust side can be worked on without Node.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    // A lower bound of the time for a box whose clock starts in 1970; a distribution that builds reproducibly names its own.
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |t| t.as_secs())
    };
    let built = env::var("SOURCE_DATE_EPOCH")
        .ok()
        .and_then(|epoch| epoch.parse().ok())
        .unwrap_or_else(now);
    println!("cargo::rustc-env=DAIS_BUILT={built}");
    let dist = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap_or_default())
        .join("../host/companion/dist");
    let out = PathBuf::from(env::var("OUT_DIR").unwrap_or_default()).join("companion");
    println!("cargo::rerun-if-changed={}", dist.display());
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    fs::create_dir_all(&out)?;
    if dist.join("index.html").exists() {
        copy(&dist, &out)
    } else {
        println!(
            "cargo::warning=the companion is not built: run `make companion`, or the box serves a page that says so"
        );
        for page in [
            "index.html",
            "join.html",
            "watch.html",
            "ca.html",
            "ca.zh.html",
        ] {
            fs::write(
                out.join(page),
                "<!doctype html><title>Dais</title><p>This box was built without its companion. Run <code>make companion</code> and build again.",
            )?;
        }
        Ok(())
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
