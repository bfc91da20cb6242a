//! Rust's text taken apart: code, comments and string literals, each with the lines and columns of the whole.

/// The parts of a file. Each has as many lines as the file; what belongs to another part is spaces.
pub struct Rust {
    pub code: String,
    pub comments: String,
    pub strings: String,
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Code,
    Comment,
    Text,
}

/// Takes a file apart. It need not compile, but its literals and comments have to end.
pub fn parts(text: &str) -> Rust {
    let all: Vec<char> = text.chars().collect();
    let mut of = vec![Part::Code; all.len()];
    let mut at = 0;
    while at < all.len() {
        let (part, end) = match all[at] {
            '/' if all.get(at + 1) == Some(&'/') => (Part::Comment, line_end(&all, at)),
            '/' if all.get(at + 1) == Some(&'*') => (Part::Comment, block_end(&all, at)),
            '"' => (Part::Text, string_end(&all, at + 1)),
            'r' | 'b' | 'c' if !follows_name(&all, at) => match raw_start(&all, at) {
                Some((start, hashes)) => (Part::Text, raw_end(&all, start, hashes)),
                None => (Part::Code, at + 1),
            },
            '\'' => (Part::Text, char_end(&all, at).unwrap_or(at)),
            _ => (Part::Code, at + 1),
        };
        of[at..end.max(at)].fill(part);
        at = end.max(at + 1);
    }
    let keep = |part: Part| {
        let kept = all.iter().zip(&of);
        kept.map(|(c, p)| if *c == '\n' || *p == part { *c } else { ' ' }).collect()
    };
    Rust { code: keep(Part::Code), comments: keep(Part::Comment), strings: keep(Part::Text) }
}

fn follows_name(all: &[char], at: usize) -> bool {
    at > 0 && (all[at - 1].is_alphanumeric() || all[at - 1] == '_')
}

fn line_end(all: &[char], at: usize) -> usize {
    all[at..].iter().position(|c| *c == '\n').map_or(all.len(), |length| at + length)
}

fn block_end(all: &[char], at: usize) -> usize {
    let (mut depth, mut at) = (0, at);
    while at + 1 < all.len() {
        match (all[at], all[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') if depth == 1 => return at + 2,
            ('*', '/') => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    all.len()
}

fn string_end(all: &[char], mut at: usize) -> usize {
    while at < all.len() {
        match all[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    all.len()
}

/// Where a raw string's text starts, and its number of `#`; `br"…"` and `cr"…"` are raw too.
fn raw_start(all: &[char], at: usize) -> Option<(usize, usize)> {
    let at = if all[at] == 'r' { at } else { at + 1 };
    if all.get(at) != Some(&'r') {
        return None;
    }
    let hashes = all[at + 1..].iter().take_while(|c| **c == '#').count();
    (all.get(at + 1 + hashes) == Some(&'"')).then_some((at + 2 + hashes, hashes))
}

fn raw_end(all: &[char], start: usize, hashes: usize) -> usize {
    let closes =
        |at: usize| all[at] == '"' && all[at + 1..].iter().take_while(|c| **c == '#').count() >= hashes;
    (start..all.len()).find(|at| closes(*at)).map_or(all.len(), |at| at + 1 + hashes)
}

/// The end of a character's literal; nothing if it is a lifetime.
fn char_end(all: &[char], at: usize) -> Option<usize> {
    match (all.get(at + 1)?, all.get(at + 2)?) {
        ('\\', _) => all[at + 3..].iter().position(|c| *c == '\'').map(|length| at + 4 + length),
        (_, '\'') => Some(at + 3),
        _ => None,
    }
}

/// The words of some code, each with its line, counted from 1.
pub fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let part = |c: char| !c.is_alphanumeric() && c != '_';
    let lines = code.lines().enumerate();
    lines.flat_map(move |(n, line)| {
        line.split(part).filter(|word| !word.is_empty()).map(move |word| (n + 1, word))
    })
}

/// The code without the modules that only tests are made of.
pub fn without_tests(code: &str) -> String {
    let mut rest: String = code.to_owned();
    while let Some(at) = rest.find("#[cfg(test)]") {
        let body = rest[at..].find(['{', ';']).map(|length| at + length);
        let end = match body {
            Some(open) if rest.as_bytes()[open] == b'{' => closing(&rest, open),
            Some(semicolon) => semicolon + 1,
            None => rest.len(),
        };
        let blank = rest[at..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect::<String>();
        rest.replace_range(at..end, &blank);
    }
    rest
}

/// Behind the brace that closes the one that opens here.
pub fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0;
    for (at, c) in code[open..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return open + at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// The line of a place in the text, counted from 1.
pub fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_comments_and_strings_are_told_apart() {
        let text = "let a = \"x // no\"; // yes \"no\"\n\
                    let 'b': &'c str = r#\"\"d\"#; /* e /* f */ g */ h('\\'', '\"');\n";
        let parts = parts(text);
        assert_eq!(parts.code.split_whitespace().collect::<String>(), "leta=;let:&'cstr=;h(,);");
        assert_eq!(parts.comments.split_whitespace().collect::<String>(), "//yes\"no\"/*e/*f*/g*/");
        assert_eq!(parts.strings.split_whitespace().collect::<String>(), "\"x//no\"'b'r#\"\"d\"#'\\'''\"'");
        for part in [&parts.code, &parts.comments, &parts.strings] {
            assert_eq!(part.lines().count(), text.lines().count());
        }
    }

    #[test]
    fn tests_are_left_out() {
        let code = "use a;\n#[cfg(test)]\nmod tests { fn b() { c() } }\nuse d;\n#[cfg(test)]\nmod e;\nuse f;";
        let left = without_tests(code);
        assert_eq!(left.split_whitespace().collect::<Vec<_>>().join(" "), "use a; use d; use f;");
        assert_eq!(left.lines().count(), code.lines().count());
    }
}
