//! Processes and their database: start, stop, outages, migrations, wrong clocks.

mod clocks;
mod embedded;
mod environments;
mod outage;
mod schema_change;
mod server_files;
mod tls;
