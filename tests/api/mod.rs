//! The API as its clients see it: its rules, its limits, and what it refuses.

mod account_rules;
mod accounts;
mod api_schema;
mod authorizations;
mod bad_input;
mod balances;
mod booking;
mod fair_shares;
mod hostile;
mod input_rules;
mod languages;
mod limits;
mod lists;
mod live_seats;
mod lockout;
mod manifest;
mod orders;
mod paying;
mod retries;
mod roles;
mod secrets;
mod sessions;
mod timetable;
mod transport;
mod trip_rules;
mod trip_seats;
