//! What is held of a rider: export, erasure, and the verified e-mail address. For operators only.

use super::riders::{account, known};
use crate::console::{
    components::action_form,
    failure::{Failure, PageResult},
    form::{EmptyForm, OperatorForm, password_page},
    layout::{Nav, redirect_with_notice, with_nav},
    session::PageContext,
};
use crate::{
    domain::{Id, Refusal, RiderId},
    http::{App, extract::Path, problem::Problem},
    ops::{find, people, reads::Read},
    payment::wallet,
    storage,
};
use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use maud::html;
use uuid::Uuid;

/// What a form does with an account.
#[derive(Clone, Copy)]
enum PersonAct {
    Export,
    Forget,
    VerifyEmail,
}

impl PersonAct {
    fn read(act: &str) -> Result<Self, Failure> {
        match act {
            "export" => Ok(Self::Export),
            "forget" => Ok(Self::Forget),
            "verify-email" => Ok(Self::VerifyEmail),
            _ => Err(Refusal::NotFound("act").into()),
        }
    }

    /// The way to the page that asks for the password again, before data is handed over or erased.
    async fn password_page(
        self,
        app: &App,
        context: &PageContext,
        form: &str,
    ) -> Result<Option<Response>, Failure> {
        match self {
            Self::Export | Self::Forget => password_page(app, &context.caller, form).await,
            Self::VerifyEmail => Ok(None),
        }
    }

    fn label(self, context: &PageContext) -> &'static str {
        match self {
            Self::Export => context.t("Export", "导出"),
            Self::Forget => context.t("Forget", "注销"),
            Self::VerifyEmail => context.t("E-mail is verified", "确认邮箱"),
        }
    }

    fn explanation(self, context: &PageContext) -> &'static str {
        match self {
            Self::Export => context.t(
                "A file with all that is held of this account. Hand it to its owner only.",
                "包含此账户全部数据的文件，只能交给账户本人。",
            ),
            Self::Forget => context.t(
                "Name, contacts and comments are erased, and nobody can sign in. Orders and ledger stay, without a name. This cannot be taken back.",
                "姓名、联系方式和评论将被删除，账户无法再登录。订单和账目保留，但不再有姓名。此操作无法撤销。",
            ),
            Self::VerifyEmail => context.t(
                "Say in the reason how you made sure that the address is this rider's.",
                "请在原因中说明如何确认此邮箱属于该乘客。",
            ),
        }
    }
}

pub(crate) async fn confirm(
    State(app): State<App>,
    context: PageContext,
    Path((Id(id), act)): Path<(Id, String)>,
) -> PageResult {
    let (act, label) = (PersonAct::read(&act)?, act);
    let action = format!("/console/riders/{id}/{label}");
    if let Some(elsewhere) = act.password_page(&app, &context, &action).await? {
        return Ok(elsewhere);
    }
    let (pool, rider) = (&app.saga.pool, known(&app, id).await?);
    context.reads(&app, &Read::Rider(rider.id)).await?;
    let (balance, times) = (wallet::balance(pool, rider.id).await?, find::times(pool, rider.id).await?);
    let preview = html! {
        (account(&context, &rider, times, balance))
        p { (act.explanation(&context)) }
    };
    let danger = matches!(act, PersonAct::Forget);
    let form = action_form(&context, &action, act.label(&context), html! {}, Some(preview), danger);
    let title = format!("{}: {}", act.label(&context), rider.user_name);
    Ok(with_nav(&context, Nav::Riders, &title, form))
}

pub(crate) async fn act(
    State(app): State<App>,
    Path((Id(id), act)): Path<(Id, String)>,
    form: OperatorForm<EmptyForm>,
) -> PageResult {
    let (act, label) = (PersonAct::read(&act)?, act);
    let (context, by, EmptyForm {}) = form.into_parts();
    let page = format!("/console/riders/{id}/{label}");
    if let Some(elsewhere) = act.password_page(&app, &context, &page).await? {
        return Ok(elsewhere);
    }
    let (rider, mut tx) = (RiderId(id), storage::begin(&app.saga.pool).await?);
    let notice = match act {
        PersonAct::Export => {
            let held = people::export(&mut tx, &by, rider).await?;
            tx.commit().await?;
            return file(id, &held);
        }
        PersonAct::Forget => {
            people::forget(&mut tx, &by, rider).await?;
            context.t("Forgotten ✓", "已注销 ✓")
        }
        PersonAct::VerifyEmail => {
            people::verify_email(&mut tx, &by, rider).await?;
            context.t("E-mail is verified ✓", "邮箱已验证 ✓")
        }
    };
    tx.commit().await?;
    Ok(redirect_with_notice(&context, &format!("/console/riders/{id}"), notice))
}

fn file(id: Uuid, held: &serde_json::Value) -> Result<Response, Failure> {
    let text = serde_json::to_vec_pretty(held).map_err(|_| Problem::broken())?;
    let saved = format!("attachment; filename=\"rider-{id}.json\"");
    let headers =
        [(header::CONTENT_TYPE, "application/json".to_owned()), (header::CONTENT_DISPOSITION, saved)];
    Ok((headers, text).into_response())
}
