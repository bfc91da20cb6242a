//! A proxy between a process and PostgreSQL: it cuts the line at a statement it waits for, cuts all
//! lines at once, or makes them slow.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::watch,
};

/// Largest piece of a message looked at in one go.
const PIECE: usize = 256 * 1024;

/// Where the line is cut, once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cut {
    /// Before the database sees the statement.
    Request,
    /// After the database has answered, which means that it has committed.
    Answer,
}

/// What the proxy waits for: the statement whose parameters hold these bytes, after this number of
/// others that do.
struct Trap {
    cut: Cut,
    marker: [u8; 16],
    skip: usize,
}

type Armed = Mutex<Option<Trap>>;

pub struct Proxy {
    folder: PathBuf,
    pub url: String,
    state: Arc<State>,
}

struct State {
    armed: Armed,
    /// Counts the times that all lines were cut.
    cuts: watch::Sender<u64>,
    /// Each piece of a request waits so long, microseconds.
    delay: AtomicU64,
}

impl Proxy {
    /// Stands before the server of this address, on a socket of its own.
    pub fn before(url: &str) -> Self {
        let socket = url.split("host=").nth(1).unwrap().split('&').next().unwrap();
        let target = Path::new(&socket.replace("%2F", "/")).join(".s.PGSQL.5432");
        let folder = super::folder(&format!("cut-{}", &uuid::Uuid::new_v4().simple().to_string()[..12]));
        std::fs::create_dir(&folder).unwrap();
        let listener = UnixListener::bind(folder.join(".s.PGSQL.5432")).unwrap();
        let state = Arc::new(State {
            armed: Armed::default(),
            cuts: watch::Sender::new(0),
            delay: AtomicU64::new(0),
        });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (target, shared) = (target.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    // While the server is away, who connects is hung up on.
                    let Ok(server) = UnixStream::connect(&target).await else { return };
                    let mut cuts = shared.cuts.subscribe();
                    tokio::select! {
                        () = forward(client, server, &shared) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        let url = url.replace(socket, folder.to_str().unwrap());
        Self { folder, url, state }
    }

    /// Where its socket is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Cuts every line there is, wherever its messages are.
    pub fn cut_all(&self) {
        self.state.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// From now on each piece of a request waits so long.
    pub fn slow(&self, delay: Duration) {
        self.state.delay.store(u64::try_from(delay.as_micros()).unwrap(), Ordering::Relaxed);
    }

    /// Cuts the line, once, at the statement whose parameters hold this id, after `skip` others that do.
    pub fn arm(&self, cut: Cut, marker: &str, skip: usize) {
        let marker = *marker.parse::<uuid::Uuid>().unwrap().as_bytes();
        *self.state.armed.lock().unwrap() = Some(Trap { cut, marker, skip });
    }

    pub fn has_cut(&self) -> bool {
        self.state.armed.lock().unwrap().is_none()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Carries bytes both ways until either side hangs up, or the cut is due. Returning drops both sides.
async fn forward(mut client: UnixStream, mut server: UnixStream, state: &State) {
    let (mut request, mut answer) = (vec![0; PIECE], vec![0; PIECE]);
    let mut doomed = false;
    loop {
        tokio::select! {
            read = client.read(&mut request) => {
                let Ok(length @ 1..) = read else { return };
                let cut = due(&state.armed, &request[..length]);
                if cut == Some(Cut::Request) {
                    return;
                }
                doomed |= cut == Some(Cut::Answer);
                let delay = state.delay.load(Ordering::Relaxed);
                if delay > 0 {
                    tokio::time::sleep(Duration::from_micros(delay)).await;
                }
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
