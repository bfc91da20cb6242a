//! A rider: account, orders, ledger. Changes of the wallet are in [`super::money`].

use super::{accounts::account_links, orders::table};
use crate::console::{
    chinese,
    components::{action_link, amount, copied, copied_end, empty, link_order, live, money, money_head, when},
    failure::{Failure, PageResult},
    filters::{Field, Given, Kind, answered, form},
    layout::{Nav, with_nav},
    session::PageContext,
};
use crate::{
    accounts::{self, Rider, Role},
    domain::{Id, Money, OrderId, Refusal, RiderId},
    http::{
        App,
        extract::{Params, Path},
    },
    ops::{
        accounts as ops_accounts,
        find::{self, AccountTimes, FoundBy, FoundRider, Hits, Reading},
        reads::Read,
    },
    orders::search::newest,
    payment::wallet::{self, Entry},
    storage::Freshness,
};
use axum::{
    extract::State,
    response::{IntoResponse, Redirect},
};
use chrono::Utc;
use maud::{Markup, html};
use serde::Deserialize;
use sqlx::PgPool;
use uuid::Uuid;

/// Orders and ledger entries on a page.
const PAGE: u16 = 25;

#[derive(Deserialize)]
pub(crate) struct Pages {
    orders: Option<OrderId>,
    entries: Option<i64>,
}

pub(crate) async fn search(State(app): State<App>, context: PageContext, mut given: Given) -> PageResult {
    let who = given.text("who").to_owned();
    let found = if who.is_empty() || given.fault().is_some() {
        Hits::default()
    } else if let Ok(id) = who.parse() {
        if let Some(rider) = accounts::find(&app.saga.pool, id).await? {
            return Ok(Redirect::to(&format!("/console/riders/{}", rider.id)).into_response());
        }
        Hits::default()
    } else {
        let zone = app.itineraries.zone(&app.saga.pool, app.settings.trips.zone).await?;
        let reading = &Reading::of(&who, Utc::now().with_timezone(&zone).date_naive());
        let riders = |pool: PgPool| async move { find::accounts(&pool, reading).await };
        let found = match app.reads.read(Freshness::Current, riders).await {
            Ok(found) => found,
            Err(error) => {
                given.refuse_stopped(error)?;
                Hits::default()
            }
        };
        context.reads(&app, &searched(&who, &found.items)).await?;
        if let Some(rider) = find::unmistakable(&found.items) {
            return Ok(Redirect::to(&format!("/console/riders/{rider}")).into_response());
        }
        found
    };
    let label = context.t(
        "Id, user name, e-mail address, phone number, or a part of a name",
        "编号、用户名、邮箱、电话，或姓名的一部分",
    );
    let example = context
        .t("mei, 王芳, 138 1234 5678, 5678, …0f4b8d2e7c31", "王芳、138 1234 5678、5678、…0f4b8d2e7c31");
    let fields = [Field::new("who", label, Kind::Text(example))];
    let claims = found.items.iter().any(|rider| rider.by != FoundBy::UserName);
    let body = html! {
        (form(&context, "/console/riders", &fields, &given, context.t("Find", "查找")))
        @if !found.items.is_empty() {
            p role="status" { (count_words(&context, &found)) }
            (candidates(&context, &found.items, claims))
        } @else if !who.is_empty() && given.fault().is_none() {
            (empty(&context, "No rider is called so. A part of a name has 3 letters, the end of a phone number 4 digits.",
                "没有此乘客。姓名至少两个汉字或 3 个字母，电话至少后 4 位。"))
        }
    };
    Ok(answered(&given, with_nav(&context, Nav::Riders, context.t("Riders", "乘客"), body)))
}

fn count_words(context: &PageContext, found: &Hits<FoundRider>) -> String {
    let count = found.items.len();
    match found.more {
        true => context.t(&format!("First {count} of more"), &format!("前 {count} 位，还有更多")).to_owned(),
        false => context.t(&format!("Found: {count}"), &format!("找到 {count} 位")).to_owned(),
    }
}

/// The read of a search.
pub(super) fn searched<'a>(text: &'a str, found: &[FoundRider]) -> Read<'a> {
    Read::Search(text, found.iter().map(|rider| rider.id).collect())
}

/// Accounts to choose from. With claims, that nobody checks what some of them say of themselves.
pub(crate) fn candidates(context: &PageContext, found: &[FoundRider], claims: bool) -> Markup {
    html! {
        @if claims { p.notice { (context.t(
            "Unless it is marked, an e-mail address is not verified, and a phone number never is: anybody can give any. Make sure by user name and id who is meant.",
            "未标记的邮箱未经验证，电话也未经验证，任何人都可以填写任意内容。请通过用户名和编号确认乘客。",
        )) } }
        div.scroll { table {
            thead { tr { th scope="col" { (context.t("User name", "用户名")) } th scope="col" { (context.t("Name", "昵称")) } th scope="col" { (context.t("Phone", "电话")) }
                th scope="col" { (context.t("E-mail", "邮箱")) } th scope="col" { (context.t("Id", "编号")) } th scope="col" { (context.t("Role", "角色")) } th scope="col" { (context.t("Since", "注册于")) } } }
            tbody { @for rider in found { tr {
                td { a href=(format!("/console/riders/{}", rider.id)) { (rider.user_name) } } td { (rider.nick_name.as_deref().unwrap_or_default()) }
                td { (rider.phone.as_deref().unwrap_or_default()) }
                td { (rider.email.as_deref().unwrap_or_default()) " "
                    @if rider.email.is_some() { @if rider.is_verified { (context.t("(verified)", "（已验证）")) } @else { (context.t("(unverified)", "（未验证）")) } } }
                td { code { (rider.id) } } td { (chinese::word(context.lang, &rider.role)) } td { (when(context, rider.created_at)) }
            } } }
        } }
    }
}

pub(super) async fn known(app: &App, id: Uuid) -> Result<Rider, Failure> {
    Ok(accounts::find(&app.saga.pool, RiderId(id)).await?.ok_or(Refusal::NotFound("rider"))?)
}

pub(crate) async fn show(
    State(app): State<App>,
    context: PageContext,
    Path(Id(id)): Path<Id>,
    Params(pages): Params<Pages>,
) -> PageResult {
    let (pool, rider) = (&app.saga.pool, known(&app, id).await?);
    context.reads(&app, &Read::Rider(rider.id)).await?;
    let (balance, times) = (wallet::balance(pool, rider.id).await?, find::times(pool, rider.id).await?);
    let state = ops_accounts::state(pool, rider.id).await?;
    let orders = newest(pool, Some(id), pages.orders, PAGE).await?;
    let entries = wallet::entries(pool, rider.id, pages.entries, PAGE).await?;
    let next = |name: &str, after: Option<String>| {
        html! { @if let Some(after) = after {
            p.more { a.button href=(format!("/console/riders/{id}?{name}={after}")) { (context.t("Older", "更早")) } }
        } }
    };
    let body = html! {
        (live("account", &context, account(&context, &rider, times, balance)))
        div.acts { (action_link(&context, &format!("/console/riders/{id}/top-up"), context.t("Top up", "充值")))
            @if rider.email.is_some() && times.is_some_and(|times| times.email_verified_at.is_none()) {
                (action_link(&context, &format!("/console/riders/{id}/verify-email"), context.t("E-mail is verified", "确认邮箱")))
            }
            (action_link(&context, &format!("/console/riders/{id}/export"), context.t("Export", "导出")))
            (action_link(&context, &format!("/console/riders/{id}/forget"), context.t("Forget", "注销")))
            a.button href=(format!("/console/jobs?rider={id}")) { (context.t("Jobs", "任务")) }
            a.button href="/console/approvals" { (context.t("Approvals", "审批")) }
            @if rider.role == Role::Rider || context.is_admin() { (account_links(&context, rider.id, state)) } }
        h2 { (context.t("Orders", "订单")) }
        (live("orders", &context, table(&context, &orders.items)))
        (next("orders", orders.next))
        h2 { (context.t("Ledger", "账目")) }
        (live("ledger", &context, ledger(&context, id, &entries.items)))
        (next("entries", entries.next))
    };
    Ok(with_nav(&context, Nav::Riders, &format!("{} {}", context.t("Rider", "乘客"), rider.user_name), body))
}

fn ledger(context: &PageContext, rider: Uuid, entries: &[Entry]) -> Markup {
    html! {
        @if entries.is_empty() { (empty(context, "No entry.", "没有账目。")) }
        @else { div.scroll { table {
            thead { tr { th scope="col" { (context.t("When", "时间")) } th scope="col" { (context.t("Entry", "账目")) } th scope="col" { (context.t("Kind", "类型")) } (money_head(context.t("Amount", "金额")))
                (money_head(context.t("Balance after", "余额"))) th scope="col" { (context.t("Order", "订单")) }
                @if context.can_write() { th scope="col" { (context.t("Wrong?", "有误？")) } } } }
            tbody { @for entry in entries { tr {
                td { (when(context, entry.at)) } td { (copied_end(context, entry.id)) } td { (chinese::word(context.lang, &entry.kind)) } td.number { (amount(entry.amount)) } td.number { (amount(entry.balance_after)) }
                td { @if let Some(order) = entry.order_id { (link_order(order)) } }
                @if context.can_write() { td { a href=(format!("/console/riders/{rider}/correct/{}", entry.id)) { (context.t("Correct it", "更正")) } } }
            } } }
        } } }
    }
}

pub(super) fn account(
    context: &PageContext,
    rider: &Rider,
    times: Option<AccountTimes>,
    balance: Option<Money>,
) -> Markup {
    html! { div.card { dl.facts {
        dt { (context.t("Id", "编号")) } dd { (copied(context, rider.id)) }
        dt { (context.t("User name", "用户名")) } dd { (rider.user_name) }
        dt { (context.t("Role", "角色")) } dd { (chinese::word(context.lang, rider.role.as_str())) }
        @if let Some(times) = times {
            dt { (context.t("Since", "注册于")) } dd { (when(context, times.created_at)) }
            @if let Some(at) = times.forgotten_at { dt { (context.t("Forgotten", "已注销")) } dd { (when(context, at)) } }
        }
        @if let Some(email) = &rider.email {
            @match times.and_then(|times| times.email_verified_at) {
                Some(at) => { dt { (context.t("E-mail, verified", "邮箱（已验证）")) } dd { (email) " · " (when(context, at)) } }
                None => { dt { (context.t("E-mail, not verified", "邮箱（未验证）")) } dd { (email) } }
            }
        }
        @if let Some(phone) = &rider.phone { dt { (context.t("Phone", "电话")) } dd { (phone) } }
        dt { (context.t("Wallet holds", "余额")) } dd { @if let Some(balance) = balance { (money(balance)) } @else { (context.t("no wallet", "无钱包")) } }
        dt { (context.t("Pay password", "支付密码")) } dd { (if rider.has_pay_password { context.t("set", "已设置") } else { context.t("not set", "未设置") }) }
    } } }
}
