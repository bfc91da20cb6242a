//! The steps of the flows and their undos, in words.

use crate::domain::Localized;
use farebox_jobs::MqTag;

/// What the step of this tag does, or did.
pub fn describe_step(tag: MqTag) -> Localized {
    let (en, zh) = match tag {
        MqTag::OrderSeats => ("look whether the seats are free", "检查座位是否空闲"),
        MqTag::OrderAddSeats => ("claim the seats", "占座"),
        MqTag::OrderCalcMoney => ("work out the price", "计算价格"),
        MqTag::OrderAdd => ("add the order", "写入订单"),
        MqTag::OrderCancel => ("close the order and free its seats", "关闭订单并释放座位"),
        MqTag::PayCheck => ("check pay password, order and balance", "检查支付密码、订单和余额"),
        MqTag::PayMoney => ("debit the wallet", "从钱包扣款"),
        MqTag::Pay => ("mark the order paid", "标记订单已支付"),
        MqTag::PayBack => ("give the money back and free the seats", "退款并释放座位"),
        MqTag::OrderUnpaid => ("close the order if it is not paid in time", "订单超时未支付则关闭"),
        MqTag::Timetable => ("make the trips of the coming days", "生成未来数日的场次"),
        MqTag::TripCancel => ("end the orders of a cancelled trip", "结束已取消场次的订单"),
        MqTag::Bulk => ("carry an operator's bulk operation on", "继续批量操作"),
        MqTag::NetworkImport => ("move and refund riders after an import", "导入后为乘客换座或退款"),
        MqTag::WebhookEvent => ("write an event down for webhooks", "为 Webhook 记录事件"),
        MqTag::WebhookDelivery => ("send a webhook its events", "向 Webhook 发送事件"),
    };
    Localized::new(en, zh)
}

/// What the job of this tag does.
pub fn describe_undo(tag: MqTag) -> Localized {
    let (en, zh) = match tag {
        MqTag::OrderSeats => (
            "bars the booking: no seat was claimed, and none may be claimed late",
            "阻止该预订：未占座，也不允许迟到的占座",
        ),
        MqTag::OrderAddSeats => ("gives the claimed seats back", "释放已占的座位"),
        MqTag::OrderCalcMoney => {
            ("gives the claimed seats back, since the price failed", "计算价格失败，释放已占的座位")
        }
        MqTag::OrderAdd => (
            "gives the claimed seats back, and closes the order if it was added",
            "释放已占的座位；若订单已写入则关闭",
        ),
        MqTag::OrderCancel => {
            ("finishes the cancelling: closes the order and frees its seats", "完成取消：关闭订单并释放座位")
        }
        MqTag::PayCheck => (
            "bars the payment: no money moved, and none may move late",
            "阻止该支付：款项未动，也不允许迟到的扣款",
        ),
        MqTag::PayMoney => ("gives the debited money back to the wallet", "将已扣款项退回钱包"),
        MqTag::Pay => (
            "marks the order paid if it still can be; else gives the money back to the wallet",
            "若仍可支付则标记订单已支付；否则将款项退回钱包",
        ),
        MqTag::PayBack => {
            ("finishes the refund: gives the money back and frees the seats", "完成退款：退回款项并释放座位")
        }
        MqTag::OrderUnpaid => ("closes the order if it is not paid in time", "订单超时未支付则关闭"),
        MqTag::Timetable => ("makes the coming days' trips", "生成未来数日的场次"),
        MqTag::TripCancel => ("ends the orders of a cancelled trip", "结束已取消场次的订单"),
        MqTag::Bulk => ("carries an operator's bulk operation on", "继续批量操作"),
        MqTag::NetworkImport => (
            "moves and refunds the riders of trips that an import changed",
            "为导入所更改场次的乘客换座或退款",
        ),
        MqTag::WebhookEvent => ("writes an event down for webhooks", "为 Webhook 记录事件"),
        MqTag::WebhookDelivery => ("sends a webhook its events", "向 Webhook 发送事件"),
    };
    Localized::new(en, zh)
}

/// The parts of a refund, in their order.
pub fn describe_ending() -> [Localized; 3] {
    [
        Localized::new("begin the refund", "开始退款"),
        Localized::new("give the money back", "退回款项"),
        Localized::new("free the seats", "释放座位"),
    ]
}
