//! Texts of requests, one type for each kind. Lengths count characters, not bytes.

use super::text_rules::{Shape, fault, trimmed};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{borrow::Cow, fmt, ops::RangeInclusive, str::FromStr};
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// Length of a user name, characters.
const USER_NAME: RangeInclusive<usize> = 3..=40;
/// Length of a password, characters.
const PASSWORD: RangeInclusive<usize> = 8..=200;
/// Most bytes of a password, all of which are hashed: as many characters of four bytes.
const MAX_PASSWORD_BYTES: usize = 800;
/// Digits of a pay password.
const PAY_PASSWORD: usize = 6;
/// Most characters of a nick name.
const MAX_NICK_NAME: usize = 200;
/// Most characters of an e-mail address, and of the part before its `@`.
const MAX_EMAIL: usize = 200;
const MAX_MAILBOX: usize = 64;
/// Length of a phone number, characters.
const PHONE: RangeInclusive<usize> = 3..=40;
/// Most characters of a reason.
pub const MAX_REASON: usize = 500;
/// Most characters of a message to riders.
pub const MAX_RIDER_MESSAGE: usize = 200;
/// Most characters of a comment.
const MAX_COMMENT: usize = 1_000;
/// Most characters of a label: a key, a fingerprint, a name of a filter.
const MAX_LABEL: usize = 200;

fn user_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if USER_NAME.contains(&text.len()) && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err("3 to 40 letters, digits, dots, dashes or underscores".to_owned())
}

/// It cannot be taken for a number, a formula or an option. Accounts from before have any name of
/// [`user_name`].
fn new_user_name(text: &str) -> Result<String, String> {
    let framed = |end: Option<char>| end.is_some_and(|c| c.is_ascii_alphanumeric());
    let has_letter = text.contains(|c: char| c.is_ascii_alphabetic());
    let name = user_name(text)?;
    if framed(text.chars().next()) && framed(text.chars().last()) && has_letter {
        return Ok(name);
    }
    Err("it begins and ends with a letter or a digit, and has at least one letter".to_owned())
}

fn password(text: &str) -> Result<String, String> {
    // As it is hashed: a letter and its accent are one character, however they were sent.
    if !PASSWORD.contains(&text.nfc().count()) || text.len() > MAX_PASSWORD_BYTES {
        return Err("8 to 200 characters".to_owned());
    }
    if text.contains(char::is_control) {
        return Err("no control characters".to_owned());
    }
    Ok(text.to_owned())
}

fn pay_password(text: &str) -> Result<String, String> {
    if text.len() == PAY_PASSWORD && text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    Err("a pay password is six digits".to_owned())
}

fn nick_name(text: &str) -> Result<String, String> {
    trimmed(text, Shape::Name, MAX_NICK_NAME)
}

fn email(text: &str) -> Result<String, String> {
    if let Some(fault) = fault(text, Shape::Name, MAX_EMAIL) {
        return Err(fault);
    }
    let mailbox = |name: &str| {
        (1..=MAX_MAILBOX).contains(&name.chars().count())
            && !name.starts_with('.')
            && !name.ends_with('.')
            && !name.contains("..")
    };
    let label = |name: &str| !name.is_empty() && !name.starts_with('-') && !name.ends_with('-');
    let of_host = |c: char| c.is_alphanumeric() || c == '-' || (!c.is_ascii() && is_mark(c));
    let is_address = text.split_once('@').is_some_and(|(name, host)| {
        mailbox(name) && host.split('.').all(|part| label(part) && part.chars().all(of_host))
    });
    let plain = |c: char| !c.is_whitespace() && !"\"(),:;<>[\\]".contains(c);
    if is_address && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err("an address like name@example.org".to_owned())
}

fn is_mark(c: char) -> bool {
    matches!(c.general_category(), GeneralCategory::NonspacingMark | GeneralCategory::SpacingMark)
}

fn phone(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_digit() || "+-(). /".contains(c);
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let framed = text.trim() == text && !text.chars().skip(1).any(|c| c == '+');
    if PHONE.contains(&text.len()) && digits >= *PHONE.start() && framed && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err("a phone number: 3 to 40 digits, blanks and any of + - . / ( )".to_owned())
}

fn reason(text: &str) -> Result<String, String> {
    trimmed(text, Shape::Line, MAX_REASON)
}

fn rider_message(text: &str) -> Result<String, String> {
    trimmed(text, Shape::Name, MAX_RIDER_MESSAGE)
}

fn comment(text: &str) -> Result<String, String> {
    fault(text, Shape::Prose, MAX_COMMENT).map_or_else(|| Ok(text.to_owned()), Err)
}

fn label(text: &str) -> Result<String, String> {
    let length = text.chars().count();
    if !(1..=MAX_LABEL).contains(&length) || text.chars().any(char::is_control) {
        return Err(format!("1 to {MAX_LABEL} characters, none of them control characters"));
    }
    Ok(text.to_owned())
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident: $read:ident, $schema:tt;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text.
            pub fn into_string(self) -> String {
                self.0
            }

            /// Reads `text`, which came as the field `pointer`.
            ///
            /// # Errors
            /// Names the field and the rule.
            pub fn read(pointer: &str, text: &str) -> Result<Self, super::FieldError> {
                $read(text).map(Self).map_err(|rule| super::FieldError::new(pointer, rule))
            }
        }

        impl FromStr for $name {
            /// The rule that the text breaks.
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                $read(text).map(Self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )* };
}

texts! {
    /// A name for signing in.
    UserName: user_name, { "type": "string", "minLength": 3, "maxLength": 40, "pattern": "^[A-Za-z0-9._-]+$" };
    /// A name for a new account.
    NewUserName: new_user_name, {
        "type": "string", "minLength": 3, "maxLength": 40, "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]+[A-Za-z0-9]$",
        "description": "Unique without regard to case; at least one letter.",
    };
    /// A new password.
    Password: password, { "type": "string", "minLength": 8, "maxLength": 200 };
    /// A pay password.
    PayPassword: pay_password, { "type": "string", "minLength": 6, "maxLength": 6, "pattern": "^[0-9]{6}$" };
    /// How a rider wants to be called; blanks around it are dropped.
    NickName: nick_name, {
        "type": "string", "minLength": 1, "maxLength": 200, "pattern": "\\S",
        "description": "Without control characters and characters that cannot be seen; blanks around it are dropped.",
    };
    /// An e-mail address, unverified.
    Email: email, {
        "type": "string", "format": "idn-email", "minLength": 3, "maxLength": 200, "pattern": "^[^@\\s]+@[^@\\s]+$",
    };
    /// A phone number, unverified.
    Phone: phone, { "type": "string", "minLength": 3, "maxLength": 40, "pattern": "^\\+?[-0-9(). /]+$" };
    /// The reason of an action; blanks around it are dropped.
    Reason: reason, {
        "type": "string", "minLength": 1, "maxLength": MAX_REASON, "pattern": "\\S",
        "description": "One line; blanks around it are dropped.",
    };
    /// What riders read of an operator's act; blanks around it are dropped.
    RiderMessage: rider_message, {
        "type": "string", "minLength": 1, "maxLength": MAX_RIDER_MESSAGE, "pattern": "\\S",
        "description": "One line that riders read, without control characters; blanks around it are dropped.",
    };
    /// A rider's comment on a trip.
    Comment: comment, { "type": "string", "minLength": 1, "maxLength": MAX_COMMENT, "pattern": "\\S" };
    /// A key, a fingerprint or a name of a filter.
    Label: label, { "type": "string", "minLength": 1, "maxLength": 200 };
}

macro_rules! shown {
    ($($name:ident)*) => { $(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )* };
}

shown!(UserName NewUserName NickName Reason RiderMessage Comment Label);

macro_rules! hidden {
    ($($name:ident)*) => { $(
        /// Secret or personal: no log gets it.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )* };
}

hidden!(Password PayPassword Email Phone);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_count_characters() {
        assert!("王".repeat(200).parse::<NickName>().is_ok());
        assert!("王".repeat(201).parse::<NickName>().is_err());
        assert!("😀😀".parse::<Password>().is_err());
        assert!("😀".repeat(8).parse::<Password>().is_ok());
        assert!("x".repeat(201).parse::<Password>().is_err() && "😀".repeat(200).parse::<Password>().is_ok());
        assert!("好".repeat(1_000).parse::<Comment>().is_ok());
    }

    #[test]
    fn names_can_be_seen() {
        let fine = [
            "小林",
            "José",
            "Ann-Marie O'Neil",
            "محمد",
            "👩‍🚀",
            "❤️",
            "e\u{301}",
            "न\u{93f}",
            "علی\u{200c}رضا",
            "ශ\u{dca}\u{200d}ර\u{dd3} ලංකා",
            "क\u{94d}\u{200d}ष",
            "葛\u{e0100}",
            "\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
        ];
        for name in fine {
            assert_eq!(name.parse::<NickName>().as_ref().map(NickName::as_str), Ok(name));
        }
        assert_eq!(" Mei\u{a0}".parse::<NickName>().map(NickName::into_string), Ok("Mei".to_owned()));
        let bad = [
            "",
            " ",
            "\u{a0}\u{3000}",
            "\u{200b}",
            "a\u{200b}b",
            "\u{202e}nimda",
            "a\u{2066}b",
            "\u{feff}x",
            "a\u{200d}b",
            "a\u{200c}b",
            "علی\u{200c}",
            "a\u{e0100}",
            "\u{200d}",
            "\u{3164}",
            "\u{2800}",
            "\u{ad}",
            "a\nb",
            "a\tb",
            "a\u{0}",
            "a\u{85}b",
            "a\u{2028}b",
            "\u{301}",
            "\u{e0041}\u{e0042}",
            "\u{fe0f}",
            "x\u{e000}\u{202a}",
        ];
        for name in bad {
            assert!(name.parse::<NickName>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_new_name_is_no_number_formula_or_option() {
        for name in ["mei", "m.e-i_2", "2nd", "a1b"] {
            assert!(name.parse::<NewUserName>().is_ok(), "{name}");
        }
        for name in ["-1-1", "...", "admin-", ".mei", "mei_", "123", "1.2", "a b", "王小明"] {
            assert!(name.parse::<NewUserName>().is_err(), "{name}");
        }
        assert!("-1-1".parse::<UserName>().is_ok(), "an account from before signs in");
    }

    #[test]
    fn addresses_and_numbers_are_such() {
        for address in ["a@b", "lin@example.org", "x+y@sub.example.org", "王@例子.中国"] {
            assert!(address.parse::<Email>().is_ok(), "{address}");
        }
        for other in [
            "@",
            "a@",
            "@b",
            "a@b@c",
            "a b@c",
            "a@b c",
            "a@.b",
            "a@b.",
            "a@-b",
            "a@b\u{200b}",
            ".a@b",
            "<a@b>",
        ] {
            assert!(other.parse::<Email>().is_err(), "{other}");
        }
        for number in ["110", "+86 138 0013 8000", "028-5550-0199", "(02) 555.1234"] {
            assert!(number.parse::<Phone>().is_ok(), "{number}");
        }
        for other in ["", "--", "12", "1+23", " 123", "123\u{7}", "１２３", "call me"] {
            assert!(other.parse::<Phone>().is_err(), "{other}");
        }
    }

    #[test]
    fn reasons_and_comments_have_their_rules() {
        assert_eq!("  snow ".parse::<Reason>().map(Reason::into_string), Ok("snow".to_owned()));
        assert!("a\nb".parse::<Reason>().is_err());
        assert!("first\nsecond\tline".parse::<Comment>().is_ok());
        for comment in [" ", "\n", "a\u{8}", "a\u{202e}b", "\u{200b}"] {
            assert!(comment.parse::<Comment>().is_err(), "{comment:?}");
        }
    }
}
