//! The documents against the program.

mod compose;
mod documents;
mod invariants_table;
mod page;
mod profiles;
mod tour;
