//! The wallet and its ledger, in words.

use crate::web::{
    Web,
    frame::{Nav, page, refused},
    session::{Visitor, network_zone, parameter},
    views::{Entry, Page, Wallet},
    words::{entry_kind, moment_in, money},
};
use axum::{
    extract::{RawQuery, State},
    http::HeaderMap,
    response::Response,
};
use maud::html;

pub(in crate::web) async fn show(
    State(web): State<Web>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    if let Some(elsewhere) = visitor.must_sign_in() {
        return elsewhere;
    }
    let after = parameter(query.as_deref(), "after").map(|after| ("after", after));
    let after = serde_urlencoded::to_string(after.as_slice()).unwrap_or_default();
    let address = format!("/v1/wallet/entries?{after}");
    let read =
        tokio::join!(visitor.api.read::<Wallet>("/v1/wallet"), visitor.api.read::<Page<Entry>>(&address));
    let (wallet, entries) = match read {
        (Ok(wallet), Ok(entries)) => (wallet, entries),
        (Err(problem), _) | (_, Err(problem)) => return refused(&web, &visitor, &headers, &problem),
    };
    let zone = network_zone(&web).await;
    let body = html! {
        p.figure { (money(&wallet.balance, &wallet.currency)) }
        @if entries.items.is_empty() { p.empty { (visitor.t("No money has moved yet.", "暂无收支。")) } }
        @else { ol.entries { @for entry in &entries.items { li {
            span { (entry_kind(&visitor, &entry.kind)) }
            strong.amount { (money(&entry.amount, &entry.currency)) }
            span.quiet {
                (moment_in(&visitor, &zone, entry.at))
                @if let Some(order) = &entry.order_id { " · " a href=(format!("/ride/orders/{order}")) { (visitor.t("ticket", "车票")) } }
            }
            span.quiet { (visitor.t("balance ", "余额 ")) (money(&entry.balance_after, &entry.currency)) }
        } } } }
        @if let Some(next) = &entries.next {
            p.more { a.button href=(format!("/ride/wallet?after={next}")) { (visitor.t("Older", "更早")) } }
        }
    };
    page(&visitor, Nav::Wallet, visitor.t("Wallet", "钱包"), body)
}
