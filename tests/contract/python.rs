//! A Python client by openapi-python-client: generated, type-checked, and used.

use super::scene::{Scene, folder, run};
use crate::harness::tools;
use std::{fs, process::Command};

/// The generator's own client does not pass httpx's types on to it.
const MYPY: &str = "[mypy]\n[mypy-farebox_client.client]\nignore_errors = True\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_generated_python_client_books_and_pays() {
    tools::need(&["python3-venv"]);
    let bin = tokio::task::spawn_blocking(|| tools::fetched("python/bin")).await.unwrap();
    let scene = Scene::new().await;
    let folder = folder("python");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let program = |name: &str| {
        let mut command = Command::new(bin.join(name));
        command.current_dir(&folder).env("PATH", &path).env("PYTHONPATH", &folder);
        command
    };
    fs::write(folder.join("config.yml"), "package_name_override: farebox_client\n").unwrap();
    let mut generate = program("openapi-python-client");
    generate.args(["generate", "--path", "openapi.json", "--meta", "none", "--config", "config.yml"]);
    generate.args(["--output-path", "farebox_client"]);
    let said = run(generate).await;
    let warnings: Vec<&str> = said.lines().filter(|line| line.starts_with("WARNING")).collect();
    // It knows no text but HTML.
    assert_eq!(warnings, ["WARNING parsing GET /metrics within service."], "{said}");
    fs::write(folder.join("scenario.py"), include_str!("scenario.py")).unwrap();
    fs::write(folder.join("mypy.ini"), MYPY).unwrap();
    let mut check = program("mypy");
    check.args(["--strict", "scenario.py", "farebox_client"]);
    run(check).await;
    let mut scenario = program("python");
    scenario.arg("scenario.py").envs(scene.env.iter().map(|(name, value)| (*name, value)));
    run(scenario).await;
    scene.check().await;
}
