//! Processes and their database: start, stop, outages, migrations, wrong clocks.

mod clocks;
mod embedded;
mod outage;
mod schema_change;
