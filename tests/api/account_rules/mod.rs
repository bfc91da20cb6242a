//! What identifies accounts, payments and requests is compared in one way everywhere.

mod names;
mod pay_passwords;
mod repeats;
mod top_ups;
