//! The charts of the home page: bookings, payments, rollbacks and waits of the last hour.

use crate::console::{
    chart::{Series, bars, last_hour, of_tag},
    session::PageContext,
};
use crate::{
    ops::overview::{self, TagMinute},
    telemetry::traffic,
};
use chrono::{DateTime, Utc};
use farebox_jobs::MqTag;
use maud::{Markup, html};

/// The percentile of the charts of waits.
const PERCENTILE: f64 = 0.99;

/// All charts.
pub(super) fn charts(context: &PageContext, hour: &[TagMinute], asked: &[traffic::Minute]) -> Markup {
    let minutes = last_hour();
    let of = |value: &dyn Fn(DateTime<Utc>) -> f64| {
        minutes.iter().map(|minute| value(*minute)).collect::<Vec<f64>>()
    };
    let asked_at = |value: fn(&traffic::Minute) -> i64| {
        of(&|minute| asked.iter().find(|one| one.minute == minute).map_or(0.0, |one| value(one) as f64))
    };
    let by_tag = |value: fn(&TagMinute) -> i64| {
        let tags = MqTag::ALL.into_iter().map(MqTag::wire).filter(|wire| undoes(wire));
        let series =
            tags.map(|wire| Series { name: wire.to_owned(), values: of_tag(hour, &minutes, wire, value) });
        series.filter(|one| one.values.iter().any(|value| *value > 0.0)).collect::<Vec<_>>()
    };
    let waits = |pick: fn(&TagMinute) -> &Vec<i64>, only: Option<&'static str>| {
        of(&|minute| {
            let fits = |one: &&TagMinute| one.minute == minute && only.is_none_or(|tag| one.tag == tag);
            let mut sum: Vec<i64> = Vec::new();
            for one in hour.iter().filter(fits) {
                let buckets = pick(one);
                sum.resize(sum.len().max(buckets.len()), 0);
                sum.iter_mut().zip(buckets).for_each(|(sum, count)| *sum += count);
            }
            overview::percentile(&sum, PERCENTILE).map_or(0.0, |secs| secs * 1_000.0)
        })
    };
    let one = |name: &str, values: Vec<f64>| vec![Series { name: name.to_owned(), values }];
    let refused = vec![
        Series { name: context.t("refused", "被拒绝").to_owned(), values: asked_at(|one| one.refused) },
        Series { name: context.t("failed", "失败").to_owned(), values: asked_at(|one| one.failed) },
    ];
    html! { div.charts {
        (bars(context, context.t("Bookings", "预订"), "", &minutes, &one("", asked_at(|one| one.booked))))
        (bars(context, context.t("Payments", "支付"), "", &minutes, &one("", asked_at(|one| one.paid))))
        (bars(context, context.t("Bookings and payments refused or failed", "被拒绝或失败的预订与支付"), "", &minutes, &refused))
        (bars(context, context.t("Rollbacks done, by tag", "已完成的回滚（按标签）"), "", &minutes, &by_tag(|one| one.done)))
        (bars(context, context.t("Failed attempts, by tag", "失败的尝试（按标签）"), "", &minutes, &by_tag(|one| one.failed)))
        (bars(context, context.t("Pickup, 99 in 100 within", "取件延迟 P99"), "ms", &minutes, &one("", waits(|one| &one.pickup, None))))
        (bars(context, context.t("Unpaid-order job late, 99 in 100 within", "未支付订单任务延迟 P99"), "ms", &minutes,
              &one("", waits(|one| &one.lateness, Some(MqTag::OrderUnpaid.wire())))))
    } }
}

/// Whether the jobs of a tag undo a step.
pub(super) fn undoes(tag: &str) -> bool {
    let other = [MqTag::OrderUnpaid, MqTag::Timetable, MqTag::TripCancel, MqTag::Bulk, MqTag::NetworkImport];
    !other.into_iter().any(|other| other.wire() == tag)
}
