//! A rider: account, orders, ledger; and putting money into the wallet.

use super::orders::table;
use crate::console::{
    layout::{Answer, Nav, act_form, act_link, done, empty, link_order, live, money, page, when},
    session::{Deed, Visit},
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
    visit: Visit,
    Params(Query { who }): Params<Query>,
) -> Answer {
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
            label for="who" { (visit.say("Id, user name or e-mail address", "编号、用户名或邮箱")) }
            input #who name="who" type="text" value=(who) required autocomplete="off";
            button.primary type="submit" { (visit.say("Find", "查找")) }
        }
        @if !found.is_empty() { (candidates(&visit, &found)) }
        @else if !who.is_empty() { (empty(&visit, "No rider is called so.", "没有此乘客。")) }
    };
    Ok(page(&visit, Nav::Riders, visit.say("Riders", "乘客"), body))
}

/// Accounts of which the one that is meant has to be chosen.
pub(crate) fn candidates(visit: &Visit, found: &[FoundRider]) -> Markup {
    html! {
        p.notice { (visit.say(
            "E-mail addresses are not verified: anybody can give any. Make sure by user name and id who is meant.",
            "邮箱未经验证，任何人都可以填写任意邮箱。请通过用户名和编号确认乘客。",
        )) }
        div.scroll { table {
            thead { tr { th scope="col" { (visit.say("User name", "用户名")) } th scope="col" { (visit.say("Id", "编号")) } th scope="col" { (visit.say("Role", "角色")) }
                th scope="col" { (visit.say("Since", "注册于")) } th scope="col" { (visit.say("E-mail, not verified", "邮箱（未验证）")) } } }
            tbody { @for rider in found { tr {
                td { a href=(format!("/console/riders/{}", rider.id)) { (rider.user_name) } } td { code { (rider.id) } } td { (rider.role) }
                td { (when(visit, rider.created_at)) } td { (rider.email.as_deref().unwrap_or_default()) }
            } } }
        } }
        @if found.len() as i64 == MAX_FOUND { p.quiet { (visit.say("There may be more.", "可能还有更多。")) } }
    }
}

async fn known(app: &App, id: Uuid) -> Result<Rider, crate::console::layout::Failure> {
    Ok(accounts::find(&app.saga.pool, RiderId(id)).await?.ok_or(Refusal::NotFound("rider"))?)
}

pub(crate) async fn show(
    State(app): State<App>,
    visit: Visit,
    Path(Id(id)): Path<Id>,
    Params(pages): Params<Pages>,
) -> Answer {
    let (pool, rider) = (&app.saga.pool, known(&app, id).await?);
    let (balance, since) = (wallet::balance(pool, rider.id).await?, find::since(pool, rider.id).await?);
    let orders = newest(pool, Some(id), pages.orders, PAGE).await?;
    let entries = wallet::entries(pool, rider.id, pages.entries, PAGE).await?;
    let next = |name: &str, after: Option<String>| {
        html! { @if let Some(after) = after {
            p.more { a.button href=(format!("/console/riders/{id}?{name}={after}")) { (visit.say("Older", "更早")) } }
        } }
    };
    let body = html! {
        (live("account", &visit, account(&visit, &rider, since, balance)))
        div.acts { (act_link(&visit, &format!("/console/riders/{id}/top-up"), visit.say("Top up", "充值")))
            a.button href=(format!("/console/jobs?rider={id}")) { (visit.say("Jobs", "任务")) } }
        h2 { (visit.say("Orders", "订单")) }
        (live("orders", &visit, table(&visit, &orders.items)))
        (next("orders", orders.next))
        h2 { (visit.say("Ledger", "账目")) }
        (live("ledger", &visit, html! {
            @if entries.items.is_empty() { (empty(&visit, "No entry.", "没有账目。")) }
            @else { div.scroll { table {
                thead { tr { th scope="col" { (visit.say("When", "时间")) } th scope="col" { (visit.say("Kind", "类型")) } th scope="col" { (visit.say("Amount", "金额")) }
                    th scope="col" { (visit.say("Balance after", "余额")) } th scope="col" { (visit.say("Order", "订单")) } } }
                tbody { @for entry in &entries.items { tr {
                    td { (when(&visit, entry.at)) } td { (entry.kind) } td.number { (money(entry.amount)) } td.number { (money(entry.balance_after)) }
                    td { @if let Some(order) = entry.order_id { (link_order(order)) } }
                } } }
            } } }
        }))
        (next("entries", entries.next))
    };
    Ok(page(&visit, Nav::Riders, &format!("{} {}", visit.say("Rider", "乘客"), rider.user_name), body))
}

fn account(visit: &Visit, rider: &Rider, since: Option<DateTime<Utc>>, balance: Option<Money>) -> Markup {
    html! { div.card { dl.facts {
        dt { (visit.say("Id", "编号")) } dd { code { (rider.id) } }
        dt { (visit.say("User name", "用户名")) } dd { (rider.user_name) }
        dt { (visit.say("Role", "角色")) } dd { (rider.role.as_str()) }
        @if let Some(since) = since { dt { (visit.say("Since", "注册于")) } dd { (when(visit, since)) } }
        @if let Some(email) = &rider.email { dt { (visit.say("E-mail, not verified", "邮箱（未验证）")) } dd { (email) } }
        @if let Some(phone) = &rider.phone { dt { (visit.say("Phone", "电话")) } dd { (phone) } }
        dt { (visit.say("Wallet holds", "余额")) } dd { @if let Some(balance) = balance { (money(balance)) } @else { (visit.say("no wallet", "无钱包")) } }
        dt { (visit.say("Pay password", "支付密码")) } dd { (if rider.has_pay_password { visit.say("set", "已设置") } else { visit.say("not set", "未设置") }) }
    } } }
}

pub(crate) async fn ask(State(app): State<App>, visit: Visit, Path(Id(id)): Path<Id>) -> Answer {
    let rider = known(&app, id).await?;
    let pool = &app.saga.pool;
    let (balance, since) = (wallet::balance(pool, rider.id).await?, find::since(pool, rider.id).await?);
    // The form names the entry, so that sending it twice moves money once.
    let fields = html! {
        input type="hidden" name="reference" value=(format!("console-{}", Uuid::now_v7()));
        label for="amount" { (visit.say("Amount", "金额")) }
        input #amount name="amount" type="text" inputmode="decimal" required autocomplete="off";
    };
    let form = act_form(
        &visit,
        &format!("/console/riders/{id}/top-up"),
        visit.say("Top up", "充值"),
        fields,
        Some(account(&visit, &rider, since, balance)),
        false,
    );
    Ok(page(&visit, Nav::Riders, &format!("{}: {}", visit.say("Top up", "充值"), rider.user_name), form))
}

pub(crate) async fn top_up(State(app): State<App>, Path(Id(id)): Path<Id>, deed: Deed<TopUp>) -> Answer {
    let (visit, by, form) = deed.signed();
    let amount: Money = form.amount.trim().parse().map_err(|rule| FieldError::new("amount", rule))?;
    let reference: Reference = form.reference.parse().map_err(|rule| FieldError::new("reference", rule))?;
    let mut tx = storage::begin(&app.saga.pool).await?;
    let cap = app.saga.wallets.max_balance;
    let entry = wallets::top_up(&mut tx, &by, RiderId(id), amount, &reference, cap).await?;
    tx.commit().await?;
    Ok(done(
        &format!("/console/riders/{id}"),
        &format!("{} {} ✓", visit.say("Topped up", "已充值"), entry.amount),
    ))
}
