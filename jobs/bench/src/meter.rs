//! What a measurement costs: WAL, dead tuples, processor time.

use anyhow::Result;
use sqlx::{PgPool, Row};
use std::fs;

/// Clock ticks a second in /proc; Linux has no other value.
const TICKS: f64 = 100.0;

pub struct Meter {
    wal: i64,
    client: f64,
    server: Option<f64>,
}

#[derive(Clone, Copy, Default)]
pub struct Cost {
    pub wal: f64,
    pub dead: f64,
    pub updates: f64,
    pub hot: f64,
    pub client: f64,
    pub server: Option<f64>,
}

impl Meter {
    pub async fn start(pool: &PgPool) -> Result<Self> {
        sqlx::query("select pg_stat_reset()").execute(pool).await?;
        Ok(Self { wal: wal(pool).await?, client: own_seconds(), server: server_seconds(pool).await })
    }

    /// Taken when the last job is handled.
    pub async fn stop(&self, pool: &PgPool, jobs: usize) -> Result<Cost> {
        let (client, server) = (own_seconds() - self.client, server_seconds(pool).await);
        Ok(Cost {
            wal: (wal(pool).await? - self.wal) as f64 / jobs as f64,
            client: client / jobs as f64,
            server: server.zip(self.server).map(|(now, then)| (now - then) / jobs as f64),
            ..Cost::default()
        })
    }
}

impl Cost {
    /// Taken when the worker's connections are closed and their statistics so written down.
    pub async fn tuples(&mut self, pool: &PgPool, jobs: usize) -> Result<()> {
        let mut conn = pool.acquire().await?;
        sqlx::query("select pg_stat_force_next_flush(), pg_stat_clear_snapshot()")
            .execute(&mut *conn)
            .await?;
        let row = sqlx::query(
            "select sum(n_dead_tup)::float8, sum(n_tup_upd)::float8, sum(n_tup_hot_upd)::float8
             from pg_stat_user_tables",
        )
        .fetch_one(&mut *conn)
        .await?;
        let per_job = |column| row.try_get::<f64, usize>(column).unwrap_or(0.0) / jobs as f64;
        (self.dead, self.updates, self.hot) = (per_job(0), per_job(1), per_job(2));
        Ok(())
    }
}

async fn wal(pool: &PgPool) -> Result<i64> {
    Ok(sqlx::query_scalar("select (pg_current_wal_insert_lsn() - '0/0')::bigint").fetch_one(pool).await?)
}

/// User and system time; with those of ended children if asked.
fn seconds(stat: &str, children: bool) -> f64 {
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12) + if children { ticks(13) + ticks(14) } else { 0.0 }) / TICKS
}

fn own_seconds() -> f64 {
    seconds(&fs::read_to_string("/proc/self/stat").unwrap_or_default(), false)
}

/// Of the postmaster and all its children, if it runs on this machine and may be asked.
async fn server_seconds(pool: &PgPool) -> Option<f64> {
    let file: String =
        sqlx::query_scalar("select pg_read_file('postmaster.pid')").fetch_one(pool).await.ok()?;
    let postmaster = file.lines().next()?.trim().to_owned();
    let mut total = seconds(&fs::read_to_string(format!("/proc/{postmaster}/stat")).ok()?, true);
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let parent = stat.rsplit(") ").next().and_then(|rest| rest.split_whitespace().nth(1));
        if parent == Some(&postmaster) {
            total += seconds(&stat, false);
        }
    }
    Some(total)
}
