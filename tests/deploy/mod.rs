//! Processes and their database: start, stop, outages, migrations, wrong clocks.

mod append_only;
mod clocks;
mod database_tls;
mod drain;
mod embedded;
mod environments;
mod migration_locks;
mod outage;
mod poolers;
mod queries;
mod roles;
mod schema_change;
mod schema_floor;
mod server_files;
mod standby_reads;
pub mod tls;
mod upgrade;
