//! The board's API, served over a queue whose jobs are run: examples/board.rs on a port of its own.
//! `BENCH_URL` names a database whose role may create databases.

#[path = "../examples/board.rs"]
#[expect(dead_code, reason = "the example's own `main`")]
mod board;
#[path = "support/database.rs"]
mod database;

use board::{SendMail, board_router};
use farebox_queue::{Delivery, Job, JobError, Outcome, WorkerConfig, run};
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Longer than the worker takes for its jobs.
const PATIENCE: Duration = Duration::from_secs(30);

/// One request on a connection of its own: the status, and the body as JSON.
async fn fetch(api: SocketAddr, method: &str, path: &str, body: &str) -> (u16, Value) {
    let mut connection = TcpStream::connect(api).await.unwrap();
    let request = format!(
        "{method} /api/v1{path} HTTP/1.0\r\nhost: {api}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_else(|_| body.into()))
}

async fn get(api: SocketAddr, path: &str) -> Value {
    let (status, body) = fetch(api, "GET", path, "").await;
    assert_eq!(status, 200, "{path}: {body}");
    body
}

async fn handle(delivery: Delivery) -> Result<Outcome, JobError> {
    let mail: SendMail = delivery.decode()?;
    if mail.to == "nobody" {
        return Err(JobError::fatal("no such address"));
    }
    Ok(Outcome::Done(None))
}

/// The tasks of a page, by the names in their arguments.
fn names(tasks: &Value) -> Vec<&str> {
    let mut names: Vec<_> =
        tasks.as_array().unwrap().iter().map(|task| task["args"]["to"].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn the_board_lists_queues_tasks_and_workers_and_pushes_tasks() {
    let (_, pool) = database::fresh("board").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, board_router(pool.clone())).into_future());

    let tasks = format!("/queues/{}/tasks", SendMail::TAG);
    for to in ["ann", "bob", "nobody"] {
        let (status, body) = fetch(api, "PUT", &tasks, &json!({ "to": to }).to_string()).await;
        assert_eq!(status, 200, "{to}: {body}");
    }
    let (status, _) = fetch(api, "PUT", &tasks, r#"{"subject": "no address"}"#).await;
    assert!((400..500).contains(&status), "{status}");
    assert_eq!(names(&get(api, &format!("{tasks}?page=1")).await), ["ann", "bob", "nobody"]);
    assert_eq!(names(&get(api, &format!("{tasks}?page=2")).await), [""; 0]);
    assert_eq!(names(&get(api, "/tasks?page=1").await), ["ann", "bob", "nobody"]);
    assert_eq!(get(api, "/workers").await, json!([]));

    // Its jobs are run.
    let config = WorkerConfig::new("mailer", &[SendMail::TAG]);
    tokio::spawn(run(pool, config, |_: &str| SendMail::RETRY, handle, std::future::pending()));
    tokio::time::timeout(PATIENCE, async {
        while names(&get(api, &format!("{tasks}?page=1&status=Done")).await) != ["ann", "bob"] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("two are done");
    assert_eq!(names(&get(api, &format!("{tasks}?page=1&status=Killed")).await), ["nobody"]);
    let queues = get(api, "/queues").await;
    let [queue] = queues.as_array().unwrap().as_slice() else { panic!("{queues}") };
    assert_eq!(queue["name"], SendMail::TAG);
    for path in ["/workers".to_owned(), format!("/queues/{}/workers", SendMail::TAG)] {
        let workers = get(api, &path).await;
        let [worker] = workers.as_array().unwrap().as_slice() else { panic!("{path}: {workers}") };
        assert_eq!(worker["queue"], SendMail::TAG, "{workers}");
    }
    for path in ["/overview".to_owned(), format!("/queues/{}/stats", SendMail::TAG)] {
        let numbers = get(api, &path).await;
        assert!(!numbers.as_array().unwrap().is_empty(), "{path}: {numbers}");
    }
    let (status, _) = fetch(api, "GET", &format!("{tasks}/{}", uuid::Uuid::nil()), "").await;
    assert_eq!(status, 404);
}
