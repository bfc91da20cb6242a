//! The operations on orders by operators.

use super::builder::{
    Access::{Operator, Viewer},
    Operation, Schemas, operation,
};
use crate::{
    http::handlers::ops::orders as http_orders,
    ops::orders::{OrderActs, Refunded},
    orders::OrderView,
};
use serde_json::json;

/// The description of a refund's answer.
const REFUNDED: &str = "The order. Its refund has begun, and a job carries it on; or it waits for the `approval` of a \
    second operator, as an exception does and an amount beyond `wallets.approval_above`";

/// Acts upon one order.
pub(super) fn operations(s: &mut Schemas) -> Vec<Operation> {
    vec![
        operation("get", "/v1/ops/orders/{id}/acts", Viewer, "What operators can do to an order now").gives(
            200,
            "What is possible, and what it would change",
            s.gives::<OrderActs>(),
        ),
        operation("post", "/v1/ops/orders/{id}/close", Operator, "Close an unpaid order and free its seats")
            .takes(s.takes::<http_orders::OrderAct>(), json!({ "reason": "booked twice by mistake" }))
            .gives(200, "The closed order", s.gives::<OrderView>())
            .refuses("003070 006002 006071")
            .keyed(),
        operation(
            "post",
            "/v1/ops/orders/{id}/refund",
            Operator,
            "Refund a paid order, by its rules or as an exception",
        )
        .takes(s.takes::<http_orders::OrderRefund>(), json!({ "reason": "the bus had no heating" }))
        .gives(202, REFUNDED, s.gives::<Refunded>())
        .refuses("003070 003092 006002 006009 006061 006071")
        .keyed(),
        operation(
            "post",
            "/v1/ops/orders/{id}/redrive",
            Operator,
            "Redrive the dead letters of an order, with fresh attempts",
        )
        .takes(s.takes::<http_orders::OrderAct>(), json!({ "reason": "the disk has room again" }))
        .gives(200, "The jobs that were redriven", s.gives::<http_orders::RedrivenJobs>())
        .refuses("003070 006011 006071")
        .keyed(),
        operation("post", "/v1/ops/orders/{id}/notes", Operator, "Write a note on an order")
            .takes(s.takes::<http_orders::OrderNote>(), json!({ "note": "the rider called about seat 3" }))
            .gives(201, "The order, which is as before", s.gives::<OrderView>())
            .refuses("003070")
            .keyed(),
    ]
}
