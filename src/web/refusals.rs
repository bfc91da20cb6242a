//! What the API refused, in a rider's words.

use super::{
    api::Refused,
    session::Visitor,
    words::{duration, money},
};
use axum::http::StatusCode;
use maud::{Markup, html};
use serde_json::Value;

/// What stands for a code where a form is not of a page of the session.
const OUT_OF_DATE: &str = "out of date";

/// The refusal in its place on a page. Assistive technology reads it out.
pub(super) fn alert(visitor: &Visitor, refused: &Refused) -> Markup {
    html! { div.alert role="alert" tabindex="-1" autofocus {
        strong { (title(visitor, refused)) }
        @if let Some(help) = help(visitor, refused) { p { (help) } }
    } }
}

/// What went wrong, in a few words.
pub(super) fn title(visitor: &Visitor, refused: &Refused) -> String {
    match (refused.code(), refused.text("title")) {
        (_, "") => visitor.t("Something went wrong", "出错了").to_owned(),
        ("003074", _) => {
            let name = field(visitor, refused.text("field"));
            format!("{}{name}", visitor.t("Please correct: ", "请更正："))
        }
        (_, title) => title.to_owned(),
    }
}

/// A form of another session, or of another site: the page says how to go on.
pub(super) fn out_of_date(visitor: &Visitor) -> Refused {
    let mut problem = serde_json::Map::new();
    let words = visitor.t("This page is out of date", "页面已过期");
    problem.insert("title".to_owned(), words.into());
    problem.insert("code".to_owned(), OUT_OF_DATE.into());
    Refused { status: StatusCode::FORBIDDEN, problem }
}

/// What the rider can do, or need not do.
pub(super) fn help(visitor: &Visitor, refused: &Refused) -> Option<String> {
    let t = |english: &str, chinese: &str| Some(visitor.t(english, chinese).to_owned());
    match refused.code() {
        "003074" => Some(rule(visitor, refused)),
        "003001" => {
            t("Use the name and the password that you registered with.", "请使用注册时的用户名和密码。")
        }
        OUT_OF_DATE => t(
            "You have signed in or out since it was opened. Open it again, and send the form from there.",
            "打开此页面后登录状态已变化。请重新打开页面后再提交。",
        ),
        "004000" => Some(taken(visitor, &labels(refused))),
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
        "006040" => t("Pay for one of them, or give its seats back.", "请先支付其中一个，或放弃其座位。"),
        "006006" | "006010" => t("Wait a moment: nothing is charged twice.", "请稍候，不会重复扣款。"),
        _ if refused.status == StatusCode::NOT_FOUND => {
            t("There is nothing at this address.", "此地址没有内容。")
        }
        _ if refused.status.is_server_error() => t(
            "It is not you. Nothing is lost: what had begun is finished or undone by itself.",
            "不是您的问题。不会有任何损失：已开始的操作会自动完成或撤销。",
        ),
        _ => wait(visitor, refused),
    }
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
        other if other.starts_with("seats") => visitor.t("seats", "座位"),
        other => other,
    };
    name.to_owned()
}

/// The field's rule. The API writes it for developers, in English.
fn rule(visitor: &Visitor, refused: &Refused) -> String {
    let chinese = match refused.text("field").trim_start_matches('/') {
        "user_name" => "3 至 40 个字母、数字、点、横线或下划线。",
        "password" => "至少 8 个字符，不要使用常见密码或个人信息。",
        "pay_password" | "new" => "六位数字，不要使用连续或重复的数字。",
        "current" => "请输入当前支付密码。",
        "phone" => "请填写电话号码，或留空。",
        "rating" => "1 至 5 分。",
        "comment" => "不超过 1000 个字符。",
        _ => "请检查后重试。",
    };
    visitor.t(refused.text("rule"), chinese).to_owned()
}
