//! The picture of an order: a row of steps for each flow, and below each step its undo.

use super::order_story::{duration, trace_link};
use crate::console::{
    chinese,
    components::{badge, link_job, money, tag},
    session::PageContext,
    time::moment,
};
use crate::orders::flows::{Failure, Flow, FlowKind, Run, Step, Undo, UndoJob, describe_undo};
use maud::{Markup, html};

/// The flows, each as a list in the order of its steps.
pub(super) fn picture(context: &PageContext, flows: &[Flow]) -> Markup {
    html! { @for flow in flows {
        h3 { (title(context, flow)) }
        ol.flow { @for step in &flow.steps { (stage(context, step)) } }
    } }
}

fn title(context: &PageContext, flow: &Flow) -> Markup {
    match flow.kind {
        FlowKind::Booking => html! { (context.t("Booking", "预订")) },
        FlowKind::Paying { amount: Some(amount), .. } => {
            html! { (context.t("Payment", "支付")) " " (money(amount)) }
        }
        FlowKind::Paying { .. } => {
            html! { (context.t("Payment that took no money", "未扣款的支付")) }
        }
        FlowKind::Cancelling => html! { (context.t("Cancelling", "取消")) },
        FlowKind::Refunding => html! { (context.t("Refund", "退款")) },
    }
}

fn stage(context: &PageContext, step: &Step) -> Markup {
    let kind = match (&step.run, &step.undo) {
        (Run::Failed { .. }, _) => "failed",
        (_, Undo::Dead(_)) => "failed",
        (Run::Ran { .. }, Undo::Done { .. }) => "undone",
        (Run::Ran { .. }, _) => "ran",
        _ => "open",
    };
    html! { li class=(kind) {
        div.forward {
            strong { (context.t(&step.does.en, &step.does.zh)) } " " small { (tag(context, step.tag.wire())) }
            (run(context, step))
        }
        div.back { (undo(context, step)) }
    } }
}

fn run(context: &PageContext, step: &Step) -> Markup {
    let after = || {
        html! { @if let Some(after) = step.after {
            div.quiet { (duration(context, after)) " " (context.t("after the step before", "（距上一步）")) }
        } }
    };
    match &step.run {
        Run::Ran { at: Some(at) } => html! {
            p { (badge("good", "✓", context.t("ran", "已执行"))) " " (moment(context, *at)) } (after())
        },
        Run::Ran { at: None } => html! {
            p { (badge("good", "✓", context.t("ran", "已执行"))) }
            div.quiet { (context.t("writes nothing, so its time is not recorded", "不写入数据，故未记录时间")) }
        },
        Run::Failed { committed, failure } => html! {
            p { (badge("bad", "✗", context.t("failed here", "在此失败"))) " "
                @if let Some(at) = failure.at { (moment(context, at)) } }
            (after())
            @if let Some(at) = committed {
                div.quiet { (context.t("what it writes was committed", "其写入已提交")) " " (moment(context, *at)) }
            }
            (cause(context, failure))
        },
        Run::NotReached => html! { p { (badge("off", "·", context.t("not reached", "未到达"))) } },
        Run::Barred { at } => html! {
            p { (badge("off", "⊘", context.t("never ran, and cannot any more", "从未执行，且不再允许"))) " " (moment(context, *at)) }
        },
        Run::Unknown => html! {
            p { (badge("off", "?", context.t("not recorded", "未记录"))) }
            div.quiet { (context.t("The request still runs, or its process stopped.", "请求仍在执行，或其进程已停止。")) }
        },
    }
}

/// The error of a failure, and the trace of its request.
pub(super) fn cause(context: &PageContext, failure: &Failure) -> Markup {
    html! {
        @if let Some(error) = &failure.error { pre { (error) } }
        @else { div.quiet { (context.t("The error was not recorded.", "未记录错误。")) } }
        @if let Some(trace) = &failure.trace { (trace_link(context, trace)) }
    }
}

fn undo(context: &PageContext, step: &Step) -> Markup {
    let words = describe_undo(step.tag);
    html! {
        span.quiet { (context.t("Undo", "撤销")) ": " }
        (undo_state(context, &step.undo))
        @if let Some(job) = step.undo.job() {
            " " (link_job(job.id))
            @if step.undo.is_by_another(step.tag) {
                div.quiet { (context.t("by the undo of a later step", "由后续步骤的撤销完成")) " " small { (tag(context, &job.tag)) } }
            } @else {
                div.quiet { (context.t(&words.en, &words.zh)) }
            }
            @if let Some(error) = &job.error { pre { (error) } }
        }
    }
}

fn undo_state(context: &PageContext, undo: &Undo) -> Markup {
    let says = |job: &UndoJob| html! { @if let Some(note) = &job.note { div.quiet { (chinese::note(context.lang, note)) } } };
    match undo {
        Undo::NotNeeded => badge("off", "–", context.t("not needed", "无需撤销")),
        Undo::Armed(job) => html! {
            (badge("wait", "◔", context.t("armed, in case the flow stops", "已备好，以防流程中断"))) " "
            (context.t("runs at", "将执行于")) " " (moment(context, job.at))
        },
        Undo::Waiting(job) => html! {
            (badge("wait", "○", context.t("waiting", "等待中"))) " " (moment(context, job.at))
        },
        Undo::Retrying(job) => html! {
            (badge("bad", "↻", &context.t("failed %n times, tried again", "已失败 %n 次，将重试").replace("%n", &job.failures.to_string())))
            " " (moment(context, job.at))
        },
        Undo::Running(job) => html! {
            (badge("run", "▶", context.t("running", "运行中"))) " " (context.t("since", "自")) " " (moment(context, job.at))
        },
        Undo::Dead(job) => html! {
            (badge("bad", "✗", context.t("gave up: dead", "已放弃：死信"))) " " (moment(context, job.at))
        },
        Undo::Cancelled(job) => html! {
            (badge("off", "–", context.t("cancelled by an operator", "被操作员取消"))) " " (moment(context, job.at)) (says(job))
        },
        Undo::Done { at, job } => html! {
            (badge("off", "↺", context.t("undone", "已撤销"))) " " (moment(context, *at))
            @if let Some(took) = job.as_ref().and_then(|job| job.took) { " · " (duration(context, took)) }
            @match job {
                Some(job) => (says(job)),
                None => { div.quiet { (context.t("without a job of its own", "无单独任务")) } }
            }
        },
        Undo::NothingToUndo(job) => html! {
            (badge("off", "✓", context.t("ran, nothing to undo", "已执行，无可撤销"))) " " (moment(context, job.at))
            @if let Some(took) = job.took { " · " (duration(context, took)) }
            (says(job))
        },
    }
}
