//! The warning that workers put cancelled jobs back.

use crate::{domain::Localized, saga::recurring::PUT_BACK_WITHIN_MINUTES};
use farebox_jobs::MqTag;

/// A warning before `count` jobs of a tag are cancelled, if workers put them back.
pub(in crate::ops) fn comes_back(tag: &str, count: i64) -> Option<Localized> {
    let (en, zh) = match tag.parse() {
        Ok(MqTag::TripCancel) => ("carry cancelled trips on", "处理已取消的场次"),
        Ok(MqTag::NetworkImport) => ("carry imports on", "继续导入"),
        Ok(MqTag::WebhookDelivery) => ("send webhooks", "发送 Webhook"),
        Ok(MqTag::Timetable) => ("make the trips of the coming days", "生成未来数日的场次"),
        _ => return None,
    };
    Some(Localized::new(
        format!(
            "{count} of them {en}: a worker puts such a job back within {PUT_BACK_WITHIN_MINUTES} min; to stop them for \
             longer, pause their tag"
        ),
        format!(
            "其中 {count} 个任务{zh}：工作进程会在 {PUT_BACK_WITHIN_MINUTES} 分钟内重新放回；如需长时间停止，请暂停其标签"
        ),
    ))
}
