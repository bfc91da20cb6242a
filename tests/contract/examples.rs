//! Every example of the description is one that its schema allows.

use super::scene::{folder, run};
use crate::harness::tools;
use std::{fs, process::Command};

/// Examples that were compared, at least: one for each problem, body and described answer.
const LEAST: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn every_example_is_valid() {
    tools::need(&["python3-venv"]);
    let bin = tokio::task::spawn_blocking(|| tools::fetched("python/bin")).await.unwrap();
    let folder = folder("examples");
    fs::write(folder.join("examples.py"), include_str!("examples.py")).unwrap();
    let mut compare = Command::new(bin.join("python"));
    compare.current_dir(&folder).arg("examples.py");
    let said = run(compare).await;
    let compared: usize = said.trim().parse().unwrap();
    assert!(compared >= LEAST, "{compared} examples");
}
