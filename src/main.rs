//! `farebox`: development in one process, and the operator's commands.

use clap::Parser;
use farebox::{
    app,
    cli::{self, Cli},
};
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    app::report(cli::run(Cli::parse()).await)
}
