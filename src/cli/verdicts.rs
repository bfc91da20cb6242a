//! The verdicts on the invariants, for a terminal.

use crate::verify::Verdict;

/// Prints a line for each invariant, and below a breach where it is.
pub(super) fn print_verdicts(verdicts: &[Verdict]) {
    for verdict in verdicts {
        let places = if verdict.holds { String::new() } else { format!(" ({})", verdict.count) };
        println!("{} {}{places}", if verdict.holds { "ok    " } else { "BREACH" }, verdict.sentence);
        if let Some(breach) = &verdict.breach {
            println!("       {}", breach.en);
        }
        if verdict.debts.is_empty() {
            verdict.samples.iter().for_each(|id| println!("         {id}"));
        }
        verdict.debts.iter().for_each(|undo| println!("         {}", undo.line()));
        let more = verdict.count - i64::try_from(verdict.samples.len()).unwrap_or(0);
        if more > 0 {
            println!("         and {more} more");
        }
    }
}
