//! Acts upon one order: the links on its page, the previews, and the forms.

use super::{order_refund, second_factor::complaint};
use crate::console::{
    components::{link_job, link_rider, link_trip, money, program_text, state, tag, when},
    failure::{Failure, PageResult},
    form::{OperatorForm, password_page},
    layout::{Nav, redirect_with_notice, with_nav},
    numbers::in_words,
    session::PageContext,
};
use crate::{
    domain::{Error, MAX_REASON, OrderId, OrderStatus, Refusal},
    http::{App, extract::Path, problem::Problem},
    ops::{
        Attribution, impact,
        orders::{self, OrderActs, Rules},
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
    Refund,
    Close,
    Redrive,
    Note,
}

impl Act {
    /// In the order in which a page offers them.
    const ALL: [Self; 4] = [Self::Refund, Self::Close, Self::Redrive, Self::Note];

    fn read(word: &str) -> Result<Self, Failure> {
        Self::ALL.into_iter().find(|act| act.word() == word).ok_or_else(|| Refusal::NotFound("act").into())
    }

    /// Its word in the address.
    fn word(self) -> &'static str {
        match self {
            Self::Refund => "refund",
            Self::Close => "close",
            Self::Redrive => "redrive",
            Self::Note => "note",
        }
    }

    fn label(self, context: &PageContext) -> &'static str {
        match self {
            Self::Refund => context.t("Refund", "退款"),
            Self::Close => context.t("Close the order", "关闭订单"),
            Self::Redrive => context.t("Redrive its jobs", "重新执行其任务"),
            Self::Note => context.t("Write a note", "添加备注"),
        }
    }

    fn done(self, context: &PageContext) -> &'static str {
        match self {
            Self::Refund => context.t("The refund has begun ✓", "退款已开始 ✓"),
            Self::Close => context.t("The order is closed ✓", "订单已关闭 ✓"),
            Self::Redrive => context.t("Its jobs are redriven ✓", "任务已重新执行 ✓"),
            Self::Note => context.t("The note is written ✓", "备注已添加 ✓"),
        }
    }

    /// The way to the page that asks for the password again, if the act moves money.
    async fn password_page(
        self,
        app: &App,
        context: &PageContext,
        order: OrderId,
    ) -> Result<Option<Response>, Failure> {
        match self {
            Self::Refund => password_page(app, &context.caller, &address(order, self)).await,
            _ => Ok(None),
        }
    }

    /// Why it cannot be done now, if it cannot.
    fn refusal(self, context: &PageContext, acts: &OrderActs) -> Option<Refusal> {
        let Some(order) = &acts.order else {
            return match self {
                Self::Redrive if !acts.dead_letters.is_empty() => None,
                _ => Some(Refusal::NotFound("order")),
            };
        };
        match (self, &acts.refund) {
            (Self::Refund, None) => Some(Refusal::WrongState(order.status)),
            (Self::Refund, Some(_)) if order.rider_id == context.caller.rider_id => Some(Refusal::OwnOrder),
            (Self::Refund, Some(terms)) => terms.approval_id.map(|_| order_refund::waits()),
            (Self::Close, _) if !acts.may_close => Some(Refusal::WrongState(order.status)),
            (Self::Redrive, _) if acts.dead_letters.is_empty() => {
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
pub(super) fn links(context: &PageContext, order: OrderId, acts: &OrderActs) -> Markup {
    let possible = Act::ALL.into_iter().filter(|act| act.refusal(context, acts).is_none());
    html! {
        @if acts.refund.as_ref().is_some_and(|terms| terms.approval_id.is_some()) { p {
            (context.t("A refund waits for a second operator.", "退款正在等待另一名操作员批准。")) " "
            a href="/console/approvals" { (context.t("Approvals", "审批")) }
        } }
        @if context.can_write() { div.acts {
        @for act in possible { a.button href=(address(order, act)) { (act.label(context)) } }
        } }
    }
}

/// What an operator has entered; a form that was refused keeps it.
#[derive(Default)]
struct Entered {
    reason: String,
    how: String,
}

pub(crate) async fn confirm(
    State(app): State<App>,
    context: PageContext,
    Path((order, act)): Path<(OrderId, String)>,
) -> PageResult {
    let act = Act::read(&act)?;
    if context.can_write()
        && let Some(elsewhere) = act.password_page(&app, &context, order).await?
    {
        return Ok(elsewhere);
    }
    page(&app, &context, order, act, &Entered::default(), None).await
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
    let rules = Rules::of(&app.saga);
    let acts = OrderActs::of(&mut *app.saga.pool.acquire().await?, order, &whole, &rules).await?;
    if problem.is_none()
        && let Some(refusal) = act.refusal(context, &acts)
    {
        return Err(refusal.into());
    }
    context.reads(app, &Read::Order(order)).await?;
    let jobs = match act {
        Act::Redrive => dead_letters(app, context, &whole).await?,
        _ => html! {},
    };
    let body = html! {
        (complaint(context.lang, problem))
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
            @if let (Act::Refund, Some(terms)) = (act, &acts.refund) { (order_refund::choices(context, terms, &entered.how)) }
            label for="reason" { @if act == Act::Note { (context.t("Note (kept in the audit log)", "备注（记入审计日志）")) }
                @else { (context.t("Reason (kept in the audit log)", "原因（记入审计日志）")) } }
            input #reason name="reason" type="text" maxlength=(MAX_REASON) required autocomplete="off" value=(entered.reason);
            button.primary.danger[matches!(act, Act::Close | Act::Refund)] type="submit" { (label) }
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
        Act::Refund => { @if let Some(terms) = &acts.refund { (order_refund::effect(context, terms)) } }
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
            (link_job(job.id)) " " (tag(context, &job.tag)) ": " (in_words(context.t(&run.en, &run.zh)))
            @if let Some(error) = job.last_error() { " (" (program_text(error)) ")" }
        } } }
        @if more > 0 { p { "+ " (more) } }
    })
}

/// What the form sends beside the reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sent {
    digest: String,
    /// How a refund departs from the order's rules.
    #[serde(default)]
    how: String,
}

pub(crate) async fn act(
    State(app): State<App>,
    Path((order, act)): Path<(OrderId, String)>,
    form: OperatorForm<Sent>,
) -> PageResult {
    let act = Act::read(&act)?;
    if let Some(elsewhere) = act.password_page(&app, &form.context, order).await? {
        return Ok(elsewhere);
    }
    let entered = Entered { reason: form.reason.clone(), how: form.form.how.clone() };
    let (context, by, sent) = form.into_parts();
    match carry_out(&app, &by, order, act, &sent).await {
        Ok(done) => {
            let notice = match done {
                Done::Waits => {
                    context.t("The refund waits for a second operator", "退款等待另一名操作员批准")
                }
                Done::Done => act.done(&context),
            };
            Ok(redirect_with_notice(&context, &format!("/console/orders/{order}"), notice))
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

/// What became of an act.
enum Done {
    Done,
    Waits,
}

async fn carry_out(
    app: &App,
    by: &Attribution,
    order: OrderId,
    act: Act,
    sent: &Sent,
) -> Result<Done, Error> {
    let (digest, rules) = (Some(sent.digest.as_str()), Rules::of(&app.saga));
    let mut tx = storage::begin(&app.saga.pool).await?;
    let mut done = Done::Done;
    match act {
        Act::Refund => {
            let exceptions = order_refund::read(&sent.how)?;
            let refunded = orders::refund(&mut tx, by, order, exceptions, digest, &rules).await?;
            if refunded.approval.is_some() {
                done = Done::Waits;
            }
        }
        Act::Close => drop(orders::close(&mut tx, by, order, digest, &rules).await?),
        Act::Redrive => drop(orders::redrive(&mut tx, by, order, digest, &rules).await?),
        Act::Note => drop(orders::note(&mut tx, by, order).await?),
    }
    tx.commit().await?;
    Ok(done)
}
