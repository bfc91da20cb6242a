//! The operations on wallets by operators.

use super::builder::{
    Access::{Operator, Viewer},
    Operation, Schemas, operation,
};
use crate::{
    domain::Page,
    http::{extract::reason::OptionalReason, handlers::ops::wallets as http_wallets},
    ops::wallets::approvals::{Approval, STATES},
    payment::wallet::Entry,
};
use serde_json::json;

const WAITS: &str =
    "The change is beyond `wallets.approval_above`: no money moves until a second operator approves it";

/// Top-ups, corrections and approvals.
pub(super) fn operations(s: &mut Schemas) -> Vec<Operation> {
    vec![
        operation(
            "post",
            "/v1/ops/wallets/{rider_id}/top-ups",
            Operator,
            "Top a wallet up, once a reference",
        )
        .takes(
            s.takes::<http_wallets::TopUp>(),
            json!({ "amount": "100.00", "reference": "till 7, slip 4711" }),
        )
        .gives(201, "The ledger entry", s.gives::<Entry>())
        .gives(202, WAITS, s.gives::<Approval>())
        .refuses("003070 003092 006060 006061")
        .keyed(),
        operation(
            "post",
            "/v1/ops/wallets/{rider_id}/corrections",
            Operator,
            "Correct a ledger entry by another one; the balance is never below zero",
        )
        .takes(
            s.takes::<http_wallets::Correction>(),
            json!({
                "amount": "-90.00", "entry_id": "0193fa1c-2e7b-7c3d-9a41-b6f0c8d2e511",
                "reference": "complaint 12", "reason": "100.00 was entered instead of 10.00",
            }),
        )
        .gives(201, "The ledger entry", s.gives::<Entry>())
        .gives(202, WAITS, s.gives::<Approval>())
        .refuses("003070 003092 006060 006061")
        .keyed(),
        operation(
            "get",
            "/v1/ops/approvals",
            Viewer,
            "Changes and refunds that wait for a second operator, or did",
        )
        .query("state", "In this state", json!({ "type": "string", "enum": STATES }))
        .paged()
        .gives(200, "A page, newest first", s.gives::<Page<Approval>>()),
        operation(
            "post",
            "/v1/ops/approvals/{id}/approve",
            Operator,
            "Approve a change or a refund as the second operator: the money moves",
        )
        .may_take(s.takes::<OptionalReason>(), json!({ "reason": "the bank's receipt is here" }))
        .gives(200, "The approval; of a change, with its ledger entry", s.gives::<Approval>())
        .refuses("003092 006002 006009 006060 006061 006062 006063")
        .keyed(),
        operation(
            "post",
            "/v1/ops/approvals/{id}/refuse",
            Operator,
            "Refuse a change, or take one's own back",
        )
        .takes(s.takes::<http_wallets::RefuseApproval>(), json!({ "reason": "no receipt" }))
        .gives(200, "The refused approval", s.gives::<Approval>())
        .refuses("006063")
        .keyed(),
    ]
}
