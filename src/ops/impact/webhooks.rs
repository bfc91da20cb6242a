//! What running or cancelling a job of webhooks would change.

use crate::{domain::Localized, saga::recurring::PUT_BACK_WITHIN_MINUTES};
use farebox_jobs::MqTag;

/// A run of a job of webhooks, and cancelling it.
pub(super) fn run_and_cancel(tag: &str) -> Option<(Localized, Localized)> {
    Some(match tag.parse() {
        Ok(MqTag::WebhookEvent) => (
            Localized::new("writes the event down and sends it to webhooks", "记录事件并发送给 Webhook"),
            Localized::new("no webhook is sent this event", "该事件不会发送给任何 Webhook"),
        ),
        Ok(MqTag::WebhookDelivery) => (
            Localized::new("sends the webhook what is due to it", "向 Webhook 发送到期的事件"),
            Localized::new(
                format!(
                    "the webhook waits for its events until a worker puts the job back, within \
                     {PUT_BACK_WITHIN_MINUTES} min; to stop it, disable the webhook"
                ),
                format!(
                    "Webhook 的事件将等待，直到工作进程在 {PUT_BACK_WITHIN_MINUTES} 分钟内重新放回任务；如需停止，请停用该 Webhook"
                ),
            ),
        ),
        _ => return None,
    })
}
