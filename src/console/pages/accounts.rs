//! Accounts: those of operators, for admins; and switching off, resetting and ending the sessions of
//! any account.

use crate::console::{
    components::{action_form, action_link, empty, when},
    failure::{Failure, PageResult},
    form::{OperatorForm, password_page},
    layout::{Nav, redirect_with_notice, with_nav},
    session::PageContext,
};
use crate::{
    accounts::{self, AccountState, Rider, Role, password_reset::ResetCode},
    domain::{FieldError, Id, Refusal, RiderId},
    http::{
        App,
        extract::{Path, denied},
    },
    ops::{
        Attribution,
        accounts::{self as ops_accounts, Account, Reset},
        reads::Read,
    },
    storage,
};
use axum::{extract::State, response::Response};
use maud::{Markup, html};
use serde::Deserialize;
use sqlx::PgConnection;
use std::str::FromStr;

/// Every role, for the form.
const ROLES: [Role; 4] = [Role::Rider, Role::Viewer, Role::Operator, Role::Admin];

/// What is done to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Role,
    Disable,
    Enable,
    Reset,
    Sessions,
}

impl Act {
    const ALL: [Self; 5] = [Self::Role, Self::Disable, Self::Enable, Self::Reset, Self::Sessions];

    fn word(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Disable => "disable",
            Self::Enable => "enable",
            Self::Reset => "reset",
            Self::Sessions => "sessions",
        }
    }

    /// The way to the page that asks for the password again: these acts hand an account over.
    async fn password_page(
        self,
        app: &App,
        context: &PageContext,
        id: RiderId,
    ) -> Result<Option<Response>, Failure> {
        match self {
            Self::Role | Self::Reset => {
                let form = format!("/console/accounts/{id}/{}", self.word());
                password_page(app, &context.caller, &form).await
            }
            Self::Disable | Self::Enable | Self::Sessions => Ok(None),
        }
    }

    fn label(self, context: &PageContext) -> &'static str {
        match self {
            Self::Role => context.t("Change the role", "更改角色"),
            Self::Disable => context.t("Disable", "停用"),
            Self::Enable => context.t("Enable", "启用"),
            Self::Reset => context.t("Reset the password", "重置密码"),
            Self::Sessions => context.t("End the sessions", "结束会话"),
        }
    }

    /// What it does, for the operator who is about to do it.
    fn explained(self, context: &PageContext) -> &'static str {
        match self {
            Self::Role => context.t(
                "It holds everywhere within a second. Sessions of a rider end: the account signs in again.",
                "一秒内在所有节点生效。乘客的会话将结束，需重新登录。",
            ),
            Self::Disable => context.t(
                "The account cannot sign in any more, and its sessions end within a second.",
                "该账户将无法登录，其会话在一秒内结束。",
            ),
            Self::Enable => context.t("The account can sign in again.", "该账户可以重新登录。"),
            Self::Reset => context.t(
                "The password and the sessions end now. A one-time code is shown: hand it to the account's owner, and to nobody else.",
                "密码和会话立即失效。随后显示一次性代码，只能交给账户本人。",
            ),
            Self::Sessions => context.t(
                "Every session of the account ends within a second. Its password stays.",
                "该账户的所有会话在一秒内结束，密码不变。",
            ),
        }
    }
}

impl FromStr for Act {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        Self::ALL.into_iter().find(|act| act.word() == text).ok_or(Refusal::NotFound("page"))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountForm {
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    second_factor: Option<String>,
}

pub(crate) async fn list(State(app): State<App>, context: PageContext) -> PageResult {
    if !context.is_admin() {
        return Err(denied(&context.caller).into());
    }
    let listed = ops_accounts::list(&app.saga.pool).await?;
    let body = html! {
        p.quiet {
            (context.t("Accounts of viewers, operators and admins. They are added by", "观察员、操作员和管理员账户。添加账户的命令：")) " "
            code { "farebox operators add" }
        }
        @if listed.is_empty() { (empty(&context, "No account.", "没有账户。")) }
        @else { div.scroll { table {
            thead { tr { th scope="col" { (context.t("User name", "用户名")) } th scope="col" { (context.t("Role", "角色")) }
                th scope="col" { (context.t("State", "状态")) } th scope="col" { (context.t("Sessions", "会话")) }
                th scope="col" { (context.t("Second factor", "第二因素")) } th scope="col" { (context.t("Since", "添加于")) }
                th scope="col" { (context.t("Actions", "操作")) } } }
            tbody { @for account in &listed { (row(&context, account)) } }
        } } }
        @if listed.len() == ops_accounts::MAX_LISTED { p.quiet { (context.t("There may be more.", "可能还有更多。")) } }
    };
    Ok(with_nav(&context, Nav::Operators, context.t("Operators", "操作员"), body))
}

fn row(context: &PageContext, account: &Account) -> Markup {
    html! { tr {
        td { a href=(format!("/console/riders/{}", account.id)) { (account.user_name) } }
        td { (account.role.as_str()) }
        td { (state_name(context, account.state)) }
        td.number { (account.sessions) }
        td { (if account.second_factor { context.t("yes", "有") } else { context.t("no", "无") }) }
        td { (when(context, account.created_at)) }
        td { div.acts {
            (link(context, account.id, Act::Role))
            (account_links(context, account.id, account.state))
        } }
    } }
}

fn state_name(context: &PageContext, state: AccountState) -> &'static str {
    match state {
        AccountState::Active => context.t("active", "启用"),
        AccountState::Disabled => context.t("disabled", "已停用"),
    }
}

/// The links to what may be done to an account.
pub(super) fn account_links(context: &PageContext, id: RiderId, state: AccountState) -> Markup {
    let acts: &[Act] = match state {
        AccountState::Active => &[Act::Reset, Act::Sessions, Act::Disable],
        AccountState::Disabled => &[Act::Enable],
    };
    html! { @for act in acts { (link(context, id, *act)) } }
}

fn link(context: &PageContext, id: RiderId, act: Act) -> Markup {
    action_link(context, &format!("/console/accounts/{id}/{}", act.word()), act.label(context))
}

/// The account, if this operator manages it.
async fn managed(app: &App, context: &PageContext, id: RiderId) -> Result<Rider, Failure> {
    let rider = accounts::find(&app.saga.pool, id).await?.ok_or(Refusal::NotFound("account"))?;
    if rider.role != Role::Rider && !context.is_admin() {
        return Err(denied(&context.caller).into());
    }
    Ok(rider)
}

pub(crate) async fn confirm(
    State(app): State<App>,
    context: PageContext,
    Path((Id(id), act)): Path<(Id, String)>,
) -> PageResult {
    let act: Act = act.parse()?;
    let rider = managed(&app, &context, RiderId(id)).await?;
    if act == Act::Role && !context.is_admin() {
        return Err(denied(&context.caller).into());
    }
    if let Some(elsewhere) = act.password_page(&app, &context, rider.id).await? {
        return Ok(elsewhere);
    }
    context.reads(&app, &Read::Rider(rider.id)).await?;
    let fields = html! {
        @match act {
            Act::Role => {
                label for="role" { (context.t("Role", "角色")) }
                select #role name="role" {
                    @for role in ROLES { option value=(role.as_str()) selected[role == rider.role] { (role.as_str()) } }
                }
            }
            Act::Reset if rider.role != Role::Rider => {
                label { input type="checkbox" name="second_factor" value="remove";
                    " " (context.t("Remove the second factor too: its device is lost", "同时移除第二因素：设备已丢失")) }
            }
            _ => {}
        }
    };
    let preview = html! {
        p { strong { (rider.user_name) } " · " (rider.role.as_str()) " · " code { (rider.id) } }
        p { (act.explained(&context)) }
    };
    let address = format!("/console/accounts/{id}/{}", act.word());
    let danger = matches!(act, Act::Disable | Act::Reset);
    let form = action_form(&context, &address, act.label(&context), fields, Some(preview), danger);
    Ok(with_nav(&context, nav_of(&rider), &format!("{}: {}", act.label(&context), rider.user_name), form))
}

pub(crate) async fn act(
    State(app): State<App>,
    Path((Id(id), act)): Path<(Id, String)>,
    form: OperatorForm<AccountForm>,
) -> PageResult {
    let (context, by, form) = form.into_parts();
    let (act, id): (Act, _) = (act.parse()?, RiderId(id));
    if let Some(elsewhere) = act.password_page(&app, &context, id).await? {
        return Ok(elsewhere);
    }
    let rider = managed(&app, &context, id).await?;
    let mut tx = storage::begin(&app.saga.pool).await?;
    if act == Act::Reset {
        let second_factor = form.second_factor.is_some();
        let reset = Reset { secs: app.settings.accounts.reset_code_secs, second_factor };
        let code = ops_accounts::reset_password(&mut tx, &by, id, reset).await?;
        tx.commit().await?;
        return Ok(code_page(&context, &rider, &code));
    }
    let done = change(&mut tx, &by, id, act, form.role.as_deref()).await?;
    tx.commit().await?;
    let back = match rider.role {
        Role::Rider => format!("/console/riders/{id}"),
        _ => "/console/accounts".to_owned(),
    };
    let outcome = if done { "✓" } else { context.t("as before", "未变化") };
    Ok(redirect_with_notice(
        &context,
        &back,
        &format!("{}: {} {outcome}", rider.user_name, act.label(&context)),
    ))
}

/// Does it; returns whether something changed.
async fn change(
    conn: &mut PgConnection,
    by: &Attribution,
    id: RiderId,
    act: Act,
    role: Option<&str>,
) -> Result<bool, Failure> {
    Ok(match act {
        Act::Role => {
            let role =
                role.unwrap_or_default().parse().map_err(|rule: String| FieldError::new("role", rule))?;
            ops_accounts::set_role(conn, by, id, role).await?
        }
        Act::Disable => ops_accounts::set_state(conn, by, id, AccountState::Disabled).await?,
        Act::Enable => ops_accounts::set_state(conn, by, id, AccountState::Active).await?,
        Act::Sessions | Act::Reset => ops_accounts::end_sessions(conn, by, id).await? > 0,
    })
}

fn code_page(context: &PageContext, rider: &Rider, code: &ResetCode) -> Response {
    let body = html! { div.card {
        p { (context.t("Hand this code to the account's owner. It is not shown again.", "请将此代码交给账户本人。代码不会再次显示。")) }
        dl.facts {
            dt { (context.t("One-time code", "一次性代码")) } dd { code #reset_code { (code.code) } }
            dt { (context.t("Until", "有效期至")) } dd { (when(context, code.expires_at)) }
        }
        p.quiet { (context.t("A new password is set with it at /console/sign-in/reset, or in the riders' app.", "可在 /console/sign-in/reset 或乘客应用中设置新密码。")) }
    } };
    let title = format!("{}: {}", context.t("Password reset", "密码已重置"), rider.user_name);
    with_nav(context, nav_of(rider), &title, body)
}

fn nav_of(rider: &Rider) -> Nav {
    if rider.role == Role::Rider { Nav::Riders } else { Nav::Operators }
}
