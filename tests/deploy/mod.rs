//! Processes and their database: start, stop, outages, migrations, wrong clocks.

mod append_only;
mod cells;
mod clocks;
mod database_tls;
mod doctor;
mod drain;
mod embedded;
mod environments;
mod kubernetes;
mod logs;
mod migration_locks;
mod nginx;
mod outage;
mod pid_one;
mod poolers;
mod queries;
mod roles;
mod schema_change;
mod schema_floor;
mod server_files;
mod service_manager;
mod standby_reads;
pub mod tls;
mod units;
mod upgrade;
