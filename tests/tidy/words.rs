//! Words that were given up, and what the field calls the thing (docs/contributors/glossary.md).

use crate::{Finding, Source, documents::text_lines, rust, sizes::is_old_migration};
use std::collections::HashMap;

/// Names: in code, in strings, in SQL, and in what a comment or a document marks as code.
const NAMES: [(&str, &str); 80] = [
    ("Allowance", "Quota"),
    ("Among", "KeyFilter"),
    ("AtHand", "ConnectionCache"),
    ("Begun", "BeginOutcome"),
    ("Boarded", "Batch"),
    ("CROWD", "SECOND_FLUSH_AT"),
    ("CalledOff", "Cancelled"),
    ("Coalescer", "Batcher"),
    ("Debt", "PendingWork"),
    ("Deed", "OperatorForm"),
    ("Desk", "JobContext"),
    ("Doing", "Context"),
    ("Errand", "DbRequest"),
    ("Fence", "LeaseId"),
    ("Flight", "InFlight"),
    ("GATHERINGS", "YIELDS_BEFORE_FLUSH"),
    ("Ground", "BatchContext"),
    ("HELD_UP", "SLOW_FLUSH"),
    ("Joint", "Batchers"),
    ("KEPT_FOR", "MAX_AGE"),
    ("LANES", "MAX_CONCURRENT_FLUSHES"),
    ("Lane", "FlushTask"),
    ("Raised", "RollbackStatus"),
    ("Registering", "KeyedRegistration"),
    ("Ringer", "Notifier"),
    ("Bell", "WakeSignal"),
    ("Shelf", "PrefetchBuffer"),
    ("Stakes", "Impact"),
    ("StepError", "domain::Error"),
    ("Tally", "Rollup"),
    ("Taste", "Preferences"),
    ("Together", "BatchStatement"),
    ("UNWAITED", "ASYNC_COMMIT"),
    ("Unanswered", "ResponsePending"),
    ("Wishes", "InFlightGuard"),
    ("act_form", "action_form"),
    ("act_link", "action_link"),
    ("ask_all", "execute"),
    ("at_hand", "connections"),
    ("begin_unwaited", "begin_async_commit"),
    ("called_off", "cancelled"),
    ("come_back", "record_result"),
    ("ends_meanwhile", "expected_completions"),
    ("flights", "in_flight"),
    ("flying", "running"),
    ("flying_done", "completing"),
    ("flying_slots", "slots_requested"),
    ("go_on", "unmark_slow"),
    ("held_up", "is_slow"),
    ("hold_up", "mark_slow"),
    ("hurry", "enqueue_or_expedite"),
    ("in_turn", "run_bounded"),
    ("is_seen_to", "has_live_job"),
    ("is_suspect", "predates_outage"),
    ("keep_together", "save_batched"),
    ("let_through", "reserve_attempt"),
    ("look_at", "next_poll_at"),
    ("look_back", "reset"),
    ("may_act", "can_write"),
    ("of_whom", "owner_check"),
    ("out_of_grace", "grace_exceeded"),
    ("redis_link", "redis"),
    ("revive", "restore"),
    ("rung", "notified"),
    ("say_goodbye", "deregister"),
    ("shelve", "push"),
    ("sign_off", "deregister"),
    ("sit_out", "back_off"),
    ("stakes", "impact"),
    ("stirred", "poll_now"),
    ("strike", "inject"),
    ("take_duty", "acquire_task"),
    ("take_off", "remove"),
    ("take_turns", "rotate"),
    ("to_the_end", "run_detached"),
    ("told", "the thing's own verb: answered, sent, notified"),
    ("told_again", "as_replay"),
    ("told_in", "with_language"),
    ("unwaited", "async_commit"),
    ("watch_over", "supervise"),
];

/// Old names that a file may still have: the end of its path, and the name.
const KEPT_NAMES: [(&str, &str); 2] = [("CHANGELOG.md", "stakes"), ("docs/operators/upgrading.md", "stakes")];

/// Names of functions in src and jobs that say nothing, or another thing in each module.
const FUNCTIONS: [(&str, &str); 13] = [
    ("ask", "submit, confirm or request"),
    ("board", "take_batch"),
    ("fly", "run"),
    ("gather", "yield_before_flush"),
    ("heed", "check"),
    ("keep", "run_…_loop, save or release"),
    ("land", "on_response"),
    ("look", "read"),
    ("ring", "notify"),
    ("say", "t, for a text in two languages"),
    ("tell", "log_… or serve_…"),
    ("told", "the thing's own verb"),
    ("wish", "register"),
];

/// Words and phrases of prose, in any case.
const PROSE: [(&str, &str); 32] = [
    ("at the most", "at most"),
    ("at the least", "at least"),
    ("awake", "runnable"),
    ("called off", "cancelled"),
    ("he", "it or they"),
    ("heed", "check"),
    ("heeded", "checked"),
    ("heeding", "checking"),
    ("heeds", "checks"),
    ("her", "its or their"),
    ("him", "it or them"),
    ("himself", "itself or themselves"),
    ("his", "its or their"),
    ("house", "project"),
    ("in company", "beside other requests"),
    ("mend", "fix"),
    ("mended", "fixed"),
    ("mending", "fixing"),
    ("mends", "fixes"),
    ("rooms", "modules"),
    ("see to it", "process it"),
    ("seen to", "processed"),
    ("sees to it", "processes it"),
    ("she", "it or they"),
    ("so many", "the number"),
    ("stakes", "impact"),
    ("strangers", "the thing's name"),
    ("told", "the thing's own verb"),
    ("unwaited", "asynchronous"),
    ("wandering", "spread"),
    ("whoever", "a client, an operator, or the program's name"),
    ("whom", "the thing's name"),
];

/// Files that name the words: these tables, and the samples of the rules.
fn holds_words(path: &str) -> bool {
    ["tests/tidy/words.rs", "tests/tidy/samples.rs"].contains(&path) || is_old_migration(path)
}

pub fn names(files: &[Source]) -> Vec<Finding> {
    let names: HashMap<&str, &str> = NAMES.into_iter().collect();
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| !holds_words(&file.path)) {
        for (line, old) in words_of(&named(file)) {
            let Some(new) = names.get(old) else { continue };
            if !KEPT_NAMES.iter().any(|(path, name)| file.path.ends_with(path) && *name == old) {
                findings.push(Finding::new(
                    &file.path,
                    line,
                    format!("the name `{old}` was given up; use {new}"),
                ));
            }
        }
    }
    findings
}

/// What names things in a file: code, strings, and what is marked as code.
fn named(file: &Source) -> String {
    match file.path.rsplit('.').next() {
        Some("rs") => {
            let rust::Rust { code, comments, strings } = file.parts();
            let lines = code.lines().zip(comments.lines()).zip(strings.lines());
            lines.map(|((code, comment), string)| format!("{code} {} {string}\n", marked(comment))).collect()
        }
        Some("md") => file.text.lines().map(|line| marked(line) + "\n").collect(),
        Some("sql" | "toml" | "lua" | "js" | "css" | "yml") => file.text.clone(),
        _ => String::new(),
    }
}

/// What stands between backticks.
fn marked(line: &str) -> String {
    line.split('`').skip(1).step_by(2).collect::<Vec<_>>().join(" ")
}

fn words_of(text: &str) -> Vec<(usize, &str)> {
    rust::words(text).collect()
}

pub fn functions(files: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let code = files.iter().filter(|file| file.is(".rs") && !file.path.starts_with("tests/"));
    for file in code {
        let code = &file.parts().code;
        let words = words_of(code);
        for pair in words.windows(2) {
            let [(_, "fn"), (line, name)] = pair else { continue };
            if let Some((old, new)) = FUNCTIONS.iter().find(|(old, _)| old == name) {
                let what = format!("a function `{old}` does not say what it does; use {new}");
                findings.push(Finding::new(&file.path, *line, what));
            }
        }
    }
    findings
}

pub fn prose(files: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| !holds_words(&file.path)) {
        for (line, text) in prose_lines(file) {
            let text = text.to_lowercase();
            for (old, new) in PROSE.iter().filter(|(old, _)| has_phrase(&text, old)) {
                findings.push(Finding::new(
                    &file.path,
                    line,
                    format!("\"{old}\" is not our prose; use {new}"),
                ));
            }
        }
    }
    findings
}

/// The lines of prose in a file: a document's text, and comments. What is marked as code is left out.
fn prose_lines(file: &Source) -> Vec<(usize, String)> {
    let unmarked = |line: &str| line.split('`').step_by(2).collect::<Vec<_>>().join(" code ");
    let comments = |mark: &str| {
        let lines = file.text.lines().enumerate();
        lines.filter_map(|(n, line)| Some((n + 1, unmarked(line.split_once(mark)?.1)))).collect()
    };
    match file.path.rsplit('.').next() {
        Some("rs") => {
            let comments = &file.parts().comments;
            comments.lines().enumerate().map(|(n, line)| (n + 1, unmarked(line))).collect()
        }
        Some("md") => text_lines(&file.text).into_iter().map(|(n, line)| (n, unmarked(line))).collect(),
        Some("sql" | "lua") => comments("--"),
        Some("toml" | "yml") => comments("# "),
        _ => Vec::new(),
    }
}

/// Whether the words of a phrase follow each other in a line of small letters.
fn has_phrase(line: &str, phrase: &str) -> bool {
    line.match_indices(phrase).any(|(at, _)| {
        let part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        let (before, after) = (&line[..at], &line[at + phrase.len()..]);
        !before.ends_with(part) && !after.starts_with(part)
    })
}
