//! `farebox operators`.

use super::{
    args::NewOperator,
    database::{Database, Open, add_dev_secrets},
    shell,
};
use crate::{
    accounts::{NewRider, Registration, Role},
    app,
    domain::{BoxError, Error, Refusal},
    ops::{self, Attribution},
    storage,
};
use std::io::{BufRead, IsTerminal};

/// Adds an operator.
pub(super) async fn add_operator(args: NewOperator) -> Result<(), BoxError> {
    let mut settings = app::settings(&[])?;
    let database = Database::open(&args.data, &settings, Open::Existing).await?;
    add_dev_secrets(&mut settings, &database.folder)?;
    let role: Role = args.role.parse()?;
    if !role.may_view() {
        return Err("an operator's role is viewer, operator or admin".into());
    }
    let user_name = args.user_name.or(args.name).unwrap_or_default();
    let password = operator_password()?;
    let pool = database.current(&settings).await?;
    // A hash with another pepper than the API's would never match.
    app::check_secrets(&pool, &settings).await?;
    let saga = app::saga_context(&settings, pool)?;
    let new = NewRider { user_name, password, pay_password: None, email: None, phone: None };
    let by = Attribution::new(shell::user(), None);
    let added = async {
        let registration = Registration::prepare(&saga.passwords, &new, role).await?;
        let mut tx = storage::begin(&saga.pool).await?;
        let added = ops::accounts::add(&mut tx, &by, &registration).await?;
        tx.commit().await?;
        Ok(added)
    };
    let added = added.await.map_err(|error| match error {
        Error::Refused(Refusal::UserNameTaken) => "not added: the user name is taken".to_owned(),
        Error::Refused(Refusal::Invalid(field)) => {
            format!("not added: {}: {}", field.pointer.trim_start_matches('/'), field.rule)
        }
        Error::Broken(cause) => format!("not added: {cause}"),
        other => format!("not added: {other:?}"),
    })?;
    println!("{} added as {}", added.user_name, role.as_str());
    Ok(())
}

/// The password from the environment, else one line from standard input; a terminal does not show
/// it.
fn operator_password() -> Result<String, BoxError> {
    if let Ok(password) = std::env::var("FAREBOX_OPERATOR_PASSWORD") {
        return Ok(password);
    }
    let stdin = std::io::stdin();
    let hidden = stdin.is_terminal() && echo(false);
    if stdin.is_terminal() {
        eprint!("Password: ");
    }
    let line = stdin.lock().lines().next().transpose();
    if hidden {
        echo(true);
        eprintln!();
    }
    Ok(line?.unwrap_or_default())
}

/// Switches the terminal's echo; returns whether that worked.
fn echo(on: bool) -> bool {
    let status = std::process::Command::new("stty").arg(if on { "echo" } else { "-echo" }).status();
    status.is_ok_and(|status| status.success())
}
