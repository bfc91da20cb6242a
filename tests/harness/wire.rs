//! Raw HTTP over one kept-alive connection: cheap enough for thousands of requests, and free to misbehave.

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

pub struct Wire(BufReader<TcpStream>);

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Wire {
    pub async fn to(base: &str) -> Self {
        let address = base.strip_prefix("http://").unwrap();
        Self(BufReader::new(TcpStream::connect(address).await.unwrap()))
    }

    pub async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// A request without a body.
    pub async fn ask(&mut self, line: &str, headers: &str) -> Reply {
        self.send(&format!("{line} HTTP/1.1\r\nhost: farebox\r\ncontent-length: 0\r\n{headers}\r\n")).await;
        self.reply().await.unwrap()
    }

    /// The next answer; none if the server closes the connection.
    pub async fn reply(&mut self) -> Option<Reply> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head).await.unwrap_or(0) == 0 {
                return None;
            }
        }
        let head = head.to_ascii_lowercase();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        self.0.read_exact(&mut body).await.ok()?;
        Some(Reply { status, head, body: String::from_utf8_lossy(&body).into_owned() })
    }
}
