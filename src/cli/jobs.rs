//! `farebox jobs …` and `farebox queues …`, with the same actions as `/v1/ops` and the console.
//! Every user who can read the database's URL may act; the audit log has the user of the operating
//! system.

use super::{
    job_args::{Acted, Drain, Jobs, List, OfTag, One, Queues, Reason, Shown, Snooze},
    shell,
};
use crate::{
    domain::{BoxError, Error, Id, JobState, Refusal},
    ops::{self, Attribution, jobs::Until, search::JobQuery},
    storage,
};
use chrono::TimeDelta;
use farebox_jobs::{
    MqTag,
    queue::admin::{self, JobView, QueueView},
};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::time::Duration;

/// Characters of an error in a list.
const ERROR_SHOWN: usize = 100;

impl Jobs {
    pub(crate) async fn run(self, pool: &PgPool) -> Result<(), BoxError> {
        match self {
            Self::List(list) => list.run(pool).await,
            Self::Show(one) => one.run(pool).await,
            Self::Retry(Acted { one, why }) => {
                let (by, mut tx) = (by(&why)?, storage::begin(pool).await?);
                let job = ops::jobs::retry(&mut tx, &by, one.id.0).await.map_err(sentence)?;
                tx.commit().await?;
                one.shown.job(&job, "due now")
            }
            Self::Cancel(Acted { one, why }) => {
                let (by, mut tx) = (by(&why)?, storage::begin(pool).await?);
                let job = ops::jobs::cancel(&mut tx, &by, one.id.0).await.map_err(sentence)?;
                tx.commit().await?;
                let what = if job.state == JobState::Running.as_str() { "asked to end" } else { "cancelled" };
                one.shown.job(&job, what)
            }
            Self::Redrive(Acted { one, why }) => {
                let (by, mut tx) = (by(&why)?, storage::begin(pool).await?);
                let job = ops::jobs::redrive(&mut tx, &by, one.id.0).await.map_err(sentence)?;
                tx.commit().await?;
                one.shown.job(&job, "redriven")
            }
            Self::Discard(Acted { one, why }) => {
                let (by, mut tx) = (by(&why)?, storage::begin(pool).await?);
                let job = ops::jobs::discard(&mut tx, &by, one.id.0).await.map_err(sentence)?;
                tx.commit().await?;
                one.shown.job(&job, "discarded")
            }
            Self::Snooze(Snooze { one, why, until, secs }) => {
                let wait = TimeDelta::seconds(secs.unwrap_or(0).into());
                let until = until.map_or(Until::After(wait), |until| Until::At(until.utc()));
                let (by, mut tx) = (by(&why)?, storage::begin(pool).await?);
                let job = ops::jobs::snooze(&mut tx, &by, one.id.0, until).await.map_err(sentence)?;
                tx.commit().await?;
                one.shown.job(&job, &format!("snoozed until {}", job.run_at))
            }
        }
    }
}

impl Queues {
    pub(crate) async fn run(self, pool: &PgPool) -> Result<(), BoxError> {
        match self {
            Self::List(shown) => {
                let queues = admin::queues(pool, &MqTag::ALL.map(|tag| tag.wire().to_owned())).await?;
                shown.queues(&queues)
            }
            Self::Pause(OfTag { shown, tag, why }) => {
                let (by, mut tx) = (by(&why)?, storage::begin(pool).await?);
                let queue = ops::queues::pause(&mut tx, &by, tag).await.map_err(sentence)?;
                tx.commit().await?;
                shown.queues(&[queue])
            }
            Self::Resume(OfTag { shown, tag, why }) => {
                let (by, mut tx) = (by(&why)?, storage::begin(pool).await?);
                let queue = ops::queues::resume(&mut tx, &by, tag).await.map_err(sentence)?;
                tx.commit().await?;
                shown.queues(&[queue])
            }
            Self::Drain(Drain { of: OfTag { shown, tag, why }, wait }) => {
                let (by, mut tx) = (by(&why)?, storage::begin(pool).await?);
                ops::queues::drain(&mut tx, &by, tag).await.map_err(sentence)?;
                tx.commit().await?;
                let wait = Duration::from_secs(wait.into());
                let queue = ops::queues::drained(pool, tag, wait).await.map_err(sentence)?;
                shown.queues(std::slice::from_ref(&queue))?;
                if queue.running > 0 {
                    return Err(format!("{} attempts still run", queue.running).into());
                }
                Ok(())
            }
        }
    }
}

impl List {
    async fn run(self, pool: &PgPool) -> Result<(), BoxError> {
        let query = JobQuery {
            tag: self.tag,
            state: self.state,
            key: self.key,
            serial: self.serial,
            error: self.error,
            order: self.order,
            rider: self.rider,
            trip: self.trip,
            since: self.since,
            before: self.before,
            failures: self.failures,
        };
        let page = ops::search::list(pool, &query, self.after.map(|Id(id)| id), self.limit)
            .await
            .map_err(sentence)?;
        if self.shown.json {
            let items: Vec<Value> = page.items.iter().map(as_json).collect();
            println!("{}", json!({ "items": items, "next": page.next }));
            return Ok(());
        }
        for job in &page.items {
            let error = job.last_error().unwrap_or_default();
            let error: String = error.chars().take(ERROR_SHOWN).collect();
            let at = job.run_at.format("%Y-%m-%dT%H:%M:%SZ");
            println!(
                "{} {:<9} {:<22} {} {}/{} {at} {error}",
                job.id, job.state, job.tag, job.key, job.attempt, job.max_attempts
            );
        }
        if let Some(next) = page.next {
            println!("more: --after {next}");
        }
        Ok(())
    }
}

impl One {
    async fn run(self, pool: &PgPool) -> Result<(), BoxError> {
        let job = admin::find(pool, self.id.0).await?.ok_or("there is no such job")?;
        let impact = ops::impact::impact(pool, &job).await?;
        if self.shown.json {
            let mut shown = as_json(&job);
            shown["impact"] = json!(impact);
            println!("{shown}");
            return Ok(());
        }
        println!("{} {} {} {}", job.id, job.tag, job.key, job.state);
        println!("due {}, attempt {} of {}", job.run_at, job.attempt, job.max_attempts);
        if job.failures() > 0 {
            let next = job.next_attempt_at().map(|at| format!(", tried again at {at}")).unwrap_or_default();
            println!("failed {} times{next}", job.failures());
        }
        println!("does:           {}", impact.undoes.en);
        println!("a run now:      {}", impact.run.en);
        println!("if cancelled:   {}", impact.cancel.en);
        if let Some(order) = impact.order_id {
            let status = impact.order_status.as_deref().unwrap_or("never added");
            println!("order:          {order} ({status})");
        }
        if let Some(rider) = impact.rider {
            println!("rider:          {rider}");
        }
        for attempt in job.attempts.as_array().into_iter().flatten() {
            let text = |field: &str| attempt[field].as_str().unwrap_or("?").to_owned();
            println!(
                "attempt {}: {} {}: {}",
                attempt["attempt"],
                text("ended_at"),
                text("worker"),
                text("error")
            );
        }
        Ok(())
    }
}

impl Shown {
    #[allow(clippy::unnecessary_wraps, reason = "every arm of the command ends with it")]
    pub(super) fn job(&self, job: &JobView, what: &str) -> Result<(), BoxError> {
        if self.json {
            println!("{}", as_json(job));
        } else {
            println!("{} {} {}: {what}", job.id, job.tag, job.key);
        }
        Ok(())
    }

    #[allow(clippy::unnecessary_wraps, reason = "every arm of the command ends with it")]
    fn queues(&self, queues: &[QueueView]) -> Result<(), BoxError> {
        if self.json {
            let items: Vec<Value> = queues.iter().map(queue_json).collect();
            println!("{}", json!({ "items": items }));
            return Ok(());
        }
        for queue in queues {
            let state = if queue.paused { "paused" } else { "open" };
            println!(
                "{:<22} {state:<6} ready {} delayed {} retrying {} running {} dead {}{}{}",
                queue.tag,
                queue.ready,
                queue.delayed,
                queue.retrying,
                queue.running,
                queue.dead,
                if queue.most_failures > 0 {
                    format!(", failed up to {} times", queue.most_failures)
                } else {
                    String::new()
                },
                ops::queues::oldest_undo_secs(queue)
                    .map(|secs| format!(", oldest debt {secs:.0} s"))
                    .unwrap_or_default()
            );
        }
        Ok(())
    }
}

/// The user who runs the command, with the reason.
pub(super) fn by(why: &Reason) -> Result<Attribution, BoxError> {
    let reason = ops::checked(&why.reason).map_err(|error| format!("--reason: {}", error.rule))?;
    Ok(Attribution::new(shell::user(), Some(reason)))
}

/// An action's error as a sentence.
pub(crate) fn sentence(error: Error) -> BoxError {
    match error {
        Error::Refused(Refusal::NotFound(what)) => format!("there is no such {what}").into(),
        Error::Refused(Refusal::JobBusy) => {
            "an attempt is running, or a live job has its key; look again in a moment".into()
        }
        Error::Refused(Refusal::StillOwed) => "it still owes seats or money: redrive it".into(),
        Error::Refused(Refusal::WrongState(status)) => format!("the order is {}", status.as_str()).into(),
        Error::Refused(Refusal::TooLateToRefund) => {
            "the time for refunds has ended; --late makes an exception".into()
        }
        Error::Refused(Refusal::PreviewStale) => "the order has changed since: look at it again".into(),
        Error::Refused(Refusal::Invalid(field)) => {
            format!("{}: {}", field.pointer.trim_start_matches('/'), field.rule).into()
        }
        Error::Broken(cause) => cause,
        other => format!("{other:?}").into(),
    }
}

fn as_json(job: &JobView) -> Value {
    json!({
        "id": job.id, "tag": job.tag, "key": job.key, "state": job.state, "attempt": job.attempt,
        "failures": job.failures(), "next_attempt_at": job.next_attempt_at(), "first_due_at": job.first_due_at,
        "max_attempts": job.max_attempts, "run_at": job.run_at, "created_at": job.created_at,
        "started_at": job.started_at, "ended_at": job.ended_at, "serial": job.concurrency_key, "note": job.note,
        "worker": job.worker, "payload": job.payload, "attempts": job.attempts, "error": job.fingerprint,
        "order_id": ops::jobs::order_of(&job.payload),
    })
}

fn queue_json(queue: &QueueView) -> Value {
    json!({
        "tag": queue.tag, "ready": queue.ready, "delayed": queue.delayed, "retrying": queue.retrying,
        "running": queue.running, "dead": queue.dead, "most_failures": queue.most_failures,
        "oldest_debt_secs": ops::queues::oldest_undo_secs(queue),
        "oldest_ready_secs": queue.oldest_ready_secs, "paused": queue.paused, "done_last_hour": queue.done_last_hour,
        "failed_last_hour": queue.failed_last_hour,
    })
}
