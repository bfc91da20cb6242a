//! Acts upon one order: the links on its page, the previews, and the forms.

use super::second_factor::complaint;
use crate::console::{
    components::{link_job, link_rider, link_trip, money, state, tag, when},
    failure::{Failure, PageResult},
    form::OperatorForm,
    layout::{Nav, redirect_with_notice, with_nav},
    session::PageContext,
};
use crate::{
    domain::{Error, MAX_REASON, OrderId, OrderStatus, Refusal},
    http::{App, extract::Path, problem::Problem},
    ops::{
        Attribution, impact,
        orders::{self, OrderActs},
        reads::Read,
    },
    orders::snapshot::{self, OrderSnapshot},
    storage,
};
use axum::{extract::State, response::Response};
use maud::{Markup, html};
use serde::Deserialize;

/// Most dead letters of which a preview says what a run would change. The others are counted.
const MAX_PREVIEWED: usize = 10;

/// What an operator does to an order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Close,
    Redrive,
    Note,
}

impl Act {
    /// In the order in which a page offers them.
    const ALL: [Self; 3] = [Self::Close, Self::Redrive, Self::Note];

    fn read(word: &str) -> Result<Self, Failure> {
        Self::ALL.into_iter().find(|act| act.word() == word).ok_or_else(|| Refusal::NotFound("act").into())
    }

    /// Its word in the address.
    fn word(self) -> &'static str {
        match self {
            Self::Close => "close",
            Self::Redrive => "redrive",
            Self::Note => "note",
        }
    }

    fn label(self, context: &PageContext) -> &'static str {
        match self {
            Self::Close => context.t("Close the order", "关闭订单"),
            Self::Redrive => context.t("Redrive its jobs", "重新执行其任务"),
            Self::Note => context.t("Write a note", "添加备注"),
        }
    }

    fn done(self, context: &PageContext) -> &'static str {
        match self {
            Self::Close => context.t("The order is closed ✓", "订单已关闭 ✓"),
            Self::Redrive => context.t("Its jobs are redriven ✓", "任务已重新执行 ✓"),
            Self::Note => context.t("The note is written ✓", "备注已添加 ✓"),
        }
    }

    /// Why it cannot be done now, if it cannot.
    fn refusal(self, acts: &OrderActs) -> Option<Refusal> {
        let Some(order) = &acts.order else {
            return match self {
                Self::Redrive if !acts.dead_letters.is_empty() => None,
                _ => Some(Refusal::NotFound("order")),
            };
        };
        match self {
            Self::Close if !acts.may_close => Some(Refusal::WrongState(order.status)),
            Self::Redrive if acts.dead_letters.is_empty() => {
                Some(Refusal::NotFound("dead letter of this order"))
            }
            _ => None,
        }
    }
}

fn address(order: OrderId, act: Act) -> String {
    format!("/console/orders/{order}/{}", act.word())
}

/// The acts that are possible now, for operators.
pub(super) fn links(context: &PageContext, order: OrderId, whole: &OrderSnapshot) -> Markup {
    let acts = OrderActs::of(whole);
    let possible = Act::ALL.into_iter().filter(|act| act.refusal(&acts).is_none());
    html! { @if context.can_write() { div.acts {
        @for act in possible { a.button href=(address(order, act)) { (act.label(context)) } }
    } } }
}

/// What an operator has entered; a form that was refused keeps it.
#[derive(Default)]
struct Entered {
    reason: String,
}

pub(crate) async fn confirm(
    State(app): State<App>,
    context: PageContext,
    Path((order, act)): Path<(OrderId, String)>,
) -> PageResult {
    page(&app, &context, order, Act::read(&act)?, &Entered::default(), None).await
}

/// The preview and the form; after a refusal, with its problem and what was entered.
async fn page(
    app: &App,
    context: &PageContext,
    order: OrderId,
    act: Act,
    entered: &Entered,
    problem: Option<&Problem>,
) -> PageResult {
    let whole = snapshot::snapshot(&app.saga.pool, order).await?.ok_or(Refusal::NotFound("order"))?;
    let acts = OrderActs::of(&whole);
    if problem.is_none()
        && let Some(refusal) = act.refusal(&acts)
    {
        return Err(refusal.into());
    }
    context.reads(app, &Read::Order(order)).await?;
    let jobs = match act {
        Act::Redrive => dead_letters(app, context, &whole).await?,
        _ => html! {},
    };
    let body = html! {
        (complaint(problem))
        form.act.card method="post" action=(address(order, act)) {
            div.preview { (facts(context, &acts)) (jobs) (effect(context, act, &acts)) }
            (fieldset(context, act, &acts, entered))
        }
        p.more { a.button href=(format!("/console/orders/{order}")) { (context.t("Back to the order", "返回订单")) } }
    };
    let title = format!("{}: …{}", act.label(context), &order.to_string()[24..]);
    let mut response: Response = with_nav(context, Nav::Orders, &title, body);
    if let Some(problem) = problem {
        *response.status_mut() = problem.status;
    }
    Ok(response)
}

fn fieldset(context: &PageContext, act: Act, acts: &OrderActs, entered: &Entered) -> Markup {
    let disabled = !context.can_write();
    let label = act.label(context);
    html! {
        fieldset disabled[disabled] {
            legend.hidden { (label) }
            input type="hidden" name="csrf" value=(context.csrf);
            input type="hidden" name="digest" value=(acts.digest);
            label for="reason" { @if act == Act::Note { (context.t("Note (kept in the audit log)", "备注（记入审计日志）")) }
                @else { (context.t("Reason (kept in the audit log)", "原因（记入审计日志）")) } }
            input #reason name="reason" type="text" maxlength=(MAX_REASON) required autocomplete="off" value=(entered.reason);
            button.primary.danger[act == Act::Close] type="submit" { (label) }
            @if disabled { p.quiet { (context.t("For operators only.", "仅限操作员。")) } }
        }
    }
}

fn facts(context: &PageContext, acts: &OrderActs) -> Markup {
    let Some(order) = &acts.order else {
        return html! { p { (context.t("This order was never added.", "此订单从未创建。")) } };
    };
    html! { dl.facts {
        dt { (context.t("State", "状态")) } dd { (state(context, order.status.as_str())) }
        dt { (context.t("Rider", "乘客")) } dd { (link_rider(order.rider_id)) " " (order.rider) }
        dt { (context.t("Trip", "班次")) } dd { (link_trip(order.trip_id)) " " (when(context, order.departs_at)) }
        dt { (context.t("Seats", "座位")) } dd { @if order.seats.is_empty() { (context.t("none", "无")) } @else { (order.seats) } }
        dt { (context.t("Amount", "金额")) } dd { (money(order.amount)) }
    } }
}

/// What the act changes, as a sentence.
fn effect(context: &PageContext, act: Act, acts: &OrderActs) -> Markup {
    let Some(order) = &acts.order else { return html! {} };
    html! { @match act {
        Act::Close => p { strong {
            (context.t("The order is closed and its seats are free.", "订单关闭，座位释放。")) " "
            @if order.status == OrderStatus::Paying {
                (context.t("A payment is under way: its money is given back.", "支付正在进行：其款项将退回。"))
            } @else { (context.t("No money moves.", "不涉及款项。")) }
        } },
        Act::Redrive => {}
        Act::Note => p { (context.t("Nothing else changes.", "其他内容不变。")) }
    } }
}

/// The order's dead letters: what a run of each would change.
async fn dead_letters(app: &App, context: &PageContext, whole: &OrderSnapshot) -> Result<Markup, Failure> {
    let dead: Vec<_> = whole.jobs.iter().filter(|job| job.state == "dead").collect();
    let mut runs = Vec::with_capacity(dead.len().min(MAX_PREVIEWED));
    for job in dead.iter().take(MAX_PREVIEWED) {
        runs.push((*job, impact::impact(&app.saga.pool, job).await?.run));
    }
    let more = dead.len() - runs.len();
    Ok(html! {
        ul { @for (job, run) in &runs { li {
            (link_job(job.id)) " " (tag(context, &job.tag)) ": " (context.t(&run.en, &run.zh))
            @if let Some(error) = job.last_error() { " (" (error) ")" }
        } } }
        @if more > 0 { p { "+ " (more) } }
    })
}

/// What the form sends beside the reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sent {
    digest: String,
}

pub(crate) async fn act(
    State(app): State<App>,
    Path((order, act)): Path<(OrderId, String)>,
    form: OperatorForm<Sent>,
) -> PageResult {
    let entered = Entered { reason: form.reason.clone() };
    let (context, by, sent) = form.into_parts();
    let act = Act::read(&act)?;
    match carry_out(&app, &by, order, act, &sent).await {
        Ok(()) => {
            let page = format!("/console/orders/{order}");
            Ok(redirect_with_notice(&context, &page, act.done(&context)))
        }
        Err(error) => {
            let problem = Problem::from(error);
            if problem.stale || !problem.status.is_client_error() {
                return Err(problem.into());
            }
            let context = PageContext { path: address(order, act), ..context };
            page(&app, &context, order, act, &entered, Some(&problem)).await
        }
    }
}

async fn carry_out(app: &App, by: &Attribution, order: OrderId, act: Act, sent: &Sent) -> Result<(), Error> {
    let digest = Some(sent.digest.as_str());
    let mut tx = storage::begin(&app.saga.pool).await?;
    match act {
        Act::Close => drop(orders::close(&mut tx, by, order, digest).await?),
        Act::Redrive => drop(orders::redrive(&mut tx, by, order, digest).await?),
        Act::Note => drop(orders::note(&mut tx, by, order).await?),
    }
    tx.commit().await?;
    Ok(())
}
