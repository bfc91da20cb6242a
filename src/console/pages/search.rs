//! The search box: all that a text may mean, by sections. What it means beyond doubt is opened.

use super::{
    attempts::error_or_note,
    orders::table as order_table,
    riders::{candidates, searched},
};
use crate::console::{
    chinese,
    components::{amount, link_job, link_order, link_rider, money_head, program_text, state, tag, when},
    failure::PageResult,
    filters::{Given, answered},
    layout::{Nav, with_nav},
    numbers::grouped,
    session::PageContext,
};
use crate::{
    domain::{Id, Localized, Money},
    http::App,
    ops::{
        find::{self, Findings, FoundEntry, FoundRequest, FoundTrip, FoundWebhook, Hits, MAX_CHARS},
        jobs::order_of,
    },
    webhooks,
};
use axum::{
    extract::State,
    response::{IntoResponse, Redirect},
};
use chrono_tz::Tz;
use farebox_jobs::queue::admin::JobView;
use maud::{Markup, html};

pub(crate) async fn go(State(app): State<App>, context: PageContext, mut given: Given) -> PageResult {
    let (pool, text) = (&app.saga.pool, given.text("q").to_owned());
    let length = text.chars().count();
    if length > MAX_CHARS {
        let en = format!("at most {MAX_CHARS} characters, this has {length}");
        given.refuse("q", Localized::new(en, format!("最多 {MAX_CHARS} 个字符，现有 {length} 个")));
    }
    if given.fault().is_some() || text.is_empty() {
        let page = with_nav(&context, Nav::Elsewhere, context.t("Search", "搜索"), form(&context, &given));
        return Ok(answered(&given, page));
    }
    if let Ok(Id(id)) = text.parse()
        && let Some(place) = find::by_id(pool, id).await?
    {
        return Ok(Redirect::to(&format!("/console/{}/{}", place.list, place.id)).into_response());
    }
    let zone = app.itineraries.zone(pool, app.settings.trips.zone).await?;
    let found = match find::search(pool, zone, &text).await {
        Ok(found) => found,
        Err(error) => {
            given.refuse_stopped(error)?;
            let page =
                with_nav(&context, Nav::Elsewhere, context.t("Search", "搜索"), form(&context, &given));
            return Ok(answered(&given, page));
        }
    };
    context.reads(&app, &searched(&text, &found.riders.items)).await?;
    if let Some((list, id)) = found.only() {
        return Ok(Redirect::to(&format!("/console/{list}/{id}")).into_response());
    }
    let body = html! { (form(&context, &given)) (sections(&context, zone, &found)) };
    Ok(with_nav(&context, Nav::Elsewhere, &format!("{}: {text}", context.t("Search", "搜索")), body))
}

/// The form, with the text in it.
fn form(context: &PageContext, given: &Given) -> Markup {
    html! {
        form.card.search_filters action="/console/search" {
            @if let Some(fault) = given.fault() {
                p.notice.bad #refused role="alert" {
                    @if !["", "q"].contains(&fault.name.as_str()) { strong { (fault.name) } ": " }
                    (context.t(&fault.rule.en, &fault.rule.zh))
                }
            }
            label for="find" { (context.t("Find anything", "查找任何内容")) }
            input #find name="q" type="search" value=(given.text("q")) required autocomplete="off"
                aria-describedby="finds" aria-invalid=[given.fault().map(|_| "true")];
            p.quiet #finds { (finds(context)) }
            button.primary type="submit" { (context.t("Find", "查找")) }
        }
    }
}

/// What the search finds, in a sentence.
fn finds(context: &PageContext) -> &'static str {
    context.t(
        "Ids, whole or as shown (…0f4b8d2e7c31); user names, e-mail addresses and parts of names of 3 letters; \
         phone numbers or their last 4 digits; trace ids; idempotency keys; keys of jobs; texts of errors; \
         references and entries of payments; names of webhooks and ids of their events; departures (bus 3 tomorrow 8:00).",
        "编号（完整或如页面所示 …0f4b8d2e7c31）；用户名、邮箱、姓名中的两个汉字或 3 个字母；电话或其后 4 位；追踪编号；\
         幂等键；任务的键；错误文字；付款凭证号与账目编号；Webhook 名称及其事件编号；班次（3路 明天 8:00）。",
    )
}

fn sections(context: &PageContext, zone: Tz, found: &Findings) -> Markup {
    html! {
        @if found.count() == 0 {
            p.empty role="status" { (context.t(
                "Nothing has this id, name, number, key or text. Of ended jobs the newest of each tag are searched.",
                "没有与此编号、姓名、号码、键或文字对应的内容。已结束的任务只查找每个标签中最新的。",
            )) }
        }
        (section(context, ("Riders", "乘客"), &found.riders, |_| candidates(context, &found.riders.items, found.has_claims())))
        (section(context, ("Orders", "订单"), &found.orders, |orders| order_table(context, orders)))
        (section(context, ("Trips", "班次"), &found.trips, |trips| trip_table(context, zone, trips)))
        (section(context, ("Jobs", "任务"), &found.jobs, |jobs| job_table(context, jobs)))
        (section(context, ("Failed jobs by error", "按错误分组的失败任务"), &found.errors, |groups| html! {
            table {
                thead { tr { th scope="col" { (context.t("Error", "错误")) } th scope="col" { (context.t("Dead", "死信")) } th scope="col" { (context.t("Live", "存活")) } th scope="col" { (context.t("Last", "最近")) } } }
                tbody { @for group in groups { tr {
                    td { a href=(format!("/console/jobs?error={}", group.fingerprint)) { (program_text(&group.sample)) } }
                    td.number { (grouped(group.dead)) } td.number { (grouped(group.live)) } td { (when(context, group.last_at)) }
                } } }
            }
        }))
        (section(context, ("Requests with this idempotency key", "使用此幂等键的请求"), &found.requests, |requests| request_table(context, requests)))
        @if let Some(entry) = &found.entry {
            (section(context, ("Wallet entries", "钱包账目"), &Hits { items: vec![entry.clone()], more: false }, |entries| entry_table(context, entries)))
        }
        (section(context, ("Webhooks", "Webhook"), &found.webhooks, |found| webhook_table(context, found)))
        (section(context, ("Audit log", "审计日志"), &found.acts, |acts| html! {
            table {
                thead { tr { th scope="col" { (context.t("When", "时间")) } th scope="col" { (context.t("Act", "操作")) } th scope="col" { (context.t("Who", "操作人")) } th scope="col" { (context.t("Reason", "原因")) } } }
                tbody { @for act in acts { tr {
                    td { (when(context, act.at)) }
                    td { a href=(format!("/console/audit?{}", serde_urlencoded::to_string([("subject", &act.subject)]).unwrap_or_default())) { (chinese::word(context.lang, &act.act)) } }
                    td { (act.actor) } td { (act.reason.as_deref().unwrap_or_default()) }
                } } }
            }
        }))
    }
}

/// A section with its count; nothing for no hits.
fn section<T>(
    context: &PageContext,
    (en, zh): (&'static str, &'static str),
    hits: &Hits<T>,
    table: impl FnOnce(&[T]) -> Markup,
) -> Markup {
    let count = hits.items.len();
    html! { @if count > 0 {
        h2 { (context.t(en, zh)) " " span.quiet {
            @if hits.more { (context.t(&format!("first {count} of more"), &format!("前 {count} 条，还有更多"))) }
            @else { (count) }
        } }
        div.scroll { (table(&hits.items)) }
    } }
}

/// A departure in words: bus or route, and the time at the timetable's clock.
fn trip_table(context: &PageContext, zone: Tz, trips: &[FoundTrip]) -> Markup {
    html! { table {
        thead { tr {
            th scope="col" { (context.t("Departure", "发车")) " (" (zone) ")" } th scope="col" { (context.t("Bus", "车辆")) }
            th scope="col" { (context.t("Route", "线路")) } th scope="col" { (context.t("Direction", "方向")) } th scope="col" { (context.t("State", "状态")) }
        } }
        tbody { @for trip in trips { tr {
            td { a href=(format!("/console/trips/{}", trip.id)) { (trip.departs_at.with_timezone(&zone).format("%Y-%m-%d %H:%M")) } }
            td.number { (trip.bus_id) } td { (trip.route.as_deref().unwrap_or_default()) } td.number { (trip.direction) }
            td { @if trip.is_cancelled { (state(context, "cancelled")) } }
        } } }
    } }
}

fn job_table(context: &PageContext, jobs: &[JobView]) -> Markup {
    html! { table {
        thead { tr {
            th scope="col" { (context.t("Job", "任务")) } th scope="col" { (context.t("Tag", "标签")) } th scope="col" { (context.t("State", "状态")) }
            th scope="col" { (context.t("Enqueued", "入队")) } th scope="col" { (context.t("Order", "订单")) } th scope="col" { (context.t("Last error or note", "最后的错误或备注")) }
        } }
        tbody { @for job in jobs { tr {
            td { (link_job(job.id)) } td { (tag(context, &job.tag)) } td { (state(context, &job.state)) } td { (when(context, job.created_at)) }
            td { @if let Some(order) = order_of(&job.payload) { (link_order(order)) } @else { code { (job.key) } } }
            td { (error_or_note(context, job)) }
        } } }
    } }
}

fn request_table(context: &PageContext, requests: &[FoundRequest]) -> Markup {
    html! { table {
        thead { tr { th scope="col" { (context.t("When", "时间")) } th scope="col" { (context.t("Order", "订单")) } th scope="col" { (context.t("Who", "发送者")) } th scope="col" { (context.t("Answer", "响应")) } } }
        tbody { @for request in requests { tr {
            td { (when(context, request.at)) }
            td { @if let Some(order) = request.order { (link_order(order)) } @else { code { (request.subject) } } }
            td { (link_rider(request.actor)) }
            td { @if let Some(status) = request.status { (status) } @else { (context.t("made of the order", "由订单得出")) } }
        } } }
    } }
}

fn entry_table(context: &PageContext, entries: &[FoundEntry]) -> Markup {
    html! { table {
        thead { tr { th scope="col" { (context.t("When", "时间")) } th scope="col" { (context.t("Kind", "类型")) } (money_head(context.t("Amount", "金额"))) th scope="col" { (context.t("Rider", "乘客")) } th scope="col" { (context.t("Order", "订单")) } } }
        tbody { @for entry in entries { tr {
            td { (when(context, entry.at)) } td { (chinese::word(context.lang, &entry.kind)) } td.number { (amount(Money::from_database(entry.amount))) } td { (link_rider(entry.rider)) }
            td { @if let Some(order) = entry.order { (link_order(order)) } }
        } } }
    } }
}

fn webhook_table(context: &PageContext, found: &[FoundWebhook]) -> Markup {
    html! { table {
        thead { tr {
            th scope="col" { (context.t("Name", "名称")) } th scope="col" { (context.t("State", "状态")) }
            th scope="col" { (context.t("Event", "事件")) } th scope="col" { (context.t("Delivery", "发送")) }
        } }
        tbody { @for webhook in found { tr {
            td { a href=(format!("/console/webhooks/{}", webhook.id)) { (webhook.name) } } td { (state(context, &webhook.state)) }
            td { @if let Some(event) = webhook.event { code { (webhooks::id_of(event)) } } }
            td { @if let Some(delivery) = &webhook.delivery { (state(context, delivery)) } }
        } } }
    } }
}
