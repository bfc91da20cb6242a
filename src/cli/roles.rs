//! `farebox roles`.

use super::database::{Data, Database, Open};
use crate::{
    app,
    domain::BoxError,
    storage::{
        self, Schema,
        roles::{self, RoleNames, role_name},
    },
};
use clap::{Args, ValueEnum};

/// A part of the SQL, by who runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// All of it, for a superuser.
    All,
    /// Makes the roles: for an administrator.
    Create,
    /// Gives the database and its tables to the owner: for a superuser.
    Owner,
    /// The privileges: for the owner of the tables.
    Grants,
}

/// The arguments of `farebox roles`.
#[derive(Args)]
pub(super) struct Roles {
    #[command(flatten)]
    data: Data,
    /// Apply the privileges, as the owner of the tables, in place of printing SQL.
    #[arg(long, conflicts_with_all = ["part", "passwords"])]
    apply: bool,
    /// Which part to print.
    #[arg(long, value_enum, default_value = "all")]
    part: Part,
    /// The folder whose files hold the passwords, each named as its role. `psql` reads them; no
    /// password is printed or is an argument.
    #[arg(long, value_name = "FOLDER", value_parser = folder)]
    passwords: Option<String>,
    /// Who owns the tables and applies migrations.
    #[arg(long, default_value = "farebox_owner", value_parser = role_name)]
    owner: String,
    /// What the API connects as.
    #[arg(long, default_value = "farebox_api", value_parser = role_name)]
    api: String,
    /// What workers connect as.
    #[arg(long, default_value = "farebox_worker", value_parser = role_name)]
    worker: String,
    /// What reports connect as.
    #[arg(long, default_value = "farebox_reader", value_parser = role_name)]
    reader: String,
}

/// Prints or applies what the roles may do.
pub(super) async fn run(args: Roles) -> Result<(), BoxError> {
    let Roles { data, apply, part, passwords, owner, api, worker, reader } = args;
    let names = RoleNames { owner, api, worker, reader };
    let mut distinct = vec![&names.owner, &names.api, &names.worker, &names.reader];
    distinct.sort();
    distinct.dedup();
    if distinct.len() < 4 {
        return Err("the four roles need four names".into());
    }
    if !apply {
        print!("{}", sql(&names, part, passwords.as_deref()));
        return Ok(());
    }
    let settings = app::settings(&[])?;
    let database = Database::open(&data, &settings, Open::Existing).await?;
    let pool = database.current(&settings).await?;
    // The grants of this build lack what a newer one needs, and are applied by taking all away first.
    if storage::require_schema(&pool).await? == Schema::Newer {
        println!("a newer build has migrated this database: its grants stay as they are");
        return Ok(());
    }
    roles::apply(&pool, &names).await?;
    println!("{}, {} and {} may do what this build needs", names.api, names.worker, names.reader);
    Ok(())
}

fn sql(names: &RoleNames, part: Part, passwords: Option<&str>) -> String {
    let mut text = String::new();
    if matches!(part, Part::All | Part::Create) {
        text += &names.create_sql();
        text += &match passwords {
            Some(folder) => names.passwords_sql(folder),
            None => [&names.owner, &names.api, &names.worker, &names.reader]
                .map(|role| format!("-- Give it a password in psql: \\password {role}\n"))
                .concat(),
        };
    }
    if matches!(part, Part::All | Part::Owner) {
        text += &names.owner_sql();
    }
    if matches!(part, Part::All | Part::Grants) {
        text += "begin;\n";
        text += &names.grants_sql();
        text += "commit;\n";
    }
    text
}

/// A folder whose name needs no quotes in a line of `psql`.
fn folder(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if !text.is_empty() && text.chars().all(plain) && !text.starts_with('-') {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err("the folder's name takes letters, digits, and / . _ -".to_owned())
    }
}
