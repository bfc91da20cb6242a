//! The embedded server's files, where its user has put something else in their place.

use crate::harness::{folder, until};
use farebox::embedded::{self, EmbeddedError, Options, Server};
use std::{
    fs::{self, File},
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
};

fn options(data: &Path) -> Options {
    Options { data: data.to_owned(), durable: false, max_connections: 10, settings: &[] }
}

/// Where nobody but this process's user can read, with a file.
fn private(name: &str) -> (PathBuf, PathBuf) {
    let around = folder(name);
    fs::create_dir(&around).unwrap();
    fs::set_permissions(&around, PermissionsExt::from_mode(0o700)).unwrap();
    let victim = around.join("victim");
    fs::write(&victim, "what the owner wrote").unwrap();
    fs::set_permissions(&victim, PermissionsExt::from_mode(0o600)).unwrap();
    (around, victim)
}

async fn stopped(server: Server) -> PathBuf {
    let home = server.folder().to_owned();
    drop(server);
    let lock = File::options().read(true).write(true).open(home.join("server.lock")).unwrap();
    until("the server has stopped", async || lock.try_lock().is_ok()).await;
    home
}

#[track_caller]
fn refused(done: Result<Server, EmbeddedError>, file: &str) {
    match done {
        Err(EmbeddedError::NotAPlainFile { path, .. }) => assert!(path.ends_with(file), "{}", path.display()),
        other => panic!("{file}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_in_a_files_place_is_not_followed() {
    let data = folder("planted");
    let home = stopped(embedded::start(&options(&data)).await.unwrap()).await;
    let owner = fs::metadata(&home).unwrap().uid();
    for (at, file) in ["log", "lease", "server.lock"].into_iter().enumerate() {
        let (around, victim) = private(&format!("owned-{at}"));
        // As the server's user: `log` cannot be moved aside, and leads elsewhere.
        let planted = home.join(file);
        let _ = fs::remove_file(&planted);
        if file == "log" {
            let _ = fs::remove_file(home.join("log.old"));
            fs::create_dir(home.join("log.old")).unwrap();
            File::create(home.join("log.old/x")).unwrap();
        }
        for target in [&victim, &around.join("made by the server")] {
            symlink(target, &planted).unwrap();
            let _ = std::os::unix::fs::lchown(&planted, Some(owner), Some(owner));
            refused(embedded::start(&options(&data)).await, file);
            fs::remove_file(&planted).unwrap();
        }
        // Another name of the file is a way out too, and so is a folder.
        if fs::metadata(&victim).unwrap().dev() == fs::metadata(&home).unwrap().dev() {
            fs::hard_link(&victim, &planted).unwrap();
            refused(embedded::start(&options(&data)).await, file);
            fs::remove_file(&planted).unwrap();
        }
        fs::create_dir(&planted).unwrap();
        refused(embedded::start(&options(&data)).await, file);
        fs::remove_dir(&planted).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "what the owner wrote");
        let mode = fs::metadata(&victim).unwrap();
        assert_eq!((mode.mode() & 0o777, mode.uid()), (0o600, fs::metadata(&around).unwrap().uid()));
        assert_eq!(fs::read_dir(&around).unwrap().count(), 1, "nothing was made there");
    }
    // Once they are away, the server starts, and its files are its user's.
    fs::remove_dir_all(home.join("log.old")).unwrap();
    let server = embedded::start(&options(&data)).await.unwrap();
    for file in ["log", "lease", "server.lock"] {
        assert_eq!(fs::metadata(home.join(file)).unwrap().uid(), owner, "{file}");
    }
    stopped(server).await;
    embedded::remove(&data).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_url_of_a_missing_server_is_not_made_by_installing_one() {
    let data = folder("no-binaries");
    let home = stopped(embedded::start(&options(&data)).await.unwrap()).await;
    // A cluster is there, and no PostgreSQL that could run it: nothing is fetched for it.
    fs::write(home.join("pg/PG_VERSION"), "9\n").unwrap();
    let mut url = std::process::Command::new(env!("CARGO_BIN_EXE_farebox"));
    url.args(["url", "--data"]).arg(&data).env("FAREBOX_ENV", "development").env_remove("DATABASE_URL");
    let output = url.output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("installing") && !said.contains("downloading"), "{said}");
    assert!(!home.join("install.log").exists(), "nothing was tried");
    let _ = chown(&home, None, None);
    embedded::remove(&data).unwrap();
}
