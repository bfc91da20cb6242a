//! The page around every page's content, with the navigation.

use super::{
    assets::{SCRIPT, STYLE},
    banner,
    cards::label_cells,
    components::{LIVE_BEGIN, notice},
    preferences::{LOCAL, Preferences},
    session::{PageContext, next},
    standing::Standing,
    time::clock,
};
use crate::browser::language::{Lang, Theme};
use axum::{
    http::header,
    response::{Html, IntoResponse, Redirect, Response},
};
use chrono::Utc;
use chrono_tz::Tz;
use maud::{DOCTYPE, Markup, html};

/// Where in the navigation a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nav {
    Home,
    Jobs,
    Queues,
    Bulk,
    Orders,
    Trips,
    Network,
    Riders,
    Audit,
    Operators,
    /// None of the entries.
    Elsewhere,
}

const NAVIGATION: [(Nav, &str, &str, &str); 10] = [
    (Nav::Home, "/console", "Home", "首页"),
    (Nav::Jobs, "/console/jobs", "Jobs", "任务"),
    (Nav::Queues, "/console/queues", "Queues", "队列"),
    (Nav::Bulk, "/console/bulk", "Bulk", "批量"),
    (Nav::Orders, "/console/orders", "Orders", "订单"),
    (Nav::Trips, "/console/trips", "Trips", "班次"),
    (Nav::Network, "/console/network", "Network", "线网"),
    (Nav::Riders, "/console/riders", "Riders", "乘客"),
    (Nav::Audit, "/console/audit", "Audit", "审计"),
    (Nav::Operators, "/console/accounts", "Operators", "操作员"),
];

/// A page with the navigation, for a signed-in account.
pub(crate) fn with_nav(context: &PageContext, nav: Nav, title: &str, body: Markup) -> Response {
    with_standing(context, nav, title, &Standing::plain(title), body)
}

/// The same, with a tab that shows how things stand.
pub(crate) fn with_standing(
    context: &PageContext,
    nav: Nav,
    title: &str,
    tab: &Standing,
    body: Markup,
) -> Response {
    let top = html! {
        nav aria-label=(context.t("Main", "主导航")) {
            @for (entry, address, en, zh) in NAVIGATION {
                @if entry != Nav::Operators || context.is_admin() {
                a href=(address) aria-current=[(entry == nav).then_some("page")] { (context.t(en, zh)) }
                }
            }
        }
        form.search role="search" action="/console/search" {
            label.hidden for="q" { (context.t("Search", "搜索")) }
            input #q name="q" type="search" placeholder=(context.t("Id, name, phone, key, error…", "编号、姓名、电话、键、错误…"))
                title=(context.t("Any id, also shortened; a name, a phone number or a part of them; a trace id, a key, an error, a departure", "任意编号（可缩短）、姓名、电话或其一部分；追踪编号、键、错误、班次")) required;
        }
        div.who {
            a href="/console/account" { span { @if !context.name.is_empty() { (context.name) " · " } (role(context)) } }
            form method="post" action="/console/sign-out" {
                button type="submit" { (context.t("Sign out", "退出")) }
            }
        }
    };
    let is_live = body.0.contains(LIVE_BEGIN);
    let main = html! {
        (staleness(context))
        div.title {
            h1 { (title) }
            @if is_live { (as_of(context)) }
            @if is_live { button #pause type="button" hidden aria-pressed="false"
                data-on=(context.t("Pause updates", "暂停更新")) data-off=(context.t("Resume updates", "继续更新"))
                { (context.t("Pause updates", "暂停更新")) } }
        }
        (banner::pauses(context))
        @if let Some(words) = &context.notice { (notice("good", "status", html! { (words) })) }
        (body)
    };
    let mut response = document(&context.preferences, tab, top, main).into_response();
    if context.notice.is_some() {
        response.headers_mut().append(header::SET_COOKIE, context.notices.remove());
    }
    response
}

/// When the page was rendered. The script counts the seconds since the last message.
fn as_of(context: &PageContext) -> Markup {
    let words = context.t("as of {n} s ago", "{n} 秒前的数据");
    let now = clock(context.zone, Utc::now());
    html! { span.quiet #as-of data-words=(words) { (context.t("as of ", "截至 ")) (now) } }
}

/// The bar that the script fills when the page is stale.
fn staleness(context: &PageContext) -> Markup {
    let sign_in = format!("/console/sign-in?{}", next(&context.path));
    html! {
        p #stale role="status" data-sign-in=(sign_in)
            data-sign-in-words=(context.t("Sign in", "登录"))
            data-server=(context.t("The server does not answer. What you see is old.", "服务器没有响应。所见数据已过时。"))
            data-database=(context.t("The database does not answer. What you see is old.", "数据库没有响应。所见数据已过时。"))
            data-busy=(context.t("The server is busy. What you see is old.", "服务器繁忙。所见数据已过时。"))
            data-session=(context.t("The session has ended. What you see is old.", "会话已结束。所见数据已过时。")) {}
    }
}

/// The same bar for a page without a session, which asks for the database alone.
fn staleness_without_session(lang: Lang) -> Markup {
    html! {
        p #stale role="status" data-beat="/console/sign-in/beat"
            data-server=(lang.t("The server does not answer. Nothing can be sent just now.", "服务器没有响应，暂时无法提交。"))
            data-database=(lang.t("The database does not answer. Nothing can be sent just now.", "数据库没有响应，暂时无法提交。"))
            data-busy=(lang.t("The server is busy. Nothing can be sent just now.", "服务器繁忙，暂时无法提交。")) {}
    }
}

/// A page without the navigation, for anyone.
pub(crate) fn without_nav(preferences: &Preferences, title: &str, body: Markup) -> Html<String> {
    let body = html! { (staleness_without_session(preferences.lang)) (body) };
    document(preferences, &Standing::plain(title), html! {}, body)
}

fn document(preferences: &Preferences, tab: &Standing, top: Markup, main: Markup) -> Html<String> {
    let lang = preferences.lang;
    let page = html! {
        (DOCTYPE)
        html lang=(lang.code()) data-now=(Utc::now().timestamp_millis()) data-theme=[preferences.theme.map(Theme::code)] {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (tab.title) }
                link #icon rel="icon" href=(tab.icon);
                link rel="stylesheet" href=(STYLE.address);
                script src=(SCRIPT.address) defer {}
            }
            body {
                a.skip href="#main" { (lang.t("Skip to the content", "跳到正文")) }
                header { a.brand href="/console" { "Farebox" } (top) }
                main #main tabindex="-1" { (main) }
                footer { (preferences_form(preferences)) (keyboard_help(lang)) (api_link(lang)) }
            }
        }
    };
    Html(label_cells(&page.into_string()))
}

fn preferences_form(preferences: &Preferences) -> Markup {
    let lang = preferences.lang;
    let themes = [("auto", "Auto", "自动"), ("light", "Light", "浅色"), ("dark", "Dark", "深色")];
    let chosen = preferences.theme.map_or("auto", Theme::code);
    let is_utc = preferences.has_chosen_zone && preferences.zone == Some(Tz::UTC);
    let zones = [
        (LOCAL, lang.t("Local time", "本地时间"), !preferences.has_chosen_zone),
        (Tz::UTC.name(), "UTC", is_utc),
    ];
    html! {
        form.preferences_form method="post" action="/console/preferences" {
            input type="hidden" name="next" value=(preferences.path);
            @for (code, name) in [("en", "English"), ("zh", "中文")] {
                button type="submit" name="lang" value=(code) lang=(code) aria-pressed=(lang.code() == code) { (name) }
            }
            @for (code, en, zh) in themes {
                button type="submit" name="theme" value=(code) aria-pressed=(chosen == code) { (lang.t(en, zh)) }
            }
            @for (code, words, is) in zones {
                button type="submit" name="zone" value=(code) aria-pressed=(is) { (words) }
            }
        }
    }
}

fn keyboard_help(lang: Lang) -> Markup {
    let keys = [
        ("/", "search", "搜索"),
        ("g h", "home", "首页"),
        ("g j", "jobs", "任务"),
        ("g q", "queues", "队列"),
        ("g b", "bulk", "批量"),
        ("g o", "orders", "订单"),
        ("g t", "trips", "班次"),
        ("g r", "riders", "乘客"),
        ("g a", "audit", "审计"),
        ("j", "next row", "下一行"),
        ("k", "row before", "上一行"),
        ("Enter", "open the row", "打开该行"),
        ("a", "the page's first act", "本页首个操作"),
        ("p", "pause updates", "暂停更新"),
        ("?", "these keys", "快捷键"),
    ];
    html! {
        details.scripted #keys {
            summary { (lang.t("Keys", "快捷键")) }
            dl.keys { @for (key, en, zh) in keys { div { dt { kbd { (key) } } dd { (lang.t(en, zh)) } } } }
        }
    }
}

/// Where the description of the API is, which is in English.
fn api_link(lang: Lang) -> Markup {
    html! { p.small { a href="/docs" hreflang="en" { (lang.t("API documentation", "API 文档（英文）")) } } }
}

fn role(context: &PageContext) -> &'static str {
    if context.is_admin() {
        return context.t("admin", "管理员");
    }
    if context.can_write() { context.t("operator", "操作员") } else { context.t("viewer", "观察员") }
}

/// Redirects to a page, which shows the notice once.
pub(crate) fn redirect_with_notice(context: &PageContext, to: &str, notice: &str) -> Response {
    ([(header::SET_COOKIE, context.notices.set(notice))], Redirect::to(to)).into_response()
}
