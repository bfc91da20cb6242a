//! `farebox`: development in one process, and the operator's commands.

mod commands;

use clap::{Args, Parser, Subcommand};
use farebox::{
    console, demo,
    domain::Refusal,
    embedded::{self, Server},
    flow::{BoxError, StepError},
    http,
    ops::{self, By},
    passwords::Passwords,
    process,
    riders::{NewRider, Registration, Role},
    schema,
    settings::{self, Settings},
    trips,
    upkeep::{self, Pruning},
    verify::{self, Scope},
    worker,
};
use farebox_jobs::MqTag;
use sqlx::PgPool;
use std::{
    io::{BufRead, IsTerminal, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};
use tokio::{net::TcpListener, task::JoinSet};

/// How long hashing is measured.
const MEASURED: std::time::Duration = std::time::Duration::from_secs(3);
/// The database of the embedded server.
const DATABASE: &str = "farebox";

#[derive(Parser)]
#[command(
    version,
    about = "Seat booking and wallet payment as sagas over a PostgreSQL queue",
    args_conflicts_with_subcommands = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    dev: Dev,
}

#[derive(Subcommand)]
enum Command {
    /// Everything in one process, with demo data (the default).
    Dev(Dev),
    /// Bring the database's schema up to this build.
    Migrate(Data),
    /// Check every invariant; exit code 1 on a breach.
    Verify(Verify),
    /// Make the trips of the coming days from the timetable.
    Trips(Trips),
    /// Who may use the operations side.
    #[command(subcommand)]
    Operators(Operators),
    /// Look at jobs, and act upon one.
    #[command(subcommand)]
    Jobs(commands::Jobs),
    /// Look at tags; pause, resume or drain one.
    #[command(subcommand)]
    Queues(commands::Queues),
    /// Measure what hashing one password costs here: it bounds sign-ins and payments a second.
    Hashes,
    /// Print the database's URL.
    Url(Data),
}

#[derive(Args)]
struct Data {
    /// The folder of the embedded database, used when DATABASE_URL is not set.
    #[arg(long, env = "FAREBOX_DATA", global = true)]
    data: Option<PathBuf>,
}

#[derive(Args)]
struct Dev {
    #[command(flatten)]
    data: Data,
    /// The port on 127.0.0.1.
    #[arg(long)]
    port: Option<u16>,
    /// How long an unpaid order holds its seats, seconds.
    #[arg(long, value_name = "SECONDS", value_parser = settings::hold_secs)]
    hold: Option<f64>,
    /// Start from an empty database (of the embedded server only).
    #[arg(long)]
    fresh: bool,
}

#[derive(Args)]
struct Verify {
    #[command(flatten)]
    data: Data,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Only of the orders and payments made within so many hours, and without the sums over all wallets.
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u16).range(1..))]
    recent: Option<u16>,
}

#[derive(Args)]
struct Trips {
    #[command(flatten)]
    data: Data,
    /// From today on, in the timetable's zone.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=i64::from(trips::MOST_DAYS)))]
    days: u16,
}

#[derive(Subcommand)]
enum Operators {
    /// Add one. The password is read from FAREBOX_OPERATOR_PASSWORD, else from the terminal or standard input; it is
    /// never an argument, which every user of the machine could read.
    Add(NewOperator),
}

#[derive(Args)]
struct NewOperator {
    #[command(flatten)]
    data: Data,
    /// The name for signing in.
    #[arg(
        long = "user-name",
        value_name = "NAME",
        required_unless_present = "name",
        conflicts_with = "name"
    )]
    user_name: Option<String>,
    /// The same, without the option's name.
    name: Option<String>,
    /// viewer, operator or admin.
    #[arg(long, default_value = "operator")]
    role: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    process::report(run(Cli::parse()).await)
}

async fn run(cli: Cli) -> Result<ExitCode, BoxError> {
    match cli.command.unwrap_or(Command::Dev(cli.dev)) {
        Command::Dev(args) => dev(args).await?,
        Command::Migrate(data) => {
            let (settings, database) = (process::settings(&[])?, Database::open(&data, false).await?);
            schema::migrate(&database.pool(&settings)?).await?;
        }
        Command::Verify(args) => return verify(args).await,
        Command::Trips(args) => {
            let (settings, database) = (process::settings(&[])?, Database::open(&args.data, false).await?);
            let zone = settings.trips.zone;
            let today = chrono::Utc::now().with_timezone(&zone).date_naive();
            let mut tx = schema::begin(&database.current(&settings).await?).await?;
            let by = By::new(commands::shell(), None);
            let made =
                ops::trips::generate(&mut tx, &by, zone, today, args.days).await.map_err(commands::told)?;
            tx.commit().await?;
            println!("{} trips made", made.trips);
            for skipped in &made.skipped {
                println!(
                    "not made: departure {} on {}: {}",
                    skipped.timetable_id, skipped.day, skipped.error
                );
            }
        }
        Command::Operators(Operators::Add(args)) => add_operator(args).await?,
        Command::Jobs(jobs) => {
            let (settings, database) = (process::settings(&[])?, Database::open(jobs.data(), false).await?);
            jobs.run(&database.current(&settings).await?).await?;
        }
        Command::Queues(queues) => {
            let (settings, database) = (process::settings(&[])?, Database::open(queues.data(), false).await?);
            queues.run(&database.current(&settings).await?).await?;
        }
        Command::Hashes => measure_hashes().await?,
        Command::Url(data) => println!("{}", Database::open(&data, false).await?.url),
    }
    Ok(ExitCode::SUCCESS)
}

/// Hashes passwords as the settings say, by one client and by as many as may hash at once, and prints what came of it.
async fn measure_hashes() -> Result<(), BoxError> {
    let settings = process::settings(&[])?;
    let cost = &settings.passwords;
    let passwords = Passwords::new(b"a pepper to measure with", cost.into())?;
    println!("Argon2id, {} KiB, {} passes, {} at once:", cost.memory_kib, cost.passes, cost.parallel);
    for clients in [1, cost.parallel] {
        let (rate, wait) = passwords.measure(clients, MEASURED).await?;
        println!("{clients} at it: {rate:.1} a second, {:.1} ms each", wait.as_secs_f64() * 1e3);
    }
    Ok(())
}

/// The database of a command: `DATABASE_URL`, else the embedded server, which is held for as long as this lives.
struct Database {
    url: String,
    folder: PathBuf,
    _server: Option<Server>,
}

impl Database {
    async fn open(data: &Data, fresh: bool) -> Result<Self, BoxError> {
        let folder = data.data.clone().unwrap_or_else(embedded::default_data_dir);
        if let Ok(url) = std::env::var("DATABASE_URL") {
            return Ok(Self { url, folder, _server: None });
        }
        let options =
            embedded::Options { data: folder.clone(), durable: true, max_connections: 200, settings: &[] };
        let server = embedded::start(&options).await?;
        if fresh {
            embedded::drop_database(&server, DATABASE).await?;
        }
        embedded::ensure_database(&server, DATABASE).await?;
        Ok(Self { url: server.url(DATABASE), folder, _server: Some(server) })
    }

    /// A pool for a command that needs this build's schema to be there.
    async fn current(&self, settings: &Settings) -> Result<PgPool, BoxError> {
        let pool = self.pool(settings)?;
        schema::require_current(&pool).await?;
        Ok(pool)
    }

    fn pool(&self, settings: &Settings) -> Result<PgPool, sqlx::Error> {
        schema::pool(&self.url, &settings.database, "farebox")
    }
}

async fn dev(args: Dev) -> Result<(), BoxError> {
    let mut overrides = vec![("faults.enabled", "true".to_owned())];
    overrides.extend(args.port.map(|port| ("http.listen", format!("127.0.0.1:{port}"))));
    overrides.extend(args.hold.map(|hold| ("booking.hold_secs", hold.to_string())));
    let mut settings = process::settings(&overrides)?;
    if settings.environment == "production" {
        return Err("`farebox dev` is not for production: run farebox-api and farebox-worker".into());
    }
    let listener = TcpListener::bind(&settings.http.listen).await?;
    let database = Database::open(&args.data, args.fresh).await?;
    if settings.require_secrets().is_err() {
        (settings.secrets.token_key, settings.secrets.pepper) = dev_secrets(&database.folder)?;
    }
    let pool = database.pool(&settings)?;
    schema::migrate(&pool).await?;
    let flow = process::flow(&settings, pool)?;
    demo::seed(&flow, settings.trips.zone).await?;
    let address = listener.local_addr()?;
    tracing::info!(%address, "listening");
    println!("Farebox listens on http://{address}");

    let (stop, stopped) = tokio::sync::watch::channel(false);
    let until = |mut stopped: tokio::sync::watch::Receiver<bool>| async move {
        // An error means that the sender is gone: stop as well.
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    let app = process::app(settings.clone(), flow.clone())?;
    let mut pruning = JoinSet::new();
    pruning.spawn(upkeep::keep(flow.pool.clone(), Pruning::from(&settings)));
    pruning.spawn(ops::overview::keep(flow.pool.clone(), settings.verify.debt_bound()));
    let works = worker::work(&flow, &settings.worker, &MqTag::ALL, &app.metrics, until(stopped.clone()));
    let serves = http::serve(app.clone(), console::pages(&app), listener, until(stopped));
    let signal = async {
        process::stop_signal().await;
        stop.send_replace(true);
    };
    let (worked, (), ()) = tokio::join!(works, serves, signal);
    worked?;
    Ok(())
}

/// Dev's own secrets, made once and kept beside its data, readable by their owner only.
fn dev_secrets(folder: &Path) -> Result<(String, String), BoxError> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join("dev-secrets");
    let fresh = || uuid::Uuid::new_v4().simple().to_string();
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Ok(mut file) => writeln!(file, "{}{}\n{}{}", fresh(), fresh(), fresh(), fresh())?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.into()),
    }
    let text = std::fs::read_to_string(&path)?;
    let mut lines = text.lines().map(str::to_owned);
    lines.next().zip(lines.next()).ok_or_else(|| format!("{} is damaged: delete it", path.display()).into())
}

async fn verify(args: Verify) -> Result<ExitCode, BoxError> {
    let (settings, database) = (process::settings(&[])?, Database::open(&args.data, false).await?);
    let scope =
        args.recent.map_or(Scope::Whole, |hours| Scope::Recent(chrono::Duration::hours(hours.into())));
    let verdicts =
        verify::verify_within(&database.current(&settings).await?, scope, settings.verify.debt_bound())
            .await?;
    let holds = verdicts.iter().all(|verdict| verdict.holds);
    if args.json {
        println!("{}", serde_json::json!({ "holds": holds, "invariants": verdicts }));
    } else {
        for verdict in &verdicts {
            let places = if verdict.holds { String::new() } else { format!(" ({})", verdict.count) };
            println!("{} {}{places}", if verdict.holds { "ok    " } else { "BREACH" }, verdict.sentence);
            if let Some(breach) = &verdict.breach {
                println!("       {}", breach.en);
            }
            if verdict.debts.is_empty() {
                verdict.samples.iter().for_each(|id| println!("         {id}"));
            }
            verdict.debts.iter().for_each(|debt| println!("         {}", debt.line()));
            let more = verdict.count - i64::try_from(verdict.samples.len()).unwrap_or(0);
            if more > 0 {
                println!("         and {more} more");
            }
        }
    }
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn add_operator(args: NewOperator) -> Result<(), BoxError> {
    let mut settings = process::settings(&[])?;
    if settings.environment == "production" {
        // A hash made with another pepper than the API's would never be right.
        settings.require_secrets()?;
    }
    let database = Database::open(&args.data, false).await?;
    if settings.require_secrets().is_err() {
        (settings.secrets.token_key, settings.secrets.pepper) = dev_secrets(&database.folder)?;
    }
    let role: Role = args.role.parse()?;
    if !role.may_view() {
        return Err("an operator's role is viewer, operator or admin".into());
    }
    let user_name = args.user_name.or(args.name).unwrap_or_default();
    let password = operator_password()?;
    let flow = process::flow(&settings, database.current(&settings).await?)?;
    let new = NewRider { user_name, password, pay_password: None, email: None, phone: None };
    let by = By::new(commands::shell(), None);
    let added = async {
        let registration = Registration::prepare(&flow.passwords, &new, role).await?;
        let mut tx = schema::begin(&flow.pool).await?;
        let added = ops::accounts::add(&mut tx, &by, &registration).await?;
        tx.commit().await?;
        Ok(added)
    };
    let added = added.await.map_err(|error| match error {
        StepError::Refused(Refusal::UserNameTaken) => "not added: the user name is taken".to_owned(),
        StepError::Refused(Refusal::Invalid(field)) => {
            format!("not added: {}: {}", field.pointer.trim_start_matches('/'), field.rule)
        }
        StepError::Broken(cause) => format!("not added: {cause}"),
        other => format!("not added: {other:?}"),
    })?;
    println!("{} added as {}", added.user_name, role.as_str());
    Ok(())
}

/// The password from the environment, else one line from standard input; a terminal does not show it.
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

/// Whether the terminal could be told to show what is typed, or not to.
fn echo(on: bool) -> bool {
    let told = std::process::Command::new("stty").arg(if on { "echo" } else { "-echo" }).status();
    told.is_ok_and(|status| status.success())
}
