//! The external reference of a top-up's payment: a receipt's number, a bank's reference.

use super::text_rules::fault_of_name;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{borrow::Cow, fmt, str::FromStr};
use unicode_normalization::UnicodeNormalization;

/// Longest reference, characters.
const MAX_CHARS: usize = 100;

/// A reference, compared as it is read: `PAY-77`, ` pay-77` and `ＰＡＹ－77` are the same. Stored and
/// shown in NFKC, with one blank wherever there were several and none around it.
#[derive(Clone, Debug)]
pub struct Reference {
    text: String,
    key: String,
    sent: String,
}

impl Reference {
    /// As it is shown.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// As it was sent, and as rows from before migration 0022 have it.
    pub fn as_sent(&self) -> &str {
        &self.sent
    }

    /// The form by which references are compared; at most three times as long.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl PartialEq for Reference {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Reference {}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Reference {
    /// The rule that the text breaks.
    type Err = String;

    fn from_str(sent: &str) -> Result<Self, String> {
        let nfkc: String = sent.nfkc().collect();
        let text = nfkc.split_whitespace().collect::<Vec<_>>().join(" ");
        // Both forms are checked: NFKC makes some letters into several.
        if let Some(rule) = fault_of_name(sent, MAX_CHARS).or_else(|| fault_of_name(&text, MAX_CHARS)) {
            return Err(rule);
        }
        // A name may need them; in a receipt's number they would make two that look the same.
        if sent.chars().any(is_joiner_or_selector) {
            return Err("no joiners and no variation selectors".to_owned());
        }
        // Up, then down, letter by letter: ß and SS, ς and σ are the same then.
        let key = text
            .chars()
            .map(plain_dash)
            .flat_map(char::to_uppercase)
            .flat_map(char::to_lowercase)
            .nfkc()
            .collect();
        Ok(Self { text, key, sent: sent.to_owned() })
    }
}

fn is_joiner_or_selector(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e01ef}')
}

/// What word processors make of a hyphen, as one.
fn plain_dash(c: char) -> char {
    match c {
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}' => '-',
        other => other,
    }
}

impl Serialize for Reference {
    /// The form of comparison: two requests that differ only in the spelling are the same.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.key)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Reference {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Reference".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "The payment that tops the wallet up, as it is known elsewhere. Compared without regard to \
                            case, width, and blanks around it; used once, for one rider.",
            "minLength": 1,
            "maxLength": MAX_CHARS,
            "pattern": r"\S",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_that_read_alike_are_the_same() {
        let first: Reference = "PAY-77 a".parse().expect("a plain one");
        for same in [
            "pay\u{2013}77 a",
            "pay\u{2212}77 a",
            "pay-77 A",
            " PAY-77  a\u{a0}",
            "ＰＡＹ-77\u{3000}a",
            "Pay-７７ a",
        ] {
            assert_eq!(same.parse::<Reference>().as_ref(), Ok(&first), "{same:?}");
        }
        for (one, other) in
            [("Straße", "STRASSE"), ("caf\u{e9}", "CAFE\u{301}"), ("ΟΔΟΣ", "οδος"), ("\u{212a}1", "k1")]
        {
            assert_eq!(one.parse::<Reference>(), other.parse::<Reference>(), "{one} {other}");
        }
        for other in ["PAY-78 a", "PAY-77a", "PAY 77 a"] {
            assert_ne!(other.parse::<Reference>().as_ref(), Ok(&first), "{other:?}");
        }
        assert_eq!("  ＰＡＹ  7 ".parse::<Reference>().map(|r| r.to_string()), Ok("PAY 7".to_owned()));
    }

    #[test]
    fn texts_that_cannot_be_read_are_refused() {
        let long = "王".repeat(MAX_CHARS + 1);
        let grows = "\u{fdfa}".repeat(MAX_CHARS);
        for text in [
            "",
            " ",
            "\u{3000}\u{a0}",
            "PAY\u{200b}-77",
            "PAY-77\u{fe0f}",
            "PAY-77\u{e0100}",
            "PAY-77\u{feff}",
            "\u{202e}PAY",
            "a\tb",
            "a\0",
            "\u{3164}",
            &long,
            &grows,
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text:?} was taken");
        }
        assert!("王".repeat(MAX_CHARS).parse::<Reference>().is_ok());
    }
}
