//! The filters of the list of jobs: what they mean, and their form.

use crate::console::{
    filters::{Field, Given, Kind, form},
    numbers::grouped,
    parameters::ENDED,
    session::PageContext,
};
use crate::{
    domain::{Localized, OrderId, RiderId, TripId},
    ops::search::{FAILURES, JobQuery, STATES},
};
use chrono::{DateTime, Utc};
use farebox_jobs::{MqTag, queue::admin::COUNT_MAX};
use maud::{Markup, html};
use uuid::Uuid;

/// The filters that are texts of any kind.
const TEXTS: [&str; 3] = ["key", "serial", "error"];

/// The jobs that are asked for, and after which one; what breaks a rule is refused in `given`.
pub(super) fn read(given: &mut Given) -> (JobQuery, Option<Uuid>) {
    let query = JobQuery {
        tag: given.choice("tag", &MqTag::ALL.map(MqTag::wire)),
        state: given.choice("state", &STATES),
        key: given.some("key"),
        serial: given.some("serial"),
        error: given.some("error"),
        order: given.id("order").map(OrderId),
        rider: given.id("rider").map(RiderId),
        trip: given.id("trip").map(TripId),
        since: given.time("since"),
        before: given.time("before"),
        failures: given.number("failures", FAILURES),
    };
    // The rest was read by its rule above.
    if let Err(fault) = query.check() {
        let zh =
            if TEXTS.contains(&fault.pointer.as_str()) { "1 至 200 个字符" } else { "不符合规则" };
        given.refuse(&fault.pointer, Localized::new(fault.rule, zh));
    }
    if let (Some(since), Some(before)) = (query.since, query.before)
        && since >= before
    {
        given.refuse("before", Localized::new("later than the time since", "晚于起始时间"));
    }
    (query, given.id("after"))
}

/// When the jobs ended, if that is asked for: from a time, until before another, as a chart's bar has it.
pub(super) fn ended(given: &mut Given) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let [first, last] = ENDED;
    let (from, to) = (given.time(first), given.time(last));
    if from.is_some() != to.is_some() {
        let missing = if from.is_some() { last } else { first };
        given.refuse(missing, Localized::new("both times, or neither", "两个时间须同时给出"));
    }
    Some((from?.utc(), to?.utc()))
}

/// The filters as a query string, with times as the interface takes them.
pub(super) fn query_string(query: &JobQuery) -> String {
    serde_urlencoded::to_string(query).unwrap_or_default()
}

/// The form.
pub(super) fn filters(context: &PageContext, given: &Given) -> Markup {
    let same = |word: &'static str| (word, word);
    let fields = [
        Field::new(
            "tag",
            context.t("Tag", "标签"),
            Kind::Choice(MqTag::ALL.map(|tag| same(tag.wire())).to_vec()),
        ),
        Field::new("state", context.t("State", "状态"), Kind::Choice(STATES.map(same).to_vec())),
        Field::new("order", context.t("Order id", "订单编号"), Kind::Text("")),
        Field::new("rider", context.t("Rider id", "乘客编号"), Kind::Text("")),
        Field::new("trip", context.t("Trip id", "班次编号"), Kind::Text("")),
        Field::new("key", context.t("Key", "键"), Kind::Text("")),
        Field::new("serial", context.t("Serial key", "串行键"), Kind::Text("")),
        Field::new("error", context.t("Error fingerprint", "错误指纹"), Kind::Text("")),
        Field::new("failures", context.t("Failed attempts, at least", "失败次数不少于"), Kind::Text("3")),
        Field::new("since", context.t("Enqueued since", "入队不早于"), Kind::Time),
        Field::new("before", context.t("Enqueued before", "入队早于"), Kind::Time),
    ];
    form(context, "/console/jobs", &fields, given, context.t("Filter", "筛选"))
}

/// How many jobs fit, of a count that is bounded.
pub(super) fn count_words(context: &PageContext, count: usize) -> Markup {
    let most = usize::try_from(COUNT_MAX).unwrap_or(usize::MAX);
    let (en, zh) = match count {
        count if count > most => {
            (format!("{}+ jobs fit.", grouped(most)), format!("符合条件的任务超过 {} 个。", grouped(most)))
        }
        1 => ("1 job fits.".to_owned(), "符合条件的任务有 1 个。".to_owned()),
        count => (format!("{count} jobs fit."), format!("符合条件的任务有 {count} 个。")),
    };
    html! { p.quiet #count role="status" { (context.t(&en, &zh)) } }
}
