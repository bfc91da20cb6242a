-- What an amount is in any currency. Only comments: nothing is rewritten, and processes of before run on.
comment on column network.decimals is
    'Decimals of an amount that is shown or read. Stored amounts are in hundreds of minor units: a stored 4.00 '
    'is 400 minor units, which is 4.00 with two decimals, 400 with none, 0.400 with three.';
comment on column fare_period.amount is 'In hundreds of the currency''s minor units.';
comment on column timetable.price is 'In hundreds of the currency''s minor units; null if fares say it.';
comment on column trip.price is 'In hundreds of the currency''s minor units.';
comment on column orders.unit_price is 'In hundreds of the currency''s minor units.';
comment on column orders.amount is 'In hundreds of the currency''s minor units.';
comment on column payment.amount is 'In hundreds of the currency''s minor units.';
comment on column ledger_entry.amount is 'In hundreds of the currency''s minor units, signed.';
comment on column ledger_entry.balance_after is 'In hundreds of the currency''s minor units.';
comment on column wallet.balance is 'In hundreds of the currency''s minor units.';
comment on column wallet_change.amount is 'In hundreds of the currency''s minor units, signed.';
comment on column wallet_approval.amount is 'In hundreds of the currency''s minor units, signed.';
