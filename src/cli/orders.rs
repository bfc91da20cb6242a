//! `farebox orders …`, with the same acts as `/v1/ops` and the console.

use super::{
    jobs::{by, sentence},
    order_args::{ActedOrder, Note, OneOrder, Orders, Refund},
    shell,
};
use crate::{
    domain::BoxError,
    ops::{
        self, Attribution,
        orders::{OrderActs, Rules},
    },
    orders::{OrderView, snapshot},
    payment::refund::Exceptions,
    settings::Settings,
    storage,
};
use serde_json::json;
use sqlx::PgPool;

impl Orders {
    pub(crate) async fn run(self, pool: &PgPool, settings: &Settings) -> Result<(), BoxError> {
        let rules = Rules { booking: &settings.booking, wallets: &settings.wallets };
        match self {
            Self::Show(one) => show(pool, &one, &rules).await,
            Self::Refund(Refund { act: ActedOrder { one, why, digest }, late, without_fee }) => {
                let (by, mut tx) = (by(&why)?, storage::begin(pool).await?);
                let (exceptions, digest) = (Exceptions { late, without_fee }, digest.as_deref());
                let refunded = ops::orders::refund(&mut tx, &by, one.id, exceptions, digest, &rules).await;
                let order = refunded.map_err(sentence)?.order;
                tx.commit().await?;
                one.acted(&order, "the refund has begun")
            }
            Self::Close(ActedOrder { one, why, digest }) => {
                let (by, mut tx) = (by(&why)?, storage::begin(pool).await?);
                let order = ops::orders::close(&mut tx, &by, one.id, digest.as_deref(), &rules)
                    .await
                    .map_err(sentence)?;
                tx.commit().await?;
                one.acted(&order, "closed")
            }
            Self::Redrive(ActedOrder { one, why, digest }) => {
                let (by, mut tx) = (by(&why)?, storage::begin(pool).await?);
                let jobs = ops::orders::redrive(&mut tx, &by, one.id, digest.as_deref(), &rules)
                    .await
                    .map_err(sentence)?;
                tx.commit().await?;
                for job in &jobs {
                    one.shown.job(job, "redriven")?;
                }
                Ok(())
            }
            Self::Note(Note { one, text }) => {
                let text = ops::checked(&text).map_err(|error| format!("--text: {}", error.rule))?;
                let (by, mut tx) = (Attribution::new(shell::user(), Some(text)), storage::begin(pool).await?);
                let order = ops::orders::note(&mut tx, &by, one.id).await.map_err(sentence)?;
                tx.commit().await?;
                one.acted(&order, "the note is written")
            }
        }
    }
}

impl OneOrder {
    #[allow(clippy::unnecessary_wraps, reason = "every arm of the command ends with it")]
    fn acted(&self, order: &OrderView, what: &str) -> Result<(), BoxError> {
        if self.shown.json {
            println!("{}", order.to_json());
        } else {
            println!("{} {}: {what}", order.id, order.status.as_str());
        }
        Ok(())
    }
}

async fn show(pool: &PgPool, one: &OneOrder, rules: &Rules<'_>) -> Result<(), BoxError> {
    let whole = snapshot::snapshot(pool, one.id).await?.ok_or("there is no such order")?;
    let acts = OrderActs::of(&mut *pool.acquire().await?, one.id, &whole, rules).await?;
    let owed = whole.pending_work();
    if one.shown.json {
        println!("{}", json!({ "acts": acts, "owed": owed }));
        return Ok(());
    }
    match &acts.order {
        None => println!("{} was never added", one.id),
        Some(order) => {
            println!("{} {}, {} {}", one.id, order.status.as_str(), order.amount, order.currency);
            println!("rider:          {}", order.rider);
            println!("departs:        {}", order.departs_at);
            println!("owns seats:     {}", if order.seats.is_empty() { "none" } else { &order.seats });
        }
    }
    for work in &owed {
        println!("owed:           {}", work.sentence().en);
    }
    if let Some(terms) = &acts.refund {
        println!("refund:         until {}, fee {}", terms.until, terms.fee);
        if terms.is_late {
            println!("                that time has passed: --late makes an exception");
        }
        if let Some(approval) = terms.approval_id {
            println!("                waits for approval {approval}");
        }
    }
    for (act, possible) in [
        ("refund", acts.refund.is_some()),
        ("close", acts.may_close),
        ("redrive", !acts.dead_letters.is_empty()),
    ] {
        if possible {
            println!("possible:       {act}");
        }
    }
    println!("digest:         {}", acts.digest);
    Ok(())
}
