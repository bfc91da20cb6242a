//! The audit log: one row for each action of an operator, written in the transaction of its effect
//! and never changed.
//!
//! Rows hold the ids of accounts and no names: a row outlives the name of an account that is
//! forgotten. Names are looked up when rows are shown. Rows from before hold the actor's name.

mod action;

pub use action::Action;

use crate::{
    accounts::{Caller, Role, user_name},
    domain::{OrderId, Page, RiderId},
};
use chrono::{DateTime, Utc};
use farebox_jobs::queue::admin::first_id;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor, Postgres, QueryBuilder};
use uuid::Uuid;

/// Longest name of an operating system's user, characters.
const MAX_NAME_CHARS: usize = 200;

/// The interface of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Through {
    /// `/v1/ops`.
    Api,
    /// The console.
    Console,
    /// The command line.
    Cli,
}

impl Through {
    /// The word for it in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Console => "console",
            Self::Cli => "cli",
        }
    }
}

/// Who acts.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The account; none at the command line.
    pub rider: Option<RiderId>,
    /// The operating system's user; an account's name is in its row.
    pub name: Option<String>,
    /// An account's role, or `shell`.
    pub role: &'static str,
    /// The interface.
    pub through: Through,
}

impl Actor {
    /// A signed-in account.
    pub fn caller(caller: &Caller, through: Through) -> Self {
        Self { rider: Some(caller.rider_id), name: None, role: Role::as_str(caller.role), through }
    }

    /// A user of the command line.
    pub fn shell(os_user: &str) -> Self {
        let name: String = os_user.chars().filter(|c| *c != '\0').take(MAX_NAME_CHARS).collect();
        let name = if name.is_empty() { "unknown".to_owned() } else { name };
        Self { rider: None, name: Some(name), role: "shell", through: Through::Cli }
    }

    /// Whether it manages the accounts of operators: an admin, and a user of the command line.
    pub fn manages_operators(&self) -> bool {
        self.through == Through::Cli || self.role == Role::Admin.as_str()
    }

    /// The actor, for notes of the queue.
    pub fn describe(&self) -> String {
        match (&self.rider, &self.name) {
            (Some(rider), _) => format!("operator {rider}"),
            (None, name) => format!("{} at the command line", name.as_deref().unwrap_or("unknown")),
        }
    }
}

/// What an action is done to.
#[derive(Clone, Debug)]
pub struct Subject {
    /// `job`, `queue`, `dead_letters`, `bulk`, `trip`, `timetable`, `network`, `wallet`, `account`,
    /// `order`, `search` or `webhook`.
    pub kind: &'static str,
    /// Its id or its name.
    pub id: String,
    /// The order it is about, if it is about one.
    pub order: Option<OrderId>,
}

impl Subject {
    /// A subject that is not about an order.
    pub fn of(kind: &'static str, id: &impl ToString) -> Self {
        Self { kind, id: id.to_string(), order: None }
    }
}

/// A row of the log.
#[derive(Clone, Debug, Serialize, JsonSchema, sqlx::FromRow)]
#[schemars(rename = "AuditEntry")]
pub struct Entry {
    /// Its id.
    pub id: Uuid,
    /// When.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub at: DateTime<Utc>,
    /// The account; none at the command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<Uuid>,
    /// Its user name, or the name in the operating system.
    pub actor: String,
    /// The account's role, or `shell`.
    #[schemars(with = "crate::domain::words::ActorRole")]
    pub role: String,
    /// `api`, `console` or `cli`.
    #[schemars(with = "crate::domain::words::ActInterface")]
    pub through: String,
    /// What was done.
    pub act: String,
    /// What it was done to.
    pub subject_kind: String,
    /// Its id or its name.
    pub subject: String,
    /// The order it was about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<Uuid>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Further details.
    #[schemars(with = "serde_json::Map<String, Value>")]
    pub detail: Value,
}

/// Which rows; every given condition must hold.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Filter {
    /// By this actor's name.
    pub actor: Option<String>,
    /// Of this kind.
    pub act: Option<String>,
    /// With this kind of subject.
    pub subject_kind: Option<String>,
    /// With this subject.
    pub subject: Option<String>,
    /// About this order.
    pub order: Option<OrderId>,
    /// Since then.
    pub since: Option<DateTime<Utc>>,
    /// Before then.
    pub before: Option<DateTime<Utc>>,
}

/// Records an action, in the transaction that does it.
///
/// # Errors
/// The database's.
pub async fn record(
    conn: &mut PgConnection,
    actor: &Actor,
    action: Action,
    subject: &Subject,
    reason: Option<&str>,
    detail: &Value,
) -> Result<(), sqlx::Error> {
    let rider = actor.rider.map(|rider| rider.0);
    sqlx::query!(
        "insert into audit (id, actor_id, actor, role, through, act, subject_kind, subject, order_id, reason, detail)
         values ($1, $2::uuid, coalesce($3, $2::uuid::text, 'unknown'), $4, $5, $6, $7, $8,
                 $9, $10, $11)",
        Uuid::now_v7(),
        rider,
        actor.name,
        actor.role,
        actor.through.as_str(),
        action.as_str(),
        subject.kind,
        subject.id,
        subject.order.map(|order| order.0),
        reason,
        detail,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// A page of the log, newest first.
///
/// # Errors
/// The database's.
pub async fn list(
    db: impl PgExecutor<'_>,
    filter: &Filter,
    after: Option<Uuid>,
    limit: u16,
) -> Result<Page<Entry>, sqlx::Error> {
    let mut sql = QueryBuilder::<Postgres>::new(
        "select a.id, a.at, a.actor_id, coalesce((select user_name from rider where id = a.actor_id), a.actor) as actor,
                a.role, a.through, a.act, a.subject_kind, a.subject, a.order_id, a.reason, a.detail
         from ",
    );
    let most = i64::from(limit) + 1;
    match &filter.actor {
        // The acts of each name are found by its index, however many there are of others.
        Some(actor) => {
            sql.push("unnest(array[").push_bind(actor.clone());
            sql.push(", (select id::text from rider where lower(user_name collate \"C\") = ");
            sql.push_bind(user_name::folded(actor)).push(")]) as by (name) cross join lateral (");
            filter.matching(&mut sql, Some("by.name"), after, most);
            sql.push(") as a");
        }
        None => {
            sql.push("(");
            filter.matching(&mut sql, None, after, most);
            sql.push(") as a");
        }
    }
    sql.push(" order by a.id desc limit ").push(most);
    let mut items: Vec<Entry> = sql.build_query_as().persistent(false).fetch_all(db).await?;
    let more = items.len() > usize::from(limit);
    items.truncate(limit.into());
    let next = items.last().filter(|_| more).map(|entry| entry.id.to_string());
    Ok(Page { items, next })
}

impl Filter {
    /// The newest rows that fit, of this column's name if there is one.
    fn matching(&self, sql: &mut QueryBuilder<Postgres>, name: Option<&str>, after: Option<Uuid>, most: i64) {
        sql.push("select * from audit where true");
        if let Some(name) = name {
            sql.push(" and actor between ").push(name).push(" and ").push(name);
        }
        for (column, text) in
            [("act", &self.act), ("subject_kind", &self.subject_kind), ("subject", &self.subject)]
        {
            if let Some(text) = text {
                sql.push(" and ").push(column).push(" = ").push_bind(text.clone());
            }
        }
        if let Some(order) = self.order {
            sql.push(" and order_id = ").push_bind(order.0);
        }
        for (compared, id) in [
            (" and id >= ", self.since.map(first_id)),
            (" and id < ", self.before.map(first_id)),
            (" and id < ", after),
        ] {
            if let Some(id) = id {
                sql.push(compared).push_bind(id);
            }
        }
        // planner fence: the acts of one name are in the order of their ids. Without the name in the order,
        // the whole log is read for a name that it does not have.
        sql.push(if name.is_some() {
            " order by actor desc, id desc limit "
        } else {
            " order by id desc limit "
        });
        sql.push(most);
    }
}

/// Erases reasons and details of rows that are older than `days`, at most `most` of them; returns how
/// many. Who did what to what, and when, stays, and so does the chain.
///
/// # Errors
/// The database's.
pub async fn erase_texts(db: impl PgExecutor<'_>, days: u16, most: u32) -> Result<u32, sqlx::Error> {
    let most = i32::try_from(most).unwrap_or(i32::MAX);
    let erased = sqlx::query_scalar!(
        r#"select erase_audit_text(make_interval(days => $1), $2) as "erased!""#,
        i32::from(days),
        most
    )
    .fetch_one(db)
    .await?;
    Ok(erased.unsigned_abs())
}
