//! A connection that is lost at the very moment of a commit: the API cannot know whether it happened. It is resolved
//! either way. Between the API and the database stands a proxy that cuts the line at the statement it waits for.

use crate::harness::{Process, World, count};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
};

/// Largest piece of a message looked at in one go.
const PIECE: usize = 256 * 1024;

/// Where the line is cut, once.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cut {
    /// Before the database sees the statement.
    Request,
    /// After the database has answered, which means that it has committed.
    Answer,
}

/// What the proxy waits for: the statement whose parameters hold these bytes, after so many others that do.
struct Trap {
    cut: Cut,
    marker: [u8; 16],
    skip: usize,
}

type Armed = Arc<Mutex<Option<Trap>>>;

struct Proxy {
    folder: PathBuf,
    armed: Armed,
    url: String,
}

impl Proxy {
    fn before(url: &str) -> Self {
        let socket = url.split("host=").nth(1).unwrap().split('&').next().unwrap();
        let target = Path::new(&socket.replace("%2F", "/")).join(".s.PGSQL.5432");
        let folder = std::env::temp_dir().join(format!("farebox-cut-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&folder).unwrap();
        let listener = UnixListener::bind(folder.join(".s.PGSQL.5432")).unwrap();
        let armed = Armed::default();
        let shared = Arc::clone(&armed);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&target).await.unwrap();
                tokio::spawn(forward(client, server, Arc::clone(&shared)));
            }
        });
        let url = url.replace(socket, folder.to_str().unwrap());
        Self { folder, armed, url }
    }

    fn arm(&self, cut: Cut, marker: &str, skip: usize) {
        let marker = *marker.parse::<uuid::Uuid>().unwrap().as_bytes();
        *self.armed.lock().unwrap() = Some(Trap { cut, marker, skip });
    }

    fn has_cut(&self) -> bool {
        self.armed.lock().unwrap().is_none()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Carries bytes both ways until either side hangs up, or the cut is due. Returning drops both sides.
async fn forward(mut client: UnixStream, mut server: UnixStream, armed: Armed) {
    let (mut request, mut answer) = (vec![0; PIECE], vec![0; PIECE]);
    let mut doomed = false;
    loop {
        tokio::select! {
            read = client.read(&mut request) => {
                let Ok(length @ 1..) = read else { return };
                let cut = due(&armed, &request[..length]);
                if cut == Some(Cut::Request) {
                    return;
                }
                doomed |= cut == Some(Cut::Answer);
                if server.write_all(&request[..length]).await.is_err() { return }
            }
            read = server.read(&mut answer) => {
                let Ok(length @ 1..) = read else { return };
                if doomed || client.write_all(&answer[..length]).await.is_err() { return }
            }
        }
    }
}

fn due(armed: &Armed, request: &[u8]) -> Option<Cut> {
    let mut armed = armed.lock().unwrap();
    let trap = armed.as_mut()?;
    if !request.windows(trap.marker.len()).any(|window| window == trap.marker) {
        return None;
    }
    if trap.skip > 0 {
        trap.skip -= 1;
        return None;
    }
    armed.take().map(|trap| trap.cut)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_whose_commit_is_in_doubt_is_undone_either_way() {
    // The trip's id is a parameter of the check, the claim and the adding, in this order.
    for (step, skip) in [("order_add_seats_cancle", 1), ("order_add_cancle", 2)] {
        for cut in [Cut::Request, Cut::Answer] {
            let world = World::new().await;
            let proxy = Proxy::before(&world.db.url);
            let api = Process::api(&proxy.url, &[]);
            let trip = world.trip(4).await;
            let rider = world.rider("0").await.at(&api.base());
            proxy.arm(cut, &trip, skip);
            let answer = rider.book(&trip, &["1", "2"]).await;
            answer.problem(503, "003097");
            assert!(proxy.has_cut(), "{step} {cut:?}: the line was never cut");
            assert_eq!(
                (&answer.body["tag"], &answer.body["rollback"]),
                (&step.into(), &"queued".into()),
                "{cut:?}"
            );
            let committed =
                count(&world.pool, "select count(*) from barrier where done_at is not null").await;
            assert_eq!(
                committed,
                i64::try_from(skip).unwrap() - 1 + i64::from(cut == Cut::Answer),
                "{step} {cut:?}"
            );
            let _worker = world.worker();
            world.drained().await;
            assert_eq!(world.free_seats(&trip).await, 4, "{step} {cut:?}");
            assert_eq!(count(&world.pool, "select count(*) from orders where status <> 'closed'").await, 0);
            let stands = "select count(*) from barrier where done_at is not null and undone_at is null";
            assert_eq!(count(&world.pool, stands).await, 0, "{step} {cut:?}");
            world.verify().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_whose_commit_is_in_doubt_comes_out_right_either_way() {
    // The order's id is a parameter of both reads of the check, of the debit, and of marking it paid.
    let cases: [(_, _, _, &[&str], _); 4] = [
        (2, Cut::Request, "unpaid", &[], "100.00"),
        (2, Cut::Answer, "unpaid", &["payment", "payment_reversed"], "100.00"),
        // The rollback of the last step finishes what can be finished.
        (3, Cut::Request, "paid", &["payment"], "96.00"),
        (3, Cut::Answer, "paid", &["payment"], "96.00"),
    ];
    for (skip, cut, status, ledger, balance) in cases {
        let world = World::new().await;
        let proxy = Proxy::before(&world.db.url);
        let api = Process::api(&proxy.url, &[]);
        let trip = world.trip(4).await;
        let rider = world.rider("100.00").await;
        let order = rider.booked(&trip, &["1"]).await;
        proxy.arm(cut, &order, skip);
        rider.at(&api.base()).pay(&order).await.problem(503, "003097");
        assert!(proxy.has_cut());
        let _worker = world.worker();
        world.drained().await;
        assert_eq!(world.order(&order).await["status"], status, "{skip} {cut:?}");
        assert_eq!(world.ledger(&order).await, ledger, "{skip} {cut:?}");
        assert_eq!(rider.balance().await, balance, "{skip} {cut:?}");
        world.verify().await;
    }
}
