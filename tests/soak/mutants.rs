//! Whether the soak would notice: builds of Farebox with one guard removed each, under the same
//! load and the same breaking. Each must be caught within an ordinary run; a few by another test
//! ([`BY_OTHERS`]).
//!
//! ```console
//! $ cargo test --test farebox-tests mutants -- --ignored --nocapture
//! ```
//!
//! `MUTANTS=short` tries a few, as CI does; other words, with `|` between them, try those whose name contains
//! one. The copy of the tree and what is built of it are in `target/tmp/mutants`.

use super::mutant_table::{MUTANTS, Mutant};
use farebox::{embedded, storage};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Instant,
};

/// Rounds of the soak that has to catch a mutant.
const ROUNDS: &str = "75";

/// The test that has to catch a mutant.
const SOAK: &str = "soak::fifty_rounds_of_breaking_break_no_promise";
/// The same of those that need a moment which the soak does not aim at.
const BY_OTHERS: [(&str, &str); 12] = [
    (
        "an order is closed whatever it has become",
        "saga::matrix::a_timer_that_comes_after_the_payment_closes_nothing",
    ),
    (
        "an undo asks neither the barrier nor the owner",
        "saga::matrix::an_undo_that_comes_again_leaves_the_next_owner_its_seats",
    ),
    (
        "a job is completed in a transaction of its own, before its effect",
        "saga::crashes::an_undo_that_cannot_commit_keeps_its_job",
    ),
    (
        "a BEGIN can be dropped half way",
        "saga::cancel_safety::hanging_up_while_begin_stalls_leaves_no_transaction_open_in_a_small_pool",
    ),
    ("seats move while their order is being paid", "network::sold_races::a_payment_under_way_is_waited_for"),
    (
        "an order with a seat without a place moves",
        "network::sold_guards::a_seat_that_is_booked_before_the_move_and_has_no_place_is_not_moved",
    ),
    (
        "an order keeps its seats that have no place",
        "network::sold::seats_move_by_label_and_what_has_no_place_is_named_first",
    ),
    (
        "free seats without a place are sold until the move",
        "network::sold_guards::a_free_seat_without_a_place_is_not_sold_once_the_import_is_applied",
    ),
    (
        "a refund follows the rules of its trip as they are now",
        "network::rules::a_refund_keeps_the_fee_that_the_order_was_sold_with",
    ),
    (
        "booking does not end by its route's cut-off",
        "network::rules::a_route_holds_seats_and_ends_booking_by_its_own_rules",
    ),
    (
        "a seat that the model does not sell is claimed",
        "network::selling::seats_of_two_classes_are_booked_by_label_paid_and_refunded",
    ),
    (
        "a seat that the model does not sell is released",
        "network::operating::seats_are_blocked_and_released_by_label",
    ),
];

impl Mutant {
    /// The test that catches it, if that is not the soak.
    fn by_another(&self) -> Option<&'static (&'static str, &'static str)> {
        BY_OTHERS.iter().find(|(name, _)| *name == self.name)
    }

    fn assert_has_one(&self, file: &str, text: &str, from: &str) {
        assert_eq!(text.matches(from).count(), 1, "{}: {file} has not one {from:?}", self.name);
    }
}

struct Workshop {
    home: PathBuf,
    url: String,
    _server: embedded::Server,
}

impl Workshop {
    /// A copy of the tree with nothing in its test, and a target folder in which the dependencies
    /// are built already: they are the same files as ours.
    async fn open() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutants");
        let (tree, target) = (home.join("tree"), home.join("target"));
        let _ = fs::remove_dir_all(&home);
        fs::create_dir_all(tree.join("tests")).unwrap();
        fs::create_dir_all(tree.join("jobs")).unwrap();
        for part in ["Cargo.toml", "Cargo.lock", "build.rs", "src", "migrations", "config", ".sqlx"] {
            copy(&root.join(part), &tree, "-a");
        }
        for part in ["Cargo.toml", "src", "queue"] {
            copy(&root.join("jobs").join(part), &tree.join("jobs"), "-a");
        }
        copy(&root.join("tests/tidy"), &tree.join("tests"), "-a");
        for test in ["main.rs", "tidy.rs"] {
            let nothing = "//! Nothing: the mutant's binaries are what is tried.\n";
            fs::write(tree.join("tests").join(test), nothing).unwrap();
        }
        let built = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join(profile());
        fs::create_dir_all(target.join(profile())).unwrap();
        for part in ["deps", "build", ".fingerprint"] {
            copy(&built.join(part), &target.join(profile()), "-al");
        }
        let options = embedded::Options {
            data: crate::harness::folder("mutants"),
            durable: false,
            max_connections: 20,
            settings: &[],
        };
        let server = embedded::start(&options).await.unwrap();
        embedded::ensure_database(&server, "mutants").await.unwrap();
        let url = server.url("mutants");
        let pool = storage::pool(&url, &crate::harness::settings().database, "mutants").unwrap();
        crate::harness::migrate(&pool).await;
        Self { home, url, _server: server }
    }

    fn edit(&self, mutant: &Mutant) -> Vec<(PathBuf, String)> {
        let mut originals: Vec<(PathBuf, String)> = Vec::new();
        for (file, from, to) in mutant.edits {
            let path = self.home.join("tree").join(file);
            let text = fs::read_to_string(&path).unwrap();
            mutant.assert_has_one(file, &text, from);
            fs::write(&path, text.replace(from, to)).unwrap();
            originals.push((path, text));
        }
        originals
    }

    /// Builds the binaries; their queries are checked against the database, as they are not the
    /// committed ones.
    fn build(&self) -> Output {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["test", "--no-run", "--offline", "--locked", "--test", "farebox-tests"]);
        if profile() == "release" {
            cargo.arg("--release");
        }
        cargo.current_dir(self.home.join("tree")).env("CARGO_TARGET_DIR", self.home.join("target"));
        // One tree after another that differs in a line.
        cargo.env("CARGO_INCREMENTAL", "1");
        cargo.env("DATABASE_URL", &self.url).env("SQLX_OFFLINE", "false").env_remove("RUSTFLAGS");
        cargo.output().unwrap()
    }

    fn trial(&self, mutant: &Mutant) -> Output {
        let other = mutant.by_another();
        let mut test = Command::new(std::env::current_exe().unwrap());
        test.args(["--exact", other.map_or(SOAK, |(_, test)| test), "--nocapture"]);
        test.env("FAREBOX_BINARIES", self.home.join("target").join(profile()));
        // What the binaries embed is not what the test's own database is migrated with.
        if let Some((migration, ..)) = mutant.edits.iter().find(|(file, ..)| file.starts_with("migrations/"))
        {
            test.env("FAREBOX_MIGRATION", self.home.join("tree").join(migration));
        }
        test.env("SOAK_ROUNDS", ROUNDS).env("RUST_BACKTRACE", "0");
        test.output().unwrap()
    }
}

fn profile() -> &'static str {
    if cfg!(debug_assertions) { "debug" } else { "release" }
}

fn copy(from: &Path, to: &Path, how: &str) {
    assert!(Command::new("cp").arg(how).arg(from).arg(to).status().unwrap().success(), "{}", from.display());
}

/// What ended the run: the promise that was broken, or what waited in vain.
fn caught_by(said: &str) -> Option<String> {
    let at = said
        .find("BREACH ")
        .or_else(|| said.find("waited in vain"))
        .or_else(|| said.find("nobody else sees"))
        .or_else(|| said.find("what is left is"))?;
    let text = said[at..].lines().next()?.trim_start_matches("BREACH ");
    Some(text.split(':').next()?.to_owned())
}

fn last_lines(text: &[u8], lines: usize) -> String {
    let text = String::from_utf8_lossy(text);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// A change of a guarded line fails here in seconds, not in the long run of the mutants.
#[test]
fn every_mutant_still_has_its_guard_to_remove() {
    for mutant in &MUTANTS {
        for (file, from, _) in mutant.edits {
            let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
            mutant.assert_has_one(file, &text, from);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a build and a soak for each"]
async fn mutants_are_caught() {
    let chosen = std::env::var("MUTANTS").unwrap_or_default();
    let shop = Workshop::open().await;
    let mut survivors = Vec::new();
    println!("| mutant | caught by | after |\n|---|---|---|");
    for mutant in &MUTANTS {
        let tried = if chosen == "short" {
            mutant.short
        } else {
            chosen.split('|').any(|part| mutant.name.contains(part))
        };
        if !tried {
            continue;
        }
        let originals = shop.edit(mutant);
        let built = shop.build();
        assert!(built.status.success(), "{}:\n{}", mutant.name, last_lines(&built.stderr, 40));
        let began = Instant::now();
        let run = shop.trial(mutant);
        let said =
            format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        // Another test catches it by failing, whatever it says.
        let by_another = mutant.by_another().map(|(_, test)| (*test).to_owned());
        let caught = caught_by(&said).or(by_another).filter(|_| !run.status.success());
        let took = began.elapsed().as_secs();
        println!("| {} | {} | {took} s |", mutant.name, caught.as_deref().unwrap_or("**nothing**"));
        if caught.is_none() {
            survivors.push(mutant.name);
            println!("<!--\n{}\n-->", last_lines(&run.stderr, 30));
        }
        for (path, text) in originals.into_iter().rev() {
            fs::write(path, text).unwrap();
        }
    }
    assert!(survivors.is_empty(), "not noticed: {survivors:?}");
}
