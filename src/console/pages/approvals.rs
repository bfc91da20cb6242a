//! Changes of wallets and refunds that wait for a second operator.

use crate::console::{
    components::{
        action_form, action_link, amount, empty, link_order, link_rider, live, money_head, older_page_link,
        when,
    },
    failure::{Failure, PageResult},
    form::{EmptyForm, OperatorForm, password_page},
    layout::{Nav, redirect_with_notice, with_nav},
    numbers::{money_words, with_currency},
    session::PageContext,
};
use crate::{
    domain::{Id, Refusal},
    http::{
        App,
        extract::{Params, Path},
        handlers::ops::wallets::mover,
    },
    ops::{
        self, Attribution,
        audit::Through,
        orders::Rules,
        wallets::approvals::{self, Approval},
    },
    storage,
};
use axum::{extract::State, response::Response};
use maud::{Markup, html};
use serde::Deserialize;
use uuid::Uuid;

/// Approvals on a page.
const PAGE: u16 = 50;

#[derive(Deserialize)]
pub(crate) struct Query {
    after: Option<Id>,
}

pub(crate) async fn list(
    State(app): State<App>,
    context: PageContext,
    Params(query): Params<Query>,
) -> PageResult {
    let after = query.after.map(|Id(id)| id);
    let found = approvals::list(&app.saga.pool, None, after, PAGE).await?;
    let body = html! {
        p.quiet { (context.t("No money moves until another operator than the one who asked approves.", "在另一名操作员批准之前，款项不会变动。")) }
        (live_list(&context, &found.items))
        (older_page_link(&context, found.next))
    };
    Ok(with_nav(&context, Nav::Riders, context.t("Approvals", "审批"), body))
}

fn live_list(context: &PageContext, items: &[Approval]) -> Markup {
    live(
        "approvals",
        context,
        html! {
            @if items.is_empty() { (empty(context, "None.", "无。")) }
            @else { div.scroll { table {
                thead { tr { th scope="col" { (context.t("Asked", "提交时间")) } th scope="col" { (context.t("Rider", "乘客")) } th scope="col" { (context.t("Kind", "类型")) }
                    (money_head(context.t("Amount", "金额"))) th scope="col" { (context.t("Reason", "原因")) } th scope="col" { (context.t("State", "状态")) }
                    th scope="col" { (context.t("Until", "截止")) } th scope="col" { (context.t("Decide", "审批")) } } }
                tbody { @for one in items { tr {
                    td { (when(context, one.asked_at)) } td { (link_rider(one.rider_id)) } td { (kind(context, one)) @if let Some(order) = one.order_id { " " (link_order(order)) } }
                    td.number { (amount(one.amount)) } td { (one.reason.as_deref().unwrap_or_default()) } td { (state(context, one.state)) }
                    td { (when(context, one.expires_at)) }
                    td { @if one.state == "waiting" {
                        (action_link(context, &format!("/console/approvals/{}/approve", one.id), context.t("Approve", "批准")))
                        " " (action_link(context, &format!("/console/approvals/{}/refuse", one.id), context.t("Refuse", "拒绝")))
                    } }
                } } }
            } } }
        },
    )
}

fn kind(context: &PageContext, one: &Approval) -> &'static str {
    match one.kind.as_str() {
        "correction" => context.t("correction", "更正"),
        "refund" => context.t("refund", "退款"),
        _ => context.t("top-up", "充值"),
    }
}

/// How a refund departs from the rules of its order.
fn exception(context: &PageContext, one: &Approval) -> &'static str {
    match (one.late.unwrap_or_default(), one.without_fee.unwrap_or_default()) {
        (false, false) => context.t("none: by its rules", "无：按规则"),
        (true, false) => context.t("after the time for refunds", "超过退款时间"),
        (false, true) => context.t("without the fee", "免手续费"),
        (true, true) => context.t("after the time for refunds, without the fee", "超过退款时间且免手续费"),
    }
}

fn state(context: &PageContext, state: &str) -> &'static str {
    match state {
        "waiting" => context.t("waiting", "待审批"),
        "approved" => context.t("approved", "已批准"),
        "refused" => context.t("refused", "已拒绝"),
        _ => context.t("expired", "已过期"),
    }
}

/// What a form decides.
#[derive(Clone, Copy)]
enum Decision {
    Approve,
    Refuse,
}

impl Decision {
    fn read(act: &str) -> Result<Self, Failure> {
        match act {
            "approve" => Ok(Self::Approve),
            "refuse" => Ok(Self::Refuse),
            _ => Err(Refusal::NotFound("act").into()),
        }
    }

    /// The way to the page that asks for the password again, if the decision moves money.
    async fn password_page(
        self,
        app: &App,
        context: &PageContext,
        id: Uuid,
    ) -> Result<Option<Response>, Failure> {
        match self {
            Self::Approve => {
                password_page(app, &context.caller, &format!("/console/approvals/{id}/approve")).await
            }
            Self::Refuse => Ok(None),
        }
    }

    fn label(self, context: &PageContext) -> &'static str {
        match self {
            Self::Approve => context.t("Approve", "批准"),
            Self::Refuse => context.t("Refuse", "拒绝"),
        }
    }
}

pub(crate) async fn confirm(
    State(app): State<App>,
    context: PageContext,
    Path((Id(id), act)): Path<(Id, String)>,
) -> PageResult {
    let decision = Decision::read(&act)?;
    if let Some(elsewhere) = decision.password_page(&app, &context, id).await? {
        return Ok(elsewhere);
    }
    let one = approvals::show(&app.saga.pool, id).await?.ok_or(Refusal::NotFound("approval"))?;
    let label = decision.label(&context);
    let preview = html! { dl.facts {
        dt { (context.t("Rider", "乘客")) } dd { (link_rider(one.rider_id)) }
        dt { (context.t("Kind", "类型")) } dd { (kind(&context, &one)) }
        dt { (context.t("Amount", "金额")) } dd.money { (with_currency(one.amount, one.currency)) }
        @if let Some(order) = one.order_id {
            dt { (context.t("Order", "订单")) } dd { (link_order(order)) }
            dt { (context.t("Exception", "例外")) } dd { (exception(&context, &one)) }
        } @else { dt { (context.t("Reference", "凭证号")) } dd { (one.reference) } }
        dt { (context.t("Asked by", "提交人")) } dd { (link_rider(one.asked_by)) " " (when(&context, one.asked_at)) }
        dt { (context.t("Reason", "原因")) } dd { (one.reason.as_deref().unwrap_or_default()) }
        dt { (context.t("State", "状态")) } dd { (state(&context, one.state)) }
    } };
    let action = format!("/console/approvals/{id}/{act}");
    let danger = matches!(decision, Decision::Refuse);
    let form = action_form(&context, &action, label, html! {}, Some(preview), danger);
    Ok(with_nav(&context, Nav::Riders, label, form))
}

pub(crate) async fn act(
    State(app): State<App>,
    Path((Id(id), act)): Path<(Id, String)>,
    form: OperatorForm<EmptyForm>,
) -> PageResult {
    let OperatorForm { context, reason, form: EmptyForm {} } = form;
    let decision = Decision::read(&act)?;
    if let Some(elsewhere) = decision.password_page(&app, &context, id).await? {
        return Ok(elsewhere);
    }
    let by = mover(&context.caller, Through::Console, Some(&reason))?;
    let decided = decide(&app, &by, id, decision).await?;
    let notice = format!("{} {}", state(&context, decided.state), money_words(decided.amount));
    Ok(redirect_with_notice(&context, "/console/approvals", &notice))
}

async fn decide(app: &App, by: &Attribution, id: Uuid, decision: Decision) -> Result<Approval, Failure> {
    let mut tx = storage::begin(&app.saga.pool).await?;
    let decided = match decision {
        Decision::Approve => ops::approve(&mut tx, by, id, &Rules::of(&app.saga)).await?,
        Decision::Refuse => approvals::refuse(&mut tx, by, id).await?,
    };
    tx.commit().await?;
    Ok(decided)
}
