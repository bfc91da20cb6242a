//! A TypeScript client by openapi-typescript and openapi-fetch: generated, type-checked, and used.

use super::scene::{Scene, folder, run};
use crate::harness::tools;
use std::{fs, os::unix::fs::symlink, process::Command};

#[tokio::test(flavor = "multi_thread")]
async fn a_generated_typescript_client_books_and_pays() {
    tools::need(&["npm"]);
    let modules = tokio::task::spawn_blocking(|| tools::fetched("npm/node_modules")).await.unwrap();
    let scene = Scene::new().await;
    let folder = folder("typescript");
    symlink(&modules, folder.join("node_modules")).unwrap();
    let program = |name: &str| {
        let mut command = Command::new(modules.join(".bin").join(name));
        command.current_dir(&folder);
        command
    };
    let mut generate = program("openapi-typescript");
    generate.args(["openapi.json", "--output", "farebox.d.ts"]);
    run(generate).await;
    fs::write(folder.join("scenario.ts"), include_str!("scenario.ts")).unwrap();
    fs::write(folder.join("package.json"), r#"{ "private": true, "type": "module" }"#).unwrap();
    let mut compile = program("tsc");
    compile.args(["--strict", "--target", "es2022", "--module", "nodenext", "--skipLibCheck"]);
    compile.args(["--exactOptionalPropertyTypes", "scenario.ts"]);
    run(compile).await;
    let mut scenario = Command::new("node");
    scenario.current_dir(&folder).arg("scenario.js");
    scenario.envs(scene.env.iter().map(|(name, value)| (*name, value)));
    run(scenario).await;
    scene.check().await;
}
