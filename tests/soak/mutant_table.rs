//! The mutants: for each guard its text in the source, and the text without the guard.

/// One guard, and the code without it.
pub struct Mutant {
    pub name: &'static str,
    /// Tried in CI as well.
    pub short: bool,
    /// File, text, text instead; each text is there exactly once.
    pub edits: &'static [(&'static str, &'static str, &'static str)],
}

/// Sends every undo of a booking the long way.
const NO_SHORT_WAY: (&str, &str, &str) = (
    "src/booking/release.rs",
    "let done = context.batchers().release_seats.submit(request).await?;",
    "let (done, _) = (false, request);",
);

/// Frees the seats of an order whatever order owns them now.
const FREES_ANY_OWNER: (&str, &str, &str) = (
    "migrations/0027_one_rule.sql",
    "and order_id = w.owner_id for update\n        ) as s\n    )\n    update seat s set order_id = null, held_until = null\n    from owned o where s.trip_id = o.trip_id and s.seat = o.seat and s.order_id = o.owner_id;",
    "and order_id is not null for update\n        ) as s\n    )\n    update seat s set order_id = null, held_until = null\n    from owned o where s.trip_id = o.trip_id and s.seat = o.seat;",
);

/// Moves orders whose seats the other model does not have.
const MOVES_WITHOUT_PLACE: (&str, &str, &str) = (
    "migrations/0046_network_import.sql",
    "and s.seat in (select seats_without_place(of_trip, to_model))) then",
    "and s.seat in (select seats_without_place(of_trip, to_model)) and false) then",
);

pub const MUTANTS: [Mutant; 34] = [
    Mutant {
        name: "a claim takes seats that have an owner",
        short: true,
        edits: &[(
            "src/statements/claim_seats.sql",
            "and order_id is null and not blocked",
            "and not blocked",
        )],
    },
    Mutant {
        name: "a claim judges seats it has not locked",
        short: false,
        edits: &[(
            "src/statements/claim_seats.sql",
            "and order_id is null and not blocked\n        for update\n",
            "and order_id is null and not blocked\n",
        )],
    },
    Mutant {
        name: "an undo asks neither the barrier nor the owner",
        short: false,
        edits: &[
            NO_SHORT_WAY,
            (
                "src/booking/release.rs",
                "Undoing::Nothing => Ok(\"nothing to undo: the seats were never claimed, or given back already\"),\n        Undoing::Due => {",
                "Undoing::Nothing | Undoing::Due => {",
            ),
            FREES_ANY_OWNER,
        ],
    },
    Mutant {
        name: "the short way of an undo asks neither the barrier nor the owner",
        short: false,
        edits: &[
            (
                "src/statements/release_seats.rs",
                "select * from undo where order_id in (select subject from barred where step = $8)",
                "select * from undo where $8::text is not null",
            ),
            (
                "src/statements/release_seats.rs",
                "select * from due where order_id in (select subject from undone)",
                "select * from due",
            ),
            FREES_ANY_OWNER,
        ],
    },
    Mutant {
        name: "a step does not heed its barrier",
        short: true,
        edits: &[(
            "src/statements/add_orders.rs",
            "select order_id, $9, now() from unnest($1::uuid[]) as r (order_id)",
            "select order_id, $9, now() from unnest($1::uuid[]) as r (order_id) on conflict do nothing",
        )],
    },
    Mutant {
        name: "an undo does not bar its steps",
        short: false,
        edits: &[
            NO_SHORT_WAY,
            (
                "src/saga/barrier.rs",
                "select $1, step, now() from unnest($2::text[]) as s(step)",
                "select $1, step, now() from unnest($2::text[]) as s(step) where false",
            ),
        ],
    },
    Mutant {
        name: "a debit arms no undo",
        short: true,
        edits: &[(
            "src/statements/debit_wallets.sql",
            "now() + make_interval(secs => rule.undo_after_secs)\n    from debit cross join rule",
            "now() + make_interval(secs => rule.undo_after_secs)\n    from debit cross join rule where false",
        )],
    },
    Mutant {
        name: "a debit arms its undo in a transaction of its own, afterwards",
        short: false,
        edits: &[
            (
                "src/statements/debit_wallets.sql",
                "now() + make_interval(secs => rule.undo_after_secs)\n    from debit cross join rule",
                "now() + make_interval(secs => rule.undo_after_secs)\n    from debit cross join rule where false",
            ),
            (
                "src/payment/debit.rs",
                "DebitOutput::Debited(order) => Ok(Debited { order, armed: debit.undo.id }),",
                "DebitOutput::Debited(order) => {
                    let tag = farebox_jobs::MqTag::PayMoney;
                    saga.faults.in_step(tag, crate::saga::FaultPoint::After).await.map_err(Error::Broken)?;
                    let due = farebox_jobs::queue::Due::In(saga.undo_after().to_std().unwrap_or_default());
                    let job = [NewJob::of(&PayMoney::new(paying))];
                    farebox_jobs::queue::enqueue(&mut *saga.pool.acquire().await?, &job, due).await?;
                    Ok(Debited { order, armed: debit.undo.id })
                }",
            ),
        ],
    },
    Mutant {
        name: "a reversal puts back the balance it remembers",
        short: false,
        edits: &[(
            "src/payment/reverse.rs",
            "set balance = w.balance + b.amount - $7::numeric,",
            "set balance = (select e.balance_after + b.amount - $7::numeric from ledger_entry e
                                                     where e.payment_id = b.id and e.kind = 'payment'),",
        )],
    },
    Mutant {
        name: "a booking starts no timer",
        short: false,
        edits: &[(
            "src/statements/claim_seats.sql",
            "rule.timer_attempts, expires_at\n    from won cross join rule",
            "rule.timer_attempts, expires_at\n    from won cross join rule where false",
        )],
    },
    Mutant {
        name: "paying leaves the timer",
        short: false,
        edits: &[(
            "src/statements/mark_paid.rs",
            "tag = $5 and key = m.id::text offset 0",
            "tag = $5 and key = m.id::text and false offset 0",
        )],
    },
    Mutant {
        name: "paying leaves the hold on the seats",
        short: false,
        edits: &[("src/statements/mark_paid.rs", "set held_until = null", "set held_until = s.held_until")],
    },
    Mutant {
        name: "an order is paid after its deadline",
        short: false,
        edits: &[("src/statements/mark_paid.rs", " and o.expires_at > r.at", "")],
    },
    Mutant {
        name: "an order is closed whatever it has become",
        short: false,
        edits: &[(
            "migrations/0070_webhooks.sql",
            "where id = any(order_ids) and status = 'unpaid' and",
            "where id = any(order_ids) and",
        )],
    },
    Mutant {
        name: "nobody takes over the job of a worker that died",
        short: false,
        edits: &[(
            "jobs/queue/src/sql/complete_and_claim.sql",
            "and (job.lease_until is null or job.lease_until <= now())",
            "and job.lease_until is null",
        )],
    },
    Mutant {
        name: "an undo forgets to commit",
        short: false,
        edits: &[(
            "src/saga/undo.rs",
            "delivery.lease.complete(&mut tx, Some(note)).await?;\n        tx.commit().await?;",
            "delivery.lease.complete(&mut tx, Some(note)).await?;\n        tx.rollback().await?;",
        )],
    },
    Mutant {
        name: "a job is completed in a transaction of its own, before its effect",
        short: false,
        edits: &[(
            "src/saga/undo.rs",
            "delivery.lease.complete(&mut tx, Some(note)).await?;\n        tx.commit().await?;",
            "let mut own = self.begin().await?;
        delivery.lease.complete(&mut own, Some(note)).await?;
        own.commit().await?;
        tx.commit().await?;",
        )],
    },
    Mutant {
        name: "a late retry of a booking is not answered from its order",
        short: false,
        edits: &[(
            "src/orders/load.rs",
            "from orders where id = $1\n           union all",
            "from orders where id = $1 and false\n           union all",
        )],
    },
    Mutant {
        name: "a rider's unpaid orders are not counted",
        short: false,
        edits: &[
            (
                "src/statements/claim_seats.sql",
                "orders = case\n            when cardinality(h.orders) + cardinality(excluded.orders) <= (select max_open_holds from rule)\n",
                "orders = case\n            when cardinality(h.orders) + cardinality(excluded.orders) <= 1000\n",
            ),
            (
                "src/statements/claim_seats.sql",
                "until = case\n            when cardinality(h.orders) + cardinality(excluded.orders) <= (select max_open_holds from rule)\n",
                "until = case\n            when cardinality(h.orders) + cardinality(excluded.orders) <= 1000\n",
            ),
        ],
    },
    Mutant {
        name: "a claim arms no undo, and the timer of one without an order frees nothing",
        short: false,
        edits: &[
            (
                "src/statements/claim_seats.sql",
                "now() + make_interval(secs => rule.undo_after_secs)\n    from won cross join rule",
                "now() + make_interval(secs => rule.undo_after_secs)\n    from won cross join rule where false",
            ),
            (
                "src/booking/unpaid.rs",
                "None => Some(release::release(&mut tx, job.booking()).await?),",
                "None => None,",
            ),
        ],
    },
    Mutant {
        name: "an undo looks before it bars",
        short: false,
        edits: &[
            NO_SHORT_WAY,
            (
                "src/booking/release.rs",
                "    barrier::bar(tx, booking.order_id.0, &MqTag::BOOKING_BARRIERS).await?;\n    release_barred(tx, booking).await",
                "    let done = release_barred(tx, booking).await?;
    barrier::bar(tx, booking.order_id.0, &MqTag::BOOKING_BARRIERS).await?;
    Ok(done)",
            ),
        ],
    },
    Mutant {
        name: "a debit's undo does not look whether the order is paid",
        short: false,
        edits: &[(
            "src/payment/reverse.rs",
            "barrier::begin_undo(tx, id, MqTag::PayMoney, MqTag::Pay)",
            "barrier::begin_undo(tx, id, MqTag::PayMoney, MqTag::OrderUnpaid)",
        )],
    },
    Mutant {
        name: "a refund ends before the money is back",
        short: false,
        edits: &[
            (
                "src/payment/refund.rs",
                "    again(|| async { money_back(&mut *saga.pool.acquire().await?, command.order_id).await }).await?;\n",
                "",
            ),
            ("src/payment/refund.rs", "p.id = o.payment_id and p.state = 'refunded'", "p.id = o.payment_id"),
        ],
    },
    Mutant {
        name: "a refund arms no job",
        short: false,
        edits: &[("src/payment/refund.rs", "&[NewJob::of(&PayBack::new(order))],", "&[],")],
    },
    Mutant {
        name: "a BEGIN can be dropped half way",
        short: false,
        edits: &[(
            "jobs/queue/src/transaction.rs",
            "match tokio::spawn(begun.in_current_span()).await {",
            "match Ok::<_, tokio::task::JoinError>(begun.in_current_span().await) {",
        )],
    },
    Mutant {
        name: "an answer does not wait for the disk",
        short: false,
        edits: &[("src/storage/mod.rs", "set jit = off\"", "set jit = off; set synchronous_commit = off\"")],
    },
    Mutant {
        name: "seats move while their order is being paid",
        short: false,
        edits: &[(
            "migrations/0046_network_import.sql",
            "p.order_id = any(movable) and p.state = 'debited') then",
            "p.order_id = any(movable) and p.state = 'debited' and false) then",
        )],
    },
    Mutant {
        name: "an order with a seat without a place moves",
        short: false,
        edits: &[MOVES_WITHOUT_PLACE],
    },
    Mutant {
        name: "an order keeps its seats that have no place",
        short: false,
        edits: &[
            MOVES_WITHOUT_PLACE,
            (
                "src/trips/network/job.rs",
                "        end_without_place(context, import, item, model).await?;",
                "        if model < 0 { end_without_place(context, import, item, model).await?; }",
            ),
        ],
    },
    Mutant {
        name: "free seats without a place are sold until the move",
        short: false,
        edits: &[(
            "src/trips/network/apply.rs",
            "and seat in (select w.seat from bus_model m",
            "and false and seat in (select w.seat from bus_model m",
        )],
    },
    Mutant {
        name: "a refund follows the rules of its trip as they are now",
        short: false,
        edits: &[
            (
                "src/payment/refund.rs",
                "nullif(o.amount - round(o.amount * coalesce(o.refund_percent, 100)",
                "nullif(o.amount - round(o.amount * coalesce(t.refund_percent, 100)",
            ),
            (
                "src/payment/refund.rs",
                "make_interval(secs => coalesce(o.refund_secs, $3::float8))",
                "make_interval(secs => coalesce(t.refund_secs, $3::float8))",
            ),
        ],
    },
    Mutant {
        name: "booking does not end by its route's cut-off",
        short: false,
        edits: &[(
            "src/statements/claim_seats.sql",
            "and departs_at - make_interval(secs => coalesce(cut_off_secs, rule.cut_off_secs)) > now()",
            "and departs_at - make_interval(secs => rule.cut_off_secs) > now()",
        )],
    },
    Mutant {
        name: "a seat that the model does not sell is claimed",
        short: false,
        edits: &[
            (
                "src/statements/claim_seats.sql",
                "model_id = r.model_id and label = w.label and for_sale",
                "model_id = r.model_id and label = w.label",
            ),
            (
                "src/statements/claim_seats.sql",
                "and order_id is null and not blocked",
                "and order_id is null",
            ),
        ],
    },
    Mutant {
        name: "a seat that the model does not sell is released",
        short: false,
        edits: &[(
            "src/trips/seats.rs",
            "named.iter().find(|seat| !seat.is_for_sale)",
            "named.iter().find(|seat| !seat.is_for_sale && seat.number < 0)",
        )],
    },
];
