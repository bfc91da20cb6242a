//! How the programs are built: `Cargo.toml`.

use std::{fs, path::Path};

#[test]
fn releases_check_their_arithmetic() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let section = |name: &str| {
        let from = text.split(&format!("\n[profile.{name}]\n")).nth(1);
        from.unwrap_or_else(|| panic!("no profile {name}")).split("\n[").next().unwrap().to_owned()
    };
    assert!(section("release").lines().any(|line| line == "overflow-checks = true"));
    let fast = section("fast");
    assert!(fast.contains("inherits = \"release\"") && !fast.contains("overflow-checks"), "{fast}");
    let image = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Dockerfile")).unwrap();
    assert!(image.contains("cargo build --release"), "the image has that build");
}
