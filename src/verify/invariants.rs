//! The table of invariants, one query each.

use super::{Level, imports, invariant::Invariant, webhooks};

/// The invariant whose breaches list the seats and the money of each undo.
pub(super) const OVERDUE_UNDOS: &str = "debts_are_paid_in_time";

/// All invariants.
pub(super) const INVARIANTS: [Invariant; 30] = [
    Invariant {
        name: "seats_have_live_owners",
        sentence: "No held seat belongs to an order that has ended.",
        level: Level::Corrupt,
        breach_one: "1 held seat belongs to an order that has ended.",
        breach_many: "{n} held seats belong to orders that have ended.",
        breach_zh: "{n} 个被占座位属于已结束的订单。",
        // `coalesce` keeps the join an outer one: an inner join would read all seats for each ended
        // order.
        query: "select distinct s.order_id::text from seat s left join orders o on o.id = s.order_id
                where s.order_id >= $3 and s.trip_id in (select t.id from trip t where t.departs_at >= $4)
                and coalesce(o.status, '') in ('closed', 'refunded')",
    },
    Invariant {
        name: "claims_are_added_or_armed",
        sentence: "Every claim of seats has its order, or an undo that is armed.",
        level: Level::NeedsYou,
        breach_one: "1 claim of seats has neither an order nor a live undo: nobody gives its seats back.",
        breach_many: "{n} claims of seats have neither an order nor a live undo: nobody gives their seats back.",
        breach_zh: "{n} 次占座既无订单也无有效的撤销任务：其座位无人释放。",
        query: "select distinct s.order_id::text from seat s left join orders o on o.id = s.order_id
                where s.order_id >= $3 and s.trip_id in (select t.id from trip t where t.departs_at >= $4)
                and o.id is null and not exists(select from queue.job j where j.key = s.order_id::text and j.tag = any($2))",
    },
    Invariant {
        name: "orders_own_their_seats",
        sentence: "Every unpaid, paid or refunding order owns exactly its seats, and they are sold unless it is unpaid.",
        level: Level::Corrupt,
        breach_one: "1 unpaid, paid or refunding order does not own exactly its seats.",
        breach_many: "{n} unpaid, paid or refunding orders do not own exactly their seats.",
        breach_zh: "{n} 个未支付、已支付或退款中的订单与其座位不符。",
        query: "select o.id::text from orders o where o.id >= $3 and o.status in ('unpaid', 'paid', 'refunding')
                and (select count(*) from seat s where s.trip_id = o.trip_id and s.seat = any(o.seats) and s.order_id = o.id
                       and (s.held_until is null) = (o.status <> 'unpaid'))
                    <> cardinality(o.seats)",
    },
    Invariant {
        name: "paid_means_one_debit",
        sentence: "Paid or refunding: one unreversed debit of exactly the order's amount.",
        level: Level::Corrupt,
        breach_one: "1 paid or refunding order is not debited exactly once with its amount.",
        breach_many: "{n} paid or refunding orders are not debited exactly once with their amount.",
        breach_zh: "{n} 个已支付或退款中的订单未按其金额恰好扣款一次。",
        query: "select o.id::text from orders o
                left join ledger_entry e on e.payment_id = o.payment_id and (o.status = 'paid' or e.kind not in ('refund', 'refund_fee'))
                where o.id >= $3 and o.status in ('paid', 'refunding')
                group by o.id having coalesce(sum(e.amount), 0) <> -o.amount
                union all
                select p.order_id::text from payment p join orders o on o.id = p.order_id
                where o.id >= $3 and o.status in ('paid', 'refunding') and p.id <> o.payment_id and p.state = 'settled'",
    },
    Invariant {
        name: "orders_are_paid_in_time",
        sentence: "No order was paid after its deadline.",
        level: Level::Corrupt,
        breach_one: "1 order was paid after its deadline.",
        breach_many: "{n} orders were paid after their deadline.",
        breach_zh: "{n} 个订单在期限之后被支付。",
        query: "select o.id::text from orders o where o.id >= $3 and o.paid_at > o.expires_at",
    },
    Invariant {
        name: "closed_means_no_charge",
        sentence: "Closed or refunded: no payment of the order is settled.",
        level: Level::Corrupt,
        breach_one: "1 closed or refunded order has kept a payment.",
        breach_many: "{n} closed or refunded orders have kept a payment.",
        breach_zh: "{n} 个已关闭或已退款的订单仍留有款项。",
        query: "select o.id::text from orders o join payment p on p.order_id = o.id
                where o.id >= $3 and o.status in ('closed', 'refunded') and p.state = 'settled'",
    },
    Invariant {
        name: "wallets_are_their_entries",
        sentence: "Every balance is the sum of its wallet's entries.",
        level: Level::Corrupt,
        breach_one: "1 wallet's balance is not the sum of its entries.",
        breach_many: "{n} wallets' balances are not the sum of their entries.",
        breach_zh: "{n} 个钱包的余额与其账目之和不符。",
        query: "select w.rider_id::text from wallet w
                where ($3 = '00000000-0000-0000-0000-000000000000'
                       or exists(select from orders o where o.rider_id = w.rider_id and o.id >= $3))
                and w.balance <> (select coalesce(sum(e.amount), 0) from ledger_entry e where e.rider_id = w.rider_id)",
    },
    Invariant {
        name: "payments_match_their_entries",
        sentence: "A payment that is debited or settled has one debit; reversed or refunded, one entry more that cancels it, but for the fee of its order.",
        level: Level::Corrupt,
        breach_one: "1 payment does not match its ledger entries.",
        breach_many: "{n} payments do not match their ledger entries.",
        breach_zh: "{n} 笔支付与其账目不符。",
        query: "select p.id::text from payment p
                where p.id >= $3 and (select coalesce(sum(e.amount), 0) from ledger_entry e where e.payment_id = p.id)
                      <> case when p.state in ('debited', 'settled') then -p.amount
                              when p.state = 'refunded'
                              then -coalesce((select o.refund_fee from orders o where o.id = p.order_id), 0)
                              else 0 end",
    },
    Invariant {
        name: "money_in_is_money_held_or_earned",
        sentence: "What was topped up and corrected is in wallets, or was paid for orders and fees.",
        level: Level::Corrupt,
        breach_one: "The money topped up is not what wallets hold and orders earned.",
        breach_many: "The money topped up is not what wallets hold and orders earned.",
        breach_zh: "充值总额与钱包余额及订单收入之和不符。",
        query: "select 'all' where $3 = '00000000-0000-0000-0000-000000000000'
                and (select coalesce(sum(amount), 0) from ledger_entry where kind in ('top_up', 'correction'))
                <> (select coalesce(sum(balance), 0) from wallet)
                 + (select coalesce(sum(amount), 0) from payment where state in ('debited', 'settled'))
                 - (select coalesce(sum(amount), 0) from ledger_entry where kind = 'refund_fee')",
    },
    Invariant {
        name: "changes_by_hand_are_somebodys",
        sentence: "Every correction has its operator, and every operator's change is its ledger entry.",
        level: Level::Corrupt,
        breach_one: "1 entry by hand does not have its operator.",
        breach_many: "{n} entries by hand do not have their operators.",
        breach_zh: "{n} 笔人工账目与其操作员记录不符。",
        // Entries have no index by kind: the first part belongs to a whole check.
        query: "select e.id::text from ledger_entry e
                left join wallet_change c on c.rider_id = e.rider_id and c.seq = e.seq
                where $3 = '00000000-0000-0000-0000-000000000000' and e.kind = 'correction' and c.amount is distinct from e.amount
                union all
                select e.id::text from wallet_change c
                join ledger_entry e on e.rider_id = c.rider_id and e.seq = c.seq
                where e.id >= $3 and (e.amount <> c.amount or e.kind not in ('top_up', 'correction'))
                union all
                select a.id::text from wallet_approval a where a.id >= $3 and a.outcome = 'approved'
                and not exists(select from ledger_entry e where e.rider_id = a.rider_id and e.id = a.entry_id
                               and e.amount = a.amount and e.kind = a.kind)
                union all
                select a.id::text from wallet_approval a where a.id >= $3 and a.outcome = 'refunded'
                and not exists(select from order_event e where e.order_id = a.order_id and e.status = 'refunding')",
    },
    Invariant {
        name: "debits_are_settled_or_armed",
        sentence: "A debit that is not settled has a live undo.",
        level: Level::NeedsYou,
        breach_one: "1 debit that is not settled has no live undo: nobody gives the money back.",
        breach_many: "{n} debits that are not settled have no live undo: nobody gives the money back.",
        breach_zh: "{n} 笔未结清的扣款没有有效的撤销任务：款项无人退回。",
        query: "select p.id::text from payment p where p.id >= $3 and p.state = 'debited'
                and not exists(select from queue.job j where j.key = p.id::text and j.tag = any($2))",
    },
    Invariant {
        name: "undone_steps_have_left_nothing",
        sentence: "A step that was undone, or barred before it ran, has no effect: no seat, no open order, no money taken.",
        level: Level::Corrupt,
        breach_one: "1 step that was undone has left an effect.",
        breach_many: "{n} steps that were undone have left an effect.",
        breach_zh: "{n} 个已撤销的步骤仍留有影响。",
        query: "select b.subject::text from barrier b join seat s on s.order_id = b.subject
                where s.trip_id in (select t.id from trip t where t.departs_at >= $4)
                and b.subject >= $3 and b.undone_at is not null and b.step = 'order_add_seats_cancle'
                union all
                select b.subject::text from barrier b join orders o on o.id = b.subject
                where b.subject >= $3 and b.undone_at is not null and b.step = 'order_add_cancle' and o.status <> 'closed'
                union all
                select b.subject::text from barrier b join payment p on p.id = b.subject
                where b.subject >= $3 and b.undone_at is not null
                and ((b.step = 'pay_money_cancle' and p.state <> 'reversed')
                     or (b.step = 'pay_cancle' and p.state in ('settled', 'refunded')))",
    },
    Invariant {
        name: "unpaid_orders_have_a_timer",
        sentence: "Every unpaid order has its live unpaid-order job.",
        level: Level::NeedsYou,
        breach_one: "1 unpaid order has no timer: nothing closes it at its deadline.",
        breach_many: "{n} unpaid orders have no timer: nothing closes them at their deadline.",
        breach_zh: "{n} 个未支付订单没有定时任务：到期不会自动关闭。",
        query: "select o.id::text from orders o where o.id >= $3 and o.status = 'unpaid'
                and not exists(select from queue.job j where j.tag = 'order_unpaid' and j.key = o.id::text)",
    },
    Invariant {
        name: "settled_orders_have_no_timer",
        sentence: "No order that is paid, refunded or closed has a timer, but for one that is being run or will be tried again.",
        level: Level::NeedsYou,
        breach_one: "1 order that is settled still has a timer.",
        breach_many: "{n} orders that are settled still have a timer.",
        breach_zh: "{n} 个已结清的订单仍有定时任务。",
        query: "select o.id::text from orders o cross join lateral (
                    select from queue.job j where j.tag = 'order_unpaid' and j.key = o.id::text
                        and j.lease_token is null and j.attempt = 0
                    -- planner fence: a timer is looked up by its key, docs/decisions/0009-planner-fences.md
                    offset 0) as j
                where o.id >= $3 and o.status <> 'unpaid'",
    },
    Invariant {
        name: "deadlines_are_kept",
        sentence: "No unpaid order is more than a minute past its deadline.",
        level: Level::NeedsYou,
        breach_one: "1 unpaid order is more than a minute past its deadline.",
        breach_many: "{n} unpaid orders are more than a minute past their deadline.",
        breach_zh: "{n} 个未支付订单已逾期一分钟以上。",
        query: "select o.id::text from orders o
                where o.id >= $3 and o.status = 'unpaid'
                and o.expires_at < now() - interval '1 min' - make_interval(secs => $7)",
    },
    Invariant {
        name: "states_have_their_history",
        sentence: "Every order's state has its history row, but for booked and paid, which its own row tells.",
        level: Level::Corrupt,
        breach_one: "1 order's state has no history row.",
        breach_many: "{n} orders' states have no history row.",
        breach_zh: "{n} 个订单的状态没有历史记录。",
        query: "select o.id::text from orders o
                where o.id >= $3 and o.status not in ('unpaid', 'paid')
                and not exists(select from order_event e where e.order_id = o.id and e.status = o.status)",
    },
    Invariant {
        name: "begun_refunds_are_carried_on",
        sentence: "Every order that is refunding has the live job that carries it on.",
        level: Level::NeedsYou,
        breach_one: "1 refund that was begun has no live job: nobody gives the money back.",
        breach_many: "{n} refunds that were begun have no live job: nobody gives the money back.",
        breach_zh: "{n} 笔已开始的退款没有有效任务：款项无人退回。",
        query: "select o.id::text from orders o where o.id >= $3 and o.status = 'refunding'
                and not exists(select from queue.job j where j.tag = 'pay_back_cancle' and j.key = o.id::text)",
    },
    Invariant {
        name: "cancelled_trips_are_carried_on",
        sentence: "A trip that was cancelled has the live job that ends its orders, or all its seats are blocked.",
        level: Level::NeedsYou,
        breach_one: "1 cancelled trip has orders that nobody ends.",
        breach_many: "{n} cancelled trips have orders that nobody ends.",
        breach_zh: "{n} 个已取消的班次仍有无人处理的订单。",
        query: "select c.trip_id::text from trip_cancellation c
                where case when c.finished_at is null
                           then not exists(select from queue.job j where j.tag = 'trip_cancel' and j.key = c.trip_id::text)
                           else exists(select from seat s where s.trip_id = c.trip_id and not s.blocked) end",
    },
    Invariant {
        name: "trips_are_of_the_network",
        sentence: "A trip that is sold stems from a departure or is an extra trip, has exactly the seats of its model, and sells those that the model sells, at a price for each class.",
        level: Level::NeedsYou,
        breach_one: "1 trip that is sold has no departure, or not the seats of its model.",
        breach_many: "{n} trips that are sold have no departure, or not the seats of their models.",
        breach_zh: "{n} 个在售班次没有对应的发车计划，或座位与车型不符。",
        query: "select t.id::text from trip t
                where t.departs_at > now() and t.cancelled_at is null and t.created_at >= $4
                and ((t.timetable_id is not null
                      and not exists(select from timetable d where d.id = t.timetable_id and d.ended_at is null))
                     or (t.model_id is not null
                         and (exists(select from model_seat m where m.model_id = t.model_id
                                     and not exists(select from seat s where s.trip_id = t.id and s.seat = m.number))
                              or exists(select from seat s left join model_seat m
                                            on m.model_id = t.model_id and m.number = s.seat
                                        where s.trip_id = t.id
                                          and (m.number is null or not m.for_sale and not s.blocked
                                               or m.for_sale and t.class_prices is not null
                                                  and not t.class_prices ? m.class)))))",
    },
    Invariant {
        name: "orders_cost_the_sum_of_their_prices",
        sentence: "An order's amount is the sum of the prices of its seats, and each of its labels is that of its seat.",
        level: Level::Corrupt,
        breach_one: "1 order's amount or labels are not those of its seats.",
        breach_many: "The amounts or labels of {n} orders are not those of their seats.",
        breach_zh: "{n} 个订单的金额或座位号与其座位不符。",
        query: "select o.id::text from orders o
                where o.id >= $3
                and (o.amount is distinct from coalesce(sum_of(o.prices), o.unit_price * cardinality(o.seats))
                     or cardinality(o.prices) <> cardinality(o.seats)
                     or o.labels is not null and o.status in ('unpaid', 'paid', 'refunding')
                        and o.labels <> seat_labels(o.trip_id, o.seats))",
    },
    imports::CARRIED_ON,
    imports::WHOLE,
    webhooks::CARRIED_ON,
    Invariant {
        name: "recurring_jobs_are_scheduled",
        sentence: "Every recurring job that a worker runs is in the queue, and so enqueues the next one.",
        level: Level::NeedsYou,
        breach_one: "1 recurring job is missing from the queue: what it makes is made no more.",
        breach_many: "{n} recurring jobs are missing from the queue: what they make is made no more.",
        breach_zh: "队列中缺少 {n} 个周期任务：其工作已停止。",
        query: "select r.tag from recurring_job r
                where not exists(select from queue.job j where j.tag = r.tag and j.key = r.key)",
    },
    Invariant {
        name: "kept_answers_are_true",
        sentence: "What a repeated booking or payment is answered is what its order and payment say, and who was booked or paid is not refused.",
        level: Level::Corrupt,
        breach_one: "1 kept answer is not what its order or payment says.",
        breach_many: "{n} kept answers are not what their orders or payments say.",
        breach_zh: "{n} 个留存的应答与其订单或支付不符。",
        query: "select i.subject::text from idempotency i left join orders o on o.id = i.subject
                where i.started_at >= $4 and i.subject >= $3 and i.status = 201 and i.body ? 'seats' and i.body ? 'trip_id'
                -- Not that of a note on an order, which has the order as well.
                and not (o.id is null and exists(select from audit a where a.order_id::text = i.body ->> 'id'
                                                 and a.actor_id = i.actor and a.act = 'order_note'))
                and (o.id is null or i.body ->> 'id' <> o.id::text or (i.body ->> 'amount')::numeric
                         * power(10::numeric, coalesce((select decimals from network), 2) - 2) <> o.amount
                     or (select array_agg(seat) from jsonb_array_elements_text(i.body -> 'seats') seat)
                        <> coalesce(o.labels, o.seats::text[]))
                union all
                select i.subject::text from idempotency i left join payment p on p.id = i.subject
                where i.started_at >= $4 and i.subject >= $3 and i.status = 200 and i.body ->> 'status' = 'paid'
                and p.state is distinct from 'settled' and p.state is distinct from 'refunded'
                union all
                select i.subject::text from idempotency i join orders o on o.id = i.subject
                where i.started_at >= $4 and i.subject >= $3 and i.status <> 201
                union all
                select i.subject::text from idempotency i join payment p on p.id = i.subject
                where i.started_at >= $4 and i.subject >= $3 and i.status <> 200 and p.state in ('settled', 'refunded')",
    },
    Invariant {
        name: "jobs_end_once",
        sentence: "No job is live and has ended or died.",
        level: Level::Corrupt,
        breach_one: "1 job is live and has ended as well.",
        breach_many: "{n} jobs are live and have ended as well.",
        breach_zh: "{n} 个任务既存活又已结束。",
        query: "select j.id::text from queue.job j where exists(select from queue.finished f where f.id = j.id and f.ended_at >= $4)
                union all
                select d.id::text from queue.dead_letter d where exists(select from queue.job j where j.id = d.id)",
    },
    Invariant {
        name: "guards_are_in_place",
        sentence: "Every constraint and index that carries a promise exists and is valid.",
        level: Level::Corrupt,
        breach_one: "1 constraint or index that carries a promise is missing or invalid.",
        breach_many: "{n} constraints or indexes that carry a promise are missing or invalid.",
        breach_zh: "{n} 个承载承诺的约束或索引缺失或无效。",
        query: "select guard from unnest(array['seat_has_one_owner', 'seat_hold_has_an_owner', 'seat_blocked_has_no_owner',
                    'order_paid_means_a_payment', 'order_closed_has_a_reason', 'order_amount_is_price_times_seats', 'barrier_pkey',
                    'order_amount_is_the_sum_of_its_prices', 'order_has_one_price_or_one_for_each_seat', 'trip_price_is_its_lowest',
                    'idempotency_pkey', 'ledger_entry_continues_the_last', 'ledger_first_entry_starts_at_zero',
                    'ledger_balance_is_never_negative', 'ledger_top_up_leaves_room', 'ledger_correction_is_of_its_wallet',
                    'wallet_change_is_not_of_ones_own', 'wallet_approval_is_by_a_second_person',
                    'wallet_approval_refund_is_by_a_second_person', 'wallet_approval_refund_is_no_top_up', 'wallet_balance_is_what_its_entries_say',
                    'trip_has_its_bus_to_itself', 'order_is_changed_once_by_an_import', 'fare_periods_do_not_overlap', 'model_seat_pkey', 'trip_model_exists',
                    'job_key_is_unique_while_live', 'job_lease_is_whole', 'top_up_reference_is_used_once']) guard
                where not exists(select from pg_constraint c where c.conname = guard and c.convalidated)
                union all
                select guard from unnest(array['one_entry_per_payment_and_kind', 'one_live_payment_per_order',
                    'one_top_up_per_reference', 'one_unfinished_import', 'rider_user_name_is_taken_once']) guard
                where not exists(select from pg_class c join pg_index i on i.indexrelid = c.oid
                                 where c.relname = guard and i.indisvalid and i.indisunique)
                union all
                select guard from unnest(array['ledger_is_append_only', 'audit_is_append_only', 'order_event_is_append_only',
                    'order_change_is_append_only', 'trip_event_is_append_only', 'chain_is_append_only', 'audit_is_chained', 'trip_event_is_chained']) guard
                where not exists(select from pg_trigger t where t.tgname = guard and t.tgenabled <> 'D')",
    },
    Invariant {
        name: "records_are_chained",
        sentence: "The audit log and the histories of orders and trips are what was chained when they were written.",
        level: Level::Corrupt,
        breach_one: "1 place of the audit log or a history was changed after it was written.",
        breach_many: "{n} places of the audit log or the histories were changed after they were written.",
        breach_zh: "审计日志或历史记录有 {n} 处在写入之后被改动。",
        query: "select place from chain_breaks($4) place",
    },
    Invariant {
        name: "nothing_is_dead",
        sentence: "No job has given up.",
        level: Level::NeedsYou,
        breach_one: "1 job has given up.",
        breach_many: "{n} jobs have given up.",
        breach_zh: "{n} 个任务已放弃。",
        query: "select d.tag || ' ' || d.key from queue.dead_letter d",
    },
    Invariant {
        name: "debts_are_paid_in_time",
        sentence: "No undo has been due for longer than the bound without being done.",
        level: Level::NeedsYou,
        breach_one: "1 undo has been due for too long without being done.",
        breach_many: "{n} undos have been due for too long without being done.",
        breach_zh: "{n} 个撤销任务到期过久仍未完成。",
        query: "select j.tag || ' ' || j.key from queue.job j
                where j.tag = any($6) and coalesce(j.first_due_at, j.run_at) < now() - make_interval(secs => $5)",
    },
];
