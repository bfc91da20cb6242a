//! Imports go one way: down the table of modules, and never in a circle of files.

use crate::{
    Finding, Source,
    modules::{Import, Modules},
};
use std::collections::{BTreeMap, BTreeSet};

/// The modules of each crate, by the folder of its code, from the bottom up. A module is a file or a folder
/// right under it. It imports only what stands in a row before its own.
const ROWS: [(&str, &[&[&str]]); 3] = [
    (
        "src/",
        &[
            &["domain", "instruments"],
            &["network"],
            &["settings"],
            &["storage", "embedded", "security"],
            &["outbound"],
            &["traces"],
            &["batch", "limits"],
            &["accounts", "idempotency"],
            &["orders"],
            &["statements"],
            &["saga"],
            &["booking", "payment"],
            &["trips"],
            &["webhooks"],
            &["verify"],
            &["ops"],
            &["telemetry"],
            &["http"],
            &["browser"],
            &["console", "web"],
            &["app"],
            &["cli"],
            &["main", "bin"],
        ],
    ),
    (
        "jobs/src/",
        &[
            &["event_kind", "ids", "retry"],
            &["payload"],
            &["tag"],
            &[
                "order_add",
                "order_add_seats",
                "order_calc_money",
                "order_cancel",
                "order_seats",
                "order_unpaid",
            ],
            &["pay", "pay_back", "pay_check", "pay_money"],
            &["bulk", "network_import", "timetable", "trip_cancel"],
            &["webhook_delivery", "webhook_event"],
        ],
    ),
    (
        "jobs/queue/src/",
        &[
            &["error", "location", "metrics", "retry_policy", "state", "time_limit", "trace", "transaction"],
            &["config", "job", "lease", "migrate", "notify"],
            &["delivery", "enqueue", "lease_id"],
            &["admin", "outcome", "prefetch"],
            &["maintenance"],
            &["sql"],
            &["driver"],
            &["import", "store", "worker"],
            &["bin"],
        ],
    ),
];

/// Imports of a module that is not below.
pub fn directions(files: &[Source]) -> Vec<Finding> {
    let imports = Modules::of(files).imports();
    let mut findings = Vec::new();
    for (root, rows) in ROWS {
        let row = |name: &str| rows.iter().position(|row| row.contains(&name));
        for Import { from, line, to } in &imports {
            let (Some(user), Some(used)) = (module(root, from), module(root, to)) else { continue };
            let what = match (row(user), row(used)) {
                _ if user == used => continue,
                (Some(above), Some(below)) if below < above => continue,
                (Some(_), Some(_)) => {
                    format!(
                        "`{user}` imports `{used}` ({to}), which is not below it; use what both may import"
                    )
                }
                (found, _) => {
                    let unknown = if found.is_none() { user } else { used };
                    format!("`{unknown}` is not in the table of modules; use a row of tests/tidy/arrows.rs")
                }
            };
            findings.push(Finding::new(from, *line, what));
        }
    }
    findings
}

/// The module that a file is of; nothing for the crate's own head.
fn module<'a>(root: &str, file: &'a str) -> Option<&'a str> {
    let inner = file.strip_prefix(root)?.strip_suffix(".rs")?;
    inner.split('/').next().filter(|name| *name != "lib")
}

/// Files that import each other. The head of a folder and its files are one module, so their imports of each
/// other do not count.
pub fn circles(files: &[Source]) -> Vec<Finding> {
    let imports = Modules::of(files).imports();
    let apart = |i: &&Import| !is_head(&i.from, &i.to) && !is_head(&i.to, &i.from);
    let imports: Vec<&Import> = imports.iter().filter(apart).collect();
    let mut uses: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for import in &imports {
        uses.entry(&import.from).or_default().insert(&import.to);
    }
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        uses.keys().map(|file| (*file, reached(&uses, file))).collect();
    let (mut seen, mut findings) = (BTreeSet::new(), Vec::new());
    for (file, reached) in &reach {
        let returns = |other: &&str| reach.get(other).is_some_and(|back| back.contains(file));
        let circle: Vec<&str> = reached.iter().copied().filter(returns).collect();
        if !circle.contains(file) || !seen.insert(circle.clone()) {
            continue;
        }
        let inside = |i: &&&Import| circle.contains(&i.from.as_str()) && circle.contains(&i.to.as_str());
        let arrows: Vec<String> =
            imports.iter().filter(inside).map(|i| format!("{}:{} -> {}", i.from, i.line, i.to)).collect();
        let (many, arrows) = (circle.len(), arrows.join(", "));
        let what =
            format!("{many} files import each other; use a file below them for what they share: {arrows}");
        findings.push(Finding::new(file, 1, what));
    }
    findings
}

/// All files that one reaches by imports.
fn reached<'a>(uses: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &str) -> BTreeSet<&'a str> {
    let (mut seen, mut left) = (BTreeSet::new(), vec![from]);
    while let Some(file) = left.pop() {
        for next in uses.get(file).into_iter().flatten() {
            if seen.insert(*next) {
                left.push(next);
            }
        }
    }
    seen
}

/// Whether a file is the head of a folder that another one is in: its `mod`, or the file beside it that has
/// its name.
fn is_head(head: &str, file: &str) -> bool {
    let folder = head.strip_suffix("mod.rs").or_else(|| head.strip_suffix("lib.rs")).map(str::to_owned);
    file.starts_with(&folder.unwrap_or_else(|| head.replace(".rs", "/")))
}
