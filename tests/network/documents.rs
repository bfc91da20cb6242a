//! docs/operators/network.md against the program.

use crate::harness::{Database, folder, restricted};
use farebox::network::format::{MODELS, NETWORK, TABLES};
use std::{fs, path::Path, process::Command};

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operators/network.md")).unwrap()
}

#[test]
fn every_file_and_column_is_documented() {
    let page = page();
    let section = |name: &str| {
        let rest =
            page.split(&format!("### `{name}`\n")).nth(1).unwrap_or_else(|| panic!("no section {name}"));
        rest.split("\n#").next().unwrap()
    };
    for table in TABLES {
        let section = section(table.file);
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
        let documented: Vec<&str> = rows.filter_map(|row| row.split('`').next()).collect();
        let mut columns: Vec<&str> = table.required.iter().chain(table.optional).copied().collect();
        columns.extend(table.has_names.then_some("name.xx"));
        assert_eq!(documented.len(), columns.len(), "{}: {documented:?}", table.file);
        for column in columns {
            let row = section.lines().find(|line| line.starts_with(&format!("| `{column}` |")));
            let row = row.unwrap_or_else(|| panic!("{} lacks {column}", table.file));
            assert_eq!(row.contains("| yes |"), table.required.contains(&column), "{}: {row}", table.file);
        }
    }
    let keys = ["name", "zone", "currency", "languages", "url", "ticket_url", "defaults.hold_secs"];
    assert!(keys.iter().all(|key| section(NETWORK).contains(&format!("| `{key}` |"))));
    let keys = ["code", "name", "names", "deck", "classes", "not_for_sale"];
    assert!(keys.iter().all(|key| section(MODELS).contains(&format!("| `{key}` |"))));
}

/// All ```sh blocks, in a folder and on a database of their own.
#[tokio::test(flavor = "multi_thread")]
async fn the_commands_work_as_written() {
    let db = Database::fresh().await;
    let at = folder("network-documents");
    let _ = fs::remove_dir_all(&at);
    fs::create_dir_all(&at).unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_farebox")).parent().unwrap();
    let page = page();
    for (name, block) in
        page.split("```toml gtfs-mapping.toml\n").skip(1).map(|rest| ("gtfs-mapping.toml", rest))
    {
        fs::write(at.join(name), block.split("```").next().unwrap()).unwrap();
    }
    fs::create_dir(at.join("config")).unwrap();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/demo-network");
    std::os::unix::fs::symlink(demo, at.join("config/demo-network")).unwrap();
    let script: String =
        page.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap()).collect();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    shell
        .args(["-euxo", "pipefail", "-c", &script])
        .current_dir(&at)
        .env("PATH", path)
        .env("DATABASE_URL", restricted("farebox-api", &db.url))
        .env("FAREBOX_ENV", "test");
    let ran = shell.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{out}\n{err}");
    assert!(out.contains("17 departures") && out.contains("trips of the feed are sold, 0 left out"), "{out}");
}
