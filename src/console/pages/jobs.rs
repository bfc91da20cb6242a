//! The list of jobs, and one job.

use crate::console::{
    layout::{
        Answer, Nav, act_form, act_link, done, empty, link_job, link_order, link_rider, link_trip, live,
        money, more, page, span, state, tag, when,
    },
    session::{Deed, Visit},
};
use crate::{
    domain::{FieldError, Id, Refusal},
    http::{
        App,
        extract::{Params, Path, strict},
    },
    ops::{
        impact::{Stakes, stakes},
        jobs::{self, SnoozeLimit, Until, order_of},
        search::{self, JobQuery, MAX_GROUPS, STATES},
    },
    storage,
};
use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use farebox_jobs::{
    MqTag,
    queue::admin::{self, JobView},
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

/// Jobs on a page.
const PAGE: u16 = 50;
/// For how many minutes a job is put off if nobody says otherwise and it may be.
const USUAL_SNOOZE_MINUTES: i64 = 10;
/// The names of the filters, as `JobQuery` has them.
pub(crate) const FILTERS: [&str; 10] =
    ["tag", "state", "key", "serial", "error", "order", "rider", "trip", "since", "before"];

type Pairs = Vec<(String, String)>;

pub(crate) async fn list(State(app): State<App>, visit: Visit, Params(pairs): Params<Pairs>) -> Answer {
    // A form sends its empty fields, too.
    let given: Pairs = pairs
        .iter()
        .filter(|(name, value)| FILTERS.contains(&name.as_str()) && !value.trim().is_empty())
        .map(|(name, value)| (name.clone(), value.trim().to_owned()))
        .collect();
    let query = serde_urlencoded::to_string(&given).unwrap_or_default();
    let wanted: JobQuery = strict::read(&given)?;
    let after = pairs.iter().find(|(name, _)| name == "after").map(|(_, id)| id.parse());
    let after = after.transpose().map_err(|_| FieldError::new("after", "the id of a job"))?.map(|Id(id)| id);
    wanted.check()?;
    let found = search::list(&app.saga.pool, &wanted, after, PAGE).await?;
    let errors = search::errors(&app.saga.pool, wanted.tag.as_deref(), None, MAX_GROUPS).await?.items;
    let body = html! {
        (filters(&visit, &given))
        @if !errors.is_empty() {
            details { summary { (visit.say("Errors of live and dead jobs, grouped", "存活与死信任务的错误分组")) }
                div.scroll { table {
                    thead { tr { th scope="col" { (visit.say("Fingerprint", "指纹")) } th scope="col" { (visit.say("Dead", "死信")) }
                        th scope="col" { (visit.say("Live", "存活")) } th scope="col" { (visit.say("Last", "最近")) } th scope="col" { (visit.say("Newest error", "最新错误")) } } }
                    tbody { @for group in &errors { tr {
                        td { a href=(format!("/console/jobs?error={}", group.fingerprint)) { code { (group.fingerprint) } } }
                        td.number { (group.dead) } td.number { (group.live) } td { (when(&visit, group.last_at)) } td { (group.sample) }
                    } } }
                } }
            }
        }
        div.acts aria-label=(visit.say("All that fit the filter", "符合筛选的全部")) role="group" {
            @for (act, en, zh) in BULK { (act_link(&visit, &format!("/console/bulk/new?act={act}&{query}"), visit.say(en, zh))) }
        }
        (live("jobs", &visit, html! {
            @if found.items.is_empty() { (empty(&visit, "No job fits.", "没有符合条件的任务。")) }
            @else { form action="/console/bulk/new" {
                (table(&visit, &found.items))
                @if visit.may_act() { div.acts {
                    @for (act, en, zh) in CHOSEN { button type="submit" name="act" value=(act) { (visit.say(en, zh)) } }
                } }
            } }
        }))
        (more(&visit, found.next))
    };
    Ok(page(&visit, Nav::Jobs, visit.say("Jobs", "任务"), body))
}

const BULK: [(&str, &str, &str); 3] = [
    ("redrive", "Redrive all that fit", "重投全部符合项"),
    ("retry", "Retry all that fit", "立即重试全部符合项"),
    ("cancel", "Cancel all that fit", "取消全部符合项"),
];
const CHOSEN: [(&str, &str, &str); 3] = [
    ("redrive", "Redrive the chosen", "重投所选"),
    ("retry", "Retry the chosen", "重试所选"),
    ("cancel", "Cancel the chosen", "取消所选"),
];

fn filters(visit: &Visit, given: &Pairs) -> Markup {
    let value = |name: &str| {
        given.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    };
    let text = [
        ("order", "Order id", "订单编号"),
        ("rider", "Rider id", "乘客编号"),
        ("trip", "Trip id", "班次编号"),
        ("key", "Key", "键"),
        ("serial", "Serial key", "串行键"),
        ("error", "Error fingerprint", "错误指纹"),
        ("since", "Enqueued since", "入队不早于"),
        ("before", "Enqueued before", "入队早于"),
    ];
    html! {
        form.card action="/console/jobs" {
            div.filters {
                div { label for="tag" { (visit.say("Tag", "标签")) } select #tag name="tag" {
                    option value="" { (visit.say("any", "任意")) }
                    @for one in MqTag::ALL { option value=(one.wire()) selected[value("tag") == one.wire()] { (one.wire()) } }
                } }
                div { label for="state" { (visit.say("State", "状态")) } select #state name="state" {
                    option value="" { (visit.say("any", "任意")) }
                    @for one in STATES { option value=(one) selected[value("state") == one] { (one) } }
                } }
                @for (name, en, zh) in text { div {
                    label for=(name) { (visit.say(en, zh)) }
                    input id=(name) name=(name) type="text" value=(value(name)) autocomplete="off"
                        placeholder=[(name == "since" || name == "before").then_some("2026-01-31T07:50:00Z")];
                } }
            }
            button.primary type="submit" { (visit.say("Filter", "筛选")) }
            " " a href="/console/jobs" { (visit.say("All jobs", "全部任务")) }
        }
    }
}

fn table(visit: &Visit, jobs: &[JobView]) -> Markup {
    html! { div.scroll { table {
        thead { tr {
            th scope="col" { @if visit.may_act() { input type="checkbox" data-all="ids" aria-label=(visit.say("Choose all", "全选")); } }
            th scope="col" { (visit.say("Job", "任务")) } th scope="col" { (visit.say("Tag", "标签")) }
            th scope="col" { (visit.say("State", "状态")) } th scope="col" { (visit.say("Attempt", "尝试")) }
            th scope="col" { (visit.say("Due", "到期")) } th scope="col" { (visit.say("Order", "订单")) }
            th scope="col" { (visit.say("Last error or note", "最后的错误或备注")) }
        } }
        tbody { @for job in jobs { tr {
            td { @if visit.may_act() { input type="checkbox" name="ids" value=(job.id) aria-label=(format!("{} {}", visit.say("Choose", "选择"), job.id)); } }
            td { (link_job(job.id)) }
            td { (tag(visit, &job.tag)) }
            td { (state(visit, &job.state)) }
            td.number { (job.attempt) " / " (job.max_attempts) }
            td { (when(visit, job.run_at)) }
            td { @if let Some(order) = order_of(&job.payload) { (link_order(order)) } @else { code { (job.key) } } }
            td { (job.last_error().or(job.note.as_deref()).unwrap_or_default()) }
        } } }
    } } }
}

pub(crate) async fn show(State(app): State<App>, visit: Visit, Path(Id(id)): Path<Id>) -> Answer {
    let job = admin::find(&app.saga.pool, id).await?.ok_or(Refusal::NotFound("job"))?;
    let stakes = stakes(&app.saga.pool, &job).await?;
    let body = live(
        "job",
        &visit,
        html! {
            div.card { dl.facts {
                dt { (visit.say("State", "状态")) } dd { (state(&visit, &job.state)) }
                dt { (visit.say("What it does", "作用")) } dd { (visit.say(&stakes.undoes.en, &stakes.undoes.zh)) }
                dt { (visit.say("If it runs now", "若现在执行")) } dd { (visit.say(&stakes.run.en, &stakes.run.zh)) }
                dt { (visit.say("Key", "键")) } dd { code { (job.key) } }
                @if let Some(serial) = &job.serial { dt { (visit.say("Serial key", "串行键")) } dd { code { (serial) } } }
                dt { (visit.say("Attempts", "尝试")) } dd { (job.attempt) " / " (job.max_attempts) }
                dt { (visit.say("Enqueued", "入队")) } dd { (when(&visit, job.created_at)) }
                @if job.failures() > 0 { dt { (visit.say("Failed attempts", "失败次数")) } dd { (job.failures()) } }
                @if let Some(at) = job.first_due_at { dt { (visit.say("First due", "首次到期")) } dd { (when(&visit, at)) } }
                @if let Some(at) = job.next_attempt_at() {
                    dt { (visit.say("Next attempt", "下次尝试")) } dd { (when(&visit, at)) " " span.quiet { (ahead(&visit, at)) } }
                } @else {
                    dt { (visit.say("Due", "到期")) } dd { (when(&visit, job.run_at)) }
                }
                @if let Some(at) = job.ended_at { dt { (visit.say("Ended", "结束")) } dd { (when(&visit, at)) } }
                @if let Some(at) = job.lease_until { dt { (visit.say("Lease ends", "租约到期")) } dd { (when(&visit, at)) " " span.quiet { (lease(&visit, at)) } } }
                @if let Some(worker) = &job.worker { dt { (visit.say("Worker", "工作进程")) } dd { code { (worker) } } }
                @if let Some(trace) = job.payload["trace"].as_str() { dt { (visit.say("Trace id", "追踪编号")) } dd { code { (trace) } } }
                @if let Some(print) = &job.fingerprint { dt { (visit.say("Error fingerprint", "错误指纹")) } dd { a href=(format!("/console/jobs?error={print}")) { code { (print) } } } }
                @if let Some(note) = &job.note { dt { (visit.say("Note", "备注")) } dd { (note) } }
            } }
            (moved(&visit, &stakes))
            div.acts { @for act in acts_of(&job.state) {
                (act_link(&visit, &format!("/console/jobs/{id}/{act}"), label(&visit, act).unwrap_or_default()))
            } }
            h2 { (visit.say("Attempts", "尝试记录")) }
            (attempts(&visit, &job))
            h2 { (visit.say("Payload", "内容")) }
            pre { (serde_json::to_string_pretty(&job.payload).unwrap_or_default()) }
        },
    );
    Ok(page(&visit, Nav::Jobs, &format!("{} {}", visit.say("Job", "任务"), job.tag), body))
}

/// How far ahead something is.
fn ahead(visit: &Visit, at: DateTime<Utc>) -> String {
    let secs = (at - Utc::now()).as_seconds_f64();
    if secs <= 0.0 {
        return visit.say("now", "现在").to_owned();
    }
    format!("{} {} {}", visit.say("in", ""), span(visit, secs), visit.say("", "后")).trim().to_owned()
}

/// What the end of a running attempt's lease means.
fn lease(visit: &Visit, at: DateTime<Utc>) -> &'static str {
    if at > Utc::now() {
        visit.say("unless its worker renews it", "工作进程会续租")
    } else {
        visit.say("it ran out: any worker may take the job", "已过期：任何工作进程均可领取")
    }
}

fn acts_of(state: &str) -> &'static [&'static str] {
    match state {
        "ready" | "delayed" | "retrying" => &["retry", "snooze", "cancel"],
        "running" => &["cancel"],
        "dead" => &["redrive"],
        _ => &[],
    }
}

fn label(visit: &Visit, act: &str) -> Option<&'static str> {
    match act {
        "retry" => Some(visit.say("Retry now", "立即重试")),
        "snooze" => Some(visit.say("Snooze", "推迟")),
        "cancel" => Some(visit.say("Cancel", "取消")),
        "redrive" => Some(visit.say("Redrive", "重投")),
        _ => None,
    }
}

/// Which seats, how much money, whose.
fn moved(visit: &Visit, stakes: &Stakes) -> Markup {
    html! { div.card { dl.facts {
        @if let Some(order) = stakes.order_id {
            dt { (visit.say("Order", "订单")) }
            dd { (link_order(order)) " "
                @if let Some(status) = &stakes.order_status { (state(visit, status)) } @else { (visit.say("never added", "未创建")) } }
        }
        @if let Some(rider) = stakes.rider_id { dt { (visit.say("Rider", "乘客")) } dd { (link_rider(rider)) " " (stakes.rider.as_deref().unwrap_or_default()) } }
        @if let Some(trip) = stakes.trip_id { dt { (visit.say("Trip", "班次")) } dd { (link_trip(trip)) " " @if let Some(at) = stakes.departs_at { (when(visit, at)) } } }
        dt { (visit.say("Seats it would free", "将释放的座位")) }
        dd { @if stakes.seats.is_empty() { (visit.say("none", "无")) } @else { (stakes.seats.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")) } }
        dt { (visit.say("Money it would give back", "将退回的款项")) }
        dd { @if let Some(amount) = stakes.amount { (money(amount)) } @else { (visit.say("none", "无")) } }
    } } }
}

fn attempts(visit: &Visit, job: &JobView) -> Markup {
    let none = Vec::new();
    let all = job.attempts.as_array().unwrap_or(&none);
    let text = |attempt: &Value, key: &str| attempt[key].as_str().unwrap_or_default().to_owned();
    let time = |attempt: &Value, key: &str| {
        DateTime::parse_from_rfc3339(attempt[key].as_str()?).ok().map(|at| at.with_timezone(&Utc))
    };
    html! {
        @if all.is_empty() { (empty(visit, "None has failed.", "没有失败的尝试。")) }
        ol.story { @for attempt in all { li.bad {
            strong { (visit.say("Attempt", "尝试")) " " (attempt["attempt"]) } " "
            @if let Some(began) = time(attempt, "started_at") {
                (when(visit, began))
                @if let Some(ended) = time(attempt, "ended_at") { " · " (span(visit, (ended - began).as_seconds_f64())) }
            }
            div.quiet { (text(attempt, "worker")) " · " (text(attempt, "trace_id")) }
            pre { (text(attempt, "error")) }
        } } }
        @if job.state == "running" { p { (state(visit, "running")) " "
            @if let Some(at) = job.started_at { (when(visit, at)) } } }
    }
}

/// What the act would move, and its form.
pub(crate) async fn ask(
    State(app): State<App>,
    visit: Visit,
    Path((Id(id), act)): Path<(Id, String)>,
) -> Answer {
    let label = label(&visit, &act).ok_or(Refusal::NotFound("act"))?;
    let job = admin::find(&app.saga.pool, id).await?.ok_or(Refusal::NotFound("job"))?;
    let stakes = stakes(&app.saga.pool, &job).await?;
    let words = if act == "cancel" { &stakes.cancel } else { &stakes.run };
    let preview = html! { p { strong { (visit.say(&words.en, &words.zh)) } } (moved(&visit, &stakes)) };
    let latest = if act == "snooze" {
        let mut conn = app.saga.pool.acquire().await?;
        Some(jobs::latest_snooze(&mut conn, &job).await?)
    } else {
        None
    };
    let fields = html! { @if let Some(latest) = latest {
        p { (visit.say("At the latest until", "最晚推迟至")) " " (when(&visit, latest.at)) ": " (visit.say(&latest.why.en, &latest.why.zh)) }
        label for="minutes" { (visit.say("For how many minutes", "推迟多少分钟")) }
        input #minutes name="minutes" type="number" min="1" max=(most_minutes(&latest)) value=(most_minutes(&latest).min(USUAL_SNOOZE_MINUTES)) required;
    } };
    let form =
        act_form(&visit, &format!("/console/jobs/{id}/{act}"), label, fields, Some(preview), act == "cancel");
    Ok(page(&visit, Nav::Jobs, &format!("{label}: {}", job.tag), form))
}

/// The whole minutes a job may be put off for, at least the one that a form offers: the act itself refuses what is too long.
fn most_minutes(latest: &SnoozeLimit) -> i64 {
    (latest.at - latest.now).num_minutes().max(1)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct How {
    minutes: Option<i64>,
}

pub(crate) async fn act(
    State(app): State<App>,
    Path((Id(id), act)): Path<(Id, String)>,
    deed: Deed<How>,
) -> Answer {
    let (visit, by, form) = deed.signed();
    let label = label(&visit, &act).ok_or(Refusal::NotFound("act"))?;
    let mut tx = storage::begin(&app.saga.pool).await?;
    match act.as_str() {
        "retry" => jobs::retry(&mut tx, &by, id).await?,
        "redrive" => jobs::redrive(&mut tx, &by, id).await?,
        "cancel" => jobs::cancel(&mut tx, &by, id).await?,
        _ => {
            let most = jobs::MAX_SNOOZE_DAYS * 1_440;
            let minutes = form.minutes.filter(|minutes| (1..=most).contains(minutes));
            let minutes = minutes.ok_or_else(|| FieldError::new("minutes", format!("1 to {most}")))?;
            jobs::snooze(&mut tx, &by, id, Until::After(TimeDelta::minutes(minutes))).await?
        }
    };
    tx.commit().await?;
    Ok(done(&format!("/console/jobs/{id}"), &format!("{label} ✓")))
}
