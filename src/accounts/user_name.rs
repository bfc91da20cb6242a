//! User names: their rule and their comparison.
//!
//! They are ASCII, so only ASCII letters are folded, everywhere in Rust and in SQL
//! (`lower(user_name collate "C")`). With a folding of more letters (`İ`, the Kelvin sign), two
//! texts could sign in as one account and be counted as two.

use crate::domain::UserName;

/// Whether a text can be a user name ([`UserName`] has the rule).
pub fn is_user_name(text: &str) -> bool {
    text.parse::<UserName>().is_ok()
}

/// The form by which user names are compared. The form of any other text equals no user name's.
pub fn folded(text: &str) -> String {
    text.to_ascii_lowercase()
}
