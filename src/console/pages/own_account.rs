//! The account that is signed in: its password, its sessions, its second factor.

use super::second_factor::{code_field, complaint, enrol_in};
use crate::console::{
    components::when,
    failure::PageResult,
    form::{EmptyForm, PlainForm, password_page},
    layout::{Nav, redirect_with_notice, with_nav},
    preferences::{LOCAL, Preferences},
    session::PageContext,
};
use crate::{
    accounts::{
        self,
        own_sessions::{self, OpenSession},
        second_factor,
    },
    domain::Refusal,
    http::{
        App,
        handlers::account::set_own_password,
        middleware::{admission::Permit, client_address::Address},
        problem::Problem,
    },
    settings::SecondFactorRule,
};
use axum::{Extension, extract::State};
use chrono_tz::TZ_VARIANTS;
use maud::{Markup, html};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordForm {
    current: String,
    new: String,
    #[serde(default)]
    code: String,
}

pub(crate) async fn show(State(app): State<App>, context: PageContext) -> PageResult {
    page(&app, &context, None).await
}

pub(crate) async fn change_password(
    State(app): State<App>,
    context: PageContext,
    address: Address,
    permit: Option<Extension<Permit>>,
    PlainForm(PasswordForm { current, new, code }): PlainForm<PasswordForm>,
) -> PageResult {
    let code = Some(code).filter(|code| !code.is_empty());
    match set_own_password(&app, context.caller, address, permit, (current, new, code)).await {
        Ok(()) => Ok(redirect_with_notice(
            &context,
            "/console/account",
            context.t("The new password is set; your other sessions end.", "新密码已设置，其他会话已结束。"),
        )),
        Err(problem) if problem.stale || problem.status.is_server_error() => Err(problem.into()),
        Err(problem) => page(&app, &context, Some(&problem)).await,
    }
}

pub(crate) async fn end_others(
    State(app): State<App>,
    context: PageContext,
    PlainForm(EmptyForm {}): PlainForm<EmptyForm>,
) -> PageResult {
    let (pool, caller) = (&app.saga.pool, context.caller);
    own_sessions::end_others(pool, caller.rider_id, caller.session_id).await?;
    Ok(redirect_with_notice(
        &context,
        "/console/account",
        context.t("Your other sessions end.", "其他会话已结束。"),
    ))
}

/// The page that sets a second factor up, after the password was given.
pub(crate) async fn second_factor(
    State(app): State<App>,
    context: PageContext,
    preferences: Preferences,
) -> PageResult {
    if let Some(elsewhere) = password_page(&app, &context.caller, &context.path).await? {
        return Ok(elsewhere);
    }
    let rider = context.caller.rider_id;
    if second_factor::is_enrolled(&app.saga.pool, rider).await? {
        return Err(Refusal::NotAllowed.into());
    }
    let account = accounts::active(&app.saga.pool, rider).await?.ok_or(Refusal::NotFound("account"))?;
    enrol_in(&app, &preferences, &account, "/console/account")
}

async fn page(app: &App, context: &PageContext, problem: Option<&Problem>) -> PageResult {
    let (pool, caller) = (&app.saga.pool, context.caller);
    let sessions = own_sessions::list(pool, caller.rider_id, caller.session_id).await?.items;
    let enrolled = second_factor::is_enrolled(pool, caller.rider_id).await?;
    let asked = app.settings.accounts.operators_second_factor != SecondFactorRule::Off;
    let body = html! {
        form.card.act method="post" action="/console/account/password" {
            h2 { (context.t("Password", "密码")) }
            (complaint(context.lang, problem))
            label for="current" { (context.t("Present password", "当前密码")) }
            input #current name="current" type="password" autocomplete="current-password" required;
            label for="new" { (context.t("New password", "新密码")) }
            input #new name="new" type="password" autocomplete="new-password" required;
            @if enrolled && asked {
                (code_field(context.lang, context.t("Code of your authenticator, or a recovery code", "验证器代码或恢复代码")))
            }
            button.primary type="submit" { (context.t("Change the password", "修改密码")) }
        }
        div.card {
            h2 { (context.t("Second factor", "第二因素")) }
            @if enrolled { p { (context.t("It is set up. An admin removes it if the device is lost.", "已设置。设备丢失时由管理员移除。")) } }
            @else if asked { a.button href="/console/account/second-factor" { (context.t("Set it up", "设置")) } }
            @else { p { (context.t("It is switched off here.", "此处已关闭。")) } }
        }
        (zone_card(context))
        (sessions_card(context, &sessions))
    };
    let mut response = with_nav(context, Nav::Elsewhere, context.t("Your account", "我的账户"), body);
    if let Some(problem) = problem {
        *response.status_mut() = problem.status;
    }
    Ok(response)
}

/// The choice of a zone by name; the footer has the switch between local time and UTC.
fn zone_card(context: &PageContext) -> Markup {
    let chosen = context.preferences.has_chosen_zone.then_some(context.zone);
    html! {
        form.card.act method="post" action="/console/preferences" {
            h2 { (context.t("Times", "时间")) }
            p { (context.t("Times are shown in ", "时间显示所用时区：")) (context.zone) }
            input type="hidden" name="next" value="/console/account";
            label for="zone" { (context.t("Zone", "时区")) }
            select #zone name="zone" {
                option value=(LOCAL) { (context.t("the browser's, or the timetable's", "浏览器时区，否则为时刻表时区")) }
                @for zone in TZ_VARIANTS { option value=(zone) selected[chosen == Some(zone)] { (zone) } }
            }
            button.primary type="submit" { (context.t("Choose the zone", "选择时区")) }
        }
    }
}

fn sessions_card(context: &PageContext, sessions: &[OpenSession]) -> Markup {
    html! {
        form.card.act method="post" action="/console/account/sessions" {
            h2 { (context.t("Sessions", "会话")) }
            ul { @for session in sessions { li {
                (when(context, session.created_at)) " – " (when(context, session.expires_at))
                @if session.current { " · " (context.t("this one", "当前会话")) }
            } } }
            button type="submit" { (context.t("End the other sessions", "结束其他会话")) }
        }
    }
}
