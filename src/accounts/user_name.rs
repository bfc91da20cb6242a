//! User names: which texts are one, and which two are the same.
//!
//! They are ASCII, so folding ASCII letters is all there is to it. Everything that compares them, in Rust and in SQL
//! (`lower(user_name collate "C")`), folds so: a folding that knows more letters (`İ`, the Kelvin sign) would let two texts
//! sign in as one account and be counted as two.

use crate::domain::UserName;

/// Whether a text can be a user name ([`UserName`] has the rule).
pub fn is_user_name(text: &str) -> bool {
    text.parse::<UserName>().is_ok()
}

/// The form by which user names are compared. A text that is none has one too, which is no user name's.
pub fn folded(text: &str) -> String {
    text.to_ascii_lowercase()
}
