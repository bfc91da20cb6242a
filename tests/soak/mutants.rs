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
    "let done = context.batchers().release_seats.submit(request).await?;",
    "let (done, _) = (false, request);",
);

/// Frees the seats of an order whatever order owns them now.
const FREES_ANY_OWNER: (&str, &str, &str) = (
    "migrations/0027_one_rule.sql",
    "and order_id = w.owner_id for update\n        ) as s\n    )\n    update seat s set order_id = null, held_until = null\n    from owned o where s.trip_id = o.trip_id and s.seat = o.seat and s.order_id = o.owner_id;",
    "and order_id is not null for update\n        ) as s\n    )\n    update seat s set order_id = null, held_until = null\n    from owned o where s.trip_id = o.trip_id and s.seat = o.seat;",
);

const MUTANTS: [Mutant; 26] = [
    Mutant {
        name: "a claim takes seats that have an owner",
        short: true,
        edits: &[(
            "src/statements/claim_seats.sql",
            "and order_id is null and not blocked",
            "and not blocked",
        )],
    },
    Mutant {
        name: "a claim judges seats it has not locked",
        short: false,
        edits: &[(
            "src/statements/claim_seats.sql",
            "and order_id is null and not blocked\n        for update\n",
            "and order_id is null and not blocked\n",
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
            FREES_ANY_OWNER,
        ],
    },
    Mutant {
        name: "the short way of an undo asks neither the barrier nor the owner",
        short: false,
        edits: &[
            (
                "src/statements/release_seats.rs",
                "select * from undo where order_id in (select subject from barred where step = $8)",
                "select * from undo where $8::text is not null",
            ),
            (
                "src/statements/release_seats.rs",
                "select * from due where order_id in (select subject from undone)",
                "select * from due",
            ),
            FREES_ANY_OWNER,
        ],
    },
    Mutant {
        name: "a step does not heed its barrier",
        short: true,
        edits: &[(
            "src/statements/add_orders.rs",
            "select order_id, $9, now() from unnest($1::uuid[]) as r (order_id)",
            "select order_id, $9, now() from unnest($1::uuid[]) as r (order_id) on conflict do nothing",
        )],
    },
    Mutant {
        name: "an undo does not bar its steps",
        short: false,
        edits: &[
            NO_SHORT_WAY,
            (
                "src/saga/barrier.rs",
                "select $1, step, now() from unnest($2::text[]) as s(step)",
                "select $1, step, now() from unnest($2::text[]) as s(step) where false",
            ),
        ],
    },
    Mutant {
        name: "a debit arms no undo",
        short: true,
        edits: &[(
            "src/statements/debit_wallets.sql",
            "now() + make_interval(secs => rule.undo_after_secs)\n    from debit cross join rule",
            "now() + make_interval(secs => rule.undo_after_secs)\n    from debit cross join rule where false",
        )],
    },
    Mutant {
        name: "a debit arms its undo in a transaction of its own, afterwards",
        short: false,
        edits: &[
            (
                "src/statements/debit_wallets.sql",
                "now() + make_interval(secs => rule.undo_after_secs)\n    from debit cross join rule",
                "now() + make_interval(secs => rule.undo_after_secs)\n    from debit cross join rule where false",
            ),
            (
                "src/payment/debit.rs",
                "DebitOutput::Debited(order) => Ok(Debited { order, armed: debit.undo.id }),",
                "DebitOutput::Debited(order) => {
                    let tag = farebox_jobs::MqTag::PayMoney;
                    saga.faults.in_step(tag, crate::saga::FaultPoint::After).await.map_err(Error::Broken)?;
                    let due = farebox_jobs::queue::Due::In(saga.undo_after().to_std().unwrap_or_default());
                    let job = [NewJob::of(&PayMoney::new(paying))];
                    farebox_jobs::queue::enqueue(&mut *saga.pool.acquire().await?, &job, due).await?;
                    Ok(Debited { order, armed: debit.undo.id })
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
            "src/statements/claim_seats.sql",
            "timer_payload, rule.timer_attempts, expires_at\n    from won cross join rule",
            "timer_payload, rule.timer_attempts, expires_at\n    from won cross join rule where false",
        )],
    },
    Mutant {
        name: "paying leaves the timer",
        short: false,
        edits: &[(
            "src/statements/mark_paid.rs",
            "tag = $5 and key = m.id::text offset 0",
            "tag = $5 and key = m.id::text and false offset 0",
        )],
    },
    Mutant {
        name: "paying leaves the hold on the seats",
        short: false,
        edits: &[("src/statements/mark_paid.rs", "set held_until = null", "set held_until = s.held_until")],
    },
    Mutant {
        name: "an order is paid after its deadline",
        short: false,
        edits: &[("src/statements/mark_paid.rs", " and o.expires_at > r.at", "")],
    },
    Mutant {
        name: "an order is closed whatever it has become",
        short: false,
        edits: &[(
            "migrations/0027_one_rule.sql",
            "where id = any(order_ids) and status = 'unpaid' and",
            "where id = any(order_ids) and",
        )],
    },
    Mutant {
        name: "nobody takes over the job of a worker that died",
        short: false,
        edits: &[(
            "jobs/queue/src/sql/complete_and_claim.sql",
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
        edits: &[(
            "src/orders/load.rs",
            "from orders where id = $1\n           union all",
            "from orders where id = $1 and false\n           union all",
        )],
    },
    Mutant {
        name: "a rider's unpaid orders are not counted",
        short: false,
        edits: &[
            (
                "src/statements/claim_seats.sql",
                "orders = case\n            when cardinality(h.orders) + cardinality(excluded.orders) <= (select max_open_holds from rule)\n",
                "orders = case\n            when cardinality(h.orders) + cardinality(excluded.orders) <= 1000\n",
            ),
            (
                "src/statements/claim_seats.sql",
                "until = case\n            when cardinality(h.orders) + cardinality(excluded.orders) <= (select max_open_holds from rule)\n",
                "until = case\n            when cardinality(h.orders) + cardinality(excluded.orders) <= 1000\n",
            ),
        ],
    },
    Mutant {
        name: "a claim arms no undo, and the timer of one without an order frees nothing",
        short: false,
        edits: &[
            (
                "src/statements/claim_seats.sql",
                "now() + make_interval(secs => rule.undo_after_secs)\n    from won cross join rule",
                "now() + make_interval(secs => rule.undo_after_secs)\n    from won cross join rule where false",
            ),
            (
                "src/booking/unpaid.rs",
                "None => Some(release::release(&mut tx, job.booking()).await?),",
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
                "    barrier::bar(tx, booking.order_id.0, &MqTag::BOOKING_BARRIERS).await?;\n    release_barred(tx, booking).await",
                "    let done = release_barred(tx, booking).await?;
    barrier::bar(tx, booking.order_id.0, &MqTag::BOOKING_BARRIERS).await?;
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
