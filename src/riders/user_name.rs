//! User names: which texts are one, and which two are the same.
//!
//! They are ASCII, so folding ASCII letters is all there is to it. Everything that compares them, in Rust and in SQL
//! (`lower(user_name collate "C")`), folds so: a folding that knows more letters (`İ`, the Kelvin sign) would let two texts
//! sign in as one account and be counted as two.

/// Characters of a user name.
const LENGTH: std::ops::RangeInclusive<usize> = 3..=40;

/// Whether a text can be a user name: 3 to 40 ASCII letters, digits, `.`, `_` or `-`.
pub fn is_user_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    LENGTH.contains(&text.len()) && text.chars().all(plain)
}

/// The form by which user names are compared. A text that is none has one too, which is no user name's.
pub fn folded(text: &str) -> String {
    text.to_ascii_lowercase()
}
