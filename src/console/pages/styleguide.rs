//! Every component of the console with its states, for those who build pages. Not in production.

use super::{
    home_tiles, order_saga,
    seat_map::map,
    styleguide_samples::{failures, flows, history, owed, pauses, queue, worker},
    trip_words::{known, trip_state},
};
use crate::console::{
    banner::paused,
    chart::{Chart, Series, class_of, marks_legend, swatch},
    components::{
        action_form, action_link, ahead, amount, badge, copied, copied_end, empty, link_job, link_order,
        money, money_head, notice, span, state, tag, when,
    },
    failure::{Failure, PageResult},
    filters::{self, Field, Given, Kind},
    layout::{Nav, with_nav},
    numbers::grouped,
    refused::sample_refusal,
    session::PageContext,
    time::{departure, moment},
};
use crate::{
    accounts::{Caller, Role},
    domain::{Localized, Money, Refusal},
    http::App,
    trips::{self, TripQuery},
};
use axum::extract::State;
use chrono::{TimeDelta, Utc};
use farebox_jobs::MqTag;
use maud::{Markup, PreEscaped, html};
use std::sync::Arc;
use uuid::Uuid;

const ADDRESS: &str = "/console/styleguide";
/// Every state that has a badge of its own.
const STATES: [&str; 24] = [
    "ready",
    "delayed",
    "retrying",
    "running",
    "done",
    "dead",
    "cancelled",
    "missing",
    "working",
    "draining",
    "paused",
    "unpaid",
    "paying",
    "paid",
    "refunding",
    "refunded",
    "closed",
    "undone",
    "barred",
    "due",
    "none",
    "scheduled",
    "in_transit",
    "arrived",
];
/// The colours of states, with their words.
const KINDS: [(&str, &str, &str); 5] = [
    ("good", "good", "正常"),
    ("bad", "bad", "异常"),
    ("wait", "waits", "等待"),
    ("run", "runs", "运行"),
    ("off", "over", "结束"),
];
/// The states in which the samples of seats are.
const SEATS: [&str; 4] = ["free", "held", "sold", "blocked"];
/// A number with many digits.
const MANY: i64 = 1_234_567;

pub(crate) async fn show(State(app): State<App>, context: PageContext) -> PageResult {
    if app.settings.environment.is_production() {
        return Err(Refusal::NotFound("page").into());
    }
    let body = html! {
        (section(&context, "Type and space", "字号与间距", scale(&context)))
        (section(&context, "Colours and badges", "颜色与标记", badges(&context)))
        (section(&context, "Numbers, times, ids", "数字、时间、编号", values(&context)))
        (section(&context, "Buttons and links of acts", "按钮与操作链接", buttons(&context)))
        (section(&context, "Forms", "表单", forms(&context)))
        (section(&context, "Notices and banners", "提示与横幅", notices(&context)))
        (section(&context, "Tables and empty lists", "表格与空列表", tables(&context)))
        (section(&context, "Tiles", "数据卡片", tiles(&context)))
        (section(&context, "Charts", "图表", charts(&context)))
        (section(&context, "Seats", "座位", seats(&app, &context).await?))
        (section(&context, "Steps of an order", "订单步骤", inert(order_saga::picture(&context, &flows()))))
    };
    Ok(with_nav(&context, Nav::Elsewhere, context.t("Styleguide", "组件样式"), body))
}

fn section(context: &PageContext, en: &str, zh: &str, shown: Markup) -> Markup {
    html! { h2 { (context.t(en, zh)) } (shown) }
}

/// The context of somebody who may only look.
fn viewer(context: &PageContext) -> PageContext {
    PageContext { caller: Caller { role: Role::Viewer, ..context.caller }, ..context.clone() }
}

fn scale(context: &PageContext) -> Markup {
    let words = context.t("Seats and money are safe", "座位与资金安全");
    html! { div.card {
        p.type_figure { (grouped(MANY)) }
        p.type_head { (words) } p.type_large { (words) } p { (words) } p.small { (words) } p.quiet { (words) }
        ul.gaps { @for gap in 1..=6 { li { span class=(format!("gap gap-{gap}")) {} " " code { "--gap-" (gap) } } } }
    } }
}

fn badges(context: &PageContext) -> Markup {
    html! {
        div.card {
            p { @for (kind, en, zh) in KINDS { (badge(kind, "●", context.t(en, zh))) " " } }
            p { @for one in STATES { @match one {
                "scheduled" | "in_transit" | "arrived" => (trip_state(context, one)),
                other => (state(context, other)),
            } " " } }
            p { @for one in MqTag::ALL { (swatch(&class_of(one.wire()))) (tag(context, one.wire())) " " } }
        }
        @for (kind, en, zh) in &KINDS[..3] { div class=(format!("card verdict {kind}")) { strong { (context.t(en, zh)) } } }
    }
}

fn values(context: &PageContext) -> Markup {
    let (now, id) = (Utc::now(), Uuid::nil());
    html! { div.card { dl.facts {
        dt { (context.t("Count", "数量")) } dd { (grouped(MANY)) }
        dt { (context.t("Amount", "金额")) } dd { (money(Money::of_minor(MANY))) ", " (money(Money::of_minor(0))) }
        dt { (context.t("Event", "事件")) } dd { (when(context, now - TimeDelta::minutes(3))) }
        dt { (context.t("Moment of a story", "经过中的时刻")) } dd { (moment(context, now)) }
        dt { (context.t("Departure", "发车")) } dd { (departure(context, now, context.timetable_zone)) }
        dt { (context.t("Duration", "时长")) } dd { (span(context, 0.4)) ", " (span(context, 75.0)) ", " (span(context, 7_300.0)) ", " (span(context, 200_000.0)) }
        dt { (context.t("Due", "到期")) } dd { (ahead(context, now + TimeDelta::minutes(2))) ", " (ahead(context, now)) }
        dt { (context.t("Id", "编号")) } dd { (copied(context, id)) }
        dt { (context.t("Shortened", "缩短")) } dd { (copied_end(context, id)) }
        dt { (context.t("Links", "链接")) } dd { (inert(html! { (link_order(id)) " " (link_job(id)) })) }
    } } }
}

/// The samples have no pages: their links lead to lists.
fn inert(shown: Markup) -> Markup {
    PreEscaped(shown.0.replace(&format!("/{}\"", Uuid::nil()), "\""))
}

fn buttons(context: &PageContext) -> Markup {
    let link =
        |context: &PageContext| action_link(context, ADDRESS, context.t("A link of an act", "操作链接"));
    html! { div.card { div.acts {
        button.primary type="button" { (context.t("Primary", "主要")) }
        button.primary.danger type="button" { (context.t("Dangerous", "危险")) }
        button type="button" { (context.t("Plain", "普通")) }
        button type="button" disabled { (context.t("Not possible", "不可用")) }
        button type="button" aria-pressed="true" { (context.t("Pressed", "已按下")) }
        @if context.can_write() { (link(context)) }
        (link(&viewer(context)))
    } } }
}

fn forms(context: &PageContext) -> Markup {
    let field = |id: &str| {
        html! {
            label for=(id) { (context.t("Amount", "金额")) }
            input id=(id) name="amount" type="text" inputmode="decimal" required autocomplete="off";
        }
    };
    let preview = html! { p { strong { (context.t("What the act changes", "操作的影响")) } } };
    let form = |context: &PageContext, name: &str, danger: bool| {
        let label = context.t("Top up", "充值");
        action_form(context, &format!("{ADDRESS}/{name}"), label, field(name), Some(preview.clone()), danger)
    };
    let (plain, refused) = (form(context, "top-up", false), form(context, "top-up-refused", true));
    let fields = [("amount", "12,5"), ("reason", "paid at the till")];
    let refused = sample_refusal(context, &refused, &format!("{ADDRESS}/top-up-refused"), &fields);
    let list = [
        Field::new("find", context.t("Find", "查找"), Kind::Text("mei")),
        Field::new("day", context.t("Day", "日期"), Kind::Day),
    ];
    let mut given = Given::of("find=x&day=yesterday", &["find", "day"]);
    given.refuse("day", Localized::new("a day, like 2026-01-31", "日期，如 2026-01-31"));
    html! {
        (plain) (form(&viewer(context), "top-up-viewer", false)) (refused)
        (filters::form(context, ADDRESS, &list, &given, context.t("Filter", "筛选")))
    }
}

fn notices(context: &PageContext) -> Markup {
    let paused_context = PageContext { pauses: Arc::new(pauses()), ..context.clone() };
    html! {
        @for kind in ["good", "bad", "wait"] { (notice(kind, "status", html! { (context.t("What has just happened.", "刚刚发生的事情。")) })) }
        (paused(&paused_context))
    }
}

fn tables(context: &PageContext) -> Markup {
    html! {
        (empty(context, "No job fits.", "没有符合条件的任务。"))
        div.scroll { table {
            thead { tr { th scope="col" { (context.t("When", "时间")) } th scope="col" { (context.t("State", "状态")) }
                (money_head(context.t("Amount", "金额"))) th scope="col" { (context.t("Jobs", "任务")) } } }
            tbody { @for (row, word) in ["done", "dead", "delayed"].into_iter().enumerate() { tr {
                td { (when(context, Utc::now() - TimeDelta::hours(row as i64))) } td { (state(context, word)) }
                td.number { (amount(Money::of_minor(MANY))) } td.number { (grouped(MANY)) }
            } } }
        } }
    }
}

fn tiles(context: &PageContext) -> Markup {
    let calm = [queue(MqTag::OrderUnpaid, 0, 0)];
    let worn = [queue(MqTag::OrderUnpaid, 1_200, 3), queue(MqTag::PayMoney, 40, 7)];
    html! {
        (home_tiles::tiles(context, &calm, &[worker()], &owed(false), 0))
        (home_tiles::tiles(context, &worn, &[], &owed(true), 4_245))
    }
}

fn charts(context: &PageContext) -> Markup {
    let history = &history();
    let done = vec![Series::plain(context.t("done", "完成"), failures(history, 4_245.0))];
    let failed = vec![Series::bad(context.t("failed", "失败"), failures(history, 7.0))];
    let chart =
        |title: &str, done, failed| Chart { title, unit: "", history, done, failed, tag: None }.draw(context);
    html! {
        div.charts {
            (chart(context.t("Bookings", "预订"), done, failed))
            (chart(context.t("Nothing", "没有数据"), vec![Series::plain("", Vec::new())], Vec::new()))
        }
        (marks_legend(context, history))
    }
}

/// The seats of a trip of today, of which each has another state.
async fn seats(app: &App, context: &PageContext) -> Result<Markup, Failure> {
    let day = Utc::now().with_timezone(&context.timetable_zone).date_naive();
    let any = TripQuery { route: None, direction: None, bus_id: None, state: None, after: None };
    let found = trips::search(&app.saga.pool, context.timetable_zone, day, &any, 1).await?;
    let Some(trip) = found.items.first() else {
        return Ok(empty(context, "No trip leaves today.", "今天没有班次。"));
    };
    let mut detail = known(app, trip.id.0).await?;
    for (seat, state) in detail.seats.iter_mut().zip(SEATS.into_iter().cycle()) {
        seat.state = state;
    }
    Ok(map(context, &detail, None))
}
