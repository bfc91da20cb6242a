//! The API of `apalis-board` over the queue: lists queues, tasks and workers, counts them, and
//! pushes tasks.
//!
//! ```sh
//! cd jobs/bench
//! DATABASE_URL=postgres://localhost/test cargo run --example board
//! curl http://127.0.0.1:8089/api/v1/queues
//! curl -X PUT http://127.0.0.1:8089/api/v1/queues/send_mail/tasks \
//!     -H 'content-type: application/json' -d '{"to": "ann"}'
//! ```

use anyhow::{Context, Result};
use apalis_board_api::framework::{ApiBuilder, RegisterRoute};
use axum::Router;
use farebox_queue::{Job, RetryPolicy, migrate, store::JobStore};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use std::time::Duration;
use tokio::net::TcpListener;

/// The job whose queue the board shows.
#[derive(Serialize, Deserialize)]
pub struct SendMail {
    /// The address.
    pub to: String,
}

impl Job for SendMail {
    const TAG: &'static str = "send_mail";
    const VERSION: u16 = 1;
    const RETRY: RetryPolicy =
        RetryPolicy { max_attempts: 5, base: Duration::from_secs(1), cap: Duration::from_secs(60) };

    fn key(&self) -> String {
        self.to.clone()
    }
}

/// The routes of the board over this database, under `/api/v1`.
pub fn board_router(pool: PgPool) -> Router {
    let store = JobStore::<SendMail>::new(pool);
    let api = RegisterRoute::<_, SendMail>::register(ApiBuilder::new(Router::new()), SendMail::TAG, store);
    Router::new().nest("/api/v1", api.build())
}

#[tokio::main]
async fn main() -> Result<()> {
    let pool = PgPool::connect(&std::env::var("DATABASE_URL").context("DATABASE_URL is not set")?).await?;
    migrate(&mut *pool.acquire().await?).await?;
    let listener = TcpListener::bind("127.0.0.1:8089").await?;
    println!("http://{}/api/v1/queues", listener.local_addr()?);
    Ok(axum::serve(listener, board_router(pool)).await?)
}
