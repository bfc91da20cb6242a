//! The network between a phone and the API, which can be away.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// A line to an API.
pub struct Line {
    /// Where a browser reaches the API.
    pub base: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    is_away: AtomicBool,
    cut: Notify,
}

impl Line {
    /// A line to the API with this address.
    pub async fn to(api: &str) -> Self {
        let target: SocketAddr = api.trim_start_matches("http://").parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    let cut = shared.cut.notified();
                    // Without a network, and after the API has ended, who connects is hung up on.
                    if shared.is_away.load(Ordering::SeqCst) {
                        return;
                    }
                    let Ok(mut server) = TcpStream::connect(target).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        () = cut => {}
                    }
                });
            }
        });
        Self { base, state }
    }

    /// The network is gone, with all connections.
    pub fn cut(&self) {
        self.state.is_away.store(true, Ordering::SeqCst);
        self.state.cut.notify_waiters();
    }

    /// It is there again.
    pub fn is_back(&self) {
        self.state.is_away.store(false, Ordering::SeqCst);
    }
}
