//! The network: what is sold, and the import of another one.

use crate::console::{
    chinese,
    components::{action_form, action_link, amount, empty, link_trip, money, money_head, when},
    failure::{Failure, PageResult},
    form::{ConfirmedForm, password_page},
    layout::{Nav, redirect_with_notice, with_nav},
    numbers::grouped,
    pages::network_imports::{departure, imports, without_place},
    session::PageContext,
    upload::UploadForm,
};
use crate::{
    domain::Id,
    http::{App, extract::Path, handlers::ops::network as http_network, problem::Problem},
    network::Faults,
    ops::networks::{
        self,
        touched::TouchedTrip,
        uploads::{self, UploadError},
        view::{self, Codes, PreviewView, Summary},
    },
    storage,
};
use axum::{extract::State, http::StatusCode, response::Response};
use maud::{Markup, html};
use serde::Deserialize;

/// Most trips, and most names of departures, that a page lists.
const MAX_SHOWN: usize = 200;

impl From<UploadError> for Failure {
    fn from(error: UploadError) -> Self {
        Problem::from(error).into()
    }
}

pub(crate) async fn show(State(app): State<App>, context: PageContext) -> PageResult {
    let sold = view::sold(&app.saga.pool).await?;
    let body = html! {
        @match &sold {
            None => { (empty(&context, "No network was imported.", "尚未导入线网。")) }
            Some(sold) => {
                (summary(&context, &sold.summary, html! {
                    div { dt { (context.t("Imported", "导入时间")) } dd { (when(&context, sold.imported_at)) } }
                    div { dt { (context.t("Digest", "摘要")) } dd { code { (sold.digest) } } }
                }))
                p { a.button href="/console/network.zip" download { (context.t("Download its files", "下载文件")) } }
            }
        }
        (imports(&app.saga.pool, &context).await?)
        p { (action_link(&context, "/console/network/upload", context.t("Upload another", "上传新线网"))) }
    };
    Ok(with_nav(&context, Nav::Network, context.t("Network", "线网"), body))
}

pub(crate) async fn download(State(app): State<App>, _: PageContext) -> PageResult {
    Ok(http_network::zip(&app.saga.pool).await?)
}

pub(crate) async fn choose(context: PageContext) -> Response {
    let disabled = !context.can_write();
    let title = context.t("Upload a network", "上传线网");
    let body = html! {
        form.act.card method="post" action="/console/network/upload" enctype="multipart/form-data" {
            fieldset disabled[disabled] {
                legend.hidden { (title) }
                input type="hidden" name="csrf" value=(context.csrf);
                label for="file" { (context.t("Zip of the network's files", "线网文件的 zip 压缩包")) }
                input #file name="file" type="file" accept=".zip" required;
                button.primary type="submit" { (context.t("Preview", "预览")) }
                @if disabled { p.quiet { (context.t("For operators only.", "仅限操作员。")) } }
            }
            p.quiet { (context.t("Nothing changes before the preview is applied.", "应用预览之前不会有任何变更。")) }
        }
    };
    with_nav(&context, Nav::Network, title, body)
}

pub(crate) async fn upload(State(app): State<App>, form: UploadForm) -> PageResult {
    let UploadForm { context, file } = form;
    let operator = context.caller.rider_id;
    match uploads::preview(&app.saga.pool, operator, file, &app.saga.wallets).await {
        Ok(preview) => {
            let page = format!("/console/network/previews/{}", preview.id);
            let notice = context.t("Read without faults.", "文件读取无误。");
            Ok(redirect_with_notice(&context, &page, notice))
        }
        Err(UploadError::Faults(faults)) => Ok(faulty(&context, &faults)),
        Err(error) => Err(error.into()),
    }
}

/// All faults with their places.
fn faulty(context: &PageContext, faults: &Faults) -> Response {
    let title = context.t("The network has faults", "线网文件有误");
    let body = html! {
        p { (context.t("Nothing was kept. Faults: ", "未保存任何内容。错误数：")) (faults.count()) }
        ul { @for fault in faults.first() { li { (fault) } } }
        p { a.button href="/console/network/upload" { (context.t("Upload again", "重新上传")) } }
    };
    let mut page = with_nav(context, Nav::Network, title, body);
    *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    page
}

pub(crate) async fn preview(
    State(app): State<App>,
    context: PageContext,
    Path(Id(id)): Path<Id>,
) -> PageResult {
    if context.can_write()
        && let Some(elsewhere) = password_page(&app, &context.caller, &context.path).await?
    {
        return Ok(elsewhere);
    }
    let preview = uploads::preview_again(&app.saga.pool, id, &app.saga.wallets).await?;
    let card = preview_card(&context, &preview);
    let body = if preview.changes {
        let fields = html! { input type="hidden" name="digest" value=(preview.digest); };
        let action = format!("/console/network/previews/{id}");
        action_form(&context, &action, context.t("Apply", "应用"), fields, Some(card), true)
    } else {
        html! { (card) p { (context.t("This network is sold already: nothing to change.", "该线网已在售，无需变更。")) } }
    };
    Ok(with_nav(&context, Nav::Network, context.t("Preview of an import", "导入预览"), body))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Apply {
    digest: String,
}

pub(crate) async fn apply(
    State(app): State<App>,
    Path(Id(id)): Path<Id>,
    ConfirmedForm(form): ConfirmedForm<Apply>,
) -> PageResult {
    let (context, by, Apply { digest }) = form.into_parts();
    let network = uploads::network_of(&app.saga.pool, id, &app.saga.wallets).await?;
    let mut tx = storage::begin(&app.saga.pool).await?;
    let preview = networks::import(&mut tx, &by, &network, &digest).await.map_err(UploadError::from)?;
    tx.commit().await?;
    let notice = if preview.riders().next().is_none() {
        context.t("The network is imported ✓", "线网已导入 ✓")
    } else {
        context.t(
            "The network is imported ✓; workers move and refund the riders",
            "线网已导入 ✓；后台正在为乘客换座或退款",
        )
    };
    Ok(redirect_with_notice(&context, "/console/network", notice))
}

fn summary(context: &PageContext, summary: &Summary, more: Markup) -> Markup {
    let Summary { name, zone, currency, stops, routes, models, buses, calendars, departures, fares } =
        summary;
    let counts = [
        (context.t("Routes", "线路"), routes),
        (context.t("Departures", "班次时刻"), departures),
        (context.t("Stops", "站点"), stops),
        (context.t("Bus models", "车型"), models),
        (context.t("Buses", "车辆"), buses),
        (context.t("Calendars", "运行日历"), calendars),
        (context.t("Fares", "票价"), fares),
    ];
    html! {
        dl.facts {
            div { dt { (context.t("Name", "名称")) } dd { (name) } }
            div { dt { (context.t("Zone", "时区")) } dd { (zone) } }
            div { dt { (context.t("Currency", "货币")) } dd { (currency) } }
            @for (what, many) in counts { div { dt { (what) } dd { (grouped(many)) } } }
            (more)
        }
    }
}

fn preview_card(context: &PageContext, preview: &PreviewView) -> Markup {
    let counts = [
        (context.t("Trips that end", "取消的场次"), preview.trips.ended),
        (context.t("Trips that change", "变更的场次"), preview.trips.changed),
        (context.t("Trips that run after all", "恢复的场次"), preview.trips.returned),
        (
            context.t("Trips with another price for what is not sold yet", "未售座位票价变更的场次"),
            preview.trips.price,
        ),
    ];
    let riders = &preview.of_riders;
    html! {
        (summary(context, &preview.network, html! {
            div { dt { (context.t("Kept until", "保留至")) } dd { (when(context, preview.expires_at)) } }
        }))
        dl.facts {
            @if !preview.head.is_empty() {
                div { dt { (context.t("Of the network itself", "线网本身")) } dd { (preview.head.join(", ")) } }
            }
            (codes(context.t("Departures added", "新增班次时刻"), &preview.added))
            @if preview.changed_count > 0 {
                div { dt { (context.t("Departures changed", "变更班次时刻")) } dd { (grouped(preview.changed_count)) ": "
                    @for (nr, one) in preview.changed.iter().take(MAX_SHOWN).enumerate() {
                        @if nr > 0 { ", " } (one.code) " (" (one.what.join(", ")) ")"
                    } } }
            }
            (codes(context.t("Departures ended", "停开班次时刻"), &preview.ended))
            @for part in &preview.parts {
                div { dt { (part.part) } dd {
                    (grouped(part.added)) " " (context.t("added", "新增")) ", " (grouped(part.changed)) " " (context.t("changed", "变更")) ", "
                    (grouped(part.ended)) " " (context.t("ended", "停用"))
                } }
            }
            @for (what, count) in counts { @if count > 0 { div { dt { (what) } dd { (grouped(count)) } } } }
        }
        @if riders.trips > 0 {
            p { strong { (context.t("Riders have seats of trips that end or change: ", "有乘客持有以下场次的座位：")) (grouped(riders.trips)) } " · "
                (grouped(riders.seats_sold)) " " (context.t("seats sold", "已售座位")) ", " (grouped(riders.seats_held)) " " (context.t("held", "保留")) ", "
                (money(riders.money)) " " (context.t("paid", "已支付")) }
            p { (grouped(riders.orders_moved)) " " (context.t("orders stay", "个订单保留")) ", "
                (grouped(riders.orders_ended)) " " (context.t("end", "个订单结束")) "; "
                (money(riders.refunded)) " " (context.t("is refunded", "将退款")) }
        }
        (without_place(context, &preview.touched))
        (touched(context, &preview.touched))
    }
}

fn codes(what: &str, codes: &Codes) -> Markup {
    let shown = codes.first.iter().take(MAX_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    html! {
        @if codes.count > 0 {
            div { dt { (what) } dd { (grouped(codes.count)) ": " (shown) @if codes.count > MAX_SHOWN { "…" } } }
        }
    }
}

fn touched(context: &PageContext, trips: &[TouchedTrip]) -> Markup {
    let kind = |kind: &str| match kind {
        "ends" => context.t("ends", "取消"),
        "changes" => context.t("changes", "变更"),
        "returns" => context.t("runs after all", "恢复"),
        "stays" => context.t("extra trip", "加班车"),
        _ => context.t("other price", "票价变更"),
    };
    html! {
        @if !trips.is_empty() { div.scroll { table {
            thead { tr {
                th scope="col" { (context.t("Trip", "场次")) } th scope="col" { (context.t("Departure", "班次时刻")) }
                th scope="col" { (context.t("Day", "日期")) } th scope="col" { (context.t("What follows", "影响")) }
                th scope="col" { (context.t("Sold", "已售")) } th scope="col" { (context.t("Held", "保留")) }
                th scope="col" { (context.t("Riders", "乘客")) } (money_head(context.t("Paid", "已支付")))
            } }
            tbody { @for trip in trips.iter().take(MAX_SHOWN) { tr {
                td { (link_trip(trip.trip_id)) } (departure(trip))
                td { (kind(trip.kind)) @if !trip.what.is_empty() { ": " (chinese::changes(context.lang, &trip.what)) } }
                td.number { (trip.seats_sold) } td.number { (trip.seats_held) } td.number { (trip.riders) }
                td.number { (amount(trip.money)) }
            } } }
        } } }
        @if trips.len() > MAX_SHOWN { p.quiet { (context.t("Only the first trips are listed: ", "仅列出前若干场次：")) (MAX_SHOWN) } }
    }
}
