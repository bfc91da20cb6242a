//! Checks of the settings, and of the machine that the command runs on.

use super::finding::{DISK, Finding, OPEN_FILES, REDIS, SECRET_FILES, SECRETS, SETTINGS};
use crate::{
    http,
    settings::{Hosts, Settings},
    storage::redis::RedisLink,
};
use rustix::fs::statvfs;
use secrecy::ExposeSecret;
use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

const GIB: u64 = 1 << 30;
/// Permissions of all users but the owner and the group.
const OTHERS: u32 = 0o007;

/// Whether settings agree that are read one by one.
pub(super) fn settings(settings: &Settings, is_worker: bool) -> Finding {
    let (http, wallets) = (&settings.http, &settings.wallets);
    let is_api_in_production = settings.environment.is_production() && !is_worker;
    if i64::try_from(http.timeout_ms).unwrap_or(i64::MAX) >= settings.booking.undo_after_ms {
        let found = format!(
            "http.timeout_ms is {}, booking.undo_after_ms is {}",
            http.timeout_ms, settings.booking.undo_after_ms
        );
        return SETTINGS.fail(found, "make http.timeout_ms shorter: an undo meets a request that still runs");
    }
    if wallets.approval_above.money() > wallets.max_change.money() {
        let found = format!(
            "wallets.approval_above is {}, wallets.max_change is {}",
            wallets.approval_above, wallets.max_change
        );
        return SETTINGS.warn(found, "lower wallets.approval_above: no change waits for a second operator");
    }
    if is_api_in_production && http.hosts == Hosts::default() {
        let remedy = "list the names by which clients call the API: others with a dot are answered 421";
        return SETTINGS.warn("http.hosts is empty", remedy);
    }
    if is_api_in_production && http.trusted_proxies == 0 {
        let remedy = "set it to the number of proxies: without it, all clients share the proxy's limits";
        return SETTINGS.warn("http.trusted_proxies is 0", remedy);
    }
    SETTINGS.ok(settings.environment.as_str())
}

/// What is wrong with the secrets themselves, if anything is.
pub(super) fn secrets(settings: &Settings, is_worker: bool) -> Option<Finding> {
    if is_worker && settings.secrets.are_unset() {
        return None;
    }
    let refused = settings.require_secrets().err()?;
    let remedy = "set each to the output of `openssl rand -hex 32`; docs/operators/security.md tells how to \
                  change one";
    Some(SECRETS.fail(refused.to_string(), remedy))
}

/// The files that variables name.
pub(super) fn secret_files() -> Finding {
    let (mut checked, mut open) = (0, Vec::new());
    for (name, path) in std::env::vars_os() {
        let Some(name) = name.to_str().filter(|name| is_file_variable(name)) else { continue };
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        checked += 1;
        if metadata.permissions().mode() & OTHERS != 0 {
            open.push(format!("{name} = {}", Path::new(&path).display()));
        }
    }
    if open.is_empty() {
        return SECRET_FILES.ok(format!("{checked} files"));
    }
    open.sort();
    SECRET_FILES.warn(format!("any user may read {}", open.join(", ")), "chmod o= on each of them")
}

fn is_file_variable(name: &str) -> bool {
    name.ends_with("_FILE") && (name.starts_with("FAREBOX__") || name.starts_with("DATABASE_URL"))
}

/// The limit of this command's process, which a service may have another of.
pub(super) fn open_files(settings: &Settings, is_worker: bool) -> Finding {
    let connections = if is_worker { http::WORKER_CONNECTIONS } else { settings.http.max_connections };
    match http::require_files(settings, connections) {
        Ok(()) => OPEN_FILES.ok(format!("{connections} connections")),
        Err(error) => OPEN_FILES.fail(error.to_string(), "raise LimitNOFILE or ulimit -n"),
    }
}

/// The optional Redis.
pub(super) async fn redis(settings: &Settings) -> Finding {
    let link = match RedisLink::new(&settings.redis, settings.environment) {
        Ok(Some(link)) => link,
        Ok(None) => return REDIS.ok("none is named"),
        Err(error) => return REDIS.fail(error, "correct redis.url; farebox-api does not start with it"),
    };
    if let Err(error) = link.ping().await {
        let remedy = "start it, or leave redis.url empty: until then each API counts limits for itself";
        return REDIS.warn(error, remedy);
    }
    let is_encrypted = settings.redis.url.expose_secret().starts_with("rediss:");
    if settings.environment.is_production() && settings.redis.allow_plaintext && !is_encrypted {
        return REDIS.warn("it answers, in clear", "use rediss://, and take redis.allow_plaintext away");
    }
    REDIS.ok("it answers")
}

/// The disks of these folders; else of the working folder, of temporary files, and of the database if
/// it is on this machine and the role may know where.
pub(super) fn disk(named: &[PathBuf], data_directory: Option<PathBuf>) -> Finding {
    let mut folders = named.to_vec();
    if folders.is_empty() {
        folders.extend([PathBuf::from("."), std::env::temp_dir()]);
        folders.extend(data_directory.filter(|folder| folder.exists()));
    }
    let (mut fullest, mut texts) = (DISK.ok(""), Vec::new());
    for folder in &folders {
        let finding = free(folder);
        texts.push(finding.1);
        if finding.0.status > fullest.status {
            fullest = finding.0;
        }
    }
    if fullest.status == super::Status::Ok { DISK.ok(texts.join(", ")) } else { fullest }
}

/// What is free on the disk of a folder.
fn free(folder: &Path) -> (Finding, String) {
    let name = folder.display();
    let stat = match statvfs(folder) {
        Ok(stat) => stat,
        Err(error) => {
            let remedy = "name a folder that is there with --disk";
            return (DISK.fail(format!("{name}: {error}"), remedy), String::new());
        }
    };
    let (free, all) = (stat.f_bavail * stat.f_frsize, (stat.f_blocks * stat.f_frsize).max(1));
    let text = format!("{name}: {} of {} MiB free", free >> 20, all >> 20);
    let remedy = "make room: a full disk of the database refuses every change with 503";
    let finding = if free < all / 100 * 3 && free < 5 * GIB {
        DISK.fail(text.clone(), remedy)
    } else if free < all / 10 && free < 20 * GIB {
        DISK.warn(text.clone(), remedy)
    } else {
        DISK.ok("")
    };
    (finding, text)
}
