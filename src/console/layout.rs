//! What every page has: the frame around it, and the parts pages are made of.

use super::{
    assets::{SCRIPT_ADDRESS, STYLE_ADDRESS},
    session::{Lang, NOTICE, Taste, Theme, Visit, is_inside, visitor},
};
use crate::{
    domain::{Error, FieldError, Money, Refusal},
    http::{App, middleware::context::told_in, problem::Problem},
};
use axum::{
    body::to_bytes,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header, uri::PathAndQuery},
    middleware::Next,
    response::{Html, IntoResponse, Redirect, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, SecondsFormat, Utc};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::{Map, Value};
use std::{fmt::Display, sync::Arc};

/// Before a live part's id, which `-->` follows.
pub(crate) const LIVE_BEGIN: &str = "<!--live:";
/// After a live part.
pub(crate) const LIVE_END: &str = "<!--/live-->";

/// What pages may do in a browser: nothing from elsewhere, no script and no style within the page.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);
const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    // Not none: a form's origin would be null then.
    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
];

/// The largest problem body that is shown as a page, bytes.
const LARGEST_PROBLEM: usize = 64 * 1024;

/// What a page answers.
pub(crate) type Answer = Result<Response, Failure>;

/// Why there is no page.
#[derive(Debug)]
pub(crate) struct Failure(Problem);

/// Where in the navigation a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nav {
    Home,
    Jobs,
    Queues,
    Bulk,
    Orders,
    Trips,
    Riders,
    Audit,
    /// Nowhere.
    Elsewhere,
}

const NAVIGATION: [(Nav, &str, &str, &str); 8] = [
    (Nav::Home, "/console", "Home", "首页"),
    (Nav::Jobs, "/console/jobs", "Jobs", "任务"),
    (Nav::Queues, "/console/queues", "Queues", "队列"),
    (Nav::Bulk, "/console/bulk", "Bulk", "批量"),
    (Nav::Orders, "/console/orders", "Orders", "订单"),
    (Nav::Trips, "/console/trips", "Trips", "班次"),
    (Nav::Riders, "/console/riders", "Riders", "乘客"),
    (Nav::Audit, "/console/audit", "Audit", "审计"),
];

/// What every answer under /console is made with, whoever gives it: problems in the language that was chosen and as pages,
/// and headers.
pub(crate) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if !is_inside(request.uri().path()) {
        return next.run(request).await;
    }
    let taste = taste_of(&request);
    let headers = request.headers().clone();
    let lang = taste.lang;
    let response = told_in(lang == Lang::Chinese, next.run(request)).await;
    let mut response = readable(&app, &headers, taste, response).await;
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, value);
    }
    let is_page = |kind: &HeaderValue| kind.as_bytes().starts_with(b"text/html");
    if response.headers().get(header::CONTENT_TYPE).is_some_and(is_page) {
        response.headers_mut().insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(lang.code()));
    }
    response
}

/// A page of its own is shown again in another language; what answers a form leads home.
fn taste_of(request: &Request) -> Taste {
    let path = request.uri().path_and_query().filter(|_| request.method() == Method::GET);
    Taste::of(request.headers(), path.map_or("/console", PathAndQuery::as_str))
}

/// A problem as a page, with the navigation of whoever is signed in.
async fn readable(app: &App, headers: &HeaderMap, taste: Taste, response: Response) -> Response {
    let is_problem = |kind: &HeaderValue| kind.as_bytes().starts_with(b"application/problem+json");
    if !response.headers().get(header::CONTENT_TYPE).is_some_and(is_problem) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, LARGEST_PROBLEM).await.unwrap_or_default();
    let body: Map<String, Value> = serde_json::from_slice(&body).unwrap_or_default();
    let visit = visitor(headers, taste.path.clone(), app).await;
    let title = body.get("title").and_then(Value::as_str).unwrap_or_default().to_owned();
    let told = told(taste.lang, &body);
    let page = match visit {
        Some(visit) => page(&visit, Nav::Elsewhere, &title, html! { div.card { (told) } }),
        None => bare(&taste, &title, html! { div.card.narrow { h1 { (title) } (told) } }).into_response(),
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    let (of_page, page) = page.into_parts();
    parts.headers.extend(of_page.headers);
    Response::from_parts(parts, page)
}

fn told(lang: Lang, body: &Map<String, Value>) -> Markup {
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
    html! {
        p { (text("detail")) }
        p.quiet { (body.get("status").unwrap_or(&Value::Null)) " · " (text("code")) " · " (text("trace_id")) }
        p { a href="/console" { (lang.say("To the home page", "返回首页")) } }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self(error.into())
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self(refusal.into())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error.into())
    }
}

impl From<FieldError> for Failure {
    fn from(error: FieldError) -> Self {
        Self(Problem::field(&error))
    }
}

/// [`guard`] makes a page of it.
impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

/// A whole page for somebody who is signed in.
pub(crate) fn page(visit: &Visit, nav: Nav, title: &str, body: Markup) -> Response {
    let top = html! {
        nav aria-label=(visit.say("Main", "主导航")) {
            @for (place, address, en, zh) in NAVIGATION {
                a href=(address) aria-current=[(place == nav).then_some("page")] { (visit.say(en, zh)) }
            }
        }
        form.search role="search" action="/console/search" {
            label.hidden for="q" { (visit.say("Search", "搜索")) }
            input #q name="q" type="search" placeholder=(visit.say("Any id, or an e-mail address  /", "任意编号或邮箱  /")) required;
        }
        div.who {
            span { @if !visit.name.is_empty() { (visit.name) " · " } (role(visit)) }
            form method="post" action="/console/sign-out" {
                button type="submit" { (visit.say("Sign out", "退出")) }
            }
        }
    };
    let main = html! {
        div.title {
            h1 { (title) }
            button #pause type="button" hidden aria-pressed="false"
                data-on=(visit.say("Pause updates", "暂停更新")) data-off=(visit.say("Resume updates", "继续更新"))
                { (visit.say("Pause updates", "暂停更新")) }
        }
        @if let Some(notice) = &visit.notice { p.notice.good role="status" { (notice) } }
        (body)
    };
    let mut response = framed(&visit.taste, title, top, main).into_response();
    if visit.notice.is_some() {
        response.headers_mut().append(header::SET_COOKIE, gone());
    }
    response
}

/// A page for anybody.
pub(crate) fn bare(taste: &Taste, title: &str, body: Markup) -> Html<String> {
    framed(taste, title, html! {}, body)
}

fn framed(taste: &Taste, title: &str, top: Markup, main: Markup) -> Html<String> {
    let lang = taste.lang;
    let page = html! {
        (DOCTYPE)
        html lang=(lang.code()) data-theme=[taste.theme.map(Theme::code)] {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Farebox" }
                link rel="icon" href="data:,";
                link rel="stylesheet" href=(*STYLE_ADDRESS);
                script src=(*SCRIPT_ADDRESS) defer {}
            }
            body {
                a.skip href="#main" { (lang.say("Skip to the content", "跳到正文")) }
                header { a.brand href="/console" { "Farebox" } (top) }
                main #main tabindex="-1" { (main) }
                footer { (looks(taste)) (keys(lang)) }
            }
        }
    };
    Html(page.into_string())
}

fn looks(taste: &Taste) -> Markup {
    let lang = taste.lang;
    let themes = [("auto", "Auto", "自动"), ("light", "Light", "浅色"), ("dark", "Dark", "深色")];
    let chosen = taste.theme.map_or("auto", Theme::code);
    html! {
        form.looks method="post" action="/console/look" {
            input type="hidden" name="next" value=(taste.path);
            @for (code, name) in [("en", "English"), ("zh", "中文")] {
                button type="submit" name="lang" value=(code) lang=(code) aria-pressed=(lang.code() == code) { (name) }
            }
            @for (code, en, zh) in themes {
                button type="submit" name="theme" value=(code) aria-pressed=(chosen == code) { (lang.say(en, zh)) }
            }
        }
    }
}

fn keys(lang: Lang) -> Markup {
    let keys = [
        ("/", "search", "搜索"),
        ("g h", "home", "首页"),
        ("g j", "jobs", "任务"),
        ("g q", "queues", "队列"),
        ("g o", "orders", "订单"),
        ("g t", "trips", "班次"),
        ("g r", "riders", "乘客"),
        ("g a", "audit", "审计"),
        ("p", "pause updates", "暂停更新"),
        ("?", "these keys", "快捷键"),
    ];
    html! {
        details #keys {
            summary { (lang.say("Keys", "快捷键")) }
            dl.keys { @for (key, en, zh) in keys { div { dt { kbd { (key) } } dd { (lang.say(en, zh)) } } } }
        }
    }
}

fn role(visit: &Visit) -> &'static str {
    if visit.may_act() { visit.say("operator", "操作员") } else { visit.say("viewer", "观察员") }
}

/// After an act: to this page, which says what was done.
pub(crate) fn done(to: &str, notice: &str) -> Response {
    let cookie = format!(
        "{NOTICE}={}; Path=/console; Max-Age=30; HttpOnly; SameSite=Lax",
        URL_SAFE_NO_PAD.encode(notice)
    );
    ([(header::SET_COOKIE, cookie)], Redirect::to(to)).into_response()
}

fn gone() -> HeaderValue {
    HeaderValue::from_static("farebox_notice=; Path=/console; Max-Age=0; HttpOnly; SameSite=Lax")
}

/// A part of a page that keeps itself current. The id is unique on the page.
pub(crate) fn live(id: &str, _: &Visit, body: Markup) -> Markup {
    html! {
        div id=(id) data-live { (PreEscaped(LIVE_BEGIN)) (id) (PreEscaped("-->")) (body) (PreEscaped(LIVE_END)) }
    }
}

/// A form that acts, with the reason it needs; a viewer sees it and cannot use it.
pub(crate) fn act_form(
    visit: &Visit,
    action: &str,
    label: &str,
    fields: Markup,
    preview: Option<Markup>,
    danger: bool,
) -> Markup {
    let off = !visit.may_act();
    let reason = format!("reason-{}", action.rsplit('/').next().unwrap_or_default());
    html! {
        form.act.card method="post" action=(action) {
            @if let Some(preview) = preview { div.preview { (preview) } }
            fieldset disabled[off] {
                legend.hidden { (label) }
                input type="hidden" name="csrf" value=(visit.csrf);
                (fields)
                label for=(reason) { (visit.say("Reason (kept in the audit log)", "原因（记入审计日志）")) }
                input id=(reason) name="reason" type="text" maxlength="500" required autocomplete="off";
                button.primary.danger[danger] type="submit" { (label) }
                @if off { p.quiet { (visit.say("For operators only.", "仅限操作员。")) } }
            }
        }
    }
}

/// A button that leads to the page of an act.
pub(crate) fn act_link(visit: &Visit, address: &str, label: &str) -> Markup {
    html! {
        @if visit.may_act() { a.button href=(address) { (label) } }
        @else { button type="button" disabled title=(visit.say("For operators only.", "仅限操作员。")) { (label) } }
    }
}

/// A time: UTC to the second, the exact one as its title.
pub(crate) fn when(_: &Visit, at: DateTime<Utc>) -> Markup {
    let exact = at.to_rfc3339_opts(SecondsFormat::Micros, true);
    html! { time datetime=(exact) title=(exact) { (at.format("%Y-%m-%d %H:%M:%S")) } }
}

/// How long something is or was, in words of one unit or two.
pub(crate) fn span(visit: &Visit, secs: f64) -> String {
    let whole = secs.abs() as u64;
    let unit = |en, zh| visit.say(en, zh);
    match whole {
        0..60 if secs.abs() < 10.0 => format!("{:.1} {}", secs.abs(), unit("s", "秒")),
        0..60 => format!("{whole} {}", unit("s", "秒")),
        60..3_600 => format!("{} {} {} {}", whole / 60, unit("min", "分"), whole % 60, unit("s", "秒")),
        3_600..86_400 => {
            format!("{} {} {} {}", whole / 3_600, unit("h", "小时"), whole / 60 % 60, unit("min", "分"))
        }
        _ => format!("{} {}", whole / 86_400, unit("days", "天")),
    }
}

/// An amount of money.
pub(crate) fn money(amount: Money) -> Markup {
    html! { span.money { (amount) } }
}

/// A tag as it is on the wire.
pub(crate) fn tag(_: &Visit, wire: &str) -> Markup {
    html! { code.tag { (wire) } }
}

/// A state as a badge: its word, and a mark that is not only a colour.
pub(crate) fn state(visit: &Visit, state: &str) -> Markup {
    let (kind, mark, en, zh) = match state {
        "ready" => ("wait", "○", "ready", "就绪"),
        "delayed" => ("wait", "◔", "delayed", "延迟"),
        "retrying" => ("bad", "↻", "failed, retrying", "失败，重试中"),
        "running" => ("run", "▶", "running", "运行中"),
        "done" => ("good", "✓", "done", "完成"),
        "dead" => ("bad", "✗", "dead", "死信"),
        "cancelled" => ("off", "–", "cancelled", "已取消"),
        "missing" => ("bad", "✗", "missing", "失联"),
        "working" => ("good", "✓", "working", "工作中"),
        "draining" => ("wait", "◔", "draining", "排空中"),
        "paused" => ("wait", "‖", "paused", "已暂停"),
        "unpaid" => ("wait", "◔", "unpaid", "未支付"),
        "paying" => ("run", "▶", "paying", "支付中"),
        "paid" => ("good", "✓", "paid", "已支付"),
        "refunding" => ("run", "▶", "refunding", "退款中"),
        "refunded" => ("off", "↺", "refunded", "已退款"),
        "closed" => ("off", "–", "closed", "已关闭"),
        "undone" => ("off", "↺", "undone", "已撤销"),
        "barred" => ("off", "⊘", "barred", "已阻止"),
        "due" => ("bad", "!", "undo due", "待撤销"),
        "none" => ("off", "·", "not begun", "未开始"),
        other => return html! { span.badge.off { (other) } },
    };
    html! { span class=(format!("badge {kind}")) { span aria-hidden="true" { (mark) } " " (visit.say(en, zh)) } }
}

/// Links by id, shortened; the whole id is the title.
pub(crate) fn link_order(id: impl Display) -> Markup {
    link("/console/orders", id)
}

pub(crate) fn link_job(id: impl Display) -> Markup {
    link("/console/jobs", id)
}

pub(crate) fn link_rider(id: impl Display) -> Markup {
    link("/console/riders", id)
}

pub(crate) fn link_trip(id: impl Display) -> Markup {
    link("/console/trips", id)
}

fn link(room: &str, id: impl Display) -> Markup {
    let id = id.to_string();
    let end = id.len().saturating_sub(12);
    html! { a.id href=(format!("{room}/{id}")) title=(id) { "…" (id[end..]) } }
}

/// What stands where nothing is to be shown.
pub(crate) fn empty(visit: &Visit, en: &'static str, zh: &'static str) -> Markup {
    html! { p.empty { (visit.say(en, zh)) } }
}

/// The link to the next page of a list: this page's address with another `after`.
pub(crate) fn more(visit: &Visit, after: Option<impl Display>) -> Markup {
    further(visit, after, visit.say("Older", "更早"))
}

/// [`more`], for a list that is not in the order of age.
pub(crate) fn further(visit: &Visit, after: Option<impl Display>, words: &str) -> Markup {
    let Some(after) = after else { return html! {} };
    let (path, query) = visit.path.split_once('?').unwrap_or((&visit.path, ""));
    let kept: Vec<&str> =
        query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("after=")).collect();
    let address = format!("{path}?{}{}after={after}", kept.join("&"), if kept.is_empty() { "" } else { "&" });
    html! { p.more { a.button href=(address) rel="next" { (words) } } }
}
