//! What is said about a form that comes back, and the pages that hold one without its own page.

use super::{
    fill::{PAGE, comes_back},
    sent::SentForm,
};
use crate::browser::language::Lang;
use crate::console::{
    chinese,
    layout::{Nav, with_nav, without_nav},
    numbers::in_words,
    preferences::Preferences,
    session::{PageContext, next},
};
use axum::{
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use maud::{Markup, html};
use serde_json::{Map, Value};

/// Fields that their pages hide.
const HIDDEN: [&str; 8] = ["id", "ids", "act", "expected", "digest", "reference", "csrf", "page"];
/// What the fields are called, where their page is not there.
const NAMES: [(&str, &str, &str); 8] = [
    ("reason", "Reason (kept in the audit log)", "原因（记入审计日志）"),
    ("amount", "Amount", "金额"),
    ("minutes", "Minutes", "分钟"),
    ("seats", "Seats", "座位"),
    ("note", "Note", "备注"),
    ("price", "Price", "票价"),
    ("bus", "Bus", "车辆"),
    ("role", "Role", "角色"),
];

/// Why a form comes back.
pub(super) struct Reason {
    lang: Lang,
    title: String,
    detail: String,
    field: Option<(String, String)>,
    footer: String,
    /// Whether something may have been done.
    uncertain: bool,
}

impl Reason {
    pub(super) fn of(lang: Lang, body: &Map<String, Value>) -> Self {
        let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
        // A pointer into a body names the form's field first.
        let name = text("field").trim_start_matches("/filter/").trim_start_matches('/');
        let name = name.split('/').next().unwrap_or_default().to_owned();
        let field = (!name.is_empty()).then(|| (name, chinese::problem(lang, text("rule")).into_owned()));
        let status = body.get("status").map(Value::to_string).unwrap_or_default();
        let footer = format!("{status} · {} · {}", text("code"), text("trace_id"));
        let (title, detail) = (text("title").to_owned(), in_words(&chinese::detail(lang, body)));
        let uncertain = body.get("status").and_then(Value::as_u64).is_some_and(|status| status >= 500);
        Self { lang, title, detail, field, footer, uncertain }
    }

    /// The field at fault, and its rule.
    pub(super) fn fault(&self) -> Option<(&str, &str)> {
        self.field.as_ref().map(|(name, rule)| (name.as_str(), rule.as_str()))
    }

    fn outcome(&self) -> &'static str {
        if self.uncertain {
            return self.lang.t(
                "It is not certain whether anything was done: look at the page first. Your entries are still here.",
                "尚不确定操作是否已执行：请先查看页面。您的输入仍然保留。",
            );
        }
        self.lang.t("Nothing was done. Your entries are still here.", "未执行任何操作。您的输入仍然保留。")
    }

    /// What is said before the form. The script gives the page its own address again.
    pub(super) fn notice(&self, page: &str) -> Markup {
        html! {
            div.notice.bad role="alert" data-page=(page) {
                strong { (self.title) }
                p { (self.detail) }
                p { (self.outcome()) }
                p.small { (self.footer) }
            }
        }
    }
}

/// What is said beside the field of a file, which no page can fill in.
pub(super) fn choose_again(lang: Lang) -> &'static str {
    lang.t("Choose the file again: a page cannot keep it.", "请重新选择文件：页面无法保留文件。")
}

/// What is said before a form that waited.
pub(super) fn waited(lang: Lang) -> Markup {
    html! { div.notice.wait role="status" {
        (lang.t(
            "Nothing was done yet. Your entries are still here: look at them, and send the form again.",
            "尚未执行任何操作。您的输入仍然保留：请核对后重新提交。",
        ))
    } }
}

/// A form without its page, while the system cannot make that.
pub(super) fn alone(context: &PageContext, form: &SentForm, reason: &Reason) -> Response {
    let name = |name: &str| {
        let known = NAMES.iter().find(|(known, ..)| *known == name);
        known.map_or_else(|| name.to_owned(), |(_, en, zh)| context.t(en, zh).to_owned())
    };
    let body = html! {
        div.notice.bad role="alert" {
            strong { (reason.title) }
            p { (reason.detail) }
            p { (reason.outcome()) }
            p.small { (reason.footer) }
        }
        form.act.card method="post" action=(form.action) {
            input type="hidden" name="csrf" value=(context.csrf);
            input type="hidden" name=(PAGE) value=(form.page);
            @for (field, value) in form.fields.iter().filter(|(field, _)| field != "csrf") {
                @if HIDDEN.contains(&field.as_str()) { input type="hidden" name=(field) value=(value); }
                @else {
                    label for=(format!("kept-{field}")) { (name(field)) }
                    input id=(format!("kept-{field}")) name=(field) type="text" value=(value) autocomplete="off";
                    @if let Some((at, rule)) = reason.fault() { @if at == field { p.fault { (rule) } } }
                }
            }
            button.primary type="submit" { (context.t("Send again", "重新提交")) }
            " " a href=(form.page) { (context.t("Back to the page", "返回页面")) }
        }
    };
    with_nav(context, Nav::Elsewhere, &reason.title, body)
}

/// A form of an ended session that is too large for a cookie: it waits in its page while its operator
/// signs in elsewhere.
pub(super) fn too_large_to_wait(headers: &HeaderMap, form: &SentForm, to: &str) -> Response {
    let preferences = Preferences::of(headers, "/console");
    let lang = preferences.lang;
    let title = lang.t("Sign in to go on", "请登录后继续");
    let body = html! {
        form.card.narrow method="post" action=(form.action) {
            h1 { (title) }
            p { (lang.t(
                "Nothing was done. Sign in on another page, come back to this one, and send the form again.",
                "未执行任何操作。请在另一个页面登录，然后回到此页重新提交。",
            )) }
            p { a.button href=(format!("{to}?{}", next("/console"))) target="_blank" rel="noopener" { (lang.t("Sign in", "登录")) } }
            input type="hidden" name=(PAGE) value=(form.page);
            @for (field, value) in form.fields.iter().filter(|(field, _)| comes_back(field) || field == "csrf") {
                input type="hidden" name=(field) value=(value);
            }
            button.primary type="submit" { (lang.t("Send again", "重新提交")) }
        }
    };
    (StatusCode::UNAUTHORIZED, without_nav(&preferences, title, body)).into_response()
}
