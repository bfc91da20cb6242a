//! `farebox operators`.

use super::{
    database::{Database, Open, add_dev_secrets},
    jobs,
    operator_args::{Acted, List, NewOperator, NewRole, Operators, ResetAccount},
    shell,
};
use crate::{
    accounts::{AccountState, NewRider, Registration, Role},
    app,
    domain::{BoxError, Error, Refusal, RiderId},
    ops::{
        self, Attribution,
        accounts::{self, Reset},
    },
    storage,
};
use chrono::SecondsFormat;
use sqlx::PgPool;
use std::io::{BufRead, IsTerminal};

/// Does what the command line says. Every user who can read the database's URL may act; the audit log
/// has the user of the operating system.
pub(super) async fn run(operators: Operators) -> Result<(), BoxError> {
    if let Operators::Add(new) = operators {
        return add_operator(new).await;
    }
    let settings = app::settings(&[])?;
    let database = Database::open(operators.data(), &settings, Open::Existing).await?;
    let pool = database.current(&settings).await?;
    match operators {
        Operators::Add(_) => Ok(()),
        Operators::List(list) => print_accounts(&list, &pool).await,
        Operators::Disable(acted) => set_state(&acted, AccountState::Disabled, &pool).await,
        Operators::Enable(acted) => set_state(&acted, AccountState::Active, &pool).await,
        Operators::Role(NewRole { acted, role }) => {
            let (by, id) = target(&acted, &pool).await?;
            let mut tx = storage::begin(&pool).await?;
            let changed = accounts::set_role(&mut tx, &by, id, role).await.map_err(jobs::sentence)?;
            tx.commit().await?;
            let already = if changed { "" } else { ", as before" };
            println!("{} is {}{already}", acted.name, role.as_str());
            Ok(())
        }
        Operators::Reset(ResetAccount { acted, second_factor }) => {
            let (by, id) = target(&acted, &pool).await?;
            let reset = Reset { secs: settings.accounts.reset_code_secs, second_factor };
            let mut tx = storage::begin(&pool).await?;
            let code = accounts::reset_password(&mut tx, &by, id, reset).await.map_err(jobs::sentence)?;
            tx.commit().await?;
            let until = code.expires_at.to_rfc3339_opts(SecondsFormat::Secs, true);
            println!("{}: {} until {until}", acted.name, code.code);
            eprintln!(
                "The owner sets a new password with it: /console/sign-in/reset, POST /v1/password-resets"
            );
            Ok(())
        }
        Operators::Sessions(acted) => {
            let (by, id) = target(&acted, &pool).await?;
            let mut tx = storage::begin(&pool).await?;
            let ended = accounts::end_sessions(&mut tx, &by, id).await.map_err(jobs::sentence)?;
            tx.commit().await?;
            println!("{}: {ended} sessions ended", acted.name);
            Ok(())
        }
    }
}

/// Who acts, and the account that is meant.
async fn target(acted: &Acted, pool: &PgPool) -> Result<(Attribution, RiderId), BoxError> {
    let reason = acted.reason.as_deref().map(ops::checked).transpose();
    let reason = reason.map_err(|error| format!("--reason: {}", error.rule))?;
    let id = accounts::named(pool, &acted.name).await.map_err(jobs::sentence)?;
    Ok((Attribution::new(shell::user(), reason), id))
}

async fn set_state(acted: &Acted, state: AccountState, pool: &PgPool) -> Result<(), BoxError> {
    let (by, id) = target(acted, pool).await?;
    let mut tx = storage::begin(pool).await?;
    let changed = accounts::set_state(&mut tx, &by, id, state).await.map_err(jobs::sentence)?;
    tx.commit().await?;
    let already = if changed { "" } else { ", as before" };
    println!("{} is {}{already}", acted.name, state.as_str());
    Ok(())
}

async fn print_accounts(list: &List, pool: &PgPool) -> Result<(), BoxError> {
    let listed = accounts::list(pool).await?;
    if list.json {
        println!("{}", serde_json::to_string_pretty(&listed)?);
        return Ok(());
    }
    println!("{:<40} {:<9} {:<9} {:>8} {:<13} since", "name", "role", "state", "sessions", "second factor");
    for account in listed {
        let second_factor = if account.second_factor { "yes" } else { "no" };
        let since = account.created_at.to_rfc3339_opts(SecondsFormat::Secs, true);
        println!(
            "{:<40} {:<9} {:<9} {:>8} {second_factor:<13} {since}",
            account.user_name,
            account.role.as_str(),
            account.state.as_str(),
            account.sessions
        );
    }
    Ok(())
}

/// Adds an operator.
async fn add_operator(args: NewOperator) -> Result<(), BoxError> {
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
