//! The forms that change a rider's wallet: top-ups, and corrections of ledger entries.

use super::riders::{account, known};
use crate::console::{
    chinese,
    components::{action_form, copied, money, when},
    failure::{Failure, PageResult},
    form::{ConfirmedForm, OperatorForm, password_page},
    layout::{Nav, redirect_with_notice, with_nav},
    numbers::money_words,
    session::PageContext,
};
use crate::{
    domain::{Currency, FieldError, Id, Money, Reference, Refusal, RiderId, SignedMoney},
    http::{App, extract::Path, handlers::ops::wallets::mover},
    ops::{
        audit::Through,
        find,
        reads::Read,
        wallets::{self, Changed},
    },
    payment::{
        by_hand::{ChangeKind, WalletChange},
        wallet,
    },
    storage,
};
use axum::extract::State;
use maud::{Markup, html};
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TopUp {
    amount: String,
    reference: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Correction {
    amount: String,
    reference: String,
}

pub(crate) async fn confirm_top_up(
    State(app): State<App>,
    context: PageContext,
    Path(Id(id)): Path<Id>,
) -> PageResult {
    if let Some(elsewhere) = password_page(&app, &context.caller, &context.path).await? {
        return Ok(elsewhere);
    }
    let (name, preview) = preview(&app, &context, id).await?;
    let fields = html! {
        (reference())
        label for="amount" { (context.t("Amount", "金额")) ", " (Currency::installed()) }
        input #amount name="amount" type="text" inputmode="decimal" required autocomplete="off";
        (second_person(&app, &context))
    };
    let action = format!("/console/riders/{id}/top-up");
    let form = action_form(&context, &action, context.t("Top up", "充值"), fields, Some(preview), false);
    Ok(with_nav(&context, Nav::Riders, &format!("{}: {name}", context.t("Top up", "充值")), form))
}

pub(crate) async fn confirm_correction(
    State(app): State<App>,
    context: PageContext,
    Path((Id(id), Id(entry))): Path<(Id, Id)>,
) -> PageResult {
    if let Some(elsewhere) = password_page(&app, &context.caller, &context.path).await? {
        return Ok(elsewhere);
    }
    let wrong = wallet::entry(&app.saga.pool, RiderId(id), entry).await?;
    let wrong = wrong.ok_or(Refusal::NotFound("entry"))?;
    let (name, account) = preview(&app, &context, id).await?;
    let preview = html! {
        (account)
        p { strong { (context.t("The entry that was wrong", "有误的账目")) } ": " (when(&context, wrong.at)) " " (chinese::word(context.lang, &wrong.kind)) " "
            (money(wrong.amount)) " " (copied(&context, wrong.id)) }
    };
    let fields = html! {
        (reference())
        label for="amount" { (context.t("Amount of the correction, with a minus to take money back", "更正金额，扣回请加负号")) ", " (Currency::installed()) }
        input #amount name="amount" type="text" required autocomplete="off";
        (second_person(&app, &context))
    };
    let action = format!("/console/riders/{id}/correct/{entry}");
    let form = action_form(&context, &action, context.t("Correct", "更正"), fields, Some(preview), true);
    Ok(with_nav(&context, Nav::Riders, &format!("{}: {name}", context.t("Correct", "更正")), form))
}

/// The user name, and the account as the preview of a form.
async fn preview(app: &App, context: &PageContext, id: Uuid) -> Result<(String, Markup), Failure> {
    let (pool, rider) = (&app.saga.pool, known(app, id).await?);
    context.reads(app, &Read::Rider(rider.id)).await?;
    let (balance, times) = (wallet::balance(pool, rider.id).await?, find::times(pool, rider.id).await?);
    Ok((rider.user_name.clone(), account(context, &rider, times, balance)))
}

/// The form holds the reference, so that sending it twice moves money once.
fn reference() -> Markup {
    html! { input type="hidden" name="reference" value=(format!("console-{}", Uuid::now_v7())); }
}

fn second_person(app: &App, context: &PageContext) -> Markup {
    html! { p.quiet {
        (context.t("Beyond this amount, a second operator has to approve: ", "超过此金额须由另一名操作员批准："))
        (money(app.saga.wallets.approval_above.money()))
    } }
}

pub(crate) async fn top_up(
    State(app): State<App>,
    Path(Id(id)): Path<Id>,
    ConfirmedForm(form): ConfirmedForm<TopUp>,
) -> PageResult {
    let OperatorForm { context, reason, form } = form;
    let amount: Money = form.amount.trim().parse().map_err(|rule| FieldError::new("amount", rule))?;
    let change = WalletChange::top_up(RiderId(id), amount, &read_reference(&form.reference)?);
    act(&app, &context, &reason, &change).await
}

pub(crate) async fn correct(
    State(app): State<App>,
    Path((Id(id), Id(entry))): Path<(Id, Id)>,
    ConfirmedForm(form): ConfirmedForm<Correction>,
) -> PageResult {
    let OperatorForm { context, reason, form } = form;
    let amount: SignedMoney = form.amount.trim().parse().map_err(|rule| FieldError::new("amount", rule))?;
    let kind = ChangeKind::Correction { corrects: entry };
    let reference = read_reference(&form.reference)?;
    act(&app, &context, &reason, &WalletChange { rider: RiderId(id), kind, amount, reference }).await
}

fn read_reference(text: &str) -> Result<Reference, FieldError> {
    text.parse().map_err(|rule| FieldError::new("reference", rule))
}

async fn act(app: &App, context: &PageContext, reason: &str, change: &WalletChange) -> PageResult {
    let by = mover(&context.caller, Through::Console, Some(reason))?;
    let mut tx = storage::begin(&app.saga.pool).await?;
    let done = wallets::change(&mut tx, &by, change, &app.saga.wallets).await?;
    tx.commit().await?;
    let notice = match (&done, change.kind) {
        (Changed::Waits(_), _) => {
            let words = context.t("Waits for a second operator:", "等待另一名操作员批准：");
            return Ok(redirect_with_notice(
                context,
                "/console/approvals",
                &format!("{words} {}", money_words(change.amount)),
            ));
        }
        (Changed::Entered(_), ChangeKind::TopUp) => context.t("Topped up", "已充值"),
        (Changed::Entered(_), ChangeKind::Correction { .. }) => context.t("Corrected by", "已更正"),
    };
    let notice = format!("{notice} {} ✓", money_words(change.amount));
    Ok(redirect_with_notice(context, &format!("/console/riders/{}", change.rider), &notice))
}
