//! The refund of an order: what it would give back, and how it may depart from the order's rules.

use crate::console::{
    components::{money, when},
    session::PageContext,
};
use crate::{
    domain::{FieldError, Money, Refusal},
    ops::orders::RefundTerms,
    payment::refund::Exceptions,
};
use maud::{Markup, html};
use rust_decimal::Decimal;

/// The words of a form for the ways to refund.
const WAYS: [(&str, Exceptions); 4] = [
    ("rule", Exceptions { late: false, without_fee: false }),
    ("without_fee", Exceptions { late: false, without_fee: true }),
    ("late", Exceptions { late: true, without_fee: false }),
    ("late_without_fee", Exceptions { late: true, without_fee: true }),
];

/// The way that a form chose.
pub(super) fn read(how: &str) -> Result<Exceptions, Refusal> {
    let found = WAYS.into_iter().find(|(word, _)| *word == how);
    let refused = || Refusal::Invalid(FieldError::new("how", "one of the ways of the form"));
    found.map(|(_, exceptions)| exceptions).ok_or_else(refused)
}

/// The refusal of a second refund while one waits.
pub(super) fn waits() -> Refusal {
    Refusal::Invalid(FieldError::new("order", "a refund of it waits for its approval"))
}

/// The rules that the order was sold by.
pub(super) fn effect(context: &PageContext, terms: &RefundTerms) -> Markup {
    html! { dl.facts {
        dt { (context.t("Refunds until", "退款截止")) }
        dd { (when(context, terms.until)) @if terms.is_late { " — " strong { (context.t("that time has passed", "已过截止时间")) } } }
        dt { (context.t("Fee by its rules", "按规则收取的手续费")) } dd { (money(terms.fee)) }
    } }
}

/// The ways that are possible now, the order's rules first, each with what goes back.
pub(super) fn choices(context: &PageContext, terms: &RefundTerms, chosen: &str) -> Markup {
    let possible = WAYS.into_iter().filter(|(_, exceptions)| {
        exceptions.late == terms.is_late && (terms.has_fee() || !exceptions.without_fee)
    });
    let possible: Vec<_> = possible.collect();
    let is_known = possible.iter().any(|(word, _)| *word == chosen);
    html! { fieldset.choices {
        legend { (context.t("What goes back", "退回金额")) }
        @for (nr, (word, exceptions)) in possible.iter().enumerate() {
            label for=(format!("how-{word}")) {
                input id=(format!("how-{word}")) name="how" type="radio" value=(word) required
                    checked[if is_known { *word == chosen } else { nr == 0 }];
                " " (way(context, terms, *exceptions))
            }
        }
    } }
}

fn way(context: &PageContext, terms: &RefundTerms, exceptions: Exceptions) -> Markup {
    let fee = if exceptions.without_fee { Decimal::ZERO } else { terms.fee.decimal() };
    let back = Money::from_database(terms.amount.decimal() - fee);
    html! {
        @match (exceptions.late, exceptions.without_fee) {
            (false, false) => (context.t("By its rules: ", "按规则：")),
            (false, true) => (context.t("As an exception, without the fee: ", "例外，免手续费：")),
            (true, false) => (context.t("As an exception, after the time for refunds: ", "例外，超过退款时间：")),
            (true, true) => (context.t("As an exception, after the time for refunds and without the fee: ", "例外，超过退款时间且免手续费：")),
        }
        strong { (money(back)) }
        @if !fee.is_zero() { ", " (context.t("fee", "手续费")) " " (money(Money::from_database(fee))) }
        @if terms.second_person_for(exceptions) { ". " (context.t("A second operator has to approve.", "须由另一名操作员批准。")) }
    }
}
