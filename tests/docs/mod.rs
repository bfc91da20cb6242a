//! The documents against the program.

mod compose;
mod documents;
mod invariants_table;
mod profiles;
mod tour;
