//! Codes, languages, and names in several languages.

use super::bounds::{MAX_CODE, MAX_LANGUAGE};
use std::{borrow::Borrow, collections::BTreeMap, fmt, str::FromStr, sync::Arc};

/// The stable name of a thing in files: letters, digits, and any of `-_.:` of ASCII.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(Arc<str>);

impl Code {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Code {
    /// The rule that the text breaks.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        if (1..=MAX_CODE).contains(&text.len()) && text.chars().all(plain) {
            return Ok(Self(text.into()));
        }
        Err(format!("1 to {MAX_CODE} letters a-z, digits or any of - _ . :"))
    }
}

impl Borrow<str> for Code {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A language's tag of BCP 47, like `ja` or `zh-Hant`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Language(Arc<str>);

impl Language {
    /// The tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Language {
    /// The rule that the text breaks.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split('-');
        let first = parts.next().unwrap_or_default();
        let is_letters = |part: &str| part.bytes().all(|b| b.is_ascii_alphabetic());
        let is_part =
            |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
        let shaped = (2..=8).contains(&first.len()) && is_letters(first) && parts.all(is_part);
        if shaped && text.len() <= MAX_LANGUAGE {
            return Ok(Self(text.into()));
        }
        Err("a language's tag of BCP 47 like ja or zh-Hant".to_owned())
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name in the network's first language, and in others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// In the network's first language.
    pub default: String,
    /// In other languages of the network.
    pub others: BTreeMap<Language, String>,
}

impl Names {
    /// A name without translations.
    pub fn of(default: impl Into<String>) -> Self {
        Self { default: default.into(), others: BTreeMap::new() }
    }

    /// The name in this language, else in the first.
    pub fn in_language(&self, language: &Language) -> &str {
        self.others.get(language).unwrap_or(&self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_tags_are_of_ascii_and_bounded() {
        assert!(
            ["a", "100310_weekday_1", "a.b:c-d", &"x".repeat(64)].iter().all(|c| c.parse::<Code>().is_ok())
        );
        let bad = ["", " ", "a b", "室蘭", "a/b", "a\n", &"x".repeat(65)];
        assert!(bad.iter().all(|c| c.parse::<Code>().is_err()));
        assert!(["en", "ja-Hrkt", "zh-Hant-TW", "de-1996"].iter().all(|t| t.parse::<Language>().is_ok()));
        let bad = ["", "e", "1a", "en_US", "en-", "abcdefghi", "en-toolongpart"];
        assert!(bad.iter().all(|t| t.parse::<Language>().is_err()));
    }
}
