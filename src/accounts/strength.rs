//! Which new passwords are refused because they are easy to guess. A password that an account has
//! already is never judged: its owner goes on signing in.

use crate::domain::FieldError;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
use zxcvbn::zxcvbn;

/// The fewest guesses that a new password must take, as a power of ten: the estimator's score of 3
/// begins there. With Argon2 and the delays after wrong passwords, nobody makes as many.
const MIN_GUESSES_LOG10: f64 = 8.0;
/// How much of a password is estimated, characters: what is strong so far stays strong. The estimator's
/// time grows with the square of the length, and its numbers overflow beyond this: it takes 5 (the
/// neighbours of a key) to the power of the turns on a keypad, and 5^28 is more than 64 bits hold.
const MAX_ESTIMATED_CHARS: usize = 28;
/// The fewest characters beside the owner's own words.
const MIN_OWN_CHARS: usize = 6;
/// The shortest word that counts as the owner's, characters.
const MIN_WORD_CHARS: usize = 3;
/// The fewest last digits of a phone number that count as the owner's.
const MIN_PHONE_DIGITS: usize = 7;
/// The digits of a keyboard's upper row, and the signs above them.
const UPPER_ROW: [&str; 2] = ["!@#$%^&*()", "1234567890"];
/// The letters of the Russian keyboard, and those of the English one on the same keys.
const RUSSIAN: [&str; 2] = ["йцукенгшщзхъфывапролджэячсмитьбю", "qwertyuiop[]asdfghjkl;'zxcvbnm,."];
/// What a guesser tries first here.
const OWN_WORDS: [&str; 2] = ["farebox", "console"];
/// Pay passwords that are neither repetitions nor sequences, and are among the most used ones.
const COMMON_PAY_PASSWORDS: [&str; 12] = [
    "112233", "123654", "147258", "159357", "159753", "258456", "456852", "520131", "521521", "789456",
    "852456", "987456",
];

/// What belongs to an account, and so makes a bad password of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Owner<'a> {
    /// Its name for signing in.
    pub user_name: &'a str,
    /// How it wants to be called.
    pub nick_name: Option<&'a str>,
    /// Its address.
    pub email: Option<&'a str>,
    /// Its phone.
    pub phone: Option<&'a str>,
}

/// Refuses a new sign-in password that is easy to guess, for this owner. It takes some milliseconds
/// at most: no input is longer than [`MAX_ESTIMATED_CHARS`] or than the fields are.
///
/// # Errors
/// Names `pointer` and the rule.
pub fn check_password(pointer: &str, password: &str, owner: Owner<'_>) -> Result<(), FieldError> {
    let plain: String = plain(password).chars().take(MAX_ESTIMATED_CHARS).collect();
    let words = owner.words();
    let known: Vec<&str> = words.iter().map(String::as_str).collect();
    let forms = [said_once(&plain), on_other_keys(&plain, UPPER_ROW), on_other_keys(&plain, RUSSIAN), plain];
    let guesses = forms.iter().map(|form| zxcvbn(form, &known).guesses_log10()).fold(f64::MAX, f64::min);
    let [.., plain] = &forms;
    if guesses >= MIN_GUESSES_LOG10 && chars_without(plain, &words) >= MIN_OWN_CHARS {
        return Ok(());
    }
    let rule = "too easy to guess: take more words, and none of your name, e-mail address or phone number";
    Err(FieldError::new(pointer, rule))
}

impl Owner<'_> {
    /// The fields and the words in them, in small letters, the longest first.
    fn words(&self) -> Vec<String> {
        let fields = [Some(self.user_name), self.nick_name, self.email, self.phone];
        let fields: Vec<String> = fields.into_iter().flatten().map(str::to_lowercase).collect();
        let parts = fields.iter().flat_map(|field| field.split(|c: char| !c.is_alphanumeric()));
        let digits: String = self.phone.unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
        // With the country's code and without, whatever its length.
        let ends = (0..=digits.len().saturating_sub(MIN_PHONE_DIGITS)).filter_map(|at| digits.get(at..));
        let ends: Vec<String> = ends.filter(|end| end.len() >= MIN_PHONE_DIGITS).map(str::to_owned).collect();
        let mut words: Vec<String> = parts.map(plain).chain(OWN_WORDS.map(str::to_owned)).collect();
        words.extend(fields.iter().map(|field| letters(&plain(field))).chain(ends));
        words.retain(|word| word.chars().count() >= MIN_WORD_CHARS);
        words.sort_by_key(|word| std::cmp::Reverse(word.len()));
        words.dedup();
        words
    }
}

/// As a guesser writes it: in small letters, without accents and what is not seen, wide letters as
/// narrow ones.
fn plain(text: &str) -> String {
    let seen = |c: &char| {
        !is_combining_mark(*c) && !matches!(*c, '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FEFF}' | '\u{AD}')
    };
    text.nfkd().filter(seen).nfkc().flat_map(char::to_lowercase).collect()
}

/// Letters and digits alone.
fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// Each word once: saying one again makes nothing harder to guess.
fn said_once(text: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    if words.is_empty() { text.to_owned() } else { words.join(" ") }
}

/// The same keys on another keyboard, or without the shift key.
fn on_other_keys(text: &str, [from, to]: [&str; 2]) -> String {
    let other =
        |c: char| from.chars().position(|key| key == c).and_then(|at| to.chars().nth(at)).unwrap_or(c);
    text.chars().map(other).collect()
}

/// The letters and digits of a password that belong to none of the words; of one without any, all its
/// characters.
fn chars_without(password: &str, words: &[String]) -> usize {
    let own = letters(password);
    if own.is_empty() {
        return password.chars().filter(|c| !c.is_whitespace()).count();
    }
    let mut rest = own;
    for word in words {
        rest = rest.replace(word.as_str(), " ");
    }
    rest.chars().filter(|c| !c.is_whitespace()).count()
}

/// Refuses a new pay password of six digits that is among the first guesses: repetitions,
/// sequences, pairs, and the most used ones.
///
/// # Errors
/// Names `pointer` and the rule.
pub fn check_pay_password(pointer: &str, digits: &str) -> Result<(), FieldError> {
    let bytes = digits.as_bytes();
    let repeats = (1..=3).any(|period| bytes.iter().zip(bytes.iter().skip(period)).all(|(a, b)| a == b));
    let step = |by: u8| {
        let mut pairs = bytes.iter().zip(bytes.iter().skip(1));
        pairs.all(|(a, b)| (a.wrapping_sub(b'0') + by) % 10 == b.wrapping_sub(b'0'))
    };
    if repeats || step(1) || step(9) || COMMON_PAY_PASSWORDS.contains(&digits) {
        let rule =
            "too easy to guess: no repetition (121212), no sequence (123456), none of the most used ones";
        return Err(FieldError::new(pointer, rule));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_guesses_are_refused() {
        let owner = Owner {
            user_name: "mei.zhang",
            nick_name: Some("Little Panda"),
            email: Some("mei.zhang@panda-post.example"),
            phone: Some("+86 138 0013 8000"),
        };
        for weak in [
            "12345678",
            "password",
            "        ",
            "qwertyuiop",
            "mei.zhang1",
            "zhang.mei",
            "littlepanda",
            "panda-post",
            "8613800138000",
            "farebox-console",
            "aaaaaaaaaaaaaaaaaaaaaaaa",
            "password password",
            "!QAZ@WSX#EDC",
            "йцукенгшщз",
            "ｐａｓｓｗｏｒｄ１２３４",
            "ＦＡＲＥＢＯＸ2026",
            "pássẁörd1",
            "pass\u{200D}word\u{200D}1",
            "1380-0138-0000",
            "138 0013 8000 1",
            "Mei.Zhang-2026!",
        ] {
            assert!(check_password("/password", weak, owner).is_err(), "{weak}");
        }
        for strong in [
            "blue tram 42 north",
            "vierzehn grüne Pferde",
            "7Kq!mv2Zp",
            "我的密码是蓝色电车四十二",
            "четыре синих трамвая",
            "correct horse",
            "seven green lamps 9",
        ] {
            assert_eq!(check_password("/password", strong, owner), Ok(()), "{strong}");
        }
        let anybody = Owner { user_name: "someone", ..Owner::default() };
        assert_eq!(check_password("/password", "blue zhang 42 north", anybody), Ok(()));
    }

    #[test]
    fn a_long_password_is_estimated_by_its_beginning() {
        let long = "a1B2 ".repeat(40);
        let began = std::time::Instant::now();
        let _ = check_password("/password", &long, Owner::default());
        assert!(began.elapsed() < std::time::Duration::from_secs(2), "{:?}", began.elapsed());
    }

    /// Walks that turn at each key, on the keyboard and the keypad; their guesses are counted in 64 bits.
    #[test]
    fn no_long_walk_on_a_keyboard_overflows() {
        for walk in ["[]", "qa", "1q", "15", "24", "0.", "=-", "p[", "m,", "z<"] {
            for repeated in [MAX_ESTIMATED_CHARS - 1, MAX_ESTIMATED_CHARS, 78] {
                // Broken off and varied, so that the walk is seen as one and not as a repetition.
                let walk: String = walk.chars().cycle().take(repeated).collect();
                for password in [format!("{walk}7"), format!("xx{walk}"), walk.to_uppercase(), walk] {
                    let _ = check_password("/password", &password, Owner::default());
                }
            }
        }
    }

    #[test]
    fn trivial_pay_passwords_are_refused() {
        for trivial in
            ["000000", "123456", "654321", "567890", "098765", "121212", "123123", "112233", "901234"]
        {
            assert!(check_pay_password("/new", trivial).is_err(), "{trivial}");
        }
        for fine in ["271828", "314159", "908172"] {
            assert_eq!(check_pay_password("/new", fine), Ok(()), "{fine}");
        }
    }
}
