//! The logs of the processes, read line by line: nothing of them stays in memory but the changes and the
//! events from near the moment on.

use crate::{idempotency::ChangeId, security::Event};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use std::{
    collections::{BTreeMap, HashMap},
    io::{self, BufRead, Read},
};

/// Longest line that is read, bytes; the rest of a longer one is skipped.
const MAX_LINE: u64 = 64 * 1024;
/// Most changes and events that are kept: about 600 MB.
const MOST_KEPT: usize = 1_000_000;
/// Changes of these routes are not listed: what they gave is void after a restore, or was nothing to keep.
const VOID_ROUTES: [&str; 12] = [
    "/v1/sessions",
    "/v1/sessions/{id}",
    "/v1/sessions/current",
    "/v1/sessions/current/confirmation",
    "/v1/payment-authorizations",
    "/v1/ops/network/previews",
    "/v1/ops/trips/{id}/change-previews",
    "/console/sign-in",
    "/console/sign-in/code",
    "/console/sign-out",
    "/console/confirm",
    "/console/preferences",
];

/// Why a log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// None of its lines is JSON.
    #[error("no line is JSON: only logs that were written with log.json = true can be compared")]
    NotJson,
    /// There are too many changes after the moment.
    #[error("more than {MOST_KEPT} changes and events after the moment: leave lines of the log out")]
    TooMany,
}

/// A change that a log says was acknowledged.
#[derive(Clone, Debug, Serialize)]
pub struct LoggedChange {
    /// When it was answered, by the clock of the process.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub at: DateTime<Utc>,
    /// Its method.
    pub method: String,
    /// Its route, without ids.
    pub route: String,
    /// The status of the answer.
    pub status: u16,
    /// The trace id of the answer.
    pub trace_id: String,
    /// The client's key, if it is plain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// The name of the change; none if the request had no key, and changed no order.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub change: Option<ChangeId>,
    /// The digest of the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

fn as_text<S: serde::Serializer>(change: &Option<ChangeId>, serializer: S) -> Result<S::Ok, S::Error> {
    change.map(|change| change.to_string()).serialize(serializer)
}

/// What of an account an event is about: of each, the last one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum About {
    Erasure,
    State,
    Role,
    Password,
    PayPassword,
    SecondFactor,
}

impl About {
    fn of(event: Event) -> Option<Self> {
        match event {
            Event::AccountForgotten => Some(Self::Erasure),
            Event::AccountDisabled | Event::AccountEnabled => Some(Self::State),
            Event::RoleGiven | Event::RoleTaken => Some(Self::Role),
            Event::PasswordChanged | Event::PasswordReset => Some(Self::Password),
            Event::PayPasswordChanged => Some(Self::PayPassword),
            Event::SecondFactorEnrolled | Event::SecondFactorRemoved => Some(Self::SecondFactor),
            _ => None,
        }
    }
}

/// What the logs say from near the moment on.
#[derive(Debug)]
pub struct RestoreLog {
    since: DateTime<Utc>,
    /// Changes by their names: a repeat has the name of the first.
    pub(super) named: HashMap<ChangeId, LoggedChange>,
    /// Changes that only their time can be judged by.
    pub(super) unnamed: BTreeMap<(DateTime<Utc>, String), LoggedChange>,
    /// The last event of an account about a thing, by the account's digest.
    pub(super) events: HashMap<(String, About), (DateTime<Utc>, Event)>,
    pub(super) unreadable_lines: u64,
}

/// A line, as the subscriber writes it.
#[derive(Deserialize)]
struct Line {
    timestamp: DateTime<Utc>,
    fields: Fields,
}

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    message: String,
    #[serde(default)]
    method: String,
    #[serde(default)]
    route: String,
    #[serde(default)]
    status: u16,
    #[serde(default)]
    trace_id: String,
    idempotency_key: Option<String>,
    #[serde(default, deserialize_with = "change")]
    change: Option<ChangeId>,
    account: Option<String>,
    event: Option<String>,
}

fn change<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ChangeId>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse()).transpose().map_err(serde::de::Error::custom)
}

impl RestoreLog {
    /// Nothing yet; lines from before `since` will not count.
    pub fn since(since: DateTime<Utc>) -> Self {
        let (named, unnamed, events) = Default::default();
        Self { since, named, unnamed, events, unreadable_lines: 0 }
    }

    /// Adds what a log says. Logs may come in any order, and lines twice.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn read(&mut self, mut log: impl BufRead) -> Result<(), LogError> {
        let (mut line, mut lines, mut whole) = (Vec::new(), 0_u64, 0_u64);
        loop {
            line.clear();
            if log.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            lines += 1;
            if line.last() != Some(&b'\n') && line.len() as u64 == MAX_LINE {
                log.skip_until(b'\n')?;
            }
            whole += u64::from(self.add_line(&line)?);
        }
        self.unreadable_lines += lines - whole;
        if lines > 0 && whole == 0 { Err(LogError::NotJson) } else { Ok(()) }
    }

    /// Adds a line; returns whether it is whole.
    fn add_line(&mut self, line: &[u8]) -> Result<bool, LogError> {
        // Most lines are of reads and of other targets: parsing them would take most of the time.
        let Ok(text) = std::str::from_utf8(line).map(str::trim_ascii) else { return Ok(false) };
        let is_change = text.contains(r#""request""#) && !text.contains(r#""method":"GET""#);
        if !is_change && !text.contains(r#""security event""#) {
            return Ok(text.starts_with('{') && text.ends_with('}'));
        }
        let Ok(Line { timestamp, fields }) = serde_json::from_str(text) else { return Ok(false) };
        if timestamp >= self.since {
            match fields.message.as_str() {
                "request" => self.add_change(timestamp, fields),
                "security event" => self.add_event(timestamp, fields),
                _ => {}
            }
        }
        let kept = self.named.len() + self.unnamed.len() + self.events.len();
        if kept > MOST_KEPT { Err(LogError::TooMany) } else { Ok(true) }
    }

    fn add_change(&mut self, at: DateTime<Utc>, fields: Fields) {
        let Fields { method, route, status, trace_id, idempotency_key, change, account, .. } = fields;
        // The console answers a form that was done with a redirect.
        let acknowledged = (200..300).contains(&status) || status == 303 && route.starts_with("/console/");
        let changes = ["POST", "PUT", "PATCH", "DELETE"].contains(&method.as_str());
        if !acknowledged || !changes || VOID_ROUTES.contains(&route.as_str()) {
            return;
        }
        let logged = LoggedChange { at, method, route, status, trace_id, idempotency_key, change, account };
        match change {
            None => drop(self.unnamed.insert((at, logged.trace_id.clone()), logged)),
            Some(name) => {
                let first = self.named.entry(name).or_insert_with(|| logged.clone());
                if logged.at < first.at {
                    *first = logged;
                }
            }
        }
    }

    fn add_event(&mut self, at: DateTime<Utc>, fields: Fields) {
        let event = fields.event.as_deref().and_then(Event::named);
        let Some((event, about)) = event.and_then(|event| Some((event, About::of(event)?))) else { return };
        let Some(account) = fields.account else { return };
        let last = self.events.entry((account, about)).or_insert((at, event));
        if at >= last.0 {
            *last = (at, event);
        }
    }

    /// The time of the first lines that count.
    pub(super) fn from(&self) -> DateTime<Utc> {
        self.since
    }

    /// What is lost, and whether that is certain: what has a name and was not found in the database, and
    /// what has none and came after the moment.
    pub(super) fn into_lost(
        self,
        moment: Option<DateTime<Utc>>,
    ) -> impl Iterator<Item = (LoggedChange, bool)> {
        let after = move |change: &LoggedChange| moment.is_none_or(|moment| change.at > moment);
        let unnamed = self.unnamed.into_values().filter(after).map(|change| (change, false));
        self.named.into_values().map(|change| (change, true)).chain(unnamed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(second: u32, method: &str, status: u16, more: &str) -> String {
        format!(
            r#"{{"timestamp":"2026-11-30T10:00:{second:02}.5Z","level":"INFO","fields":{{"message":"request","method":"{method}","route":"/v1/orders","status":{status},"ms":3,"trace_id":"t{second}"{more}}},"target":"farebox"}}"#
        )
    }

    fn named(name: &str) -> String {
        format!(r#","change":"{}""#, name.repeat(32))
    }

    fn read(text: &str) -> Result<RestoreLog, LogError> {
        let mut log = RestoreLog::since("2026-11-30T10:00:10Z".parse().expect("a time"));
        log.read(text.as_bytes()).map(|()| log)
    }

    #[test]
    fn acknowledged_changes_count_once_and_reads_and_refusals_do_not() {
        let lines = [
            line(9, "POST", 201, &named("0")),
            line(30, "POST", 201, &named("a")),
            line(20, "POST", 201, &named("a")),
            line(21, "POST", 409, ""),
            line(22, "GET", 200, ""),
            line(23, "PATCH", 200, r#","account":"00ff""#),
            line(23, "PATCH", 200, r#","account":"00ff""#),
            line(24, "POST", 201, &named("b"))[..90].to_owned(),
        ];
        let log = read(&lines.join("\n")).expect("it is JSON");
        assert_eq!(log.named.values().map(|change| change.trace_id.as_str()).collect::<Vec<_>>(), ["t20"]);
        assert_eq!(log.unreadable_lines, 1, "a process was killed in its last line");
        let moment = |text: &str| text.parse().ok();
        let lost = |log: RestoreLog, at: &str| log.into_lost(moment(at)).count();
        assert_eq!(lost(read(&lines.join("\n")).expect("JSON"), "2026-11-30T10:00:23Z"), 2);
        assert_eq!(lost(log, "2026-11-30T10:00:24Z"), 1, "without a name, the time decides");
    }

    #[test]
    fn a_log_that_is_no_json_is_refused_and_a_long_line_is_skipped() {
        assert!(matches!(read("2026-11-30 INFO request\n"), Err(LogError::NotJson)));
        let long = "x".repeat(200_000);
        let log = read(&format!("{long}\n{}\n", line(20, "POST", 201, &named("a")))).expect("JSON");
        assert_eq!((log.named.len(), log.unreadable_lines), (1, 1));
        assert!(read("").is_ok(), "an empty log of a process that just began");
    }
}
