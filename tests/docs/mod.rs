//! The documents against the program.

mod documents;
mod invariants_table;
mod tour;
