//! What can be done to a webhook, in words, and the fields of its form.

use crate::{
    console::{failure::Failure, form::password_page, session::PageContext},
    domain::{Refusal, json::rfc3339},
    http::App,
    webhooks::Endpoint,
};
use axum::response::Response;
use farebox_jobs::EventKind;
use maud::{Markup, html};
use std::str::FromStr;
use uuid::Uuid;

/// What is done to a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Change,
    Enable,
    Disable,
    Rotate,
    Secret,
    /// Everything that was given up is sent again.
    Redeliver,
    /// One event is sent again.
    Again,
    Remove,
}

impl Act {
    const ALL: [Self; 8] = [
        Self::Change,
        Self::Enable,
        Self::Disable,
        Self::Rotate,
        Self::Secret,
        Self::Redeliver,
        Self::Again,
        Self::Remove,
    ];

    /// What can be done to a webhook of this state, but for one event.
    pub(super) fn of(one: &Endpoint) -> &'static [Self] {
        if one.state == "enabled" {
            &[Self::Change, Self::Disable, Self::Rotate, Self::Secret, Self::Redeliver, Self::Remove]
        } else {
            &[Self::Change, Self::Enable, Self::Rotate, Self::Secret, Self::Remove]
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::Rotate => "rotate",
            Self::Secret => "secret",
            Self::Redeliver => "redeliver",
            Self::Again => "again",
            Self::Remove => "remove",
        }
    }

    pub(super) fn label(self, context: &PageContext) -> &'static str {
        match self {
            Self::Change => context.t("Change", "更改"),
            Self::Enable => context.t("Enable", "启用"),
            Self::Disable => context.t("Disable", "停用"),
            Self::Rotate => context.t("Rotate the secret", "轮换密钥"),
            Self::Secret => context.t("Read the secret", "查看密钥"),
            Self::Redeliver => context.t("Send again what was given up", "重新发送已放弃的事件"),
            Self::Again => context.t("Send again", "重新发送"),
            Self::Remove => context.t("Remove", "移除"),
        }
    }

    /// What it does, for the operator who is about to do it.
    pub(super) fn explained(self, context: &PageContext) -> &'static str {
        match self {
            Self::Change => context.t(
                "Another address gets what waits, too. Other kinds hold for changes from now on.",
                "新地址也会收到待发送的事件。新的事件类型仅对之后的变更生效。",
            ),
            Self::Enable => context.t(
                "What waits is sent, unless its three days are over.",
                "待发送的事件将被发送，超过三天的除外。",
            ),
            Self::Disable => context.t(
                "Nothing is sent, and events of this time are never sent.",
                "不再发送；停用期间的事件不会补发。",
            ),
            Self::Rotate => context.t(
                "Each event is signed by both secrets for 24 hours. An older one ends now.",
                "24 小时内每个事件同时使用新旧两个密钥签名；更早的密钥立即失效。",
            ),
            Self::Secret => context.t(
                "The secret signs events. Hand it to the receiver's owner, and to nobody else.",
                "密钥用于签名事件，只能交给接收方的负责人。",
            ),
            Self::Redeliver => context.t(
                "At most 1,000 events, the oldest first, with the ids that they had.",
                "最多 1,000 个事件，从最早的开始，事件编号不变。",
            ),
            Self::Again => {
                context.t("The event is sent again, with the same id.", "该事件将以相同编号重新发送。")
            }
            Self::Remove => context.t(
                "Nothing is sent any more. It cannot be taken back.",
                "不再发送任何事件。此操作不可撤销。",
            ),
        }
    }

    /// The way to the page that asks for the password again: a secret signs.
    pub(super) async fn password_page(
        self,
        app: &App,
        context: &PageContext,
        id: Uuid,
    ) -> Result<Option<Response>, Failure> {
        match self {
            Self::Secret => {
                password_page(app, &context.caller, &format!("/console/webhooks/{id}/secret")).await
            }
            _ => Ok(None),
        }
    }
}

impl FromStr for Act {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        Self::ALL.into_iter().find(|act| act.word() == text).ok_or(Refusal::NotFound("page"))
    }
}

/// The fields of a webhook: of one that is there, or empty.
pub(super) fn fields(context: &PageContext, one: Option<&Endpoint>) -> Markup {
    let (name, url) = one.map_or(("", ""), |one| (&one.name, &one.url));
    let takes = |kind: EventKind| one.is_none_or(|one| one.kinds.iter().any(|word| word == kind.wire()));
    html! {
        @match one {
            Some(one) => input type="hidden" name="seen" value=(rfc3339(&one.changed_at));,
            None => input type="hidden" name="id" value=(Uuid::now_v7());,
        }
        label for="name" { (context.t("Name", "名称")) }
        input #name name="name" type="text" maxlength="100" required autocomplete="off" value=(name);
        label for="url" { (context.t("Address", "地址")) }
        input #url name="url" type="url" maxlength="2000" required autocomplete="off" placeholder="https://" value=(url);
        fieldset.choices {
            legend { (context.t("Events", "事件")) }
            @for kind in EventKind::ALL {
                label for=(field(kind)) {
                    input id=(field(kind)) name=(field(kind)) type="checkbox" value="yes" checked[takes(kind)];
                    " " code { (kind.wire()) }
                }
            }
        }
    }
}

fn field(kind: EventKind) -> &'static str {
    match kind {
        EventKind::HoldExpired => "hold_expired",
        EventKind::OrderPaid => "order_paid",
        EventKind::OrderRefunded => "order_refunded",
        EventKind::TripCancelled => "trip_cancelled",
        EventKind::RollbackDone => "rollback_done",
        EventKind::RollbackFailed => "rollback_failed",
    }
}
