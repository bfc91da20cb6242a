//! The list of jobs, and one job.

use super::{attempts, job_filters, job_groups::groups};
use crate::console::{
    chinese,
    components::{
        action_form, action_link, ahead, copied, empty, link_job, link_order, link_rider, link_trip, live,
        money, older_page_link, state, tag, when,
    },
    failure::PageResult,
    filters::{Given, answered},
    form::OperatorForm,
    layout::{Nav, redirect_with_notice, with_nav},
    numbers::in_words,
    session::PageContext,
    time::{departure, moment},
};
use crate::{
    domain::{Error, FieldError, Id, Refusal, list_seats},
    http::{App, extract::Path},
    ops::{
        ended,
        impact::{self, Impact},
        jobs::{self, SnoozeLimit, Until, order_of},
        search::{self, JobQuery, MAX_GROUPS},
    },
    storage::{self, Freshness},
};
use axum::{extract::State, response::Response};
use chrono::{DateTime, TimeDelta, Utc};
use farebox_jobs::queue::admin::{self, JobView};
use maud::{Markup, html};
use serde::Deserialize;
use sqlx::PgPool;

/// Jobs on a page.
const PAGE: u16 = 50;
/// The minutes that the form for snoozing offers, unless the limit is lower.
const DEFAULT_SNOOZE_MINUTES: i64 = 10;

pub(crate) async fn list(State(app): State<App>, context: PageContext, mut given: Given) -> PageResult {
    let (wanted, after) = job_filters::read(&mut given);
    let ended = job_filters::ended(&mut given);
    if given.fault().is_some() {
        return Ok(refused(&context, &given));
    }
    let (wanted, tag) = (&wanted, wanted.tag.as_deref());
    let query = job_filters::query_string(wanted);
    let list = |pool: PgPool| async move {
        match ended {
            Some(times) => ended::ended(&pool, tag, wanted.state.as_deref(), times, after, PAGE).await,
            None => search::list(&pool, wanted, after, PAGE).await,
        }
    };
    let count = |pool: PgPool| async move { search::count(&pool, wanted).await };
    let errors = |pool: PgPool| async move { search::errors(&pool, tag, None, MAX_GROUPS).await };
    let read = async {
        let found = app.reads.read(Freshness::Current, list).await?;
        let count = app.reads.read(Freshness::Current, count).await?;
        Ok::<_, Error>((found, count, app.reads.read(Freshness::Current, errors).await?.items))
    };
    let (found, count, errors) = match read.await {
        Ok(read) => read,
        Err(error) => {
            given.refuse_stopped(error)?;
            return Ok(refused(&context, &given));
        }
    };
    let body = html! {
        (job_filters::filters(&context, &given))
        @if let Some((from, to)) = ended { p.notice {
            (context.t("Jobs that ended from", "结束时间从")) " " (when(&context, from)) " " (context.t("until", "到")) " " (when(&context, to)) ". "
            span.quiet { (context.t("Those are listed that were enqueued at most this many hours before:", "仅列出在此之前不超过若干小时入队的任务：")) " " (ended::LOOK_BACK_HOURS) }
        } }
        (groups(&context, &errors))
        // An act on every job there is needs a filter first.
        @if ended.is_none() && !query.is_empty() { div.acts aria-label=(context.t("All that fit the filter", "符合筛选的全部")) role="group" {
            @for (act, en, zh) in BULK { (action_link(&context, &format!("/console/bulk/new?act={act}&{query}"), context.t(en, zh))) }
        } }
        @if ended.is_none() { (live("count", &context, job_filters::count_words(&context, count))) }
        (live("jobs", &context, html! {
            @if found.items.is_empty() { (empty(&context, "No job fits.", "没有符合条件的任务。")) }
            @else { form action="/console/bulk/new" {
                (table(&context, &found.items))
                @if context.can_write() { div.acts {
                    @for (act, en, zh) in CHOSEN { button type="submit" name="act" value=(act) { (context.t(en, zh)) } }
                } }
            } }
        }))
        (older_page_link(&context, found.next))
    };
    Ok(with_nav(&context, Nav::Jobs, &title(&context, wanted), body))
}

/// The form, with what is wrong.
fn refused(context: &PageContext, given: &Given) -> Response {
    let form = job_filters::filters(context, given);
    answered(given, with_nav(context, Nav::Jobs, context.t("Jobs", "任务"), form))
}

/// A list is named by what it lists, so that the tabs of a browser differ.
fn title(context: &PageContext, wanted: &JobQuery) -> String {
    let by =
        [wanted.tag.as_deref(), wanted.state.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(", ");
    let jobs = context.t("Jobs", "任务");
    if by.is_empty() { jobs.to_owned() } else { format!("{jobs}: {by}") }
}

const BULK: [(&str, &str, &str); 4] = [
    ("redrive", "Redrive all that fit", "重投全部符合项"),
    ("retry", "Retry all that fit", "立即重试全部符合项"),
    ("cancel", "Cancel all that fit", "取消全部符合项"),
    ("discard", "Discard all that fit", "丢弃全部符合项"),
];
const CHOSEN: [(&str, &str, &str); 4] = [
    ("redrive", "Redrive the chosen", "重投所选"),
    ("retry", "Retry the chosen", "重试所选"),
    ("cancel", "Cancel the chosen", "取消所选"),
    ("discard", "Discard the chosen", "丢弃所选"),
];

fn table(context: &PageContext, jobs: &[JobView]) -> Markup {
    html! { div.scroll { table {
        thead { tr {
            th scope="col" { @if context.can_write() { input.scripted type="checkbox" data-all="ids" aria-label=(context.t("Choose all", "全选")); } }
            th scope="col" { (context.t("Job", "任务")) } th scope="col" { (context.t("Tag", "标签")) }
            th scope="col" { (context.t("State", "状态")) } th scope="col" { (context.t("Attempt", "尝试")) }
            th scope="col" { (context.t("Due", "到期")) } th scope="col" { (context.t("Order", "订单")) }
            th scope="col" { (context.t("Last error or note", "最后的错误或备注")) }
        } }
        tbody { @for job in jobs { tr {
            td { @if context.can_write() { input type="checkbox" name="ids" value=(job.id) aria-label=(format!("{} {}", context.t("Choose", "选择"), job.id)); } }
            td { (link_job(job.id)) }
            td { (tag(context, &job.tag)) }
            td { (state(context, &job.state)) }
            td.number { (job.attempt) " / " (job.max_attempts) }
            td { (when(context, job.run_at)) }
            td { @if let Some(order) = order_of(&job.payload) { (link_order(order)) } @else { code { (job.key) } } }
            td { (attempts::error_or_note(context, job)) }
        } } }
    } } }
}

pub(crate) async fn show(State(app): State<App>, context: PageContext, Path(Id(id)): Path<Id>) -> PageResult {
    let job = admin::find(&app.saga.pool, id).await?.ok_or(Refusal::NotFound("job"))?;
    let impact = impact::impact(&app.saga.pool, &job).await?;
    let may_discard =
        job.state == "dead" && !jobs::may_owe(&mut *app.saga.pool.acquire().await?, &job).await?;
    let body = live(
        "job",
        &context,
        html! {
            div.card { dl.facts {
                dt { (context.t("Id", "编号")) } dd { (copied(&context, id)) }
                dt { (context.t("State", "状态")) } dd { (state(&context, &job.state)) }
                dt { (context.t("What it does", "作用")) } dd { (context.t(&impact.undoes.en, &impact.undoes.zh)) }
                dt { (context.t("If it runs now", "若现在执行")) } dd { (in_words(context.t(&impact.run.en, &impact.run.zh))) }
                dt { (context.t("Key", "键")) } dd { code { (job.key) } }
                @if let Some(serial) = &job.concurrency_key { dt { (context.t("Serial key", "串行键")) } dd { code { (serial) } } }
                dt { (context.t("Attempts", "尝试")) } dd { (attempts::number(&context, &job)) }
                dt { (context.t("Enqueued", "入队")) } dd { (when(&context, job.created_at)) }
                @if job.failures() > 0 { dt { (context.t("Failed attempts", "失败次数")) } dd { (job.failures()) } }
                @if let Some(at) = job.first_due_at { dt { (context.t("First due", "首次到期")) } dd { (when(&context, at)) } }
                @if let Some(at) = job.next_attempt_at() {
                    dt { (context.t("Next attempt", "下次尝试")) } dd { (moment(&context, at)) " " span.quiet { (ahead(&context, at)) } }
                } @else {
                    dt { (context.t("Due", "到期")) } dd { (when(&context, job.run_at)) }
                }
                @if let Some(at) = job.ended_at { dt { (context.t("Ended", "结束")) } dd { (when(&context, at)) } }
                @if let Some(at) = job.lease_until { dt { (context.t("Lease ends", "租约到期")) } dd { (when(&context, at)) " " span.quiet { (lease(&context, at)) } } }
                @if let Some(worker) = &job.worker { dt { (context.t("Worker", "工作进程")) } dd { code { (worker) } } }
                @if let Some(trace) = job.payload["trace"].as_str() { dt { (context.t("Trace id", "追踪编号")) } dd { (copied(&context, trace)) } }
                @if let Some(print) = &job.fingerprint { dt { (context.t("Error fingerprint", "错误指纹")) } dd { a href=(format!("/console/jobs?error={print}")) { code { (print) } } } }
                @if let Some(note) = &job.note { dt { (context.t("Note", "备注")) } dd { (chinese::note(context.lang, note)) } }
            } }
            (impact_card(&context, &impact))
            div.acts { @for act in acts_of(&job.state).iter().filter(|act| **act != "discard" || may_discard) {
                (action_link(&context, &format!("/console/jobs/{id}/{act}"), label(&context, act).unwrap_or_default()))
            } }
            h2 { (context.t("Attempts", "尝试记录")) }
            (attempts::list(&context, &job))
            h2 { (context.t("Payload", "内容")) }
            pre { (serde_json::to_string_pretty(&job.payload).unwrap_or_default()) }
        },
    );
    Ok(with_nav(&context, Nav::Jobs, &format!("{} {}", context.t("Job", "任务"), job.tag), body))
}

/// The meaning of the end of a running attempt's lease.
fn lease(context: &PageContext, at: DateTime<Utc>) -> &'static str {
    if at > Utc::now() {
        context.t("unless its worker renews it", "工作进程会续租")
    } else {
        context.t("it ran out: any worker may take the job", "已过期：任何工作进程均可领取")
    }
}

fn acts_of(state: &str) -> &'static [&'static str] {
    match state {
        "ready" | "delayed" | "retrying" => &["retry", "snooze", "cancel"],
        "running" => &["cancel"],
        "dead" => &["redrive", "discard"],
        _ => &[],
    }
}

fn label(context: &PageContext, act: &str) -> Option<&'static str> {
    match act {
        "retry" => Some(context.t("Retry now", "立即重试")),
        "snooze" => Some(context.t("Snooze", "推迟")),
        "cancel" => Some(context.t("Cancel", "取消")),
        "redrive" => Some(context.t("Redrive", "重投")),
        "discard" => Some(context.t("Discard", "丢弃")),
        _ => None,
    }
}

/// The impact: seats, money and their rider.
fn impact_card(context: &PageContext, impact: &Impact) -> Markup {
    html! { div.card { dl.facts {
        @if let Some(order) = impact.order_id {
            dt { (context.t("Order", "订单")) }
            dd { (link_order(order)) " "
                @if let Some(status) = &impact.order_status { (state(context, status)) } @else { (context.t("never added", "未创建")) } }
        }
        @if let Some(rider) = impact.rider_id { dt { (context.t("Rider", "乘客")) } dd { (link_rider(rider)) " " (impact.rider.as_deref().unwrap_or_default()) } }
        @if let Some(trip) = impact.trip_id { dt { (context.t("Trip", "班次")) } dd { (link_trip(trip)) " " @if let Some(at) = impact.departs_at { (departure(context, at, context.timetable_zone)) } } }
        dt { (context.t("Seats it would free", "将释放的座位")) }
        dd { @if impact.seats.is_empty() { (context.t("none", "无")) } @else { (list_seats(&impact.seats, &impact.labels)) } }
        dt { (context.t("Money it would give back", "将退回的款项")) }
        dd { @if let Some(amount) = impact.amount { (money(amount)) } @else { (context.t("none", "无")) } }
    } } }
}

/// The page that confirms an action, with its impact.
pub(crate) async fn confirm(
    State(app): State<App>,
    context: PageContext,
    Path((Id(id), act)): Path<(Id, String)>,
) -> PageResult {
    let label = label(&context, &act).ok_or(Refusal::NotFound("act"))?;
    let job = admin::find(&app.saga.pool, id).await?.ok_or(Refusal::NotFound("job"))?;
    // What the job's page does not offer has no page of its own, either.
    if !acts_of(&job.state).contains(&act.as_str()) {
        return Err(Refusal::NotFound("act for a job in this state").into());
    }
    let impact = impact::impact(&app.saga.pool, &job).await?;
    let preview = html! { p { strong { (in_words(consequence(&context, &act, &impact))) } } (impact_card(&context, &impact)) };
    let latest = if act == "snooze" {
        let mut conn = app.saga.pool.acquire().await?;
        Some(jobs::latest_snooze(&mut conn, &job).await?)
    } else {
        None
    };
    let fields = html! { @if let Some(latest) = latest {
        p { (context.t("At the latest until", "最晚推迟至")) " " (when(&context, latest.at)) ": " (context.t(&latest.why.en, &latest.why.zh)) }
        label for="minutes" { (context.t("For how many minutes", "推迟多少分钟")) }
        input #minutes name="minutes" type="number" min="1" max=(max_minutes(&latest)) value=(max_minutes(&latest).min(DEFAULT_SNOOZE_MINUTES)) required;
    } };
    let form = action_form(
        &context,
        &format!("/console/jobs/{id}/{act}"),
        label,
        fields,
        Some(preview),
        act == "cancel" || act == "discard",
    );
    Ok(with_nav(&context, Nav::Jobs, &format!("{label}: {}", job.tag), form))
}

/// What the act changes, or leaves undone, in a sentence.
fn consequence<'a>(context: &PageContext, act: &str, impact: &'a Impact) -> &'a str {
    match act {
        "cancel" => context.t(&impact.cancel.en, &impact.cancel.zh),
        "discard" => context.t(
            "It ends as cancelled and can never be redriven. The checks go on showing what is missing, if anything is.",
            "任务以“已取消”结束，无法再次重投。若有缺失，检查仍会显示。",
        ),
        _ => context.t(&impact.run.en, &impact.run.zh),
    }
}

/// The whole minutes for which the job may be snoozed, at least one: the action itself refuses a
/// longer snooze.
fn max_minutes(latest: &SnoozeLimit) -> i64 {
    (latest.at - latest.now).num_minutes().max(1)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SnoozeFields {
    minutes: Option<i64>,
}

pub(crate) async fn act(
    State(app): State<App>,
    Path((Id(id), act)): Path<(Id, String)>,
    form: OperatorForm<SnoozeFields>,
) -> PageResult {
    let (context, by, form) = form.into_parts();
    let label = label(&context, &act).ok_or(Refusal::NotFound("act"))?;
    let mut tx = storage::begin(&app.saga.pool).await?;
    match act.as_str() {
        "retry" => jobs::retry(&mut tx, &by, id).await?,
        "redrive" => jobs::redrive(&mut tx, &by, id).await?,
        "cancel" => jobs::cancel(&mut tx, &by, id).await?,
        "discard" => jobs::discard(&mut tx, &by, id).await?,
        _ => {
            let most = jobs::MAX_SNOOZE_DAYS * 1_440;
            let minutes = form.minutes.filter(|minutes| (1..=most).contains(minutes));
            let minutes = minutes.ok_or_else(|| FieldError::new("minutes", format!("1 to {most}")))?;
            jobs::snooze(&mut tx, &by, id, Until::After(TimeDelta::minutes(minutes))).await?
        }
    };
    tx.commit().await?;
    Ok(redirect_with_notice(&context, &format!("/console/jobs/{id}"), &format!("{label} ✓")))
}
