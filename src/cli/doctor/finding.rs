//! What a check found.

use serde::Serialize;
use std::fmt;

/// How serious a finding is; the command's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// As it should be.
    Ok,
    /// It works, and something is to be decided or prepared.
    Warn,
    /// It does not work, or what Farebox promises does not hold.
    Fail,
}

impl Status {
    /// 0, 1 or 2.
    pub(super) fn exit_code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warn => 1,
            Self::Fail => 2,
        }
    }
}

/// A check: its name, and the rule that it checks.
pub(super) struct Check {
    name: &'static str,
    rule: &'static str,
}

const fn check(name: &'static str, rule: &'static str) -> Check {
    Check { name, rule }
}

pub(super) const SETTINGS: Check = check("settings", "the settings are read, and agree with each other");
pub(super) const SECRETS: Check =
    check("secrets", "the token key and the pepper are set, strong, different, and the database's");
pub(super) const SECRET_FILES: Check = check("secret_files", "no other user may read a file of a secret");
pub(super) const OPEN_FILES: Check =
    check("open_files", "the process may open a file for each connection, and some more");
pub(super) const DISK: Check =
    check("disk", "a tenth of each disk, or 20 GiB, is free; fails below 3 percent and 5 GiB");
pub(super) const REDIS: Check = check("redis", "Redis answers, if one is named");
pub(super) const DATABASE: Check = check("database", "the database is reached, and is the primary");
pub(super) const ENCRYPTION: Check =
    check("encryption", "connections to other machines are encrypted, and certificates verified");
pub(super) const DURABILITY: Check = check("durability", "a commit survives a crash of the server");
pub(super) const CLOCK: Check =
    check("clock", "the clock is within 1 s of the database's; fails beyond 60 s");
pub(super) const CONNECTIONS: Check =
    check("connections", "all APIs and workers together get their connections");
pub(super) const REPLICATION: Check =
    check("replication", "standbys follow, and no replication slot keeps the log for nobody");
pub(super) const SCHEMA: Check = check("schema", "server and schema are those of this build");
pub(super) const ROLE: Check =
    check("role", "the role is no superuser, owns no table, and may do what this build needs");
pub(super) const WORKERS: Check = check("workers", "every tag has a live worker of this build");
pub(super) const TIME_ZONES: Check =
    check("time_zones", "the timetable's zone has the same rules here and in the database");

impl Check {
    pub(super) fn ok(&self, found: impl Into<String>) -> Finding {
        self.finding(Status::Ok, found, "")
    }

    pub(super) fn warn(&self, found: impl Into<String>, remedy: &'static str) -> Finding {
        self.finding(Status::Warn, found, remedy)
    }

    pub(super) fn fail(&self, found: impl Into<String>, remedy: &'static str) -> Finding {
        self.finding(Status::Fail, found, remedy)
    }

    /// What a check found, or that the database did not let it look.
    pub(super) fn or_unknown(&self, found: Result<Finding, sqlx::Error>) -> Finding {
        found.unwrap_or_else(|error| {
            self.fail(format!("not checked: {error}"), "run the command again once the database answers")
        })
    }

    fn finding(&self, status: Status, found: impl Into<String>, remedy: &'static str) -> Finding {
        Finding { check: self.name, status, rule: self.rule, found: found.into(), remedy }
    }
}

/// What a check found, and what to do.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    check: &'static str,
    pub(super) status: Status,
    rule: &'static str,
    found: String,
    /// What to do; empty if nothing.
    #[serde(rename = "do")]
    remedy: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { check, status, rule, found, remedy } = self;
        match status {
            Status::Ok => write!(f, "ok    {check}: {found}"),
            Status::Warn => write!(f, "WARN  {check}: {found}\n      rule: {rule}\n      do: {remedy}"),
            Status::Fail => write!(f, "FAIL  {check}: {found}\n      rule: {rule}\n      do: {remedy}"),
        }
    }
}
