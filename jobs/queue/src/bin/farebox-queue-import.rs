//! Moves waiting and scheduled jobs from the tables of `apalis-sql` 0.7 or `apalis-postgres` 1.0
//! into the queue:
//!
//! ```sh
//! DATABASE_URL=postgres://localhost/app farebox-queue-import JOB_TYPE TAG
//! ```

use farebox_queue::{
    import::{ApalisImport, from_apalis},
    migrate,
};
use sqlx::PgPool;
use std::{env, error::Error, process::ExitCode};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [job_type, tag] = &arguments[..] else {
        eprintln!("usage: DATABASE_URL=… farebox-queue-import JOB_TYPE TAG");
        return ExitCode::from(2);
    };
    match import(job_type, tag).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("farebox-queue-import: {error}; run it again to go on");
            ExitCode::FAILURE
        }
    }
}

async fn import(job_type: &str, tag: &str) -> Result<(), Box<dyn Error>> {
    let url = env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set")?;
    let pool = PgPool::connect(&url).await?;
    migrate(&mut *pool.acquire().await?).await?;
    let imported = from_apalis(&pool, &ApalisImport::new(job_type, tag)).await?;
    println!("moved: {}", imported.moved);
    for id in imported.unreadable {
        println!("left, its payload is not JSON: {id}");
    }
    for id in imported.taken {
        println!("left, its key is taken by a live job: {id}");
    }
    Ok(())
}
