//! Which characters a text may have. Invisible characters, and those that change how their
//! neighbours are displayed, are refused in texts that people read.

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// What a text may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Several lines.
    Prose,
    /// One line.
    Line,
    /// One line whose characters can all be seen.
    Name,
}

/// Why the text is not a name of at most `most` characters.
pub fn fault_of_name(text: &str, most: usize) -> Option<String> {
    fault(text, Shape::Name, most)
}

/// Why a text of this shape and length is refused.
pub(super) fn fault(text: &str, shape: Shape, most: usize) -> Option<String> {
    let length = text.chars().count();
    if !(1..=most).contains(&length) {
        return Some(format!("1 to {most} characters, this has {length}"));
    }
    let mut before = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if !fits(c, shape, before, rest.peek().copied()) {
            return Some(format!("no control or invisible characters: U+{:04X} is one", u32::from(c)));
        }
        before = Some(c);
    }
    (!text.chars().any(is_seen)).then(|| "at least one character that can be seen".to_owned())
}

fn fits(c: char, shape: Shape, before: Option<char>, after: Option<char>) -> bool {
    match c {
        '\t' | '\n' | '\r' => shape == Shape::Prose,
        // They change the direction of the text that follows.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => false,
        // An emoji may be several joined characters, with a selector for its presentation.
        '\u{200d}' if shape == Shape::Name && before.is_some_and(is_emoji) => after.is_some_and(is_emoji),
        '\u{fe0e}' | '\u{fe0f}' if shape == Shape::Name => before.is_some_and(|c| is_seen(c) || is_emoji(c)),
        '\u{e0020}'..='\u{e007f}' if shape == Shape::Name => {
            before.is_some_and(|c| c == FLAG || is_flag_tag(c))
        }
        // Persian and the scripts of India and its neighbours have joiners between letters.
        '\u{200c}' | '\u{200d}' if shape == Shape::Name => {
            before.is_some_and(is_joined) && after.is_some_and(is_joined)
        }
        // A variant of a Chinese character.
        '\u{e0100}'..='\u{e01ef}' if shape == Shape::Name => before.is_some_and(is_han),
        _ => match c.general_category() {
            GeneralCategory::Control
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::Surrogate => false,
            // Some scripts need joiners and direction marks in prose; names do not.
            GeneralCategory::Format => shape != Shape::Name && c != '\u{feff}',
            _ => shape != Shape::Name || !is_blank_letter(c),
        },
    }
}

/// The flag that the tag letters behind it make a region's.
const FLAG: char = '\u{1f3f4}';

/// A letter of a region, behind [`FLAG`].
fn is_flag_tag(c: char) -> bool {
    matches!(c, '\u{e0020}'..='\u{e007f}')
}

/// Whether it is a letter, or a mark on one, of a script that joins its letters: Arabic and all
/// after it, except Chinese, Japanese and Korean.
fn is_joined(c: char) -> bool {
    use GeneralCategory as G;
    let letter = matches!(c.general_category(), G::OtherLetter | G::NonspacingMark | G::SpacingMark);
    letter
        && matches!(c, '\u{600}'..='\u{1cff}' | '\u{a800}'..='\u{abff}' | '\u{11000}'..='\u{11fff}')
        && !is_blank_letter(c)
}

fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Letters and symbols that are invisible.
fn is_blank_letter(c: char) -> bool {
    matches!(
        c,
        '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2800}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{e0100}'..='\u{e01ef}'
    )
}

/// Whether a character is visible by itself.
fn is_seen(c: char) -> bool {
    use GeneralCategory as G;
    let nothing = matches!(
        c.general_category(),
        G::Control
            | G::Format
            | G::LineSeparator
            | G::ParagraphSeparator
            | G::SpaceSeparator
            | G::NonspacingMark
            | G::EnclosingMark
            | G::Surrogate
            | G::Unassigned
    );
    !nothing && !is_blank_letter(c)
}

/// Whether it may be part of a joined emoji.
fn is_emoji(c: char) -> bool {
    use unicode_properties::UnicodeEmoji;
    !c.is_ascii() && (c.is_emoji_char() || c == '\u{fe0f}')
}

/// The text without the blanks around it.
pub(super) fn trimmed(text: &str, shape: Shape, most: usize) -> Result<String, String> {
    let text = text.trim();
    fault(text, shape, most).map_or_else(|| Ok(text.to_owned()), Err)
}
