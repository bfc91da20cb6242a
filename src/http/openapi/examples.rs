//! What answers look like, for the API's description. A test holds each to its schema.

use serde_json::{Value, json};

/// By the name of their schema.
pub(crate) fn examples() -> Vec<(&'static str, Value)> {
    let (order, trip, rider) = (
        "0193fa1d-77c0-7b1e-8a55-0c9d1e2f3a4b",
        "0193fa1c-2e7b-7c3d-9a41-b6f0c8d2e511",
        "0193fa00-1c2d-7e3f-8a9b-4c5d6e7f8091",
    );
    let (made, departs) = ("2030-01-01T00:12:09.512408Z", "2030-01-01T08:00:00.000000Z");
    let unpaid = json!({
        "id": order, "trip_id": trip, "seats": ["3", "4"], "unit_price": "4.00", "amount": "8.00",
        "status": "unpaid", "created_at": made, "expires_at": "2030-01-01T00:17:09.512408Z",
    });
    let mut ride = json!({ "bus_id": 1, "direction": 1, "departs_at": departs, "arrives_at": "2030-01-01T09:00:00.000000Z" });
    let mut paid = unpaid.clone();
    if let (Some(paid), Some(ride)) = (paid.as_object_mut(), ride.as_object_mut()) {
        paid.append(ride);
    }
    paid["status"] = json!("paid");
    paid["paid_at"] = json!("2030-01-01T00:13:40.120911Z");
    let upcoming = paid.clone();
    paid["history"] = json!([
        { "at": made, "status": "unpaid", "reason": "booked" },
        { "at": "2030-01-01T00:13:40.120911Z", "status": "paid", "reason": "paid" },
    ]);
    let bus = json!({ "id": 1, "driver_name": "Zhao Lei", "driver_phone": "028-5550-0101" });
    let listed = json!({
        "id": trip, "bus_id": 1, "direction": 1, "departs_at": departs,
        "arrives_at": "2030-01-01T09:00:00.000000Z", "price": "4.00", "capacity": 20, "free_seats": 18,
        "status": "scheduled",
    });
    let mut shown = listed.clone();
    shown["bus"] = bus;
    shown["layout"] = json!({ "rows": 5, "left": 2, "right": 2 });
    shown["seats"] = json!([
        { "seat": "1", "row": 1, "side": "left", "state": "free" },
        { "seat": "3", "row": 1, "side": "right", "state": "mine" },
    ]);
    let person = json!({ "id": rider, "user_name": "mei", "role": "rider", "has_pay_password": true });
    vec![
        ("OrderView", unpaid),
        ("ListedOrder", upcoming),
        ("OrderDetail", paid),
        ("Trip", listed),
        ("TripDetail", shown),
        (
            "Session",
            json!({ "token": "AQGT-gAc…", "expires_at": "2030-01-01T12:12:09.000000Z", "rider": person }),
        ),
        ("Rider", person),
        (
            "Entry",
            json!({
                "id": "0193fa1e-0102-7304-8506-0708090a0b0c", "order_id": order, "kind": "payment",
                "amount": "-8.00", "balance_after": "92.00", "at": "2030-01-01T00:13:40.118002Z",
            }),
        ),
        (
            "Authorization",
            json!({ "authorization": "c2VjcmV0…", "expires_at": "2030-01-01T00:15:09.512408Z" }),
        ),
        (
            "Evaluation",
            json!({ "rating": 5, "comment": "on time", "created_at": "2030-01-01T10:00:00.000000Z" }),
        ),
        ("Blocked", json!({ "trip_id": trip, "blocked": ["1"] })),
        (
            "Progress",
            json!({ "trip_id": trip, "reason": "snow", "cancelled_at": made, "orders": 9, "refunded": 4, "closed": 3, "left": 2 }),
        ),
        (
            "Manifest",
            json!({
                "trip_id": trip,
                "seats": [{
                    "seat": "3", "order_id": order, "rider_id": rider, "user_name": "mei", "status": "paid", "paid": true,
                    "nick_name": "Mei", "phone": "+8613800138000", "paid_at": "2030-01-01T00:13:40.120911Z", "payment": "settled",
                }],
            }),
        ),
        (
            "Job",
            json!({
                "id": "0193fa1d-77c0-7b1e-8a55-0c9d1e2f3a4c", "tag": "order_unpaid", "key": order, "state": "delayed",
                "attempt": 0, "max_attempts": 25, "failures": 0, "run_at": "2030-01-01T00:17:09.512408Z", "created_at": made,
                "order_id": order, "attempts": [],
            }),
        ),
        (
            "Queue",
            json!({
                "tag": "order_unpaid", "ready": 0, "delayed": 12, "retrying": 0, "running": 1, "dead": 0, "most_failures": 0,
                "paused": false,
                "state": "open", "done_last_hour": 340, "failed_last_hour": 0,
            }),
        ),
        (
            "Worker",
            json!({
                "id": "farebox-worker-7k2m9x04qa", "name": "farebox-worker", "host": "bus-2", "pid": 4711,
                "build": "0.1.0", "tags": ["order_unpaid"], "slots": 8, "held": 1, "state": "working",
                "started_at": made, "last_seen_at": departs,
            }),
        ),
        (
            "NotMade",
            json!({
                "timetable_id": 14, "service_date": "2030-01-02", "bus_id": 8, "direction": 1,
                "error": format!("bus 8 is on trip {trip} at that time"), "at": made,
            }),
        ),
        (
            "Event",
            json!({
                "at": made, "kind": "request", "what": "book",
                "detail": { "key": "7f9c…", "actor": rider, "user_name": "mei", "status": 201 },
            }),
        ),
        ("Redriven", json!({ "redriven": 3 })),
    ]
}
