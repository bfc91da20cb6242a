//! Reasons of an order's states, notes of jobs, and what an import changes.

/// Reasons and notes. See [`super`].
pub(super) const TEXTS: super::Table = &[
    // Reasons of states.
    ("booked", "已预订"),
    ("paid by its rider", "乘客已支付"),
    ("cancelled_by_rider", "乘客取消"),
    ("cancelled_by_system", "系统取消"),
    ("money back, seats free", "款项已退，座位已释放"),
    ("refunded by its rider", "乘客申请退款"),
    ("refunded by an operator", "操作员退款"),
    ("trip cancelled", "班次已取消"),
    ("closed by an operator", "操作员关闭"),
    ("no such seat on the other bus: {}", "新车辆没有该座位：{}"),
    ("another timetable was imported", "导入了新的时刻表"),
    // Notes of jobs.
    ("the operation has ended", "操作已结束"),
    ("the horizon is off", "未启用自动生成班次"),
    ("every trip is done", "所有场次均已处理"),
    ("every order has ended, every seat is blocked", "所有订单已结束，所有座位已停售"),
    ("barred; nothing was written", "已阻止；未写入任何内容"),
    ("barred; no money moved", "已阻止；未发生款项变动"),
    ("seats given back", "座位已释放"),
    ("nothing to undo: the order was added", "无需撤销：订单已创建"),
    (
        "nothing to undo: the seats were never claimed, or given back already",
        "无需撤销：座位从未占用，或已释放",
    ),
    ("nothing to undo: the order is paid", "无需撤销：订单已支付"),
    ("nothing to undo: no money was taken, or it is back already", "无需撤销：未扣款，或款项已退回"),
    ("money given back", "款项已退回"),
    ("closed: not paid in time", "已关闭：未按时支付"),
    ("nothing to do: the order is settled", "无需处理：订单已了结"),
    ("nothing to do: there is no such order", "无需处理：没有此订单"),
    ("nothing to do: the order is closed", "无需处理：订单已关闭"),
    ("nothing to do: no refund was begun", "无需处理：未开始退款"),
    ("cancelled", "已取消"),
    ("refused: the order has been paid since", "已拒绝：订单此后已支付"),
    ("order closed, seats given back", "订单已关闭，座位已释放"),
    ("the order was closed already", "订单此前已关闭"),
    ("finished: the order is paid", "已完成：订单已支付"),
    ("{} trips made{}", "已生成 {} 个场次{}"),
    ("; {} departures not made: {}", "；{} 个班次时刻未生成：{}"),
];

/// What an import or a change does to a trip. See [`super`].
pub(super) const CHANGES: super::Table = &[
    ("{}; seats without a place: {}", "{}；没有对应座位：{}"),
    ("the departure does not run", "该班次时刻不运行"),
    ("departs {} to {}", "发车 {} 改为 {}"),
    ("arrives {} to {}", "到达 {} 改为 {}"),
    ("bus {} to {}", "车辆 {} 改为 {}"),
    ("price {} to {}", "票价 {} 改为 {}"),
    ("other stops", "站点变更"),
    ("stays as it is, and its bus {} ends", "保持不变，但 {} 号车停用"),
    ("keeps its seats, and its bus {} gets those of {}", "座位不变，但 {} 号车改用 {} 的座位"),
    ("other seats, of {}", "座位变更，车型 {}"),
];
