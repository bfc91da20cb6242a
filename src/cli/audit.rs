//! `farebox audit`: copies of the chained records, for storage that is written once, and the check
//! of such a copy.

use super::database::{Data, Database, Open};
use crate::{app, domain::BoxError, ops::chain};
use clap::{Args, Subcommand};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    path::PathBuf,
    process::ExitCode,
};

/// Longest line of a copy, bytes: five minutes of a million orders' events.
const MAX_LINE: u64 = 256 * 1024 * 1024;
/// How many links are compared with the database at a time.
const COMPARED: usize = 1_000;

#[derive(Subcommand)]
pub(super) enum Audit {
    /// Print the links of the chain, with the records that they are over, as JSON, a line each.
    Export(Export),
    /// Check a copy: its digests and, if asked, that the database still has the same chain. Exit
    /// code 1 on a difference.
    Check(Check),
}

#[derive(Args)]
pub(super) struct Export {
    #[command(flatten)]
    data: Data,
    /// Only links after this number: the last one of the copy before.
    #[arg(long, value_name = "NR", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    after: i64,
}

#[derive(Args)]
pub(super) struct Check {
    #[command(flatten)]
    data: Data,
    /// The copy, as `export` printed it.
    file: PathBuf,
    /// Compare it with the database too.
    #[arg(long)]
    database: bool,
}

/// Prints or checks a copy.
pub(super) async fn run(audit: Audit) -> Result<ExitCode, BoxError> {
    match audit {
        Audit::Export(args) => export(&args).await,
        Audit::Check(args) => check(&args).await,
    }
}

async fn export(args: &Export) -> Result<ExitCode, BoxError> {
    let settings = app::settings(&[])?;
    let database = Database::open(&args.data, &settings, Open::Existing).await?;
    let pool = database.current(&settings).await?;
    let mut after = args.after;
    let mut out = std::io::stdout().lock();
    loop {
        let links = chain::links(&pool, after).await?;
        let Some(last) = links.last() else { break };
        after = last.nr;
        for link in &links {
            writeln!(out, "{}", serde_json::to_string(link)?)?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

async fn check(args: &Check) -> Result<ExitCode, BoxError> {
    let opened = File::open(&args.file).map_err(|error| format!("{}: {error}", args.file.display()));
    let copy = read(BufReader::new(opened?));
    let (links, mut fault) = match copy {
        Ok(links) => (links, None),
        Err((links, fault)) => (links, Some(fault)),
    };
    if args.database && fault.is_none() {
        let settings = app::settings(&[])?;
        let database = Database::open(&args.data, &settings, Open::Existing).await?;
        let pool = database.current(&settings).await?;
        let numbers: Vec<i64> = links.keys().copied().collect();
        for numbers in numbers.chunks(COMPARED) {
            let there = chain::digests(&pool, numbers).await?;
            let differs = numbers.iter().find(|nr| there.get(nr) != links.get(nr));
            if let Some(nr) = differs {
                let what = if there.contains_key(nr) { "is another one" } else { "is missing" };
                fault = Some(format!("link {nr} {what} in the database"));
                break;
            }
        }
    }
    let (first, last) = (links.keys().next().unwrap_or(&0), links.keys().next_back().unwrap_or(&0));
    if let Some(fault) = fault {
        println!("BREACH {fault}");
        return Ok(ExitCode::FAILURE);
    }
    println!("ok     {} links, {first} to {last}", links.len());
    Ok(ExitCode::SUCCESS)
}

/// The digests of the links by their numbers; or those up to the first line that is wrong, and why.
fn read(mut file: impl BufRead) -> Result<BTreeMap<i64, String>, (BTreeMap<i64, String>, String)> {
    let mut links = BTreeMap::new();
    let mut before: Option<(i64, String)> = None;
    for line_nr in 1.. {
        let mut line = String::new();
        let wrong = |why: String| format!("line {line_nr}: {why}");
        match file.by_ref().take(MAX_LINE).read_line(&mut line) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return Err((links, wrong(error.to_string()))),
        }
        let link: chain::Link = match serde_json::from_str(&line) {
            Ok(link) => link,
            Err(error) => return Err((links, wrong(format!("no link: {error}")))),
        };
        if let Err(why) = link.check(before.as_ref()) {
            return Err((links, wrong(why)));
        }
        links.insert(link.nr, link.digest.clone());
        before = Some((link.nr, link.digest));
    }
    Ok(links)
}
