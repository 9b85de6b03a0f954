//! The unit that ships, judged by systemd itself.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::Command;

#[test]
fn the_service_is_exposed_no_more_than_two_of_ten() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd/daisd.service");
    // In tenths.
    let judged = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager", "--threshold=20"])
        .arg(unit)
        .output()
        .expect("the tests need systemd-analyze, of the package systemd");
    let told = String::from_utf8_lossy(&judged.stdout);
    let verdict = told.lines().last().unwrap_or_default().to_owned();
    println!("{verdict}");
    assert!(
        judged.status.success(),
        "{told}{}",
        String::from_utf8_lossy(&judged.stderr)
    );
}
