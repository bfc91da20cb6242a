//! Every kind of problem: its status, its code and its titles. Also the source of the API's
//! description.

use axum::http::StatusCode;

/// A kind of problem.
pub(in crate::http) struct Kind {
    /// The HTTP status.
    pub(in crate::http) status: StatusCode,
    /// The six digits that clients branch on.
    pub(in crate::http) code: &'static str,
    /// The title in English.
    pub(in crate::http) english: &'static str,
    /// The title in Chinese.
    pub(in crate::http) chinese: &'static str,
}

impl Kind {
    const fn new(
        status: StatusCode,
        code: &'static str,
        english: &'static str,
        chinese: &'static str,
    ) -> Self {
        Self { status, code, english, chinese }
    }
}

pub(super) const CREDENTIALS: Kind =
    Kind::new(StatusCode::UNAUTHORIZED, "003001", "User name or password wrong", "用户名或密码错误");
pub(super) const TOKEN: Kind = Kind::new(StatusCode::UNAUTHORIZED, "003002", "Token invalid", "令牌无效");
pub(super) const NAME_TAKEN: Kind =
    Kind::new(StatusCode::CONFLICT, "003003", "User name taken", "用户名已存在");
pub(super) const CODE_NEEDED: Kind =
    Kind::new(StatusCode::UNAUTHORIZED, "003004", "Second factor needed", "需要第二因素验证码");
pub(super) const CODE: Kind =
    Kind::new(StatusCode::UNAUTHORIZED, "003005", "Second factor wrong", "第二因素验证码错误");
pub(super) const NO_SECOND_FACTOR: Kind =
    Kind::new(StatusCode::FORBIDDEN, "003006", "Second factor not set up", "尚未设置第二因素");
pub(super) const PASSWORD: Kind = Kind::new(StatusCode::FORBIDDEN, "003007", "Password wrong", "密码错误");
pub(super) const RESET_CODE: Kind =
    Kind::new(StatusCode::FORBIDDEN, "003008", "Reset code not valid", "重置码无效");
pub(super) const UNKNOWN: Kind = Kind::new(StatusCode::NOT_FOUND, "003070", "Does not exist", "不存在");
pub(super) const MISSING: Kind =
    Kind::new(StatusCode::UNPROCESSABLE_ENTITY, "003073", "Required parameter missing", "缺少必要参数");
pub(super) const INVALID: Kind =
    Kind::new(StatusCode::UNPROCESSABLE_ENTITY, "003074", "Parameter wrong", "参数错误");
pub(super) const MALFORMED: Kind =
    Kind::new(StatusCode::BAD_REQUEST, "003074", "Parameter wrong", "参数错误");
pub(super) const TOO_LARGE: Kind =
    Kind::new(StatusCode::PAYLOAD_TOO_LARGE, "003074", "Body too large", "请求体过大");
pub(super) const METHOD: Kind =
    Kind::new(StatusCode::METHOD_NOT_ALLOWED, "003074", "Method not allowed", "方法不允许");
pub(super) const DENIED: Kind = Kind::new(StatusCode::FORBIDDEN, "003091", "Permission denied", "权限不足");
pub(super) const CONFIRM: Kind =
    Kind::new(StatusCode::FORBIDDEN, "003092", "Password needed again", "需要再次输入密码");
pub(super) const DATABASE: Kind =
    Kind::new(StatusCode::SERVICE_UNAVAILABLE, "003097", "Database unavailable", "数据库异常");
pub(super) const TIMED_OUT: Kind =
    Kind::new(StatusCode::SERVICE_UNAVAILABLE, "003098", "Timed out", "请求超时");
pub(super) const SYSTEM: Kind =
    Kind::new(StatusCode::INTERNAL_SERVER_ERROR, "003099", "System error", "系统错误");
pub(super) const SEATS_TAKEN: Kind =
    Kind::new(StatusCode::CONFLICT, "004000", "Seat already chosen", "座位已被选择，请重新选择座位");
pub(super) const PAY_PASSWORD: Kind =
    Kind::new(StatusCode::FORBIDDEN, "004001", "Pay password wrong", "支付密码错误");
pub(super) const BALANCE: Kind =
    Kind::new(StatusCode::PAYMENT_REQUIRED, "004002", "Balance too low", "用户余额不足，请充值");
pub(super) const EXPIRED: Kind = Kind::new(StatusCode::CONFLICT, "006001", "Order expired", "订单已过期");
pub(super) const STATE: Kind = Kind::new(
    StatusCode::CONFLICT,
    "006002",
    "Order in a state that does not allow this",
    "订单状态不允许此操作",
);
pub(super) const TRIP_CLOSED: Kind =
    Kind::new(StatusCode::CONFLICT, "006003", "Trip closed for booking", "场次已停止预订");
pub(super) const TRIP_CANCELLED: Kind =
    Kind::new(StatusCode::CONFLICT, "006004", "Trip cancelled", "场次已取消");
pub(super) const KEY_REUSED: Kind = Kind::new(
    StatusCode::UNPROCESSABLE_ENTITY,
    "006005",
    "Idempotency key used with another body",
    "幂等键已用于其他请求",
);
pub(super) const RUNNING: Kind =
    Kind::new(StatusCode::CONFLICT, "006006", "First request still running", "首次请求仍在处理");
pub(super) const LOCKED: Kind =
    Kind::new(StatusCode::LOCKED, "006007", "Pay password locked", "支付密码已锁定");
pub(super) const NO_PAY_PASSWORD: Kind =
    Kind::new(StatusCode::CONFLICT, "006008", "No pay password set", "尚未设置支付密码");
pub(super) const TOO_LATE: Kind =
    Kind::new(StatusCode::CONFLICT, "006009", "Too late to refund", "已过退款时间");
pub(super) const PAYING: Kind =
    Kind::new(StatusCode::CONFLICT, "006010", "Another payment is under way", "该订单正在支付");
pub(super) const BUSY_JOB: Kind = Kind::new(StatusCode::CONFLICT, "006011", "Job is running", "任务正在执行");
pub(super) const STILL_OWED: Kind =
    Kind::new(StatusCode::CONFLICT, "006012", "Job still owes seats or money", "任务仍有座位或款项未清");
pub(super) const TRIP_OVER: Kind = Kind::new(StatusCode::CONFLICT, "006020", "Trip is over", "场次已结束");
pub(super) const STREAMS_FULL: Kind =
    Kind::new(StatusCode::SERVICE_UNAVAILABLE, "006021", "Too many live streams", "实时连接过多");
pub(super) const BUS_TAKEN: Kind =
    Kind::new(StatusCode::CONFLICT, "006022", "Bus is on another trip", "车辆该时段已有场次");
pub(super) const TOO_MANY_HOLDS: Kind =
    Kind::new(StatusCode::CONFLICT, "006040", "Too many unpaid orders", "未支付订单过多");
pub(super) const NOT_DEPARTED: Kind =
    Kind::new(StatusCode::CONFLICT, "006041", "Trip not departed yet", "场次尚未发车");
pub(super) const EVALUATED: Kind =
    Kind::new(StatusCode::CONFLICT, "006042", "Order already evaluated", "订单已评价");
pub(super) const NOT_AUTHORIZED: Kind =
    Kind::new(StatusCode::FORBIDDEN, "006043", "Payment authorization not valid", "支付授权无效");
pub(super) const BULK_OVER: Kind =
    Kind::new(StatusCode::CONFLICT, "006044", "Operation has ended", "批量操作已结束");
pub(super) const BULK_CHANGED: Kind = Kind::new(
    StatusCode::CONFLICT,
    "006045",
    "Selection has changed since its preview",
    "所选任务自预览后已变化",
);
pub(super) const REFERENCE_USED: Kind =
    Kind::new(StatusCode::CONFLICT, "006060", "Reference used for another rider", "该凭证号已用于其他乘客");
pub(super) const OWN_WALLET: Kind =
    Kind::new(StatusCode::FORBIDDEN, "006061", "One's own wallet", "不能操作自己的钱包");
pub(super) const SECOND_PERSON: Kind =
    Kind::new(StatusCode::FORBIDDEN, "006062", "A second person must approve", "须由另一名操作员批准");
pub(super) const APPROVAL_OVER: Kind =
    Kind::new(StatusCode::CONFLICT, "006063", "Approval has ended", "该审批已结束");
pub(super) const NETWORK_FAULTS: Kind =
    Kind::new(StatusCode::UNPROCESSABLE_ENTITY, "006070", "Network has faults", "线网文件有误");
pub(super) const PREVIEW_STALE: Kind =
    Kind::new(StatusCode::CONFLICT, "006071", "Preview is stale", "预览已过期");
pub(super) const NETWORK_REFUSED: Kind =
    Kind::new(StatusCode::CONFLICT, "006072", "Network cannot be imported", "线网无法导入");
pub(super) const LIMITED: Kind =
    Kind::new(StatusCode::TOO_MANY_REQUESTS, "005001", "Too many requests", "已限流，请稍后再试哦");
pub(super) const OVERLOADED: Kind =
    Kind::new(StatusCode::SERVICE_UNAVAILABLE, "005002", "Too busy just now", "系统繁忙，请稍后再试");
pub(super) const SLOW_BODY: Kind =
    Kind::new(StatusCode::REQUEST_TIMEOUT, "003098", "Body sent too slowly", "请求体发送超时");

pub(super) const MISDIRECTED: Kind =
    Kind::new(StatusCode::MISDIRECTED_REQUEST, "005003", "Host not served here", "此主机名不在服务范围");

/// All kinds, in the order of the codes.
const ALL: &[&Kind] = &[
    &CREDENTIALS,
    &TOKEN,
    &NAME_TAKEN,
    &CODE_NEEDED,
    &CODE,
    &NO_SECOND_FACTOR,
    &PASSWORD,
    &RESET_CODE,
    &UNKNOWN,
    &MISSING,
    &INVALID,
    &MALFORMED,
    &TOO_LARGE,
    &METHOD,
    &DENIED,
    &CONFIRM,
    &DATABASE,
    &TIMED_OUT,
    &SYSTEM,
    &SEATS_TAKEN,
    &PAY_PASSWORD,
    &BALANCE,
    &EXPIRED,
    &STATE,
    &TRIP_CLOSED,
    &TRIP_CANCELLED,
    &KEY_REUSED,
    &RUNNING,
    &LOCKED,
    &NO_PAY_PASSWORD,
    &TOO_LATE,
    &PAYING,
    &BUSY_JOB,
    &STILL_OWED,
    &TRIP_OVER,
    &STREAMS_FULL,
    &BUS_TAKEN,
    &TOO_MANY_HOLDS,
    &NOT_DEPARTED,
    &EVALUATED,
    &NOT_AUTHORIZED,
    &BULK_OVER,
    &BULK_CHANGED,
    &REFERENCE_USED,
    &OWN_WALLET,
    &SECOND_PERSON,
    &APPROVAL_OVER,
    &NETWORK_FAULTS,
    &PREVIEW_STALE,
    &NETWORK_REFUSED,
    &LIMITED,
    &OVERLOADED,
    &MISDIRECTED,
    &SLOW_BODY,
];

/// All kinds of problems, in the order of the codes.
pub(in crate::http) fn all() -> impl Iterator<Item = &'static Kind> {
    ALL.iter().copied()
}
