//! Texts of users in CSV, for spreadsheets and programs.
//!
//! A spreadsheet interprets a cell that looks like a formula, a number, a date or a truth value,
//! quoted or not: `=1+1` is computed, `0012` loses its zeros, `+8613800138000` becomes a number,
//! `1e5` 100000, `Mar-1` a day. So a cell that may be read as anything but text begins with an
//! apostrophe (what OWASP says against CSV injection). A program takes that one apostrophe off
//! again: a text that begins with one gets another, so that nothing is lost. `="0012"`, the other
//! way, is a formula itself, and no program reads it.

use std::borrow::Cow;

/// The media type of an answer in CSV whose first line names the columns.
pub const MEDIA_TYPE: &str = "text/csv; charset=utf-8; header=present";

/// The first bytes of a file for spreadsheets, which then read it as UTF-8.
pub const BOM: &[u8] = "\u{feff}".as_bytes();

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// The text as a cell. It is left as it is if it is empty, or begins with a letter or `_` and is
/// not a month with a number or a truth value.
pub fn cell(text: &str) -> Cow<'_, str> {
    let begins_well = text.chars().next().is_none_or(|first| first.is_alphabetic() || first == '_');
    if begins_well && !is_date_or_truth(text) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("'{text}"))
}

fn is_date_or_truth(text: &str) -> bool {
    let lower = text.to_lowercase();
    let month = MONTHS.iter().any(|month| lower.starts_with(month));
    lower == "true" || lower == "false" || (month && lower.chars().any(char::is_numeric))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_to_a_spreadsheet_is_marked_and_all_else_stays() {
        let dangerous = [
            "=1+1",
            "+1",
            "-1-1",
            "@x",
            "\tx",
            "\rx",
            "\nx",
            "1e5",
            "0012",
            "+8613800138000",
            "1-2",
            "1/2",
            "12:30",
            ".5",
            "\u{ff1d}1+1",
            "\u{ff0b}1",
            "'x",
            " =1",
            "\u{a0}=1",
            "\u{200b}=1",
            "Mar-1",
            "sept2",
            "TRUE",
            "false",
            "3\u{6708}1\u{65e5}",
            "$1",
            "\u{661}",
        ];
        for text in dangerous {
            assert_eq!(cell(text), format!("'{text}"), "{text:?}");
        }
        for text in [
            "",
            "rider0",
            "_x",
            "\u{738b}\u{5c0f}\u{660e}",
            "mary",
            "march",
            "trueman",
            "a@b.example",
            "\u{e9}lan",
        ] {
            assert_eq!(cell(text), text);
        }
    }
}
