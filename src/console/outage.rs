//! Pages while the database does not answer: they say so within seconds, with the last verdict that
//! the process remembers, instead of waiting as long as any request may. A page that gets no
//! connection from a database that answers says that the server is busy.

use super::{preferences::Preferences, time::clock};
use crate::browser::language::Lang;
use crate::{
    http::{
        App,
        problem::{DatabaseOutage, PoolExhausted, Problem},
    },
    ops::overview::HealthLevel,
    storage::Probe,
};
use axum::{
    Extension,
    extract::{FromRequestParts, Request, State},
    http::{Method, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use maud::{Markup, html};
use std::{
    convert::Infallible,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// How long a page may take before the database is asked whether it answers at all.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the database may take for a statement that does no work. With [`PATIENCE`] and the time
/// for the name of the session, a page of an outage takes 4 s.
const PROBE_TIMEOUT: Duration = Duration::from_millis(1_500);
/// How often a slow page's database is asked again, until the request itself takes too long.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// The last health level that this process read. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastHealth(Arc<Mutex<Option<Seen>>>);

/// A health level and how old it is.
#[derive(Clone, Copy, Debug)]
struct Seen {
    level: HealthLevel,
    /// When its invariants were checked.
    checked_at: Option<DateTime<Utc>>,
    read: Instant,
}

impl LastHealth {
    /// Remembers what was read just now.
    pub(crate) fn remember(&self, level: HealthLevel, checked_at: Option<DateTime<Utc>>) {
        let seen = Seen { level, checked_at, read: Instant::now() };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
    }

    fn seen(&self) -> Option<Seen> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for LastHealth {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let found = Extension::<Self>::from_request_parts(parts, state).await;
        Ok(found.map(|Extension(health)| health).unwrap_or_default())
    }
}

/// What [`watch`] needs.
#[derive(Clone)]
pub(super) struct Watch {
    probe: Probe,
    health: LastHealth,
}

impl Watch {
    pub(super) fn new(app: &App) -> Self {
        Self { probe: app.probe.clone(), health: LastHealth::default() }
    }

    /// Returns once the database does not answer.
    async fn no_answer(&self) {
        // The time limit of the request bounds the rounds.
        while self.probe.responds(PROBE_TIMEOUT).await {
            sleep(PROBE_EVERY).await;
        }
    }
}

/// Answers for a page whose database does not, or that gets no connection. Safe to drop: what the
/// page does is not touched.
pub(super) async fn watch(State(watch): State<Watch>, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(watch.health.clone());
    let reads = request.method() == Method::GET;
    let mut page = pin!(next.run(request));
    let mut response = tokio::select! {
        response = &mut page => response,
        () = patience(&watch), if reads => Problem::outage().into_response(),
    };
    // No connection was had, so nothing was begun.
    if response.extensions().get::<PoolExhausted>().is_some() && watch.probe.responds(PROBE_TIMEOUT).await {
        response = Problem::no_connection().into_response();
        response.extensions_mut().insert(PoolExhausted);
    } else if reads && response.extensions().get::<DatabaseOutage>().is_some() {
        response.extensions_mut().insert(watch.health);
    }
    response
}

async fn patience(watch: &Watch) {
    sleep(PATIENCE).await;
    watch.no_answer().await;
}

/// What the page of an outage says: that the database does not answer, and what it last said.
pub(super) fn words(preferences: &Preferences, zone: Tz, health: &LastHealth) -> Markup {
    let lang = preferences.lang;
    html! {
        p { (lang.t("The database does not answer. Nothing was changed.", "数据库没有响应。没有任何更改。")) }
        @match health.seen() {
            Some(seen) => { p { (last_verdict(lang, zone, seen)) } }
            None => { p.quiet { (lang.t("This process has not read a verdict yet.", "本进程尚未读到检查结果。")) } }
        }
    }
}

/// What the page says when the console has no connection left, though the database answers.
pub(super) fn busy_words(lang: Lang) -> Markup {
    html! {
        p { (lang.t(
            "All connections of the console are in use. The database answers.",
            "控制台的所有连接都在使用中。数据库有响应。",
        )) }
    }
}

fn last_verdict(lang: Lang, zone: Tz, seen: Seen) -> String {
    let level = match seen.level {
        HealthLevel::Safe => lang.t("seats and money were safe", "座位与资金安全"),
        HealthLevel::Working => lang.t("it was being worked off", "正在处理"),
        HealthLevel::NeedsYou => lang.t("it needed you", "需要您处理"),
        HealthLevel::Corrupt => lang.t("it was corrupt", "数据有误"),
    };
    let secs = seen.read.elapsed().as_secs();
    let checked = seen.checked_at.map(|at| clock(zone, at));
    if lang == Lang::Chinese {
        let checked = checked.map(|at| format!("，不变量检查于 {at}")).unwrap_or_default();
        return format!("最后的结论（{secs} 秒前读取）：{level}{checked}。");
    }
    let checked = checked.map(|at| format!(", invariants checked at {at}")).unwrap_or_default();
    format!("The last verdict, read {secs} s ago: {level}{checked}.")
}
