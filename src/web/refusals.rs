//! What the API refused, in a rider's words.

use super::{
    api::Refused,
    session::Visitor,
    words::{duration, money},
};
use crate::accounts::pay_password::LOCK;
use axum::http::StatusCode;
use maud::{Markup, html};
use serde_json::Value;

/// The code of seats that somebody else has.
pub(super) const TAKEN: &str = "004000";
/// The codes of a press that came while an earlier one is at work: nothing is wrong.
const AT_WORK: [&str; 2] = ["006006", "006010"];
/// What stands for a code where a form is not of a page of the session.
const OUT_OF_DATE: &str = "out of date";
/// The code of an account with too many unpaid orders.
const TOO_MANY_HOLDS: &str = "006040";

/// The refusal in its place on a page. Assistive technology reads it out.
pub(super) fn alert(visitor: &Visitor, refused: &Refused) -> Markup {
    let class = if AT_WORK.contains(&refused.code()) { "notice" } else { "alert" };
    html! { div class=(class) role="alert" tabindex="-1" autofocus {
        strong { (title(visitor, refused)) }
        @if let Some(help) = help(visitor, refused) { p { (help) } }
        @if refused.code() == TOO_MANY_HOLDS {
            p { a.button href="/ride/orders?list=unpaid" { (visitor.t("To your unpaid orders", "查看待支付订单")) } }
        }
    } }
}

/// The words of the way on from a page that only says what was refused.
pub(super) fn again(visitor: &Visitor, refused: &Refused) -> &'static str {
    if refused.code() == OUT_OF_DATE {
        visitor.lang.t("Go on", "继续")
    } else {
        visitor.lang.t("Try again", "重试")
    }
}

/// What went wrong, in a few words.
pub(super) fn title(visitor: &Visitor, refused: &Refused) -> String {
    match (refused.code(), refused.text("title")) {
        _ if is_nowhere(refused) => visitor.t("No such page", "没有此页面").to_owned(),
        (_, "") => visitor.t("Something went wrong", "出错了").to_owned(),
        (code, _) if AT_WORK.contains(&code) => visitor.t("It is under way", "正在处理").to_owned(),
        ("003073" | "003074", _) if !refused.text("field").is_empty() => {
            let name = field(visitor, refused.text("field"));
            format!("{}{name}", visitor.t("Please correct: ", "请更正："))
        }
        (_, title) => title.to_owned(),
    }
}

/// A form of another session, or of another site: the page says how to go on.
pub(super) fn out_of_date(visitor: &Visitor, signed_in_as: Option<String>) -> Refused {
    let mut problem = serde_json::Map::new();
    let words = visitor.t("This page is out of date", "页面已过期");
    problem.insert("title".to_owned(), words.into());
    problem.insert("code".to_owned(), OUT_OF_DATE.into());
    problem.extend(signed_in_as.map(|name| ("user_name".to_owned(), name.into())));
    Refused { status: StatusCode::FORBIDDEN, problem }
}

/// What the rider can do, or need not do.
pub(super) fn help(visitor: &Visitor, refused: &Refused) -> Option<String> {
    let t = |english: &str, chinese: &str| Some(visitor.t(english, chinese).to_owned());
    match refused.code() {
        "003073" | "003074" if !refused.text("field").is_empty() => Some(rule(visitor, refused)),
        _ if refused.status == StatusCode::PAYLOAD_TOO_LARGE => {
            t("Make it shorter, and send it again.", "请缩短后重新提交。")
        }
        "003001" => {
            t("Use the name and the password that you registered with.", "请使用注册时的用户名和密码。")
        }
        OUT_OF_DATE => Some(since(visitor, refused.text("user_name"))),
        TAKEN => Some(taken(visitor, &labels(refused))),
        "004001" => Some(tries(visitor, refused)),
        "004002" => Some(format!(
            "{}{}",
            visitor.t("Your wallet holds ", "钱包余额 "),
            money(refused.text("balance"), "")
        )),
        "006001" => t("Nothing was charged. Book again.", "未扣款，请重新预订。"),
        "006002" => t(
            "It has changed in the meantime. This page shows how it is now.",
            "订单状态已变化，本页显示最新状态。",
        ),
        TOO_MANY_HOLDS => {
            t("Pay for one of them, or give its seats back.", "请先支付其中一个，或放弃其座位。")
        }
        code if AT_WORK.contains(&code) => t(
            "An earlier press is at work. You need do nothing: nothing is charged twice.",
            "之前的操作正在处理，您无需任何操作，不会重复扣款。",
        ),
        _ if refused.status == StatusCode::NOT_FOUND || is_nowhere(refused) => {
            t("There is nothing at this address.", "此地址没有内容。")
        }
        _ if refused.status.is_server_error() => t(
            "It is not you. Nothing is lost: what had begun is finished or undone by itself.",
            "不是您的问题。不会有任何损失：已开始的操作会自动完成或撤销。",
        ),
        _ => wait(visitor, refused),
    }
}

/// Whether no route answered, and so nothing says what is wrong.
fn is_nowhere(refused: &Refused) -> bool {
    refused.problem.is_empty() && refused.status.is_client_error()
}

/// What has happened since a form was made.
fn since(visitor: &Visitor, name: &str) -> String {
    let words = visitor.t(
        "You have signed in or out since it was opened. Nothing was sent. What you chose is kept.",
        "打开此页面后登录状态已变化。未提交任何内容，您的选择已保留。",
    );
    let now = visitor.t(" You are signed in now as ", "当前登录用户：");
    if name.is_empty() { words.to_owned() } else { format!("{words}{now}{name}") }
}

/// How long to wait, if waiting helps.
fn wait(visitor: &Visitor, refused: &Refused) -> Option<String> {
    let secs = refused.problem.get("retry_after").and_then(Value::as_i64)?;
    Some(format!("{}{}", visitor.t("Try again in ", "请稍后重试："), duration(visitor, secs)))
}

fn labels(refused: &Refused) -> Vec<String> {
    let seats = refused.problem.get("seats").and_then(Value::as_array).into_iter().flatten();
    seats.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Seats that were lost; the others stay chosen.
pub(super) fn taken(visitor: &Visitor, seats: &[String]) -> String {
    format!("{}{}", visitor.t("Taken in the meantime: ", "已被他人占用："), seats.join(", "))
}

fn tries(visitor: &Visitor, refused: &Refused) -> String {
    let left = refused.problem.get("tries_left").and_then(Value::as_i64).unwrap_or_default();
    match left {
        0 => {
            let locked = duration(visitor, i64::try_from(LOCK.as_secs()).unwrap_or_default());
            let words = visitor.t("No more try is left. Paying is locked for ", "已无法再试，支付锁定 ");
            format!("{words}{locked}{}", visitor.t(": nothing was charged.", "，未扣款。"))
        }
        1 => visitor.t("One more try is left.", "还可再试 1 次。").to_owned(),
        left => {
            visitor.t(&format!("{left} more tries are left."), &format!("还可再试 {left} 次。")).to_owned()
        }
    }
}

/// The name of a field as its form has it.
fn field(visitor: &Visitor, pointer: &str) -> String {
    let name = match pointer.trim_start_matches('/') {
        "user_name" => visitor.t("user name", "用户名"),
        "password" => visitor.t("password", "密码"),
        "pay_password" | "new" | "current" => visitor.t("pay password", "支付密码"),
        "phone" => visitor.t("phone", "电话"),
        "comment" => visitor.t("comment", "评价"),
        "rating" => visitor.t("rating", "评分"),
        "date" => visitor.t("day", "日期"),
        "after" => visitor.t("place in the list", "列表位置"),
        "next" => visitor.t("address", "地址"),
        "csrf" | "key" | "Idempotency-Key" => visitor.t("this form", "此表单"),
        other if other.starts_with("seats") => visitor.t("seats", "座位"),
        other => other,
    };
    name.to_owned()
}

/// The field's rule. The API writes it for developers, in English.
fn rule(visitor: &Visitor, refused: &Refused) -> String {
    let english = refused.text("rule");
    let (field, figure) = (refused.text("field").trim_start_matches('/'), figure(english));
    if matches!(field, "csrf" | "key" | "Idempotency-Key") {
        return visitor
            .t("Open the page again, and send the form from there.", "请重新打开页面后再提交。")
            .to_owned();
    }
    let at_most_seats = format!("一次最多 {figure} 个座位。");
    let chinese = match field {
        _ if english.contains("control character") || english.contains("U+0000") => "不能含有控制字符。",
        _ if english.contains("twice") => "只能填写一次。",
        seats if seats.starts_with("seats") && english.contains("at most") => at_most_seats.as_str(),
        seats if seats.starts_with("seats") && english.contains("may be named once") => {
            "每个座位只能选一次。"
        }
        seats if seats.starts_with("seats") => "请从座位图中选择座位。",
        "date" => "请从页面上的日期中选择。",
        "after" => "请从列表首页重新打开。",
        "user_name" => "3 至 40 个字母、数字、点、横线或下划线。",
        "password" => "至少 8 个字符，不要使用常见密码或个人信息。",
        "pay_password" | "new" => "六位数字，不要使用连续或重复的数字。",
        "current" => "请输入当前支付密码。",
        "phone" => "请填写电话号码，或留空。",
        "rating" => "1 至 5 分。",
        "comment" => "不超过 1000 个字符。",
        _ => "请检查后重试。",
    };
    visitor.t(english, chinese).to_owned()
}

/// The first figure of a rule: that of "at most 10 seats".
fn figure(rule: &str) -> &str {
    rule.split(|c: char| !c.is_ascii_digit()).find(|digits| !digits.is_empty()).unwrap_or_default()
}
