//! The parts of an order's page: what is on its way back, paying, the ticket, refunding, evaluating.

use super::changes::in_words;
use crate::web::{
    api::Refused,
    form::Form,
    frame::fields,
    session::{Visitor, with_next},
    views::{Account, Order, Payment, TripMap, Wallet},
    words::{bus, cancelled, clock, date, dated, moment, money, order_state, refundable},
};
use chrono::Utc;
use maud::{Markup, html};
use rust_decimal::Decimal;
use uuid::Uuid;

/// The ratings of a trip.
const RATINGS: [u8; 5] = [1, 2, 3, 4, 5];

/// What the rider waits for, and need not do: a cancelled bus, another time, money on its way, money that has
/// come back.
pub(super) fn news(visitor: &Visitor, order: &Order, is_cancelled: bool, has_failed: bool) -> Markup {
    let is_over = order.status == "unpaid" && order.expires_at <= Utc::now();
    html! {
        @if is_cancelled {
            (cancelled(visitor, &order.journey, order.cancelled_message.as_deref()))
            @if order.status == "paid" { p.notice { (visitor.t("Your money is being given back. You need do nothing.", "款项将退回，您无需任何操作。")) } }
            @if order.payments.is_empty() { p.notice { (visitor.t("Nothing was charged.", "未扣款。")) } }
        } @else if order.is_open() { @for change in &order.changes { p.notice {
            strong { (visitor.t("Changed: ", "有变更：")) } (in_words(visitor, order, &change.what))
        } } }
        @if is_over && !is_cancelled { p.notice {
            (visitor.t("The time to pay is over: the seats are given up. Nothing was charged.", "支付时间已过，座位将释放，未扣款。"))
        } }
        @for payment in &order.payments { (news_of(visitor, order, payment, has_failed)) }
    }
}

/// Where the money of a payment is, unless it has paid the ticket.
fn news_of(visitor: &Visitor, order: &Order, payment: &Payment, has_failed: bool) -> Markup {
    let need_nothing = visitor.t("You need do nothing.", "您无需任何操作。");
    let amount = || money(&payment.amount, &order.currency);
    match payment.state.as_str() {
        "debited" if order.status == "paying" && !has_failed => html! { p.notice {
            strong { (visitor.t("Your payment is under way: ", "支付处理中：")) (amount()) } (visitor.t(". ", "。"))
            (visitor.t("If it does not go through, the money is given back. ", "如未成功，款项将自动退回。")) (need_nothing)
        } },
        "debited" => being_given_back(visitor, &amount(), need_nothing),
        "settled" if order.status == "refunding" => {
            being_given_back(visitor, &kept_from(order, payment), need_nothing)
        }
        "reversed" => given_back(visitor, order, payment, &amount()),
        "refunded" => given_back(visitor, order, payment, &kept_from(order, payment)),
        _ => html! {},
    }
}

fn being_given_back(visitor: &Visitor, amount: &str, need_nothing: &str) -> Markup {
    html! { p.notice {
        strong { (amount) (visitor.t(" is being given back.", " 正在退回。")) } " " (need_nothing)
    } }
}

fn given_back(visitor: &Visitor, order: &Order, payment: &Payment, amount: &str) -> Markup {
    html! { p.notice.good {
        (amount) (visitor.t(" was given back at ", " 已退回，时间：")) (moment(visitor, &order.journey, payment.at))
    } }
}

/// What a refund gives back: the payment without the fee.
fn kept_from(order: &Order, payment: &Payment) -> String {
    let fee = order.refund_fee.as_deref().and_then(|fee| fee.parse::<Decimal>().ok());
    let back = payment.amount.parse::<Decimal>().ok().zip(fee).map(|(paid, fee)| (paid - fee).to_string());
    money(&back.unwrap_or_else(|| payment.amount.clone()), &order.currency)
}

/// The countdown, the wallet, and the form that pays.
pub(super) async fn paying(visitor: &Visitor, order: &Order) -> Result<Markup, Refused> {
    let read =
        tokio::join!(visitor.api.read::<Wallet>("/v1/wallet"), visitor.api.read::<Account>("/v1/riders/me"));
    let (wallet, account) = (read.0?, read.1?);
    let action = |act: &str| format!("/ride/orders/{}/{act}", order.id);
    let decimal = |amount: &str| amount.parse::<Decimal>().ok();
    let is_short =
        decimal(&wallet.balance).zip(decimal(&order.amount)).is_some_and(|(has, costs)| has < costs);
    Ok(html! {
        p.countdown role="timer" data-until=(order.expires_at.timestamp_millis())
            data-words=(visitor.t("{time} left to pay", "剩余支付时间 {time}"))
            data-over=(visitor.t("The time to pay is over.", "支付时间已过。"))
            data-then=(format!("/ride/orders/{}", order.id)) {
            (visitor.t("Held for you until ", "座位为您保留至 ")) (moment(visitor, &order.journey, order.expires_at))
        }
        @if account.has_pay_password {
            form.card method="post" action=(action("pay")) {
                (fields(visitor))
                input type="hidden" name="key" value=(Uuid::now_v7());
                p { (visitor.t("Your wallet holds ", "钱包余额 ")) strong { (money(&wallet.balance, &wallet.currency)) } }
                @if is_short { p.short { (visitor.t(
                    "That is too little: have money put in where tickets are sold, then pay here.",
                    "余额不足：请先在售票处充值，再在此支付。")) } }
                label for="pay_password" { (visitor.t("Pay password", "支付密码")) }
                input #pay_password name="pay_password" type="password" inputmode="numeric" autocomplete="off" required;
                button.primary type="submit" { (visitor.t("Pay ", "支付 ")) (money(&order.amount, &order.currency)) }
            }
        } @else {
            p { a.button.primary href=(with_next("/ride/account", &visitor.path)) {
                (visitor.t("Set a pay password first", "请先设置支付密码")) } }
        }
        form method="post" action=(action("cancel")) {
            (fields(visitor))
            input type="hidden" name="key" value=(Uuid::now_v7());
            button type="submit" { (visitor.t("Give the seats back", "放弃座位")) }
        }
    })
}

/// The ticket, and the form that refunds it.
pub(super) fn ticket(visitor: &Visitor, order: &Order, trip: Option<&TripMap>, code: &Markup) -> Markup {
    let journey = &order.journey;
    let bus_of = trip.map(|map| &map.bus);
    // A network's bus may have no driver yet.
    let known = |text: &&str| !text.is_empty();
    let driver = bus_of.and_then(|bus| bus.driver_name.as_deref()).filter(known);
    let phone = bus_of.and_then(|bus| bus.driver_phone.as_deref()).filter(known);
    html! {
        section.ticket aria-label=(visitor.t("Ticket", "车票")) data-ticket {
            (code)
            p.figure { (visitor.t("Seats ", "座位 ")) (order.seats.join(", ")) }
            p { strong { (bus(visitor, journey)) } " · " (date(visitor, journey.departs_local.date_naive())) " · "
                strong { (clock(journey.departs_local)) } " – " (clock(journey.arrives_local)) }
            @if let (Some(from), Some(to)) = (&journey.from, &journey.to) { p { (from.name) " → " (to.name) } }
            @if let Some(driver) = driver { p.quiet {
                (visitor.t("Driver: ", "司机：")) (driver)
                @if let Some(phone) = phone { " · " a href=(format!("tel:{phone}")) { (phone) } }
            } }
            p.quiet { (visitor.t("Opens without a network, too, once it was opened here.", "在此打开过后，无网络也可查看。")) }
        }
        (refund(visitor, order))
    }
}

fn refund(visitor: &Visitor, order: &Order) -> Markup {
    let now = Utc::now();
    html! {
        @if now < order.refundable_until { form.card method="post" action=(format!("/ride/orders/{}/refund", order.id)) {
            (fields(visitor))
            input type="hidden" name="key" value=(Uuid::now_v7());
            p { (refundable(visitor, &order.journey, order.refundable_until, order.refund_percent)) }
            button type="submit" { (visitor.t("Refund", "退款")) }
        } }
        @else if now < order.departs_at { p.quiet { (visitor.t("Refunding ended at ", "退款截止于 ")) (dated(visitor, &order.journey, order.refundable_until)) } }
    }
}

/// What is known of the order.
pub(super) fn facts(visitor: &Visitor, order: &Order) -> Markup {
    html! { dl.facts_list {
        dt { (visitor.t("State", "状态")) } dd { (order_state(visitor, order)) }
        dt { (visitor.t("Bus", "班车")) } dd { (bus(visitor, &order.journey)) " · " (date(visitor, order.journey.departs_local.date_naive()))
            " · " (clock(order.journey.departs_local)) " – " (clock(order.journey.arrives_local)) }
        dt { (visitor.t("Seats", "座位")) } dd { (order.seats.join(", ")) }
        dt { (visitor.t("Price", "金额")) } dd { (money(&order.amount, &order.currency)) }
        @if let Some(fee) = &order.refund_fee { dt { (visitor.t("Fee", "手续费")) } dd { (money(fee, &order.currency)) } }
        dt { (visitor.t("Booked", "预订于")) } dd { (dated(visitor, &order.journey, order.created_at)) }
        @if !order.is_open() { @for change in &order.changes {
            dt { (visitor.t("Changed", "变更")) } dd { (in_words(visitor, order, &change.what)) }
        } }
        dt { (visitor.t("Number", "编号")) } dd { code { (order.id) } }
    } }
}

/// After the trip: what the rider thought of it. A form that was refused comes back as it was filled in.
pub(super) fn evaluation(visitor: &Visitor, order: &Order, refused: Option<&Form>) -> Markup {
    let has_left = Utc::now() >= order.departs_at;
    let typed = |field: &str| refused.map_or("", |form| form.text(field));
    html! {
        @if let Some(said) = &order.evaluation {
            p { (visitor.t("You rated it ", "您的评分 ")) (said.rating) " / 5"
                @if let Some(comment) = &said.comment { (visitor.t(": ", "：")) (comment) } }
        } @else if order.status == "paid" && has_left {
            form.card method="post" action=(format!("/ride/orders/{}/evaluate", order.id)) {
                (fields(visitor))
                input type="hidden" name="key" value=(Uuid::now_v7());
                fieldset.ratings {
                    legend { (visitor.t("How was the trip?", "这趟车怎么样？")) }
                    @for rating in RATINGS { label { input type="radio" name="rating" value=(rating) checked[typed("rating") == rating.to_string()] required; " " (rating) } }
                }
                label for="comment" { (visitor.t("A word about it (may stay empty)", "评价（可不填）")) }
                textarea #comment name="comment" rows="3" maxlength="1000" { (typed("comment")) }
                button.primary type="submit" { (visitor.t("Send", "提交")) }
            }
        }
    }
}
