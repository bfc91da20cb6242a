//! Whether the soak would notice: builds of Farebox with one guard removed each, under the same load and the same breaking.
//! Each must be caught within an ordinary run; a few by another test ([`BY_OTHERS`]).
//!
//! ```console
//! $ cargo test --test farebox-tests mutants -- --ignored --nocapture
//! ```
//!
//! `MUTANTS=short` tries a few, as CI does; other words, with `|` between them, try those whose name contains
//! one. The copy of the tree and what is built of it are in `target/tmp/mutants`.

use farebox::{embedded, storage};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Instant,
};

/// Rounds of the soak that has to catch a mutant.
const ROUNDS: &str = "75";

/// One guard, and the code without it.
struct Mutant {
    name: &'static str,
    /// Tried in CI as well.
    short: bool,
    /// File, text, text instead; each text is there exactly once.
    edits: &'static [(&'static str, &'static str, &'static str)],
}

/// The test that has to catch a mutant.
const SOAK: &str = "soak::fifty_rounds_of_breaking_break_no_promise";
/// The same of those that need a moment which the soak does not aim at.
const BY_OTHERS: [(&str, &str); 2] = [
    (
        "a job is completed in a transaction of its own, before its effect",
        "saga::crashes::an_undo_that_cannot_commit_keeps_its_job",
    ),
    (
        "a BEGIN can be dropped half way",
        "saga::cancel_safety::hanging_up_while_begin_stalls_leaves_no_transaction_open_in_a_small_pool",
    ),
];

/// Sends every undo of a booking the long way.
const NO_SHORT_WAY: (&str, &str, &str) = (
    "src/booking/release.rs",
    "let done = context.ask::<Returns>(due).await?;",
    "let (done, _) = (false, due);",
);

const MUTANTS: [Mutant; 26] = [
    Mutant {
        name: "a claim takes seats that have an owner",
        short: true,
        edits: &[("src/booking/claim.rs", "and order_id is null and not blocked", "and not blocked")],
    },
    Mutant {
        name: "a claim judges seats it has not locked",
        short: false,
        edits: &[(
            "src/booking/claim.rs",
            "once more when the lock is had\n                   for update\n",
            "once more when the lock is had\n",
        )],
    },
    Mutant {
        name: "an undo asks neither the barrier nor the owner",
        short: false,
        edits: &[
            NO_SHORT_WAY,
            (
                "src/booking/release.rs",
                "Undoing::Nothing => Ok(\"nothing to undo: the seats were never claimed, or given back already\"),\n        Undoing::Due => {",
                "Undoing::Nothing | Undoing::Due => {",
            ),
            (
                "src/booking/release.rs",
                "where trip_id = $1 and seat = any($2) and order_id = $3",
                "where trip_id = $1 and seat = any($2) and $3::uuid is not null",
            ),
            (
                "src/booking/release.rs",
                "s.trip_id = m.trip_id and s.seat = m.seat and s.order_id = $3",
                "s.trip_id = m.trip_id and s.seat = m.seat",
            ),
        ],
    },
    Mutant {
        name: "the short way of an undo asks neither the barrier nor the owner",
        short: false,
        edits: &[
            (
                "src/booking/release.rs",
                "select * from undo where order_id in (select subject from barred where step = $8)",
                "select * from undo where $8::text is not null",
            ),
            (
                "src/booking/release.rs",
                "select * from due where order_id in (select subject from undone)",
                "select * from due",
            ),
            (
                "src/booking/release.rs",
                "select from seat where trip_id = w.trip_id and seat = w.seat and order_id = w.order_id for update",
                "select from seat where trip_id = w.trip_id and seat = w.seat and order_id is not null for update",
            ),
            (
                "src/booking/release.rs",
                "s.trip_id = m.trip_id and s.seat = m.seat and s.order_id = m.order_id",
                "s.trip_id = m.trip_id and s.seat = m.seat",
            ),
        ],
    },
    Mutant {
        name: "a step does not heed its barrier",
        short: true,
        edits: &[(
            "src/booking/add_order.rs",
            "insert into barrier (subject, step, done_at) select order_id, $9, now() from unnest($1::uuid[]) as r(order_id)",
            "insert into barrier (subject, step, done_at) select order_id, $9, now() from unnest($1::uuid[]) as r(order_id) on conflict do nothing",
        )],
    },
    Mutant {
        name: "an undo does not bar its steps",
        short: false,
        edits: &[NO_SHORT_WAY, (
            "src/saga/barrier.rs",
            "select $1, step, now() from unnest($2::text[]) as s(step)",
            "select $1, step, now() from unnest($2::text[]) as s(step) where false",
        )],
    },
    Mutant {
        name: "a debit arms no undo",
        short: true,
        edits: &[(
            "src/payment/debit.rs",
            "now() + make_interval(secs => $13) from debit",
            "now() + make_interval(secs => $13) from debit where false",
        )],
    },
    Mutant {
        name: "a debit arms its undo in a transaction of its own, afterwards",
        short: false,
        edits: &[
            (
                "src/payment/debit.rs",
                "now() + make_interval(secs => $13) from debit",
                "now() + make_interval(secs => $13) from debit where false",
            ),
            (
                "src/payment/debit.rs",
                "Some(order) => Ok(Debited { order, armed }),",
                "Some(order) => {
                    saga.faults.in_step(MqTag::PayMoney, crate::saga::FaultPoint::After).await.map_err(Error::Broken)?;
                    let due = farebox_jobs::queue::Due::In(saga.undo_after().to_std().unwrap_or_default());
                    let job = [NewJob::of(&PayMoney::new(paying))];
                    farebox_jobs::queue::enqueue(&mut *saga.pool.acquire().await?, &job, due).await?;
                    Ok(Debited { order, armed })
                }",
            ),
        ],
    },
    Mutant {
        name: "a reversal puts back the balance it remembers",
        short: false,
        edits: &[(
            "src/payment/reverse.rs",
            "set balance = w.balance + b.amount,",
            "set balance = (select e.balance_after + b.amount from ledger_entry e
                                                     where e.payment_id = b.id and e.kind = 'payment'),",
        )],
    },
    Mutant {
        name: "a booking starts no timer",
        short: false,
        edits: &[(
            "src/booking/claim.rs",
            "timer_payload, $19::int, expires_at from won",
            "timer_payload, $19::int, expires_at from won where false",
        )],
    },
    Mutant {
        name: "paying leaves the timer",
        short: false,
        edits: &[(
            "src/payment/mark_paid.rs",
            "tag = $5 and key = m.id::text offset 0",
            "tag = $5 and key = m.id::text and false offset 0",
        )],
    },
    Mutant {
        name: "paying leaves the hold on the seats",
        short: false,
        edits: &[(
            "src/payment/mark_paid.rs",
            "set held_until = null",
            "set held_until = s.held_until",
        )],
    },
    Mutant {
        name: "an order is paid after its deadline",
        short: false,
        edits: &[("src/payment/mark_paid.rs", " and o.expires_at > r.at", "")],
    },
    Mutant {
        name: "an order is closed whatever it has become",
        short: false,
        edits: &[(
            "src/booking/unpaid.rs",
            "where id = $1 and status = 'unpaid' and ($2 <> 'expired' or expires_at <= now())",
            "where id = $1 and ($2 <> 'expired' or expires_at <= now())",
        )],
    },
    Mutant {
        name: "nobody takes over the job of a worker that died",
        short: false,
        edits: &[(
            "jobs/queue/src/sql/claim.rs",
            "and (job.lease_until is null or job.lease_until <= now())",
            "and job.lease_until is null",
        )],
    },
    Mutant {
        name: "an undo forgets to commit",
        short: false,
        edits: &[(
            "src/saga/undo.rs",
            "delivery.lease.complete(&mut tx, Some(note)).await?;\n        tx.commit().await?;",
            "delivery.lease.complete(&mut tx, Some(note)).await?;\n        tx.rollback().await?;",
        )],
    },
    Mutant {
        name: "a job is completed in a transaction of its own, before its effect",
        short: false,
        edits: &[(
            "src/saga/undo.rs",
            "delivery.lease.complete(&mut tx, Some(note)).await?;\n        tx.commit().await?;",
            "let mut own = self.begin().await?;
        delivery.lease.complete(&mut own, Some(note)).await?;
        own.commit().await?;
        tx.commit().await?;",
        )],
    },
    Mutant {
        name: "a late retry of a booking is not answered from its order",
        short: false,
        edits: &[("src/orders/mod.rs", "from orders where id = $1\n           union all", "from orders where id = $1 and false\n           union all")],
    },
    Mutant {
        name: "a rider's unpaid orders are not counted",
        short: false,
        edits: &[
            (
                "src/booking/claim.rs",
                "orders = case when cardinality(h.orders) + cardinality(excluded.orders) <= $20\n",
                "orders = case when cardinality(h.orders) + cardinality(excluded.orders) <= $20 + 1000\n",
            ),
            (
                "src/booking/claim.rs",
                "until = case when cardinality(h.orders) + cardinality(excluded.orders) <= $20\n",
                "until = case when cardinality(h.orders) + cardinality(excluded.orders) <= $20 + 1000\n",
            ),
        ],
    },
    Mutant {
        name: "a claim arms no undo, and the timer of one without an order frees nothing",
        short: false,
        edits: &[
            (
                "src/booking/claim.rs",
                "now() + make_interval(secs => $17) from won",
                "now() + make_interval(secs => $17) from won where false",
            ),
            (
                "src/booking/unpaid.rs",
                "None => Some(release::claims(&mut tx, job.booking()).await?),",
                "None => None,",
            ),
        ],
    },
    Mutant {
        name: "an undo looks before it bars",
        short: false,
        edits: &[
            NO_SHORT_WAY,
            (
                "src/booking/release.rs",
                "    barrier::bar(tx, booking.order_id.0, &STEPS).await?;\n    barred_claims(tx, booking).await",
                "    let done = barred_claims(tx, booking).await?;
    barrier::bar(tx, booking.order_id.0, &STEPS).await?;
    Ok(done)",
            ),
        ],
    },
    Mutant {
        name: "a debit's undo does not look whether the order is paid",
        short: false,
        edits: &[(
            "src/payment/reverse.rs",
            "barrier::begin_undo(tx, id, MqTag::PayMoney, MqTag::Pay)",
            "barrier::begin_undo(tx, id, MqTag::PayMoney, MqTag::OrderUnpaid)",
        )],
    },
    Mutant {
        name: "a refund ends before the money is back",
        short: false,
        edits: &[
            (
                "src/payment/refund.rs",
                "    again(|| async { money_back(&mut *saga.pool.acquire().await?, command.order_id).await }).await?;\n",
                "",
            ),
            ("src/payment/refund.rs", "p.id = o.payment_id and p.state = 'refunded'", "p.id = o.payment_id"),
        ],
    },
    Mutant {
        name: "a refund arms no job",
        short: false,
        edits: &[("src/payment/refund.rs", "&[NewJob::of(&PayBack::new(order))],", "&[],")],
    },
    Mutant {
        name: "a BEGIN can be dropped half way",
        short: false,
        edits: &[(
            "jobs/queue/src/transaction.rs",
            "match tokio::spawn(begun.in_current_span()).await {",
            "match Ok::<_, tokio::task::JoinError>(begun.in_current_span().await) {",
        )],
    },
    Mutant {
        name: "an answer does not wait for the disk",
        short: false,
        edits: &[(
            "src/storage/mod.rs",
            "(\"jit\", \"off\".to_owned()),",
            "(\"jit\", \"off\".to_owned()), (\"synchronous_commit\", \"off\".to_owned()),",
        )],
    },
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
    /// A copy of the tree with nothing in its test, and a target folder in which the dependencies are built already: they
    /// are the same files as ours.
    async fn open() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutants");
        let (tree, target) = (home.join("tree"), home.join("target"));
        let _ = fs::remove_dir_all(&home);
        fs::create_dir_all(tree.join("tests")).unwrap();
        fs::create_dir_all(tree.join("jobs")).unwrap();
        for part in ["Cargo.toml", "Cargo.lock", "src", "migrations", "config", ".sqlx"] {
            copy(&root.join(part), &tree, "-a");
        }
        for part in ["Cargo.toml", "src"] {
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
        storage::migrate(&pool).await.unwrap();
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

    /// Builds the binaries; their queries are checked against the database, as they are not the committed ones.
    fn build(&self) -> Output {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["test", "--no-run", "--offline", "--locked", "--test", "farebox-tests"]);
        if profile() == "release" {
            cargo.arg("--release");
        }
        cargo.current_dir(self.home.join("tree")).env("CARGO_TARGET_DIR", self.home.join("target"));
        cargo.env("DATABASE_URL", &self.url).env("SQLX_OFFLINE", "false").env_remove("RUSTFLAGS");
        cargo.output().unwrap()
    }

    fn trial(&self, mutant: &Mutant) -> Output {
        let other = mutant.by_another();
        let mut test = Command::new(std::env::current_exe().unwrap());
        test.args(["--exact", other.map_or(SOAK, |(_, test)| test), "--nocapture"]);
        test.env("FAREBOX_BINARIES", self.home.join("target").join(profile()));
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
