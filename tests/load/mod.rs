//! Farebox over HTTP beside the database's own limit, in one run on one durable server: wrk against
//! an API process, in turns with pgbench, which does the same writes without HTTP (baseline.sql).
//!
//! ```console
//! $ cargo speed
//! ```
//!
//! Needs Debian's packages wrk and postgresql-contrib (pgbench). `SPEED_ONLY` names the scenarios
//! to run (all by default), `SPEED_CLIENTS`, `SPEED_SECS` and `SPEED_RUNS` change what is run,
//! `SPEED_FLAMES=1` draws flame graphs of it. The medians count, and every invariant holds after
//! each run. The results are also in `target/tmp/speed/results.json`.

mod baseline_service;
mod fixture;
mod flames;

use fixture::{
    Fixture,
    loads::{Bookings, CANCELLING, PAYING, Settling},
    measure::Run,
};
use serde_json::{Value, json};

/// Percentage of bookings that fails in the scenario of failures.
const FAULTY: u32 = 5;
/// Seats of the hot trip.
const HOT_SEATS: i32 = 50_000;
/// Buyers of the rush, and the seats that they want.
const RUSH: (u32, i32) = (1_000, 50);
/// Orders that fall due in a second of that scenario.
const EXPIRING: u32 = 200;
/// Connections whose memory is measured.
const CONNECTIONS: u32 = 1_000;
/// Clients where nothing else is said.
const CLIENTS: u32 = 64;

fn scale(name: &str, usual: &str) -> Vec<u32> {
    let text = std::env::var(name).unwrap_or_else(|_| usual.to_owned());
    text.split(',')
        .map(|part| part.parse().unwrap_or_else(|_| panic!("{name} has a part that is no number")))
        .collect()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The scenarios' results, printed as they come.
struct Report {
    secs: u32,
    runs: u32,
    lines: Vec<Value>,
}

impl Report {
    /// Runs of one scenario, each beside what it is held against.
    fn print(&mut self, scenario: &str, clients: u32, beside: &[f64], ours: &[Run]) {
        let ratio = median(beside.iter().zip(ours).map(|(beside, run)| run.rate / beside));
        let of = |figure: fn(&Run) -> f64| median(ours.iter().map(figure));
        let line = json!({"scenario": scenario, "clients": clients, "beside": median(beside.iter().copied()),
            "rate": of(|r| r.rate), "ratio": ratio, "p50_ms": of(|r| r.p50), "p99_ms": of(|r| r.p99),
            "api_cpu_us": of(|r| r.api_cpu), "worker_cpu_us": of(|r| r.worker_cpu), "server_cpu_us": of(|r| r.server_cpu),
            "commits": of(|r| r.commits), "wal_bytes": of(|r| r.wal)});
        println!(
            "| {scenario} | {clients} | {:.0} | {:.0} | {ratio:.2} | {:.2} | {:.2} | {:.0} | {:.0} | {:.0} | {:.2} | {:.0} |",
            median(beside.iter().copied()),
            of(|r| r.rate),
            of(|r| r.p50),
            of(|r| r.p99),
            of(|r| r.api_cpu),
            of(|r| r.server_cpu),
            of(|r| r.worker_cpu),
            of(|r| r.commits),
            of(|r| r.wal)
        );
        self.lines.push(line);
    }

    fn note(&mut self, what: &str, figures: &Value) {
        println!("\n{what}: {figures}\n");
        self.lines.push(json!({"scenario": what, "figures": figures}));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a benchmark"]
async fn speed_over_http_beside_the_baseline() {
    let fixture = Fixture::new().await;
    let (secs, runs) = (scale("SPEED_SECS", "8")[0], scale("SPEED_RUNS", "5")[0]);
    let only = std::env::var("SPEED_ONLY").unwrap_or_default();
    let wanted = |name: &str| only.is_empty() || only.split(',').any(|one| one == name);
    let mut report = Report { secs, runs, lines: Vec::new() };
    println!(
        "| scenario | clients | beside/s | ours/s | × | p50 ms | p99 ms | API µs | server µs | worker µs | commits | WAL B |\n|---|---|---|---|---|---|---|---|---|---|---|---|"
    );
    if wanted("bookings") {
        bookings(&fixture, &mut report).await;
    }
    if wanted("service") {
        beside_the_baseline_service(&fixture, &mut report).await;
    }
    if wanted("hot_trip") {
        hot_trip(&fixture, &mut report).await;
    }
    if wanted("failures") {
        failures(&fixture, &mut report).await;
    }
    if wanted("payments") {
        settling(&fixture, &mut report, "payments, authorized", &PAYING, false).await;
    }
    if wanted("hot_wallet") {
        settling(&fixture, &mut report, "payments by one wallet", &PAYING, true).await;
    }
    if wanted("cancels") {
        settling(&fixture, &mut report, "cancels", &CANCELLING, false).await;
    }
    if wanted("hashed") {
        hashed(&fixture, &mut report).await;
    }
    if wanted("expiries") {
        expiries(&fixture, &mut report).await;
    }
    if wanted("aged") {
        aged(&fixture, &mut report).await;
    }
    if wanted("seat_maps") {
        seat_maps(&fixture, &mut report).await;
    }
    if wanted("rush") {
        rush(&fixture, &mut report).await;
    }
    if wanted("connections") {
        let kib = fixture.memory_of(CONNECTIONS);
        report.note("memory of the API at 1,000 connections, KiB", &json!(kib));
    }
    fixture.save(&report.lines);
    fixture.end().await;
}

/// Random trips, beside the baseline of two steps.
async fn bookings(fixture: &Fixture, report: &mut Report) {
    for clients in scale("SPEED_CLIENTS", "1,8,64") {
        let (mut baseline, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..report.runs {
            fixture.reset().await;
            baseline.push(fixture.baseline(include_str!("baseline_booking.sql"), clients, report.secs));
            ours.push(fixture.book(&Bookings::default(), clients, report.secs).await);
            fixture.check_invariants().await;
        }
        report.print("bookings, beside the baseline", clients, &baseline, &ours);
    }
}

/// Random trips, beside a service whose booking is one transaction of six round trips.
async fn beside_the_baseline_service(fixture: &Fixture, report: &mut Report) {
    for clients in scale("SPEED_CLIENTS", "1,8,64") {
        let (mut service, mut ours, mut slower) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..report.runs {
            fixture.reset().await;
            let (rate, p50) = fixture.service_rate(clients, report.secs).await;
            service.push(rate);
            let run = fixture.book(&Bookings::default(), clients, report.secs).await;
            slower.push(run.p50 / p50);
            ours.push(run);
            fixture.check_invariants().await;
        }
        report.print("bookings, beside the baseline service", clients, &service, &ours);
        report.note("p50 beside the baseline service's", &json!(median(slower.into_iter())));
    }
}

/// One trip, beside random ones.
async fn hot_trip(fixture: &Fixture, report: &mut Report) {
    let (mut random, mut hot) = (Vec::new(), Vec::new());
    for _ in 0..report.runs {
        fixture.reset().await;
        random.push(fixture.book(&Bookings::default(), CLIENTS, report.secs).await.rate);
        let trip = fixture.trip(HOT_SEATS).await;
        // At random, every other booking would want a seat that is taken by the end.
        let one = Bookings { trips: vec![trip], seats: HOT_SEATS, in_order: true, ..Bookings::default() };
        hot.push(fixture.book(&one, CLIENTS, report.secs).await);
        fixture.check_invariants().await;
    }
    report.print("bookings of one trip, beside random ones", CLIENTS, &random, &hot);
}

/// Some bookings fail in their last step, beside none that does.
async fn failures(fixture: &Fixture, report: &mut Report) {
    let (mut sound, mut ours) = (Vec::new(), Vec::new());
    let (mut times, mut answered) = (Vec::new(), Vec::new());
    for _ in 0..report.runs {
        fixture.reset().await;
        let beside = fixture.book(&Bookings::default(), CLIENTS, report.secs).await;
        sound.push(beside.rate);
        fixture.check_invariants().await;
        // The fuller the trips, the more bookings are refused.
        fixture.reset().await;
        let faulty = Bookings { faulty: FAULTY, ..Bookings::default() };
        let run = fixture.book(&faulty, CLIENTS, report.secs).await;
        answered.push(run.answered / beside.answered);
        ours.push(run);
        times.push(fixture.rollback_ms().await);
        fixture.check_invariants().await;
    }
    report.print("bookings of which 5 % fail, beside sound ones", CLIENTS, &sound, &ours);
    report.note("all that was answered, beside the sound ones", &json!(median(answered.into_iter())));
    report.note("from a failure to its rollback's end, p99 ms", &json!(median(times.into_iter())));
}

/// What settles unpaid orders, of many riders or of one, beside its baseline.
async fn settling(fixture: &Fixture, report: &mut Report, scenario: &str, settling: &Settling, of_one: bool) {
    let (mut baseline, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..report.runs {
        fixture.reset().await;
        fixture.add_unpaid_orders().await;
        baseline.push(fixture.baseline(settling.baseline, CLIENTS, report.secs));
        fixture.book(&Bookings::default(), CLIENTS, report.secs * 2).await;
        fixture.authorize(of_one).await;
        ours.push(fixture.settle(settling, CLIENTS, report.secs).await);
        fixture.check_invariants().await;
    }
    report.print(&format!("{scenario}, beside the baseline"), CLIENTS, &baseline, &ours);
}

/// Book and pay with the pay password, beside what its hash allows by itself.
async fn hashed(fixture: &Fixture, report: &mut Report) {
    let (mut limit, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..report.runs {
        fixture.reset().await;
        limit.push(fixture.hashes().await);
        fixture.set_pay_passwords().await;
        ours.push(fixture.book_and_pay(CLIENTS, report.secs).await);
        fixture.check_invariants().await;
    }
    report.print("book and pay with the hash, beside hashes alone", CLIENTS, &limit, &ours);
}

/// Orders fall due while others are booked as fast as it goes.
async fn expiries(fixture: &Fixture, report: &mut Report) {
    let (mut without, mut ours, mut late) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..report.runs {
        fixture.reset().await;
        without.push(fixture.book(&Bookings::default(), CLIENTS, report.secs).await.rate);
        fixture.fall_due(EXPIRING * report.secs, report.secs).await;
        ours.push(fixture.book(&Bookings::default(), CLIENTS, report.secs).await);
        late.push(fixture.lateness_ms().await);
        fixture.check_invariants().await;
    }
    report.print("bookings while 200 orders a second fall due, beside none", CLIENTS, &without, &ours);
    report.note("from a deadline to the end of its job, p99 ms", &json!(median(late.into_iter())));
}

/// On tables that have grown for a month, beside fresh ones, in turns. Neither is emptied
/// meanwhile: the fuller the trips, the more bookings are refused, here as there.
async fn aged(fixture: &Fixture, report: &mut Report) {
    let (mut fresh, mut ours) = (Vec::new(), Vec::new());
    let old = fixture.second().await;
    fixture.reset().await;
    old.reset().await;
    old.add_history().await;
    fixture.warm_up().await;
    for _ in 0..report.runs {
        fresh.push(fixture.book(&Bookings::default(), CLIENTS, report.secs).await.rate);
        ours.push(old.book(&Bookings::default(), CLIENTS, report.secs).await);
    }
    fixture.check_invariants().await;
    old.check_invariants().await;
    old.end().await;
    report.print(
        "bookings with a million orders and ten million ended jobs, beside none",
        CLIENTS,
        &fresh,
        &ours,
    );
}

/// Of trips that are partly sold.
async fn seat_maps(fixture: &Fixture, report: &mut Report) {
    let mut ours = Vec::new();
    for _ in 0..report.runs {
        fixture.reset().await;
        fixture.book(&Bookings::default(), CLIENTS, report.secs * 2).await;
        ours.push(fixture.seat_maps(CLIENTS, report.secs).await);
    }
    report.print("seat maps", CLIENTS, &vec![f64::NAN; ours.len()], &ours);
}

/// All buyers want the last seats of one trip at once.
async fn rush(fixture: &Fixture, report: &mut Report) {
    let (mut sold, mut p99) = (Vec::new(), Vec::new());
    let failed = fixture.failed().await;
    for _ in 0..report.runs {
        fixture.reset().await;
        let (buyers, seats) = RUSH;
        let trip = fixture.trip(seats).await;
        let rush = Bookings { trips: vec![trip], seats, wanted: 1, ..Bookings::default() };
        p99.push(fixture.book(&rush, buyers, 1).await.p99);
        sold.push(fixture.sold_out_ms(trip, seats).await);
        fixture.check_invariants().await;
    }
    assert_eq!(fixture.failed().await, failed, "no buyer is answered with a 5xx");
    let (sold, p99) = (median(sold.into_iter()), median(p99.into_iter()));
    report.note("1,000 buyers, 50 seats", &json!({"sold_out_ms": sold, "p99_ms": p99}));
}
