//! Processes and their database: start, stop, outages, migrations, wrong clocks.

mod append_only;
mod clocks;
mod database_tls;
mod drain;
mod embedded;
mod environments;
mod migration_locks;
mod outage;
mod queries;
mod roles;
mod schema_change;
mod schema_floor;
mod server_files;
pub mod tls;
mod upgrade;
