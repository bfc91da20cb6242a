//! The line ends of heads. hyper takes a bare LF for the end of a line. A proxy that does not reads
//! another request than this server, so RFC 9112 lets a server refuse it.
//!
//! Only heads have lines: the check follows the framing of requests, to tell them from bodies. A
//! bare LF is replaced by a byte that no head may hold, and hyper answers 400.

/// What replaces a bare LF.
const REFUSED: u8 = 0;
/// How much of a line is looked at, bytes: more than a header that frames a body takes.
const MAX_LINE_BYTES: usize = 128;

/// Where in its requests a connection is.
#[derive(Default)]
pub(super) struct HeadLines {
    at: At,
    line: Vec<u8>,
    last: u8,
    /// The length of the body that follows the head.
    length: u64,
    chunked: bool,
}

#[derive(Clone, Copy, Default)]
enum At {
    /// In the lines of a head.
    #[default]
    Head,
    /// In a body, or in a chunk of it, with this number of bytes to come.
    Body(u64),
    Chunk(u64),
    /// In the line that begins a chunk.
    Size,
    /// In the lines after the last chunk.
    Trailer,
}

impl HeadLines {
    /// Checks what was read. Bytes come in the order of the connection, in parts of any length.
    pub(super) fn check(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            let left = match self.at {
                At::Body(left) | At::Chunk(left) => left,
                _ => 0,
            };
            if left > 0 {
                let skipped = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let left = left - skipped as u64;
                self.at = match self.at {
                    At::Chunk(_) if left > 0 => At::Chunk(left),
                    At::Chunk(_) => At::Size,
                    _ if left > 0 => At::Body(left),
                    _ => At::Head,
                };
                bytes = &mut bytes[skipped..];
                continue;
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let (read, rest) = bytes.split_at_mut(end.map_or(bytes.len(), |end| end + 1));
            self.in_line(read);
            bytes = rest;
        }
    }

    /// A line, or the part of one that was read; only its last byte can end it.
    fn in_line(&mut self, read: &mut [u8]) {
        let Some((newest, before)) = read.split_last_mut() else { return };
        let last = before.last().copied().unwrap_or(self.last);
        self.last = *newest;
        if *newest == b'\n' && last == b'\r' {
            let mut line = std::mem::take(&mut self.line);
            // Most lines are read in one piece, and are not copied.
            if line.is_empty() {
                self.end_of_line(bounded(before, MAX_LINE_BYTES).trim_ascii());
            } else {
                line.extend_from_slice(bounded(before, MAX_LINE_BYTES - line.len()));
                self.end_of_line(line.trim_ascii());
                line.clear();
            }
            self.line = line;
            return;
        }
        self.line.extend_from_slice(bounded(before, MAX_LINE_BYTES - self.line.len()));
        if *newest == b'\n' {
            *newest = REFUSED;
        } else if self.line.len() < MAX_LINE_BYTES {
            self.line.push(*newest);
        }
    }

    fn end_of_line(&mut self, line: &[u8]) {
        self.at = match self.at {
            At::Size => match chunk_size(line) {
                0 => At::Trailer,
                // A chunk ends with a line end of its own.
                size => At::Chunk(size.saturating_add(2)),
            },
            At::Trailer if line.is_empty() => At::Head,
            At::Trailer => At::Trailer,
            _ if line.is_empty() => self.end_of_head(),
            _ => {
                self.header(line);
                At::Head
            }
        };
    }

    fn header(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            self.length = number(value, 10);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let coding = value.rsplit(|byte| matches!(byte, b',' | b' ' | b'\t')).next();
            self.chunked = coding.is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked"));
        }
    }

    fn end_of_head(&mut self) -> At {
        let (length, chunked) = (std::mem::take(&mut self.length), std::mem::take(&mut self.chunked));
        match (chunked, length) {
            (true, _) => At::Size,
            (false, 0) => At::Head,
            (false, length) => At::Body(length),
        }
    }
}

/// The first `most` bytes.
fn bounded(bytes: &[u8], most: usize) -> &[u8] {
    &bytes[..bytes.len().min(most)]
}

/// The size of a chunk; hyper refuses what is no number.
fn chunk_size(line: &[u8]) -> u64 {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    number(digits.trim_ascii(), 16)
}

fn number(text: &[u8], radix: u32) -> u64 {
    std::str::from_utf8(text).ok().and_then(|text| u64::from_str_radix(text, radix).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes are refused, however the text is cut into parts.
    fn refused(text: &str) -> usize {
        let counts = [1, 2, 3, 7, text.len()].map(|part| {
            let (mut lines, mut bytes) = (HeadLines::default(), text.as_bytes().to_vec());
            bytes.chunks_mut(part).for_each(|part| lines.check(part));
            bytes.iter().filter(|byte| **byte == REFUSED).count()
        });
        assert!(counts.iter().all(|count| *count == counts[0]), "{text:?}: {counts:?}");
        counts[0]
    }

    #[test]
    fn a_bare_lf_is_refused_in_a_head_and_nowhere_else() {
        assert_eq!(refused("GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n"), 0);
        assert_eq!(refused("GET / HTTP/1.1\nhost: a\r\n\r\n"), 1);
        assert_eq!(refused("GET / HTTP/1.1\r\nhost: a\n\r\n"), 1);
        let body = "POST / HTTP/1.1\r\nContent-Length: 6\r\n\r\na\nb\n\n\nGET / HTTP/1.1\r\n\r\n";
        assert_eq!(refused(body), 0);
        assert_eq!(refused(&format!("{body}GET / HTTP/1.1\n\r\n")), 1, "after a body as well");
        let chunks = "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\nA;x=y\r\n\n\n\n\n\n\n\n\n\n\n\r\n\
                      1\r\n\n\r\n0\r\nx: y\r\n\r\n";
        assert_eq!(refused(chunks), 0);
        assert_eq!(refused(&format!("{chunks}GET / HTTP/1.1\n\r\n")), 1, "after chunks as well");
    }
}
