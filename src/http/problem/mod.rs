//! Problem bodies (RFC 9457) with the original's six-digit codes, titled in English or Chinese.

pub(super) mod catalogue;

use super::middleware::{context::CONTEXT, stale_plan::StalePlan};
use crate::{
    accounts::passwords::Busy,
    domain::{Error, FieldError, OrderId, Refusal},
    saga::{RollbackStatus, StepFailure},
    storage::{is_contended, is_stale_plan, is_unfit, met_stale_plan, note_outage},
};
use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::Utc;
use serde_json::{Map, Value, json};

/// What a client waits after a 503, seconds.
const RETRY_AFTER_OUTAGE: i64 = 2;
/// What a client waits while its first request runs, seconds.
const RETRY_AFTER_RUNNING: i64 = 1;

/// A code, with its status and both titles.
struct Kind(StatusCode, &'static str, &'static str, &'static str);

const CREDENTIALS: Kind =
    Kind(StatusCode::UNAUTHORIZED, "003001", "User name or password wrong", "用户名或密码错误");
const TOKEN: Kind = Kind(StatusCode::UNAUTHORIZED, "003002", "Token invalid", "令牌无效");
const NAME_TAKEN: Kind = Kind(StatusCode::CONFLICT, "003003", "User name taken", "用户名已存在");
const UNKNOWN: Kind = Kind(StatusCode::NOT_FOUND, "003070", "Does not exist", "不存在");
const MISSING: Kind =
    Kind(StatusCode::UNPROCESSABLE_ENTITY, "003073", "Required parameter missing", "缺少必要参数");
const INVALID: Kind = Kind(StatusCode::UNPROCESSABLE_ENTITY, "003074", "Parameter wrong", "参数错误");
const MALFORMED: Kind = Kind(StatusCode::BAD_REQUEST, "003074", "Parameter wrong", "参数错误");
const TOO_LARGE: Kind = Kind(StatusCode::PAYLOAD_TOO_LARGE, "003074", "Body too large", "请求体过大");
const DENIED: Kind = Kind(StatusCode::FORBIDDEN, "003091", "Permission denied", "权限不足");
const DATABASE: Kind = Kind(StatusCode::SERVICE_UNAVAILABLE, "003097", "Database unavailable", "数据库异常");
const TIMED_OUT: Kind = Kind(StatusCode::SERVICE_UNAVAILABLE, "003098", "Timed out", "请求超时");
const SYSTEM: Kind = Kind(StatusCode::INTERNAL_SERVER_ERROR, "003099", "System error", "系统错误");
const METHOD: Kind = Kind(StatusCode::METHOD_NOT_ALLOWED, "003074", "Method not allowed", "方法不允许");
const SEATS_TAKEN: Kind =
    Kind(StatusCode::CONFLICT, "004000", "Seat already chosen", "座位已被选择，请重新选择座位");
const PAY_PASSWORD: Kind = Kind(StatusCode::FORBIDDEN, "004001", "Pay password wrong", "支付密码错误");
const BALANCE: Kind = Kind(StatusCode::PAYMENT_REQUIRED, "004002", "Balance too low", "用户余额不足，请充值");
const EXPIRED: Kind = Kind(StatusCode::CONFLICT, "006001", "Order expired", "订单已过期");
const STATE: Kind =
    Kind(StatusCode::CONFLICT, "006002", "Order in a state that does not allow this", "订单状态不允许此操作");
const TRIP_CLOSED: Kind = Kind(StatusCode::CONFLICT, "006003", "Trip closed for booking", "场次已停止预订");
const TRIP_CANCELLED: Kind = Kind(StatusCode::CONFLICT, "006004", "Trip cancelled", "场次已取消");
const KEY_REUSED: Kind = Kind(
    StatusCode::UNPROCESSABLE_ENTITY,
    "006005",
    "Idempotency key used with another body",
    "幂等键已用于其他请求",
);
const RUNNING: Kind = Kind(StatusCode::CONFLICT, "006006", "First request still running", "首次请求仍在处理");
const LOCKED: Kind = Kind(StatusCode::LOCKED, "006007", "Pay password locked", "支付密码已锁定");
const NO_PAY_PASSWORD: Kind = Kind(StatusCode::CONFLICT, "006008", "No pay password set", "尚未设置支付密码");
const TOO_LATE: Kind = Kind(StatusCode::CONFLICT, "006009", "Too late to refund", "已过退款时间");
const PAYING: Kind = Kind(StatusCode::CONFLICT, "006010", "Another payment is under way", "该订单正在支付");

const TRIP_OVER: Kind = Kind(StatusCode::CONFLICT, "006020", "Trip is over", "场次已结束");
const STREAMS_FULL: Kind =
    Kind(StatusCode::SERVICE_UNAVAILABLE, "006021", "Too many live streams", "实时连接过多");
const BUS_TAKEN: Kind = Kind(StatusCode::CONFLICT, "006022", "Bus is on another trip", "车辆该时段已有场次");
const LIMITED: Kind =
    Kind(StatusCode::TOO_MANY_REQUESTS, "005001", "Too many requests", "已限流，请稍后再试哦");
const CROWDED: Kind =
    Kind(StatusCode::SERVICE_UNAVAILABLE, "005002", "Too busy just now", "系统繁忙，请稍后再试");
const SLOW_BODY: Kind = Kind(StatusCode::REQUEST_TIMEOUT, "003098", "Body sent too slowly", "请求体发送超时");

const BUSY_JOB: Kind = Kind(StatusCode::CONFLICT, "006011", "Job is running", "任务正在执行");
const TOO_MANY_HOLDS: Kind = Kind(StatusCode::CONFLICT, "006040", "Too many unpaid orders", "未支付订单过多");
const NOT_DEPARTED: Kind = Kind(StatusCode::CONFLICT, "006041", "Trip not departed yet", "场次尚未发车");
const EVALUATED: Kind = Kind(StatusCode::CONFLICT, "006042", "Order already evaluated", "订单已评价");
const NOT_AUTHORIZED: Kind =
    Kind(StatusCode::FORBIDDEN, "006043", "Payment authorization not valid", "支付授权无效");

const BULK_OVER: Kind = Kind(StatusCode::CONFLICT, "006044", "Operation has ended", "批量操作已结束");
const BULK_CHANGED: Kind =
    Kind(StatusCode::CONFLICT, "006045", "Selection has changed since its preview", "所选任务自预览后已变化");

const REFERENCE_USED: Kind =
    Kind(StatusCode::CONFLICT, "006060", "Reference used for another rider", "该凭证号已用于其他乘客");

/// An error answer.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) body: Map<String, Value>,
    /// Whether it comes of a plan that the schema has outlived: the request may be served again.
    pub(crate) stale: bool,
}

impl Problem {
    fn new(kind: &Kind, detail: impl Into<String>) -> Self {
        let Kind(status, code, english, chinese) = kind;
        let (trace_id, title) = CONTEXT
            .try_with(|c| (c.trace_id.clone(), if c.chinese { chinese } else { english }))
            .unwrap_or_else(|_| (String::new(), english));
        let mut problem = Self { status: *status, body: Map::new(), stale: false };
        problem.set("type", json!(format!("urn:farebox:problem:{code}")));
        problem.set("title", json!(title));
        problem.set("status", json!(status.as_u16()));
        problem.set("detail", json!(detail.into()));
        problem.set("code", json!(code));
        problem.set("trace_id", json!(trace_id));
        problem
    }

    fn set(&mut self, key: &str, value: Value) {
        self.body.insert(key.to_owned(), value);
    }

    fn with(mut self, key: &str, value: Value) -> Self {
        self.set(key, value);
        self
    }

    pub(crate) fn field(error: &FieldError) -> Self {
        Self::new(&INVALID, format!("{}: {}", error.pointer, error.rule)).at(error)
    }

    pub(super) fn missing(error: &FieldError) -> Self {
        Self::new(&MISSING, format!("{}: {}", error.pointer, error.rule)).at(error)
    }

    fn at(self, error: &FieldError) -> Self {
        self.with("field", json!(error.pointer)).with("rule", json!(error.rule))
    }

    pub(super) fn malformed(rule: &str) -> Self {
        Self::new(&MALFORMED, rule)
    }

    /// A header that may be there once.
    pub(super) fn twice(header: &str) -> Self {
        let rule = "this header may be sent once";
        Self::malformed(&format!("{header}: {rule}")).at(&FieldError::new(header, rule))
    }

    /// The net below the types that read input: a value that the database refuses came past them. It is a hole to be closed
    /// there, so it is logged as an error; for the client it is bad input like any other.
    fn unfit(error: &sqlx::Error) -> Self {
        let (code, rule) = error.as_database_error().map_or((None, None), |e| (e.code(), e.constraint()));
        let rule = rule.map_or_else(|| "a value is out of range".to_owned(), str::to_owned);
        let route = CONTEXT.try_with(|context| context.route().to_owned()).unwrap_or_default();
        // Not the error's own text, which may quote the value.
        tracing::error!(
            route,
            code = code.as_deref().unwrap_or_default(),
            rule,
            "input reached the database that a type should have refused"
        );
        let detail = format!("a value of this request cannot be kept: {rule}");
        Self::new(&INVALID, detail).with("field", json!("")).with("rule", json!(rule))
    }

    pub(super) fn too_large(limit: usize) -> Self {
        Self::new(&TOO_LARGE, format!("a body has at most {limit} bytes"))
    }

    pub(super) fn token() -> Self {
        Self::new(&TOKEN, "sign in, and send the token as Authorization: Bearer")
    }

    pub(crate) fn denied() -> Self {
        Self::new(&DENIED, "your role does not allow this")
    }

    pub(super) fn key_reused() -> Self {
        Self::new(&KEY_REUSED, "this Idempotency-Key was used for another request")
            .with("field", json!("Idempotency-Key"))
    }

    pub(super) fn running() -> Self {
        Self::new(&RUNNING, "the first request with this Idempotency-Key is still running")
            .with("retry_after", json!(RETRY_AFTER_RUNNING))
    }

    pub(super) fn busy_job() -> Self {
        Self::new(&BUSY_JOB, "an attempt is running, or a live job has its key; look again in a moment")
            .with("retry_after", json!(RETRY_AFTER_RUNNING))
    }

    pub(super) fn streams_full(why: &str) -> Self {
        Self::new(&STREAMS_FULL, format!("{why}; ask again, or read the seat map"))
            .with("retry_after", json!(RETRY_AFTER_OUTAGE))
    }

    pub(super) fn timed_out() -> Self {
        Self::new(&TIMED_OUT, "the request took too long; what it began goes on, ask again with the same key")
            .with("retry_after", json!(RETRY_AFTER_OUTAGE))
    }

    /// 429. A try at a password that comes too soon is answered alike.
    pub(super) fn limited(retry_after_secs: u64) -> Self {
        Self::new(&LIMITED, format!("try again in {retry_after_secs} s"))
            .with("retry_after", json!(retry_after_secs))
    }

    pub(super) fn crowded() -> Self {
        Self::new(&CROWDED, "more requests are in flight than can be served; nothing was done")
            .with("retry_after", json!(RETRY_AFTER_OUTAGE))
    }

    pub(super) fn slow_body() -> Self {
        Self::new(&SLOW_BODY, "the body did not arrive in time; nothing was done")
    }

    pub(crate) fn broken() -> Self {
        Self::new(&SYSTEM, "something went wrong on our side")
    }

    /// The answer to a failed step.
    pub(super) fn failed(failure: &StepFailure, order: OrderId, raised: Option<RollbackStatus>) -> Self {
        let unfit = failure.cause.downcast_ref::<sqlx::Error>().filter(|error| is_unfit(error));
        let problem = if let Some(error) = unfit {
            Self::unfit(error)
        } else if failure.is_stale() {
            Self { stale: false, ..Self::stale() }
        } else if failure.is_outage() {
            Self::outage()
        } else if failure.is_busy() {
            Self::crowded()
        } else {
            Self::new(&SYSTEM, "a step failed; what was done is being undone")
        };
        let rollback = raised.map_or("armed", RollbackStatus::as_str);
        problem
            .with("order_id", json!(order))
            .with("tag", json!(failure.tag.wire()))
            .with("rollback", json!(rollback))
    }

    fn stale() -> Self {
        let detail =
            "the database's schema changes just now, and nothing was done; ask again with the same key";
        let problem = Self::new(&DATABASE, detail).with("retry_after", json!(RETRY_AFTER_OUTAGE));
        Self { stale: true, ..problem }
    }

    /// 503: the database's schema does not come to rest, as far as this process can tell.
    pub(super) fn not_ready() -> Self {
        Self::new(
            &DATABASE,
            "statements are refused because the schema has changed, on fresh connections too",
        )
        .with("retry_after", json!(RETRY_AFTER_OUTAGE))
    }

    fn outage() -> Self {
        Self::new(&DATABASE, "the database cannot be reached just now")
            .with("retry_after", json!(RETRY_AFTER_OUTAGE))
    }
}

pub(super) async fn no_such_route() -> Problem {
    Problem::new(&UNKNOWN, "no such address")
}

pub(super) async fn no_such_method() -> Problem {
    Problem::new(&METHOD, "the address exists, but not for this method")
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid(error) => Self::field(&error),
            Refusal::NotFound(what) => Self::new(&UNKNOWN, format!("there is no such {what}")),
            Refusal::WrongCredentials => Self::new(&CREDENTIALS, "user name or password is wrong"),
            Refusal::TooSoon { retry_after_secs } => Self::limited(retry_after_secs),
            Refusal::UserNameTaken => {
                Self::new(&NAME_TAKEN, "choose another user name").with("field", json!("/user_name"))
            }
            Refusal::SeatsTaken(seats) => {
                let labels: Vec<String> = seats.iter().map(ToString::to_string).collect();
                Self::new(&SEATS_TAKEN, format!("taken: {}", labels.join(", "))).with("seats", json!(labels))
            }
            Refusal::TripClosed => {
                Self::new(&TRIP_CLOSED, "the trip departed, or leaves too soon to be booked")
            }
            Refusal::TripCancelled => Self::new(&TRIP_CANCELLED, "the trip was cancelled"),
            Refusal::TripOver => Self::new(&TRIP_OVER, "the trip has arrived"),
            Refusal::BusTaken { bus, trip } => {
                let which = trip.map_or_else(|| "another trip".to_owned(), |trip| format!("trip {trip}"));
                let problem = Self::new(&BUS_TAKEN, format!("bus {bus} is on {which} at that time"))
                    .with("field", json!("/bus_id"));
                match trip {
                    Some(trip) => problem.with("trip_id", json!(trip)),
                    None => problem,
                }
            }
            Refusal::WrongPayPassword { tries_left } => {
                Self::new(&PAY_PASSWORD, format!("{tries_left} tries left"))
                    .with("tries_left", json!(tries_left))
            }
            Refusal::PayPasswordLocked { until } => {
                let secs = (until - Utc::now()).num_seconds().max(1);
                Self::new(&LOCKED, "too many wrong tries").with("retry_after", json!(secs))
            }
            Refusal::PayPasswordMissing => {
                Self::new(&NO_PAY_PASSWORD, "set one: PUT /v1/riders/me/pay-password")
            }
            Refusal::BalanceTooLow { balance } => {
                Self::new(&BALANCE, format!("the wallet holds {balance}")).with("balance", json!(balance))
            }
            Refusal::ReferenceUsed { rider, entry } => Self::new(
                &REFERENCE_USED,
                format!("the reference is that of top-up {entry} of rider {rider}"),
            )
            .with("field", json!("/reference"))
            .with("rider_id", json!(rider))
            .with("entry_id", json!(entry)),
            Refusal::OrderExpired => {
                Self::new(&EXPIRED, "the order was not paid in time; nothing was charged")
            }
            Refusal::WrongState(status) => Self::new(&STATE, format!("the order is {}", status.as_str()))
                .with("order_status", json!(status)),
            Refusal::AlreadyPaying => Self::new(&PAYING, "another payment of this order is under way"),
            Refusal::TooLateToRefund => Self::new(&TOO_LATE, "refunding has ended for this trip"),
            Refusal::TooManyHolds { most } => Self::new(
                &TOO_MANY_HOLDS,
                format!("at most {most} orders may be unpaid at a time; pay or cancel one first"),
            )
            .with("most", json!(most)),
            Refusal::NotDeparted => {
                Self::new(&NOT_DEPARTED, "an order is evaluated once its trip has departed")
            }
            Refusal::NotAuthorized => {
                Self::new(&NOT_AUTHORIZED, "it is unknown, used, past its end, or for something else")
                    .with("field", json!("/authorization"))
            }
            Refusal::JobBusy => Self::busy_job(),
            Refusal::BulkOver => Self::new(&BULK_OVER, "all of it is done, or it was stopped before"),
            Refusal::BulkChanged { covers } => Self::new(
                &BULK_CHANGED,
                format!("it would cover {covers} jobs now: look at the preview again"),
            )
            .with("covers", json!(covers)),
            Refusal::AlreadyEvaluated => Self::new(&EVALUATED, "an order is evaluated once"),
        }
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        if is_stale_plan(&error) {
            met_stale_plan(&error, false);
            return Self::stale();
        }
        if note_outage(&error) {
            tracing::warn!(%error, "database unavailable");
            return Self::outage();
        }
        if is_unfit(&error) {
            return Self::unfit(&error);
        }
        if is_contended(&error) {
            tracing::warn!(%error, "given up: others were in the way");
            return Self::crowded();
        }
        tracing::error!(%error, "database error");
        Self::broken()
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => refusal.into(),
            Error::KeyTaken => Self::running(),
            Error::Broken(cause) => match cause.downcast::<sqlx::Error>() {
                Ok(error) => Self::from(*error),
                Err(cause) if cause.is::<Busy>() => Self::crowded(),
                Err(cause) => {
                    tracing::error!(error = %cause, "request failed");
                    Self::broken()
                }
            },
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let retry_after = self.body.get("retry_after").and_then(Value::as_i64);
        let language = language_of(&self.body);
        let mut response =
            (self.status, Json(super::idempotent::sorted(Value::Object(self.body)))).into_response();
        if self.stale {
            response.extensions_mut().insert(StalePlan);
        }
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CONTENT_LANGUAGE, language);
        if let Some(secs) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The language a problem is told in: that of its title, whoever asked first for it.
pub(super) fn language_of(body: &Map<String, Value>) -> HeaderValue {
    let chinese = body.get("title").and_then(Value::as_str).is_some_and(|title| !title.is_ascii());
    HeaderValue::from_static(if chinese { "zh" } else { "en" })
}
