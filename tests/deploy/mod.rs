//! Processes and their database: start, stop, outages, migrations, wrong clocks.

mod append_only;
mod clocks;
mod database_tls;
mod embedded;
mod environments;
mod outage;
mod poolers;
mod queries;
mod roles;
mod schema_change;
mod server_files;
mod standby_reads;
pub mod tls;
