//! `farebox migrate`.

use super::database::{Data, Database, Open};
use crate::{
    app,
    domain::BoxError,
    storage::{
        self, CONCURRENT_WAIT, LOCK_TRIES, LOCK_WAIT, Pending, Phase, Plan, PlannedLock, RelationSize, Steps,
    },
};
use clap::Args;
use std::fmt::Write as _;

/// One KiB, bytes.
const KIB: i64 = 1024;

/// The arguments of `farebox migrate`.
#[derive(Args)]
pub(super) struct Migrate {
    #[command(flatten)]
    data: Data,
    /// Print what the pending migrations lock in this database and for how long, and apply none.
    #[arg(long, conflicts_with_all = ["expand", "stopped"])]
    plan: bool,
    /// Apply migrations until the first one that takes something from older builds.
    #[arg(long, conflicts_with = "stopped")]
    expand: bool,
    /// Every process is stopped: apply what older builds do not survive, without a bound on locks.
    #[arg(long)]
    stopped: bool,
}

impl Migrate {
    /// Applies migrations, or prints the plan.
    pub(super) async fn run(self) -> Result<(), BoxError> {
        let settings = app::settings(&[])?;
        let how = if self.plan { Open::Existing } else { Open::OrMake };
        let database = Database::open(&self.data, &settings, how).await?;
        let pool = database.pool(&settings)?;
        // The lock under which migrations run belongs to a session.
        storage::require_sessions(&pool).await?;
        if self.plan {
            print!("{}", text(&storage::plan(&pool).await?));
            return Ok(());
        }
        let steps = match (self.expand, self.stopped) {
            (true, _) => Steps::Expand,
            (_, true) => Steps::Stopped,
            _ => Steps::Beside,
        };
        let reached = storage::migrate_steps(&pool, steps).await?;
        let newest = storage::newest();
        println!("the database is at migration {reached}, this build knows {newest}");
        Ok(())
    }
}

fn text(plan: &Plan) -> String {
    let (lowest, newest) = (storage::lowest(), storage::newest());
    let mut text = format!(
        "The database is at migration {}. This build knows {newest} and runs on {lowest} and later ones.\n",
        plan.found
    );
    if plan.pending.is_empty() {
        text += "Nothing is pending.\n";
    }
    for pending in &plan.pending {
        let _ = writeln!(text, "\n{:04} {}: {}", pending.version, pending.name, phase(pending.phase));
        for planned in &pending.locks {
            let _ = writeln!(text, "    {}", lock(planned));
        }
        let _ = writeln!(text, "    {}", bounds(pending));
    }
    text
}

fn phase(phase: Phase) -> String {
    match phase {
        Phase::Expand => "expand".to_owned(),
        Phase::Contract { lowest } => format!("contract, ends builds that do not know {lowest}"),
    }
}

fn lock(planned: &PlannedLock) -> String {
    let lock = planned.lock;
    let mut text = format!("{} {}: {}", lock.relation, lock.mode.name(), lock.mode.waits());
    for (does, what) in [(lock.rewrites, "writes all rows anew"), (lock.reads_all, "reads all rows")] {
        if does {
            let _ = write!(text, "; {what}");
        }
    }
    let _ = match planned.size {
        Some(RelationSize { rows: Some(rows), bytes }) => {
            write!(text, " (about {rows} rows, {})", size(bytes))
        }
        Some(RelationSize { rows: None, bytes }) => {
            write!(text, " (rows unknown until ANALYZE, {})", size(bytes))
        }
        None => write!(text, " (not there yet)"),
    };
    text
}

fn bounds(pending: &Pending) -> String {
    let wait = format!("waits {} ms for a lock, at most {LOCK_TRIES} times", LOCK_WAIT.as_millis());
    match pending.hold {
        _ if !pending.in_transaction => {
            format!(
                "beside readers and writers; waits {} s for older transactions",
                CONCURRENT_WAIT.as_secs()
            )
        }
        _ if pending.locks.is_empty() => "locks nothing that is there".to_owned(),
        Some(hold) => format!("{wait}; holds locks for at most {} s", hold.as_secs()),
        None if pending.locks.iter().any(|planned| planned.lock.mode.blocks_writes()) => {
            format!("{wait}; holds locks for as long as the rows take")
        }
        None => format!("{wait}; no reader or writer of other rows waits"),
    }
}

/// Bytes as people read them.
fn size(bytes: i64) -> String {
    let mut unit = (bytes, "B");
    for name in ["KiB", "MiB", "GiB", "TiB"] {
        if unit.0 >= 10 * KIB {
            unit = (unit.0 / KIB, name);
        }
    }
    format!("{} {}", unit.0, unit.1)
}
