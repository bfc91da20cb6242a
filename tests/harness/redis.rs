//! A Redis of a test's own, in a process that is killed with it.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct RedisServer {
    child: Child,
    port: u16,
}

/// Stops the test with the way to install it if there is no redis-server.
pub fn need_redis() {
    super::tools::need(&["redis-server"]);
}

impl RedisServer {
    pub fn start() -> Self {
        Self::on(super::free_port())
    }

    /// Another one in the place of this one, which was killed; it remembers nothing.
    pub fn again(&self) -> Self {
        Self::on(self.port)
    }

    fn on(port: u16) -> Self {
        need_redis();
        let mut command = Command::new("redis-server");
        command.args([
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--port",
            &port.to_string(),
        ]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let server = Self { child, port };
        let began = Instant::now();
        while server.try_say("PING").is_none() {
            assert!(began.elapsed() < PATIENCE, "redis-server does not answer");
            std::thread::sleep(Duration::from_millis(10));
        }
        server
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Its first line of an answer to a command.
    pub fn say(&self, command: &str) -> String {
        self.try_say(command).unwrap().lines().next().unwrap_or_default().to_owned()
    }

    /// The names of everything that it holds, as far as they fit into one answer.
    pub fn keys(&self) -> String {
        self.try_say("KEYS *").unwrap()
    }

    fn try_say(&self, command: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.write_all(format!("{command}\r\n").as_bytes()).ok()?;
        let mut answer = [0; 512];
        let length = stream.read(&mut answer).ok()?;
        (length > 0).then(|| String::from_utf8_lossy(&answer[..length]).into_owned())
    }

    pub fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).unwrap();
        assert!(super::signal::send(pid, signal), "the Redis has ended");
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
