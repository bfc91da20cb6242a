//! The same load over a cluster that loses its leader: three PostgreSQL nodes under Patroni with
//! synchronous replication, etcd, and HAProxy in front, all on loopback. No acknowledged booking or
//! payment is lost, and API and workers come back by themselves. Both APIs read lists from whichever node
//! is a standby, while nodes change their parts.
//!
//! ```console
//! $ apt-get install patroni etcd-server haproxy
//! $ FAILOVERS=10 cargo test --test farebox-tests failover -- --ignored --nocapture
//! ```
//!
//! With `FAILOVER_ASYNC=1` replication is asynchronous: what was acknowledged may then be lost, and
//! the run reports how much instead of failing.

use super::{
    RIDERS, Soak,
    book::Book,
    check::Mark,
    fleet::HASTE,
    load::{Load, RIDERS_OF_A_TRIP, people, randoms, trips},
    percentile,
    riders::{Bases, Rider},
    run::nothing_is_pending,
    scale,
};
use crate::harness::{Client, Process, folder, free_port, new_rider, settings, signal, until};
use farebox::{accounts::Role, app as parts, storage};
use sqlx::{Connection, PgConnection, PgPool};
use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::time::sleep;

const NODES: usize = 3;
/// Longer than Patroni's lease of the leader (20 s, the shortest it allows) and an election.
const PATIENCE: Duration = Duration::from_secs(90);
/// The load between two failovers.
const CALM: Duration = Duration::from_secs(4);
const LOOK: Duration = Duration::from_millis(20);

struct Node {
    name: String,
    sql: u16,
    rest: u16,
    patroni: Option<Child>,
}

struct Cluster {
    home: PathBuf,
    etcd: Child,
    haproxy: Option<Child>,
    nodes: Vec<Node>,
    front: u16,
    /// Leads to a node that is a replica.
    behind: u16,
    owner: (u32, u32),
    http: reqwest::Client,
}

fn id_of_postgres(what: &str) -> u32 {
    let output = Command::new("id").args([what, "postgres"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().expect("a user postgres, who is not root")
}

fn run(program: &str, home: &Path, log: &str) -> Command {
    let log = fs::File::create(home.join(log)).unwrap();
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    command
}

/// What HAProxy does: one address leads to the primary, another one to a replica.
fn proxied(nodes: &[Node], front: u16, behind: u16) -> String {
    let servers: String = nodes
        .iter()
        .map(|node| format!("  server {} 127.0.0.1:{} check port {}\n", node.name, node.sql, node.rest))
        .collect();
    format!(
        "global\n  maxconn 500\ndefaults\n  mode tcp\n  timeout connect 2s\n  timeout client 5m\n  timeout server 5m\n  \
         timeout check 1s\nlisten primary\n  bind 127.0.0.1:{front}\n  option httpchk GET /primary\n  \
         http-check expect status 200\n  \
         default-server inter 300ms fall 2 rise 1 on-marked-down shutdown-sessions\n{servers}\
         listen replicas\n  bind 127.0.0.1:{behind}\n  option httpchk GET /replica\n  \
         http-check expect status 200\n  \
         default-server inter 300ms fall 2 rise 1 on-marked-down shutdown-sessions\n{servers}"
    )
}

impl Cluster {
    async fn start(synchronous: bool) -> Self {
        let home = folder("failover");
        fs::create_dir_all(&home).unwrap();
        let owner = (id_of_postgres("-u"), id_of_postgres("-g"));
        std::os::unix::fs::chown(&home, Some(owner.0), Some(owner.1)).unwrap();
        let (clients, peers, front, behind) = (free_port(), free_port(), free_port(), free_port());
        let (clients, peers) = (format!("http://127.0.0.1:{clients}"), format!("http://127.0.0.1:{peers}"));
        let mut etcd = run("etcd", &home, "etcd.log");
        etcd.args(["--name", "only", "--data-dir"]).arg(home.join("etcd"));
        etcd.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
        etcd.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
        etcd.args(["--initial-cluster", &format!("only={peers}")]);
        let etcd = etcd
            .spawn()
            .unwrap_or_else(|error| panic!("etcd ({error}): install Debian's package etcd-server"));
        let bin = ["15", "16", "17", "18", "19"].map(|major| format!("/usr/lib/postgresql/{major}/bin"));
        let bin = bin.iter().rfind(|bin| Path::new(bin).exists()).expect("Debian's package postgresql");
        let mut nodes = Vec::new();
        for n in 1..=NODES {
            let node = Node { name: format!("node{n}"), sql: free_port(), rest: free_port(), patroni: None };
            let Node { name, sql, rest, .. } = &node;
            let folder = home.join(name);
            let (etcd, home_text) = (clients.trim_start_matches("http://"), home.display());
            let config = format!(
                "scope: farebox\nname: {name}\n\
                 restapi: {{listen: '127.0.0.1:{rest}', connect_address: '127.0.0.1:{rest}'}}\n\
                 etcd3: {{hosts: '{etcd}'}}\n\
                 bootstrap:\n  dcs:\n    ttl: 20\n    loop_wait: 1\n    retry_timeout: 4\n    master_start_timeout: 0\n    \
                 synchronous_mode: {synchronous}\n    postgresql:\n      use_pg_rewind: true\n      use_slots: true\n      \
                 parameters: {{max_connections: 120, wal_keep_size: 512MB}}\n  \
                 initdb: [{{encoding: UTF8}}, data-checksums]\n  \
                 pg_hba: ['host all all 127.0.0.1/32 trust', 'host replication all 127.0.0.1/32 trust']\n\
                 postgresql:\n  listen: '127.0.0.1:{sql}'\n  connect_address: '127.0.0.1:{sql}'\n  \
                 data_dir: '{}'\n  bin_dir: '{bin}'\n  authentication:\n    superuser: {{username: postgres}}\n    \
                 replication: {{username: replicator}}\n  parameters: {{unix_socket_directories: '{home_text}'}}\n",
                folder.display()
            );
            fs::write(home.join(format!("{name}.yml")), config).unwrap();
            nodes.push(node);
        }
        fs::write(home.join("haproxy.cfg"), proxied(&nodes, front, behind)).unwrap();
        let mut cluster =
            Self { home, etcd, haproxy: None, nodes, front, behind, owner, http: reqwest::Client::new() };
        for n in 0..NODES {
            cluster.start_node(n);
            // The first makes the cluster, the others copy it.
            cluster.leader().await;
        }
        cluster.all_stream().await;
        let mut haproxy = run("haproxy", &cluster.home, "haproxy.log");
        haproxy.args(["-db", "-f"]).arg(cluster.home.join("haproxy.cfg"));
        cluster.haproxy = Some(
            haproxy
                .spawn()
                .unwrap_or_else(|error| panic!("haproxy ({error}): install Debian's package haproxy")),
        );
        cluster
    }

    fn start_node(&mut self, n: usize) {
        let name = self.nodes[n].name.clone();
        let mut patroni = run("patroni", &self.home, &format!("{name}.log"));
        patroni
            .arg(self.home.join(format!("{name}.yml")))
            .uid(self.owner.0)
            .gid(self.owner.1)
            .current_dir(&self.home);
        patroni.env("HOME", &self.home);
        let child = patroni.spawn();
        self.nodes[n].patroni =
            Some(child.unwrap_or_else(|error| panic!("patroni ({error}): install Debian's package patroni")));
    }

    async fn is(&self, n: usize, what: &str) -> bool {
        let asked = self.http.get(format!("http://127.0.0.1:{}/{what}", self.nodes[n].rest));
        asked.timeout(Duration::from_secs(2)).send().await.is_ok_and(|answer| answer.status() == 200)
    }

    async fn leader(&self) -> usize {
        let began = Instant::now();
        loop {
            for n in 0..NODES {
                if self.is(n, "primary").await {
                    return n;
                }
            }
            assert!(began.elapsed() < PATIENCE, "no leader; see {}", self.home.display());
            sleep(LOOK).await;
        }
    }

    /// Every node but the leader streams from it, by the leader's own word: one that has yet to be
    /// rewound calls itself a replica before.
    async fn all_stream(&self) {
        let began = Instant::now();
        loop {
            let leader = self.leader().await;
            if self.followers(leader).await.is_ok_and(|follow| follow == NODES as i64 - 1) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "not every node follows; see {}", self.home.display());
            sleep(LOOK).await;
        }
    }

    async fn followers(&self, leader: usize) -> Result<i64, sqlx::Error> {
        let url = format!("postgres://postgres@127.0.0.1:{}/postgres", self.nodes[leader].sql);
        let mut db = PgConnection::connect(&url).await?;
        sqlx::query_scalar("select count(*) from pg_stat_replication where state = 'streaming'")
            .fetch_one(&mut db)
            .await
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.front)
    }

    fn replica_url(&self) -> String {
        format!("postgres://farebox_api@127.0.0.1:{}/farebox", self.behind)
    }

    fn kill_server(&self, n: usize) {
        let file = self.home.join(&self.nodes[n].name).join("postmaster.pid");
        let pid = fs::read_to_string(file).unwrap().lines().next().unwrap().parse().unwrap();
        assert!(signal::send(pid, libc::SIGKILL));
    }

    /// The leader's server is killed, and every second time its Patroni as well, as when the
    /// machine is lost. Returns who has to be started again.
    async fn lose_the_leader(&mut self, machine: bool) -> Option<usize> {
        let leader = self.leader().await;
        if machine {
            let mut patroni = self.nodes[leader].patroni.take().unwrap();
            patroni.kill().unwrap();
            patroni.wait().unwrap();
        }
        self.kill_server(leader);
        machine.then_some(leader)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            if let Some(mut patroni) = node.patroni.take() {
                // At SIGTERM it stops its server.
                signal::send(i32::try_from(patroni.id()).unwrap(), libc::SIGTERM);
                let _ = patroni.wait();
            }
        }
        for process in self.haproxy.iter_mut().chain([&mut self.etcd]) {
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            eprintln!("the cluster's logs are in {}", self.home.display());
        } else {
            let _ = fs::remove_dir_all(&self.home);
        }
    }
}

/// When a booking is acknowledged again.
async fn served_again(book: &Book, since: usize) -> Duration {
    let began = Instant::now();
    loop {
        let served = {
            let events = book.events.lock().unwrap();
            events[since.min(events.len())..]
                .iter()
                .any(|event| matches!(event.reply, super::book::Reply::Done(_)))
        };
        if served {
            return began.elapsed();
        }
        assert!(began.elapsed() < PATIENCE, "nobody was served again");
        sleep(LOOK).await;
    }
}

async fn an_empty_database(cluster: &Cluster) -> (String, PgPool) {
    let plain = storage::pool(&cluster.url("postgres"), &settings().database, "failover").unwrap();
    // HAProxy believes in every node until it has asked them.
    until("the way to the leader is open", || async {
        sqlx::query("create database farebox").execute(&plain).await.is_ok()
    })
    .await;
    let url = cluster.url("farebox");
    let pool = storage::pool(&url, &settings().database, "failover").unwrap();
    crate::harness::migrate(&pool).await;
    sqlx::raw_sql(super::check::RECORDER).execute(&pool).await.unwrap();
    (url, pool)
}

/// Lists of trips are answered all the time, and a standby answers them again.
async fn standby_answers(base: &str) {
    let answered = async || {
        let text = reqwest::get(format!("{base}/metrics")).await.unwrap().text().await.unwrap();
        let name = "farebox_replica_reads_total{server=\"standby\"} ";
        let count = text.lines().find_map(|line| line.strip_prefix(name));
        count.map_or(0, |count| count.parse::<u64>().unwrap())
    };
    let before = answered().await;
    until("a standby answers", async || {
        let list = reqwest::get(format!("{base}/v1/trips")).await.unwrap();
        assert_eq!(list.status(), 200);
        answered().await > before
    })
    .await;
}

/// Waits for a leader and for an acknowledged booking. Returns the time from now until the booking,
/// seconds.
async fn outage_secs(cluster: &Cluster, book: &Book, n: usize, is_machine_lost: bool) -> f64 {
    let began = Instant::now();
    cluster.leader().await;
    let elected = began.elapsed();
    let since = book.events.lock().unwrap().len();
    let served = elected + served_again(book, since).await;
    println!(
        "failover {n}{}: a leader after {:.1} s, a request served after {:.1} s",
        if is_machine_lost { " (machine lost)" } else { "" },
        elected.as_secs_f64(),
        served.as_secs_f64()
    );
    served.as_secs_f64()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs patroni, etcd-server and haproxy"]
async fn failover_loses_nothing_that_was_acknowledged() {
    let (failovers, seed): (usize, u64) = (scale("FAILOVERS", 10), scale("SOAK_SEED", rand::random()));
    let synchronous = std::env::var("FAILOVER_ASYNC").is_err();
    println!("SOAK_SEED={seed}");
    let mut cluster = Cluster::start(synchronous).await;
    let (url, pool) = an_empty_database(&cluster).await;
    let saga = parts::saga_context(&settings(), pool.clone()).unwrap();
    farebox::accounts::register(&pool, &saga.passwords, &new_rider("ops"), Role::Operator).await.unwrap();
    let replica = cluster.replica_url();
    let env = [&HASTE[..], &[("FAREBOX__DATABASE__REPLICA_URL", replica.as_str())]].concat();
    let apis = [Process::api(&url, &env), Process::api(&url, &env)];
    let _workers = [Process::worker(&url, &HASTE, &[]), Process::worker(&url, &HASTE, &[])];
    let bases = Bases::new(std::sync::RwLock::new(apis.iter().map(Process::base).collect()));
    let ops = Client::sign_in(&apis[0].base(), "ops").await;
    let (trips, book) = (Arc::new(trips(&ops, RIDERS / RIDERS_OF_A_TRIP).await), Arc::new(Book::default()));
    let riders = people(&saga, &ops, &apis[0].base(), RIDERS)
        .await
        .into_iter()
        .zip(randoms(seed))
        .map(|(client, random)| {
            Rider::new(client, random, Arc::clone(&bases), Arc::clone(&trips), Arc::clone(&book)).careful()
        })
        .collect();
    let mut load = Load::start(riders);
    let mut took = Vec::new();
    for n in 0..failovers {
        sleep(CALM).await;
        let lost = cluster.lose_the_leader(n % 2 == 1).await;
        took.push(outage_secs(&cluster, &book, n, lost.is_some()).await);
        if let Some(lost) = lost {
            cluster.start_node(lost);
        }
        cluster.all_stream().await;
        for api in &apis {
            standby_answers(&api.base()).await;
        }
        load.still_there().await;
    }
    {
        let _alone = load.gate.write().await;
        load.over.store(true, Ordering::Relaxed);
    }
    load.end().await;
    let soak = Soak { seed, pool: storage::pool(&url, &settings().database, "failover").unwrap(), book };
    nothing_is_pending(&soak.pool).await;
    let breaches = soak.breaches(&mut Mark::default()).await;
    took.sort_by(f64::total_cmp);
    println!(
        "{failovers} failovers, {} requests, {} breaches; served again after p50 {:.1} s, max {:.1} s",
        soak.requests(),
        breaches.len(),
        percentile(&took, 50),
        percentile(&took, 100)
    );
    if synchronous {
        soak.none_of(&breaches);
    } else {
        breaches.iter().for_each(|(name, what)| println!("lost: {name}: {what}"));
    }
}
