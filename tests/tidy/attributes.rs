//! A lint that is switched off says why.

use crate::{Finding, Source, rust};

/// `#[allow(…)]` and `#[expect(…)]` without `reason = "…"`.
pub fn reasons(files: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is(".rs")) {
        let code = &file.parts().code;
        for (at, _) in code.match_indices("[allow(").chain(code.match_indices("[expect(")) {
            let attribute = code[at..].split(']').next().unwrap_or_default();
            if !rust::words(attribute).any(|(_, word)| word == "reason") {
                let what = "a lint is switched off without a reason; use `reason = \"…\"`";
                findings.push(Finding::new(&file.path, rust::line_of(code, at), what.to_owned()));
            }
        }
    }
    findings
}
