//! The second step of signing in: a code of the second factor, or setting one up.

use super::entry::{let_in, session_cookie, sign_in_page};
use crate::browser::language::Lang;
use crate::console::{
    chinese,
    failure::{Failure, PageResult},
    form::PlainForm,
    layout::without_nav,
    preferences::Preferences,
    session::inside,
    ticket::{self, Step},
};
use crate::{
    accounts::{
        Authenticated, Caller,
        second_factor::{self, Nonce},
    },
    domain::{Error, Refusal, RiderId},
    http::{App, middleware::client_address::Address, problem::Problem},
    ops::{
        self,
        audit::{Actor, Through},
    },
    settings::SecondFactorRule,
    storage,
};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use maud::{Markup, html};
use qrcode::{QrCode, render::svg};
use serde::Deserialize;
use uuid::Uuid;

/// The side of the picture, pixels.
const PICTURE: u32 = 220;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CodeForm {
    ticket: String,
    code: String,
    #[serde(default)]
    next: String,
}

/// What follows a right password: the session, the form for a code, or setting up a second factor.
pub(super) async fn second_step(
    app: &App,
    preferences: &Preferences,
    (headers, address): (&HeaderMap, Address),
    account: Authenticated,
    next: &str,
) -> PageResult {
    let rule = app.settings.accounts.operators_second_factor;
    if rule == SecondFactorRule::Off {
        return let_in(app, headers, address, account, next).await;
    }
    if second_factor::is_enrolled(&app.saga.pool, account.rider.id).await? {
        let ticket = ticket::issue(app, &account, Step::Code, &Nonce::default());
        return Ok(code_page(preferences, &ticket, next, None));
    }
    if rule == SecondFactorRule::Optional {
        return let_in(app, headers, address, account, next).await;
    }
    enrol_in(app, preferences, &account, next)
}

/// The page that sets up a second factor for this account, whose password was given.
pub(super) fn enrol_in(
    app: &App,
    preferences: &Preferences,
    account: &Authenticated,
    next: &str,
) -> PageResult {
    let nonce = second_factor::new_nonce().map_err(Error::Broken)?;
    let ticket = ticket::issue(app, account, Step::Enrol, &nonce);
    enrol_page(app, preferences, account, &nonce, &ticket, next, None)
}

/// Takes a code. A right one opens the session; after a wrong one the form is shown again.
pub(crate) async fn code(
    State(app): State<App>,
    preferences: Preferences,
    address: Address,
    headers: HeaderMap,
    PlainForm(form): PlainForm<CodeForm>,
) -> PageResult {
    let next = inside(&form.next);
    let (account, _) = match ticket::redeem(&app, &form.ticket, Step::Code).await {
        Ok(redeemed) => redeemed,
        Err(problem) => return Ok(sign_in_page(&preferences, next, Some(&problem))),
    };
    let rider = account.rider.id;
    match second_factor::verify(&app.saga.pool, &app.saga.passwords, rider, &form.code).await {
        Ok(()) => let_in(&app, &headers, address, account.with_second_factor(), next).await,
        Err(Error::Refused(refusal)) => {
            Ok(code_page(&preferences, &form.ticket, next, Some(&refusal.into())))
        }
        Err(error) => Err(error.into()),
    }
}

/// Takes the first code of a new second factor: sets it up, opens the session, and shows the recovery
/// codes.
pub(crate) async fn enrol(
    State(app): State<App>,
    preferences: Preferences,
    address: Address,
    headers: HeaderMap,
    PlainForm(form): PlainForm<CodeForm>,
) -> PageResult {
    let next = inside(&form.next);
    let (account, nonce) = match ticket::redeem(&app, &form.ticket, Step::Enrol).await {
        Ok(redeemed) => redeemed,
        Err(problem) => return Ok(sign_in_page(&preferences, next, Some(&problem))),
    };
    match set_up(&app, &account, &nonce, &form.code).await {
        Ok(codes) => {
            let cookie = session_cookie(&app, &headers, address, account.with_second_factor()).await?;
            Ok((cookie, recovery_page(&preferences, &codes, next)).into_response())
        }
        Err(Error::Refused(refusal)) => {
            let problem = refusal.into();
            enrol_page(&app, &preferences, &account, &nonce, &form.ticket, next, Some(&problem))
        }
        Err(error) => Err(error.into()),
    }
}

/// Sets up the second factor, with its row of the audit log, in one transaction.
async fn set_up(app: &App, account: &Authenticated, nonce: &Nonce, code: &str) -> Result<Vec<String>, Error> {
    let rider = &account.rider;
    let caller = Caller { rider_id: rider.id, role: rider.role, session_id: Uuid::nil() };
    let by = ops::Attribution::new(Actor::caller(&caller, Through::Console), None);
    let mut tx = storage::begin(&app.saga.pool).await?;
    let codes = second_factor::enrol(&mut tx, &app.saga.passwords, rider.id, nonce, code).await;
    let codes = match codes {
        Ok(codes) => codes,
        Err(error) => {
            tx.rollback().await?;
            return Err(error);
        }
    };
    ops::accounts::note_enrolment(&mut tx, &by, rider.id).await?;
    tx.commit().await?;
    Ok(codes)
}

fn code_page(preferences: &Preferences, ticket: &str, next: &str, problem: Option<&Problem>) -> Response {
    let lang = preferences.lang;
    let body = html! {
        form.card.narrow method="post" action="/console/sign-in/code" {
            h1 { (lang.t("Second factor", "第二因素")) }
            (complaint(lang, problem))
            (code_field(lang, lang.t("Code of your authenticator, or a recovery code", "验证器代码或恢复代码")))
            input type="hidden" name="ticket" value=(ticket);
            input type="hidden" name="next" value=(next);
            button.primary type="submit" { (lang.t("Sign in", "登录")) }
        }
    };
    let status = problem.map_or(StatusCode::OK, |problem| problem.status);
    (status, without_nav(preferences, lang.t("Second factor", "第二因素"), body)).into_response()
}

fn enrol_page(
    app: &App,
    preferences: &Preferences,
    account: &Authenticated,
    nonce: &Nonce,
    ticket: &str,
    next: &str,
    problem: Option<&Problem>,
) -> PageResult {
    let lang = preferences.lang;
    let (address, secret) = secret_of(app, account.rider.id, &account.rider.user_name, nonce)?;
    let body = html! {
        form.card.narrow method="post" action="/console/sign-in/enrol" {
            h1 { (lang.t("Set up your second factor", "设置第二因素")) }
            (complaint(lang, problem))
            p { (lang.t(
                "Scan this with an authenticator app, or type the secret into it. Then give the code that it shows.",
                "请用验证器应用扫描二维码，或手动输入密钥，然后输入其显示的代码。",
            )) }
            p { img src=(picture(&address)?) width=(PICTURE) height=(PICTURE) alt=(lang.t("QR code of the secret below", "下方密钥的二维码")); }
            p { (lang.t("Secret", "密钥")) ": " code #secret { (secret) } }
            (code_field(lang, lang.t("Code", "代码")))
            input type="hidden" name="ticket" value=(ticket);
            input type="hidden" name="next" value=(next);
            button.primary type="submit" { (lang.t("Set up", "设置")) }
        }
    };
    let status = problem.map_or(StatusCode::OK, |problem| problem.status);
    let title = lang.t("Set up your second factor", "设置第二因素");
    Ok((status, without_nav(preferences, title, body)).into_response())
}

fn recovery_page(preferences: &Preferences, codes: &[String], next: &str) -> Response {
    let lang = preferences.lang;
    let body = html! {
        div.card.narrow {
            h1 { (lang.t("Recovery codes", "恢复代码")) }
            p { (lang.t(
                "Keep these apart from your device. Each signs you in once if the device is lost. They are not shown again.",
                "请将这些代码与设备分开保存。设备丢失时，每个代码可登录一次。代码不会再次显示。",
            )) }
            ul #recovery { @for code in codes { li { code { (code) } } } }
            p { a.button href=(next) { (lang.t("Go on", "继续")) } }
        }
    };
    without_nav(preferences, lang.t("Recovery codes", "恢复代码"), body).into_response()
}

/// What is wrong, if something is.
pub(super) fn complaint(lang: Lang, problem: Option<&Problem>) -> Markup {
    let text = |key: &str| problem.and_then(|problem| problem.body.get(key)).and_then(|text| text.as_str());
    html! { @if let Some(title) = text("title") {
        p.notice.bad role="alert" { (title) @if let Some(rule) = text("rule") { (lang.t(": ", "：")) (chinese::problem(lang, rule)) } }
    } }
}

/// The field for a code of the second factor.
pub(super) fn code_field(lang: Lang, label: &str) -> Markup {
    html! {
        label for="code" { (label) }
        input #code name="code" type="text" autocomplete="one-time-code" autocapitalize="none" spellcheck="false"
            lang=(lang.code()) required;
    }
}

/// The address that the picture shows, and the secret as text.
fn secret_of(app: &App, rider: RiderId, name: &str, nonce: &Nonce) -> Result<(String, String), Failure> {
    let codes = second_factor::codes(&app.saga.passwords, rider, name, nonce);
    let address = codes.and_then(|codes| codes.to_url().map_err(|error| error.to_string().into()));
    let address = address.map_err(Error::Broken)?;
    let secret = address.split("secret=").nth(1).and_then(|rest| rest.split('&').next());
    let secret = secret.ok_or(Refusal::NotFound("secret"))?.to_owned();
    Ok((address, secret))
}

/// The picture as an address of its own: no script or style is needed for it.
fn picture(address: &str) -> Result<String, Failure> {
    let code = QrCode::new(address).map_err(|error| Error::Broken(error.into()))?;
    let drawn = code.render::<svg::Color<'_>>().min_dimensions(PICTURE, PICTURE).build();
    Ok(format!("data:image/svg+xml;base64,{}", STANDARD.encode(drawn)))
}
