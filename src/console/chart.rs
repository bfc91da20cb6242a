//! Bar charts of an hour, a day or a week, as SVG. Plotting crates write colours as attributes, but
//! under the content security policy only classes can follow the theme.
//!
//! A chart has axes with numbers and times, a title on each bar, and the same numbers as a table for
//! those who do not see it. What failed is red, in a panel with a scale of its own: few failures
//! beside many successes stay visible.

use super::{
    components::when,
    numbers::short,
    session::PageContext,
    time::{minute, offset},
};
use crate::ops::history::{History, Mark, Range, end_of};
use chrono::{DateTime, SecondsFormat, Timelike, Utc};
use farebox_jobs::MqTag;
use maud::{Markup, html};

const WIDTH: f64 = 420.0;
/// Where the bars begin: numbers stand left of them.
const LEFT: f64 = 44.0;
/// Space above a panel, for the upper half of its highest number.
const ABOVE: f64 = 12.0;
/// The height of what was done.
const HIGH: f64 = 84.0;
/// The height of what failed.
const LOW: f64 = 34.0;
/// Space for the times.
const TIMES: f64 = 16.0;

/// One series of values of a chart.
pub(crate) struct Series {
    /// The name in the legend and the table.
    pub(crate) name: String,
    /// The class that colours it.
    pub(crate) class: String,
    /// One value for each bar, the oldest first.
    pub(crate) values: Vec<f64>,
    /// The filter of the jobs behind it, as a query; empty if it counts no jobs.
    pub(crate) jobs: String,
}

impl Series {
    /// A series that is no tag's.
    pub(crate) fn plain(name: &str, values: Vec<f64>) -> Self {
        Self { name: name.to_owned(), class: "s0".to_owned(), values, jobs: String::new() }
    }

    /// Failures: red.
    pub(crate) fn bad(name: &str, values: Vec<f64>) -> Self {
        Self { class: "failed".to_owned(), ..Self::plain(name, values) }
    }

    fn at(&self, bar: usize) -> f64 {
        self.values.get(bar).copied().unwrap_or(0.0)
    }
}

/// The class that colours a tag, the same on every page: its colour, filled or outlined.
pub(crate) fn class_of(tag: &str) -> String {
    let nr = MqTag::ALL.iter().position(|one| one.wire() == tag).unwrap_or(MqTag::ALL.len());
    format!("tag{nr}")
}

/// A square in a series' colour. It is drawn, so that it keeps its pattern in forced colours.
pub(crate) fn swatch(class: &str) -> Markup {
    html! { svg.swatch viewBox="0 0 10 10" aria-hidden="true" { rect class=(class) x="1" y="1" width="8" height="8" {} } }
}

/// A chart.
pub(crate) struct Chart<'a> {
    /// What it is about.
    pub(crate) title: &'a str,
    /// What its numbers count.
    pub(crate) unit: &'a str,
    /// The bars' times, and the marks.
    pub(crate) history: &'a History,
    /// What was done, stacked.
    pub(crate) done: Vec<Series>,
    /// What failed, stacked, in the lower panel.
    pub(crate) failed: Vec<Series>,
    /// The tag, if the chart is of one: then the other tags' pauses are not marked.
    pub(crate) tag: Option<&'a str>,
}

/// A part of a chart with a scale of its own.
struct Panel<'a> {
    series: &'a [Series],
    top: f64,
    height: f64,
    most: f64,
}

impl<'a> Panel<'a> {
    fn new(series: &'a [Series], top: f64, height: f64, bars: usize) -> Self {
        let sum = |bar: usize| series.iter().map(|one| one.at(bar)).sum::<f64>();
        let most = (0..bars).map(sum).fold(0.0, f64::max);
        Self { series, top, height, most: rounded_up(most) }
    }

    /// The values at which a line is drawn, each once.
    fn lines(&self) -> impl Iterator<Item = f64> {
        [0.0, self.most / 2.0, self.most].into_iter().take(if self.most > 0.0 { 3 } else { 1 })
    }

    fn y(&self, value: f64) -> f64 {
        self.top + self.height - if self.most > 0.0 { value / self.most * self.height } else { 0.0 }
    }
}

impl Chart<'_> {
    /// The chart, its legend and its table.
    pub(crate) fn draw(&self, context: &PageContext) -> Markup {
        let bars = self.history.beginnings.len();
        let any_failed = self.failed.iter().any(|one| one.values.iter().any(|value| *value > 0.0));
        let mut panels = vec![Panel::new(&self.done, ABOVE, HIGH, bars)];
        if self.done.is_empty() {
            panels.clear();
        }
        let next = panels.last().map_or(0.0, |panel| panel.top + panel.height);
        if any_failed || self.done.is_empty() {
            let height = if self.done.is_empty() { HIGH } else { LOW };
            panels.push(Panel::new(&self.failed, next + ABOVE, height, bars));
        }
        let end = panels.last().map_or(0.0, |panel| panel.top + panel.height);
        let series: Vec<&Series> =
            self.done.iter().chain(self.failed.iter().filter(|_| any_failed)).collect();
        html! {
            figure.chart {
                figcaption { (self.title) @if !self.unit.is_empty() { " " span.quiet { (self.unit) } } }
                svg viewBox=(format!("0 0 {WIDTH} {}", end + TIMES)) aria-hidden="true" {
                    @for panel in &panels { (self.panel(context, panel)) }
                    @for (x, words) in self.times(context) { text.tick x=(x) y=(end + 12.0) text-anchor="middle" { (words) } }
                    @for mark in self.marks() { (self.mark(context, mark, end)) }
                }
                ul.legend { @for one in &series { @if !one.name.is_empty() { li { (swatch(&one.class)) (one.name) } } } }
                (self.table(context, &series))
            }
        }
    }

    fn panel(&self, context: &PageContext, panel: &Panel<'_>) -> Markup {
        let wide = (WIDTH - LEFT) / self.history.beginnings.len().max(1) as f64;
        let bottom = panel.top + panel.height;
        html! {
            @for value in panel.lines() {
                line.axis x1=(LEFT) x2=(WIDTH) y1=(panel.y(value)) y2=(panel.y(value)) {}
                @if value >= 1.0 || value.to_bits() == 0 || panel.most < 2.0 {
                    text.tick x=(LEFT - 4.0) y=(panel.y(value) + 3.0) text-anchor="end" { (short(value)) }
                }
            }
            @for bar in 0..self.history.beginnings.len() {
                @let x = LEFT + bar as f64 * wide;
                @for (one, (from, to)) in panel.series.iter().zip(stacked(panel.series, bar)) {
                    @if to > from {
                        @let height = (panel.y(from) - panel.y(to)).max(1.0);
                        (self.linked(one, bar, html! {
                            title { (self.words(context, one, bar)) }
                            rect class=(one.class) x=(round(x)) width=(round((wide - 1.0).max(1.0)))
                                y=(round((bottom - height).min(panel.y(to)))) height=(round(height)) {}
                        }))
                    }
                }
            }
        }
    }

    /// A bar as a link to its jobs. Those who use the keyboard find the links in the table.
    fn linked(&self, series: &Series, bar: usize, drawn: Markup) -> Markup {
        match self.address(series, bar) {
            Some(address) => html! { a href=(address) tabindex="-1" { (drawn) } },
            None => html! { g { (drawn) } },
        }
    }

    /// The address of the jobs behind a bar.
    fn address(&self, series: &Series, bar: usize) -> Option<String> {
        let at = *self.history.beginnings.get(bar)?;
        if series.jobs.is_empty() {
            return None;
        }
        let text = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let (from, to) = (text(at), text(end_of(self.history.range, at)));
        Some(format!("/console/jobs?{}&ended_from={from}&ended_to={to}", series.jobs))
    }

    fn words(&self, context: &PageContext, series: &Series, bar: usize) -> String {
        let at = self.history.beginnings.get(bar).copied().unwrap_or_default();
        let end = end_of(self.history.range, at);
        let day = if self.history.range == Range::Hour { "" } else { "%m-%d " };
        let name = if series.name.is_empty() { self.title } else { &series.name };
        format!(
            "{}–{} {}{} {name} {} {}",
            at.with_timezone(&context.zone).format(&format!("{day}%H:%M")),
            minute(context, end),
            offset(context.zone, at),
            context.t(":", "："),
            short(series.at(bar)),
            self.unit
        )
        .trim_end()
        .to_owned()
    }

    /// Some times of the axis, by the viewer's clock, and where they stand.
    fn times(&self, context: &PageContext) -> Vec<(f64, String)> {
        let wide = (WIDTH - LEFT) / self.history.beginnings.len().max(1) as f64;
        let named = self.history.beginnings.iter().enumerate().filter_map(|(bar, at)| {
            let at = at.with_timezone(&context.zone);
            let words = match self.history.range {
                Range::Hour if at.minute() % 15 == 0 => at.format("%H:%M"),
                Range::Day if at.minute() == 0 && at.hour() % 6 == 0 => at.format("%H:%M"),
                Range::Week if at.hour() == 0 => at.format("%m-%d"),
                _ => return None,
            };
            let x = LEFT + bar as f64 * wide;
            (x < WIDTH - 12.0).then(|| (round(x), words.to_string()))
        });
        named.collect()
    }

    fn marks(&self) -> impl Iterator<Item = &Mark> {
        self.history
            .marks
            .iter()
            .filter(|mark| mark.kind == "build" || self.tag.is_none_or(|tag| tag == mark.subject))
    }

    fn mark(&self, context: &PageContext, mark: &Mark, end: f64) -> Markup {
        let from = self.history.beginnings.first().copied().unwrap_or_default();
        let all = self.history.range.bar_secs() * self.history.range.bars();
        let share = (mark.at - from).as_seconds_f64() / all as f64;
        let x = round(LEFT + share.clamp(0.0, 1.0) * (WIDTH - LEFT));
        let (sign, _) = sign(context, mark);
        html! { g {
            title { (mark_words(context, mark)) }
            line class=(format!("mark {}", mark.kind)) x1=(x) x2=(x) y1="0" y2=(end) {}
            text.tick x=(x) y="8" text-anchor="middle" { (sign) }
        } }
    }

    /// The same numbers, the newest first, with the links.
    fn table(&self, context: &PageContext, series: &[&Series]) -> Markup {
        let bars = &self.history.beginnings;
        let any = |bar: &usize| series.iter().any(|one| one.at(*bar) > 0.0);
        html! { details {
            summary { (context.t("Numbers", "数据")) }
            div.scroll { table {
                thead { tr {
                    th scope="col" { (context.t("From", "起始")) " (" (offset(context.zone, Utc::now())) ")" }
                    @for one in series { th scope="col" { @if one.name.is_empty() { (self.title) } @else { (one.name) } } }
                } }
                tbody { @for bar in (0..bars.len()).rev().filter(any) { tr {
                    th scope="row" { (bars[bar].with_timezone(&context.zone).format(if self.history.range == Range::Hour { "%H:%M" } else { "%m-%d %H:%M" })) }
                    @for one in series { td.number {
                        @let number = short(one.at(bar));
                        @match self.address(one, bar).filter(|_| one.at(bar) > 0.0) {
                            Some(address) => { a href=(address) { (number) } }
                            None => { (number) }
                        }
                    } }
                } } }
            } }
        } }
    }
}

/// The legend of the marks, with who and why.
pub(crate) fn marks_legend(context: &PageContext, history: &History) -> Markup {
    html! { @if !history.marks.is_empty() {
        ul.legend.marks { @for mark in history.marks.iter().rev() {
            li { span aria-hidden="true" { (sign(context, mark).0) } " " (when(context, mark.at)) " " (mark_words(context, mark)) }
        } }
    } }
}

fn sign<'a>(context: &PageContext, mark: &Mark) -> (&'static str, &'a str) {
    match mark.kind.as_str() {
        "paused" => ("‖", context.t("paused", "已暂停")),
        "resumed" => ("▸", context.t("resumed", "已恢复")),
        _ => ("◆", context.t("new build", "新版本")),
    }
}

fn mark_words(context: &PageContext, mark: &Mark) -> String {
    let (_, word) = sign(context, mark);
    if mark.kind == "build" {
        return format!("{word} {}", mark.subject);
    }
    let why = if mark.why.is_empty() { String::new() } else { format!(": {}", mark.why) };
    format!("{} {word} ({}){why}", mark.subject, mark.who)
}

/// The choice of the range: links to the same page.
pub(crate) fn ranges(context: &PageContext, path: &str, shown: Range) -> Markup {
    html! { nav.tabs aria-label=(context.t("Range of the charts", "图表范围")) {
        @for range in Range::ALL {
            a href=(format!("{path}?range={}", range.as_str())) aria-current=[(range == shown).then_some("true")] {
                (match range {
                    Range::Hour => context.t("1 hour", "1 小时"),
                    Range::Day => context.t("24 hours", "24 小时"),
                    Range::Week => context.t("7 days", "7 天"),
                })
            }
        }
    } }
}

/// A tag's value of each bar, 0 where it has none.
pub(crate) fn of_tag(history: &History, tag: &str, failed: bool) -> Vec<f64> {
    let bars = history.tags.iter().filter(|one| one.tag == tag);
    spread(history, bars.map(|one| (one.at, if failed { one.failed } else { one.done } as f64)))
}

/// Values at their bars, 0 elsewhere.
pub(crate) fn spread(history: &History, values: impl Iterator<Item = (DateTime<Utc>, f64)>) -> Vec<f64> {
    let mut all = vec![0.0; history.beginnings.len()];
    for (at, value) in values {
        if let Ok(bar) = history.beginnings.binary_search(&at) {
            all[bar] += value;
        }
    }
    all
}

/// The lower and upper end of each series in a bar.
fn stacked(series: &[Series], bar: usize) -> Vec<(f64, f64)> {
    let values = series.iter().map(|one| one.at(bar));
    values
        .scan(0.0, |top, value| {
            let from = *top;
            *top += value;
            Some((from, *top))
        })
        .collect()
}

/// The next number of the kind 1, 2, 4, 10, 20, 40: its half is a number of few digits, too.
fn rounded_up(most: f64) -> f64 {
    if most <= 0.0 {
        return 0.0;
    }
    let power = 10_f64.powf(most.log10().floor());
    let steps = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0];
    steps.into_iter().map(|step| step * power).find(|step| *step >= most).unwrap_or(most)
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_plain_numbers() {
        for (most, end) in [(0.0, 0.0), (1.0, 1.0), (3.0, 4.0), (78.0, 80.0), (4_245.0, 6_000.0), (0.3, 0.4)]
        {
            assert!((rounded_up(most) - end).abs() < 1e-9, "{most}: {}", rounded_up(most));
        }
    }

    #[test]
    fn each_tag_has_a_colour_of_its_own() {
        let classes: std::collections::HashSet<String> =
            MqTag::ALL.iter().map(|tag| class_of(tag.wire())).collect();
        assert_eq!(classes.len(), MqTag::ALL.len());
    }
}
