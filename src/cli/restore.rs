//! `farebox restore-check`: what is left to do after a database was restored to a moment of the past.

use super::{
    database::{Data, Database, Open, add_dev_secrets},
    jobs, shell,
    verdicts::print_verdicts,
};
use crate::{
    app,
    domain::BoxError,
    ops::{
        Attribution,
        restore::{self, LivingRights, LostChange, Report, RestoreLog},
    },
};
use chrono::{DateTime, Utc};
use clap::Args;
use std::{fs::File, io::BufReader, path::PathBuf, process::ExitCode};

/// The exit code of a database whose invariants are broken.
const BROKEN: u8 = 3;
/// The exit code of a database that is whole, with something left to do.
const TODO: u8 = 4;
/// Bytes of a log that are read at once.
const READ_BYTES: usize = 1024 * 1024;

/// The arguments of `farebox restore-check`.
#[derive(Args)]
pub(super) struct RestoreCheck {
    #[command(flatten)]
    data: Data,
    /// Logs of APIs, workers and commands, as JSON, from an hour before the moment on; `/dev/stdin`
    /// for a pipe.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    log: Vec<PathBuf>,
    /// The moment that was restored to, as in recovery_target_time, with a zone. Without it, that of
    /// the newest change of the database.
    #[arg(long, value_name = "TIME")]
    moment: Option<DateTime<Utc>>,
    /// End the sessions, authorizations and codes that may have ended after the moment.
    #[arg(long)]
    void: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Compares a restored database with the logs. Exit code 0 if nothing is left to do, 3 if an
/// invariant is broken, 4 if it is whole and something is left to do.
pub(super) async fn run(args: RestoreCheck) -> Result<ExitCode, BoxError> {
    let mut settings = app::settings(&[])?;
    let database = Database::open(&args.data, &settings, Open::Existing).await?;
    add_dev_secrets(&mut settings, &database.folder)?;
    let pool = database.current(&settings).await?;
    let newest = restore::newest_change(&pool).await?;
    let mut log = RestoreLog::since(restore::logs_from(newest, args.moment));
    for path in &args.log {
        let read = File::open(path)
            .map_err(Into::into)
            .and_then(|file| log.read(BufReader::with_capacity(READ_BYTES, file)));
        read.map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let by = Attribution::new(shell::user(), None);
    let voided =
        if args.void { Some(restore::void(&pool, &by).await.map_err(jobs::sentence)?) } else { None };
    let report = restore::check(&pool, &settings, args.moment, log).await?;
    if args.json {
        let mut json = serde_json::json!(report);
        json["holds"] = report.holds().into();
        json["voided"] = serde_json::json!(voided);
        println!("{json}");
    } else {
        print(&report, voided, args.log.is_empty());
    }
    Ok(match (report.holds(), report.has_todo()) {
        (false, _) => ExitCode::from(BROKEN),
        (true, true) => ExitCode::from(TODO),
        (true, false) => ExitCode::SUCCESS,
    })
}

fn print(report: &Report, voided: Option<LivingRights>, without_log: bool) {
    let newest = report.newest.map_or_else(|| "none".to_owned(), text);
    println!("newest change of the database: {newest}");
    print_verdicts(&report.invariants);
    if let Some(voided) = voided {
        println!("ended: {}", rights(&voided));
    }
    if report.rights.later_tokens {
        println!("to do: another secrets.token_key, since tokens of after the moment are accepted");
    }
    let rows = LivingRights { later_tokens: false, ..report.rights };
    if rows.any() {
        println!("to do: restore-check --void, to end {}", rights(&rows));
    }
    for one in &report.again {
        let todo = serde_json::json!(one.todo);
        println!("to do: {} {}, as at {}", todo.as_str().unwrap_or_default(), one.rider_id, text(one.at));
    }
    for due in &report.due {
        println!("a worker will run: {} {}", due.jobs, due.tag);
    }
    if report.unreadable_lines > 0 {
        println!("{} lines of the logs are no whole JSON", report.unreadable_lines);
    }
    if without_log {
        println!("without --log, acknowledged changes after the moment are not known");
    } else {
        println!("acknowledged and lost: {}", report.lost.len());
    }
    report.lost.iter().for_each(|lost| println!("  {}", line(lost)));
}

fn rights(rights: &LivingRights) -> String {
    let LivingRights { sessions, authorizations, reset_codes, recovery_codes, .. } = rights;
    format!(
        "{sessions} sessions, {authorizations} authorizations of payments, {reset_codes} reset codes, \
         {recovery_codes} recovery codes"
    )
}

fn line(lost: &LostChange) -> String {
    let LostChange { logged, rider_id, certain } = lost;
    let account = rider_id.map(|rider| rider.to_string()).or_else(|| logged.account.clone());
    let key = logged.idempotency_key.clone().or_else(|| logged.change.map(|change| change.to_string()));
    format!(
        "{} {} {} {} account {} key {} trace {}{}",
        text(logged.at),
        logged.method,
        logged.route,
        logged.status,
        account.as_deref().unwrap_or("unknown"),
        key.as_deref().unwrap_or("none"),
        logged.trace_id,
        if *certain { "" } else { " (by its time alone)" }
    )
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}
