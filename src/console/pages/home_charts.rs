//! The charts of the home page: bookings, payments, rollbacks and waits.

use crate::console::{
    chart::{Chart, Series, class_of, marks_legend, of_tag, ranges, spread},
    session::PageContext,
};
use crate::{
    domain::FieldError,
    ops::{
        history::{History, Range, TrafficBar, WaitBar},
        overview,
    },
};
use farebox_jobs::MqTag;
use maud::{Markup, html};

/// The percentile of the charts of waits.
const PERCENTILE: f64 = 0.99;

/// All charts of a range.
pub(super) fn charts(context: &PageContext, history: &History) -> Markup {
    let asked = |value: fn(&TrafficBar) -> i64| {
        spread(history, history.traffic.iter().map(|bar| (bar.at, value(bar) as f64)))
    };
    let plain = |title: &str, unit: &str, values: Vec<f64>| {
        drawn(context, history, title, unit, vec![Series::plain("", values)], Vec::new())
    };
    let refused = vec![Series::plain(context.t("refused", "被拒绝"), asked(|bar| bar.refused))];
    let failed = vec![Series::bad(context.t("failed", "失败"), asked(|bar| bar.failed))];
    let timers = context.t("Timers of unpaid orders late, 99 in 100 within", "未支付订单定时任务延迟 P99");
    html! {
        (ranges(context, "/console", history.range))
        div.charts {
            (plain(context.t("Bookings", "预订"), "", asked(|bar| bar.booked)))
            (plain(context.t("Payments", "支付"), "", asked(|bar| bar.paid)))
            (drawn(context, history, context.t("Bookings and payments refused or failed", "被拒绝或失败的预订与支付"), "", refused, failed))
            (drawn(context, history, context.t("Rollbacks, by tag: done and failed attempts", "回滚（按标签）：完成与失败的尝试"), "", by_tag(history, false), by_tag(history, true)))
            (plain(context.t("Pickup, 99 in 100 within", "取件延迟 P99"), "ms", waits(history, |bar| &bar.pickup)))
            (plain(timers, "ms", waits(history, |bar| &bar.lateness)))
        }
        (marks_legend(context, history))
    }
}

fn drawn(
    context: &PageContext,
    history: &History,
    title: &str,
    unit: &str,
    done: Vec<Series>,
    failed: Vec<Series>,
) -> Markup {
    Chart { title, unit, history, done, failed, tag: None }.draw(context)
}

/// The tags that undo a step and have anything in the range; their failures are red, each by itself.
fn by_tag(history: &History, failed: bool) -> Vec<Series> {
    let tags = MqTag::ALL.into_iter().map(MqTag::wire).filter(|wire| undoes(wire));
    let series = tags.map(|wire| {
        of_one_tag(history, wire, &if failed { format!("{wire} ✗") } else { wire.to_owned() }, failed)
    });
    series.filter(|one| one.values.iter().any(|value| *value > 0.0)).collect()
}

/// What a tag did, in its colour, or what failed of it, in red.
pub(super) fn of_one_tag(history: &History, wire: &str, name: &str, failed: bool) -> Series {
    Series {
        name: name.to_owned(),
        class: if failed { "failed".to_owned() } else { class_of(wire) },
        values: of_tag(history, wire, failed),
        jobs: format!("tag={wire}{}", if failed { "" } else { "&state=done" }),
    }
}

/// The percentile of the waits in each bar, milliseconds.
fn waits(history: &History, of: fn(&WaitBar) -> &[i64]) -> Vec<f64> {
    let secs = |bar: &WaitBar| overview::percentile(of(bar), PERCENTILE).unwrap_or(0.0);
    spread(history, history.waits.iter().map(|bar| (bar.at, secs(bar) * 1_000.0)))
}

/// The range that an address names; an hour without one.
pub(super) fn range(pairs: &[(String, String)]) -> Result<Range, FieldError> {
    let Some((_, word)) = pairs.iter().find(|(name, value)| name == "range" && !value.is_empty()) else {
        return Ok(Range::default());
    };
    let rule = || FieldError::new("range", format!("one of {}", Range::ALL.map(Range::as_str).join(", ")));
    Range::named(word).ok_or_else(rule)
}

/// Whether the jobs of a tag undo a step.
pub(super) fn undoes(tag: &str) -> bool {
    MqTag::STEPS.into_iter().any(|step| step.wire() == tag)
}
