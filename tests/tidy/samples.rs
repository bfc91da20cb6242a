//! For each rule an input that breaks it, with what is found, and one that keeps it.

use crate::Source;

pub struct Sample {
    pub rule: &'static str,
    /// Paths and texts.
    pub breaks: &'static [(&'static str, &'static str)],
    /// The findings as they are printed.
    pub found: &'static [&'static str],
    pub keeps: &'static [(&'static str, &'static str)],
}

/// The files of a sample. `@N@` in a text is N lines, and `~N~` is N words.
pub fn files(sample: &[(&str, &str)]) -> Vec<Source> {
    let files = sample.iter().map(|(path, text)| {
        let text =
            text.split('@').enumerate().map(|(n, part)| repeated(n, part, "x();\n")).collect::<String>();
        let text = text.split('~').enumerate().map(|(n, part)| repeated(n, part, "word ")).collect();
        Source::new((*path).to_owned(), text)
    });
    files.collect()
}

fn repeated(n: usize, part: &str, what: &str) -> String {
    if n % 2 == 1 { what.repeat(part.parse().expect("a number")) } else { part.to_owned() }
}

pub const SAMPLES: [Sample; 14] = [
    Sample {
        rule: "import direction",
        breaks: &[
            ("src/domain/money.rs", "use super::Seat;\nuse crate::{\n    http::{self, Problem as P},\n};"),
            ("src/domain/mod.rs", "pub struct Seat;\nfn far() { crate::cellar::dig() }"),
            ("src/http/mod.rs", "pub struct Problem;\nuse crate::domain::Seat;"),
            ("src/cellar.rs", "pub fn dig() {}"),
        ],
        found: &[
            "src/domain/mod.rs:2: `cellar` is not in the table of modules; use a row of tests/tidy/arrows.rs",
            "src/domain/money.rs:3: `domain` imports `http` (src/http/mod.rs), which is not below it; \
             use what both may import",
        ],
        keeps: &[
            (
                "src/domain/mod.rs",
                "pub struct Seat; // use crate::http::Problem\n\
                 #[cfg(test)]\nmod tests { use crate::http; }",
            ),
            ("src/http/mod.rs", "use crate::domain::Seat;"),
        ],
    },
    Sample {
        rule: "import circles",
        breaks: &[
            ("src/ops/mod.rs", "mod a;\nmod b;\npub use a::A;"),
            ("src/ops/a.rs", "pub struct A;\nfn a() { super::b::b() }"),
            ("src/ops/b.rs", "use super::A;\npub fn b() {}"),
        ],
        found: &["src/ops/a.rs:1: 2 files import each other; use a file below them for what they share: \
             src/ops/a.rs:2 -> src/ops/b.rs, src/ops/b.rs:1 -> src/ops/a.rs"],
        keeps: &[
            ("src/ops/mod.rs", "mod a;\nmod b;\npub struct Own;\nfn own() { a::a(); b::b() }"),
            ("src/ops/a.rs", "use super::Own;\npub fn a() { super::b::b() }"),
            ("src/ops/b.rs", "use super::*;\npub fn b() {}"),
        ],
    },
    Sample {
        rule: "file length",
        breaks: &[("src/a.rs", "@401@")],
        found: &["src/a.rs:401: 401 lines, more than 400; use a folder of files, each with one subject"],
        keeps: &[("src/a.rs", "@400@"), ("docs/a.md", "@401@")],
    },
    Sample {
        rule: "function length",
        breaks: &[("src/a.rs", "struct A { f: fn() }\n\npub async fn long(\n) where A: B {\n@68@}\n")],
        found: &["src/a.rs:3: `long` has 71 lines, more than 70; use functions with names"],
        keeps: &[
            ("src/a.rs", "fn short() {\n    // fn none() {\n    \"{\";\n@66@}\ntrait T { fn t(); }\n@80@"),
            ("src/http/mod.rs", "fn router() {\n@80@}"),
        ],
    },
    Sample {
        rule: "columns",
        breaks: &[("docs/a.md", "~20~ x"), ("src/a.rs", "//\n// ~22~"), ("migrations/0026_a.sql", "-- ~22~")],
        found: &[
            "docs/a.md:1: 102 columns, more than 100; use a line break",
            "src/a.rs:2: 113 columns, more than 110; use a line break",
            "migrations/0026_a.sql:1: 113 columns, more than 110; use a line break",
        ],
        keeps: &[
            ("docs/a.md", "~19~\n| ~30~ |"),
            ("src/a.rs", "// ~21~\nlet text = ~30~"),
            ("migrations/0025_a.sql", "-- ~30~"),
            ("LICENSE-A", "~30~"),
        ],
    },
    Sample {
        rule: "README length",
        breaks: &[("README.md", "~701~")],
        found: &["README.md:1: 701 words, more than 700; use a document under docs, and a link"],
        keeps: &[("README.md", "~700~"), ("docs/README.md", "~701~")],
    },
    Sample {
        rule: "sentences",
        breaks: &[("a.md", "# ~40~\n\nShort. Long ~14~\n~16~.\n\n- ~31~\n\n| a | ~31~ |\n")],
        found: &[
            "a.md:3: a sentence of 31 words, more than 30; use two: \"Long word word word word …\"",
            "a.md:6: a sentence of 31 words, more than 30; use two: \"word word word word word …\"",
            "a.md:8: a sentence of 31 words, more than 30; use two: \"word word word word word …\"",
        ],
        keeps: &[(
            "a.md",
            "~29~ word. Next ~20~\n- ~20~\n- ~20~\n1. ~20~\n\n\
             ```sh\n~40~\n```\n\n`~40~` ~29~\n\n| ~20~ | ~20~ |\n",
        )],
    },
    Sample {
        rule: "banned names",
        breaks: &[
            ("src/a.rs", "struct Joint;\n// A `StepError` of it.\nconst SQL: &str = \"with told as (\";"),
            ("migrations/0026_a.sql", "create table\nstakes ();"),
            ("docs/a.md", "Joint of `Ground`."),
        ],
        found: &[
            "src/a.rs:1: the name `Joint` was given up; use Batchers",
            "src/a.rs:2: the name `StepError` was given up; use domain::Error",
            "src/a.rs:3: the name `told` was given up; use the thing's own verb: answered, sent, notified",
            "migrations/0026_a.sql:2: the name `stakes` was given up; use impact",
            "docs/a.md:1: the name `Ground` was given up; use BatchContext",
        ],
        keeps: &[
            ("src/a.rs", "struct JointVenture; // Together they are one.\nstruct Batchers;"),
            ("migrations/0025_a.sql", "create table stakes ();"),
            ("CHANGELOG.md", "`/stakes` is `/impact` now."),
        ],
    },
    Sample {
        rule: "banned function names",
        breaks: &[("src/a.rs", "pub fn keep(a: A) {}\nasync fn\ntell() {}")],
        found: &[
            "src/a.rs:1: a function `keep` does not say what it does; use run_…_loop, save or release",
            "src/a.rs:3: a function `tell` does not say what it does; use log_… or serve_…",
        ],
        keeps: &[("src/a.rs", "fn keep_alive() { keep(); } // fn keep"), ("tests/a.rs", "fn keep() {}")],
    },
    Sample {
        rule: "banned prose",
        breaks: &[
            ("src/a.rs", "/// Whoever asks is\n/// answered so many times.\nfn a() {}"),
            ("docs/a.md", "A rider gets his seat."),
            ("migrations/0026_a.sql", "select 1; -- at the most"),
        ],
        found: &[
            "src/a.rs:1: \"whoever\" is not our prose; use a client, an operator, or the program's name",
            "src/a.rs:2: \"so many\" is not our prose; use the number",
            "docs/a.md:1: \"his\" is not our prose; use its or their",
            "migrations/0026_a.sql:1: \"at the most\" is not our prose; use at most",
        ],
        keeps: &[
            ("src/a.rs", "/// This is the history of `his`.\nfn a() { his(\"whoever\") }"),
            ("docs/a.md", "The `house` is at most a warehouse.\n```sh\nhis\n```\n"),
        ],
    },
    Sample {
        rule: "allow without a reason",
        breaks: &[("src/a.rs", "#[allow(dead_code)]\nfn a() {}\n#![expect(\n  unused,\n)]")],
        found: &[
            "src/a.rs:1: a lint is switched off without a reason; use `reason = \"…\"`",
            "src/a.rs:3: a lint is switched off without a reason; use `reason = \"…\"`",
        ],
        keeps: &[(
            "src/a.rs",
            "#[allow(\n  dead_code,\n  reason = \"an [odd] thing\"\n)]\nfn a() {} // #[allow(all)]",
        )],
    },
    Sample {
        rule: "files that do not exist",
        breaks: &[
            ("src/a.rs", "// As in b.rs and in src/queue/a.rs.\nconst A: &str = \"none.rs\";"),
            ("docs/a.md", "See `docs/none.md`, none.md and `a.md`."),
        ],
        found: &[
            "src/a.rs:1: there is no file `b.rs`; use a path of the tree",
            "src/a.rs:1: there is no file `src/queue/a.rs`; use a path of the tree",
            "docs/a.md:1: there is no file `docs/none.md`; use a path of the tree",
        ],
        keeps: &[
            (
                "src/queue/a.rs",
                "// As in a.rs, queue/a.rs, Cargo.toml, *.rs, `config/<NAME>.toml` and https://a.rs.",
            ),
            ("docs/contributors/add-a-step.md", "Make `src/voucher.rs`."),
        ],
    },
    Sample {
        rule: "links",
        breaks: &[("docs/a.md", "[a](b.md) and\n![c](../docs/c.png)\n\n[d]: /d.md")],
        found: &[
            "docs/a.md:1: a link leads to `docs/b.md`, which does not exist; use a path of the tree",
            "docs/a.md:2: a link leads to `docs/c.png`, which does not exist; use a path of the tree",
            "docs/a.md:4: a link leads to `docs//d.md`, which does not exist; use a path of the tree",
        ],
        keeps: &[
            (
                "docs/a.md",
                "[a](b/c.md#d) [b](b) [c](../README.md) [d](http://127.0.0.1/x) [e](#here) `[f](none.md)`",
            ),
            ("docs/b/c.md", "[up](../a.md)"),
            ("README.md", "[all](docs)"),
        ],
    },
    Sample {
        rule: "anchors",
        breaks: &[("docs/a.md", "# Here\n[a](#there)\n[b](b.md#one)"), ("docs/b.md", "# One, `two`\n")],
        found: &[
            "docs/a.md:2: `docs/a.md` has no heading `#there`; use the heading's words with `-`",
            "docs/a.md:3: `docs/b.md` has no heading `#one`; use the heading's words with `-`",
        ],
        keeps: &[
            ("docs/a.md", "# Here it is\n[a](#here-it-is)\n[b](b.md#one-two)\n[c](b.md#one-two-1)"),
            ("docs/b.md", "# One, `two`\n## One, two\n"),
        ],
    },
];
