//! Small bar charts of the last hour, as SVG. Plotting crates write colours as attributes, but
//! under the content security policy only classes can follow the theme.

use super::{
    session::PageContext,
    time::{minute, offset},
};
use crate::ops::overview::TagMinute;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use maud::{Markup, html};

/// The minutes of a chart.
const MINUTES: i64 = 60;
const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 72.0;

/// One series of values of a chart.
pub(crate) struct Series {
    /// The name in the legend.
    pub(crate) name: String,
    /// One value per minute, oldest first.
    pub(crate) values: Vec<f64>,
}

/// The minutes of the last hour, oldest first; the last one is not over.
pub(crate) fn last_hour() -> Vec<DateTime<Utc>> {
    let now = Utc::now().duration_trunc(TimeDelta::minutes(1)).unwrap_or_else(|_| Utc::now());
    (0..MINUTES).rev().map(|back| now - TimeDelta::minutes(back)).collect()
}

/// A tag's value of each minute, 0 where it has none.
pub(crate) fn of_tag(
    hour: &[TagMinute],
    minutes: &[DateTime<Utc>],
    tag: &str,
    value: fn(&TagMinute) -> i64,
) -> Vec<f64> {
    let at = |minute: &DateTime<Utc>| {
        hour.iter().find(|one| one.tag == tag && one.minute == *minute).map_or(0.0, |one| value(one) as f64)
    };
    minutes.iter().map(at).collect()
}

/// A chart of stacked bars, one bar per minute, and the same values as a table for screen readers.
pub(crate) fn bars(
    context: &PageContext,
    title: &str,
    unit: &str,
    minutes: &[DateTime<Utc>],
    series: &[Series],
) -> Markup {
    let sum = |at: usize| series.iter().map(|s| s.values.get(at).copied().unwrap_or(0.0)).sum::<f64>();
    let most = (0..minutes.len()).map(sum).fold(0.0, f64::max);
    let wide = WIDTH / minutes.len().max(1) as f64;
    let high = |value: f64| if most > 0.0 { value / most * HEIGHT } else { 0.0 };
    html! {
        figure.chart {
            figcaption {
                (title) " " span.quiet { (context.t("most in a minute", "每分钟最高")) ": " (short(most)) " " (unit) }
            }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(title) preserveAspectRatio="none" {
                line.axis x1="0" x2=(WIDTH) y1=(HEIGHT) y2=(HEIGHT) {}
                @for at in 0..minutes.len() {
                    @for (nr, (from, to)) in stacked(series, at).into_iter().enumerate() {
                        @if to > from {
                            rect class=(format!("s{nr}")) x=(at as f64 * wide) width=((wide - 1.0).max(1.0))
                                y=(HEIGHT - high(to)) height=(high(to - from)) {}
                        }
                    }
                }
            }
            @if series.len() > 1 {
                ul.legend { @for (nr, one) in series.iter().enumerate() { li class=(format!("s{nr}")) { (one.name) } } }
            }
            details {
                summary { (context.t("Numbers", "数据")) }
                div.scroll { table {
                    thead { tr { th scope="col" { (context.t("Minute", "分钟")) " (" (offset(context.zone, Utc::now())) ")" } @for one in series { th scope="col" { (one.name) } } } }
                    tbody { @for at in (0..minutes.len()).rev().filter(|at| sum(*at) > 0.0) {
                        tr {
                            th scope="row" { (minute(context, minutes[at])) }
                            @for one in series { td.number { (short(one.values.get(at).copied().unwrap_or(0.0))) } }
                        }
                    } }
                } }
            }
        }
    }
}

/// The lower and upper end of each series' bar of a minute.
fn stacked(series: &[Series], at: usize) -> Vec<(f64, f64)> {
    let values = series.iter().map(|one| one.values.get(at).copied().unwrap_or(0.0));
    values
        .scan(0.0, |top, value| {
            let from = *top;
            *top += value;
            Some((from, *top))
        })
        .collect()
}

/// A number without needless decimal places.
pub(crate) fn short(value: f64) -> String {
    if value.fract() == 0.0 || value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}
