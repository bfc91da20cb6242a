//! A rider: account, orders, ledger, and top-ups of the wallet.

use super::orders::table;
use crate::console::{
    components::{action_form, action_link, empty, link_order, live, money, when},
    failure::{Failure, PageResult},
    form::OperatorForm,
    layout::{Nav, with_nav},
    notice::redirect_with_notice,
    session::PageContext,
};
use crate::{
    accounts::{self, Rider},
    domain::{FieldError, Id, Money, OrderId, Reference, Refusal, RiderId},
    http::{
        App,
        extract::{Params, Path},
    },
    ops::{
        find::{self, FoundRider, MAX_FOUND},
        wallets,
    },
    orders::search::newest,
    payment::wallet,
    storage,
};
use axum::{
    extract::State,
    response::{IntoResponse, Redirect},
};
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;
use uuid::Uuid;

/// Orders and ledger entries on a page.
const PAGE: u16 = 25;

#[derive(Deserialize)]
pub(crate) struct Query {
    #[serde(default)]
    who: String,
}

#[derive(Deserialize)]
pub(crate) struct Pages {
    orders: Option<OrderId>,
    entries: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TopUp {
    amount: String,
    reference: String,
}

pub(crate) async fn search(
    State(app): State<App>,
    context: PageContext,
    Params(Query { who }): Params<Query>,
) -> PageResult {
    let who = who.trim();
    let (only, found) = match who.parse() {
        _ if who.is_empty() => (None, Vec::new()),
        Ok(id) => (accounts::find(&app.saga.pool, id).await?.map(|rider| rider.id), Vec::new()),
        Err(_) => {
            let found = find::riders(&app.saga.pool, who).await?;
            (find::unmistakable(&found), found)
        }
    };
    if let Some(rider) = only {
        return Ok(Redirect::to(&format!("/console/riders/{rider}")).into_response());
    }
    let body = html! {
        form.card.act action="/console/riders" {
            label for="who" { (context.t("Id, user name or e-mail address", "编号、用户名或邮箱")) }
            input #who name="who" type="text" value=(who) required autocomplete="off";
            button.primary type="submit" { (context.t("Find", "查找")) }
        }
        @if !found.is_empty() { (candidates(&context, &found)) }
        @else if !who.is_empty() { (empty(&context, "No rider is called so.", "没有此乘客。")) }
    };
    Ok(with_nav(&context, Nav::Riders, context.t("Riders", "乘客"), body))
}

/// Accounts to choose from, as an e-mail address may match several.
pub(crate) fn candidates(context: &PageContext, found: &[FoundRider]) -> Markup {
    html! {
        p.notice { (context.t(
            "E-mail addresses are not verified: anybody can give any. Make sure by user name and id who is meant.",
            "邮箱未经验证，任何人都可以填写任意邮箱。请通过用户名和编号确认乘客。",
        )) }
        div.scroll { table {
            thead { tr { th scope="col" { (context.t("User name", "用户名")) } th scope="col" { (context.t("Id", "编号")) } th scope="col" { (context.t("Role", "角色")) }
                th scope="col" { (context.t("Since", "注册于")) } th scope="col" { (context.t("E-mail, not verified", "邮箱（未验证）")) } } }
            tbody { @for rider in found { tr {
                td { a href=(format!("/console/riders/{}", rider.id)) { (rider.user_name) } } td { code { (rider.id) } } td { (rider.role) }
                td { (when(context, rider.created_at)) } td { (rider.email.as_deref().unwrap_or_default()) }
            } } }
        } }
        @if found.len() as i64 == MAX_FOUND { p.quiet { (context.t("There may be more.", "可能还有更多。")) } }
    }
}

async fn known(app: &App, id: Uuid) -> Result<Rider, Failure> {
    Ok(accounts::find(&app.saga.pool, RiderId(id)).await?.ok_or(Refusal::NotFound("rider"))?)
}

pub(crate) async fn show(
    State(app): State<App>,
    context: PageContext,
    Path(Id(id)): Path<Id>,
    Params(pages): Params<Pages>,
) -> PageResult {
    let (pool, rider) = (&app.saga.pool, known(&app, id).await?);
    let (balance, since) = (wallet::balance(pool, rider.id).await?, find::since(pool, rider.id).await?);
    let orders = newest(pool, Some(id), pages.orders, PAGE).await?;
    let entries = wallet::entries(pool, rider.id, pages.entries, PAGE).await?;
    let next = |name: &str, after: Option<String>| {
        html! { @if let Some(after) = after {
            p.more { a.button href=(format!("/console/riders/{id}?{name}={after}")) { (context.t("Older", "更早")) } }
        } }
    };
    let body = html! {
        (live("account", &context, account(&context, &rider, since, balance)))
        div.acts { (action_link(&context, &format!("/console/riders/{id}/top-up"), context.t("Top up", "充值")))
            a.button href=(format!("/console/jobs?rider={id}")) { (context.t("Jobs", "任务")) } }
        h2 { (context.t("Orders", "订单")) }
        (live("orders", &context, table(&context, &orders.items)))
        (next("orders", orders.next))
        h2 { (context.t("Ledger", "账目")) }
        (live("ledger", &context, html! {
            @if entries.items.is_empty() { (empty(&context, "No entry.", "没有账目。")) }
            @else { div.scroll { table {
                thead { tr { th scope="col" { (context.t("When", "时间")) } th scope="col" { (context.t("Kind", "类型")) } th scope="col" { (context.t("Amount", "金额")) }
                    th scope="col" { (context.t("Balance after", "余额")) } th scope="col" { (context.t("Order", "订单")) } } }
                tbody { @for entry in &entries.items { tr {
                    td { (when(&context, entry.at)) } td { (entry.kind) } td.number { (money(entry.amount)) } td.number { (money(entry.balance_after)) }
                    td { @if let Some(order) = entry.order_id { (link_order(order)) } }
                } } }
            } } }
        }))
        (next("entries", entries.next))
    };
    Ok(with_nav(&context, Nav::Riders, &format!("{} {}", context.t("Rider", "乘客"), rider.user_name), body))
}

fn account(
    context: &PageContext,
    rider: &Rider,
    since: Option<DateTime<Utc>>,
    balance: Option<Money>,
) -> Markup {
    html! { div.card { dl.facts {
        dt { (context.t("Id", "编号")) } dd { code { (rider.id) } }
        dt { (context.t("User name", "用户名")) } dd { (rider.user_name) }
        dt { (context.t("Role", "角色")) } dd { (rider.role.as_str()) }
        @if let Some(since) = since { dt { (context.t("Since", "注册于")) } dd { (when(context, since)) } }
        @if let Some(email) = &rider.email { dt { (context.t("E-mail, not verified", "邮箱（未验证）")) } dd { (email) } }
        @if let Some(phone) = &rider.phone { dt { (context.t("Phone", "电话")) } dd { (phone) } }
        dt { (context.t("Wallet holds", "余额")) } dd { @if let Some(balance) = balance { (money(balance)) } @else { (context.t("no wallet", "无钱包")) } }
        dt { (context.t("Pay password", "支付密码")) } dd { (if rider.has_pay_password { context.t("set", "已设置") } else { context.t("not set", "未设置") }) }
    } } }
}

pub(crate) async fn confirm(
    State(app): State<App>,
    context: PageContext,
    Path(Id(id)): Path<Id>,
) -> PageResult {
    let rider = known(&app, id).await?;
    let pool = &app.saga.pool;
    let (balance, since) = (wallet::balance(pool, rider.id).await?, find::since(pool, rider.id).await?);
    // The form holds the reference, so that sending it twice moves money once.
    let fields = html! {
        input type="hidden" name="reference" value=(format!("console-{}", Uuid::now_v7()));
        label for="amount" { (context.t("Amount", "金额")) }
        input #amount name="amount" type="text" inputmode="decimal" required autocomplete="off";
    };
    let form = action_form(
        &context,
        &format!("/console/riders/{id}/top-up"),
        context.t("Top up", "充值"),
        fields,
        Some(account(&context, &rider, since, balance)),
        false,
    );
    Ok(with_nav(
        &context,
        Nav::Riders,
        &format!("{}: {}", context.t("Top up", "充值"), rider.user_name),
        form,
    ))
}

pub(crate) async fn top_up(
    State(app): State<App>,
    Path(Id(id)): Path<Id>,
    form: OperatorForm<TopUp>,
) -> PageResult {
    let (context, by, form) = form.into_parts();
    let amount: Money = form.amount.trim().parse().map_err(|rule| FieldError::new("amount", rule))?;
    let reference: Reference = form.reference.parse().map_err(|rule| FieldError::new("reference", rule))?;
    let mut tx = storage::begin(&app.saga.pool).await?;
    let cap = app.saga.wallets.max_balance;
    let entry = wallets::top_up(&mut tx, &by, RiderId(id), amount, &reference, cap).await?;
    tx.commit().await?;
    Ok(redirect_with_notice(
        &context,
        &format!("/console/riders/{id}"),
        &format!("{} {} ✓", context.t("Topped up", "已充值"), entry.amount),
    ))
}
