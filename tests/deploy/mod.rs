//! Processes and their database: start, stop, outages, migrations, wrong clocks.

mod append_only;
mod clocks;
mod database_tls;
mod doctor;
mod embedded;
mod environments;
mod kubernetes;
mod logs;
mod nginx;
mod outage;
mod pid_one;
mod queries;
mod roles;
mod schema_change;
mod server_files;
mod service_manager;
pub mod tls;
mod units;
