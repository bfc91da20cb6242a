//! Reading CSV (RFC 4180) record by record, with the line on which each begins.
//!
//! The crate `csv` bounds no record: a quote that is never closed would take the memory of the whole
//! file.

use super::{
    bounds::{MAX_FIELDS, MAX_RECORD_BYTES},
    fault::Fault,
};
use std::io::BufRead;

const BOM: &[u8] = "\u{feff}".as_bytes();

/// One record.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// The line on which it begins, from 1.
    pub(super) line: u64,
    /// Why its text is not what the file holds: it is not UTF-8, and was read as Latin-1.
    pub(super) not_utf8: Option<String>,
    text: String,
    ends: Vec<usize>,
}

impl Record {
    /// The number of its fields.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// A field, without the blanks around it; empty beyond the last.
    pub(super) fn get(&self, at: usize) -> &str {
        let Some(end) = self.ends.get(at) else { return "" };
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.text.get(start..*end).unwrap_or_default().trim()
    }

    /// All fields.
    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|at| self.get(at))
    }

    fn fill(&mut self, bytes: &[u8], ends: &[usize], line: u64) {
        self.line = line;
        self.ends.clear();
        self.ends.extend_from_slice(ends);
        self.text.clear();
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                self.not_utf8 = None;
                self.text.push_str(text);
            }
            Err(error) => {
                let byte = bytes.get(error.valid_up_to()).copied().unwrap_or_default();
                self.not_utf8 = Some(format!("UTF-8, but a byte is 0x{byte:02X}"));
                // Each byte is a character, so the ends move.
                let mut from = 0;
                for end in &mut self.ends {
                    self.text.extend(bytes[from..*end].iter().map(|byte| char::from(*byte)));
                    from = *end;
                    *end = self.text.len();
                }
            }
        }
    }
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    FieldStart,
    Plain,
    Quoted,
    /// Behind a quote within quotes: the end, or half of a quote that is meant.
    QuoteInQuoted,
}

/// The bytes of a record as far as they were read.
#[derive(Default)]
struct Parser {
    line: u64,
    after_cr: bool,
    bom: usize,
    state: State,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Parser {
    /// Takes a byte; returns whether the record ends with it.
    fn push(&mut self, byte: u8) -> bool {
        if self.bom < BOM.len() {
            if byte == BOM[self.bom] {
                self.bom += 1;
                return false;
            }
            self.bom = BOM.len();
        }
        let follows_cr = std::mem::take(&mut self.after_cr);
        if follows_cr && byte == b'\n' {
            return false;
        }
        self.state = match (self.state, byte) {
            (State::Quoted, b'"') => State::QuoteInQuoted,
            (State::FieldStart, b'"') => State::Quoted,
            (State::Quoted, _) | (State::QuoteInQuoted, b'"') => {
                self.line += u64::from(byte == b'\n');
                self.bytes.push(byte);
                State::Quoted
            }
            (_, b',') => {
                self.ends.push(self.bytes.len());
                State::FieldStart
            }
            (_, b'\n' | b'\r') => {
                self.after_cr = byte == b'\r';
                self.line += 1;
                self.ends.push(self.bytes.len());
                return true;
            }
            _ => {
                self.bytes.push(byte);
                State::Plain
            }
        };
        false
    }
}

/// The records of a file.
pub(super) struct Records<'a> {
    file: &'a str,
    input: &'a mut dyn BufRead,
    parser: Parser,
    /// Bytes of all records so far.
    pub(super) taken: u64,
}

impl<'a> Records<'a> {
    pub(super) fn new(file: &'a str, input: &'a mut dyn BufRead) -> Self {
        Self { file, input, parser: Parser { line: 1, ..Parser::default() }, taken: 0 }
    }

    /// Reads the next record that is no blank line; `false` at the end.
    ///
    /// # Errors
    /// The file cannot be read on: input or output, a bound, a quote that is never closed.
    pub(super) fn next(&mut self, record: &mut Record) -> Result<bool, Fault> {
        loop {
            let line = self.parser.line;
            if !self.take(line)? {
                return Ok(false);
            }
            let Parser { bytes, ends, .. } = &self.parser;
            if ends.len() > 1 || bytes.iter().any(|b| !b.is_ascii_whitespace()) {
                self.taken += bytes.len() as u64;
                record.fill(bytes, ends, line);
                return Ok(true);
            }
        }
    }

    /// Collects the bytes of one record; `false` at the end.
    fn take(&mut self, line: u64) -> Result<bool, Fault> {
        let parser = &mut self.parser;
        parser.bytes.clear();
        parser.ends.clear();
        parser.state = State::FieldStart;
        loop {
            let chunk = match self.input.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) => return Err(Fault::of_line(self.file, parser.line, error.to_string())),
            };
            if chunk.is_empty() {
                if parser.state == State::Quoted {
                    return Err(Fault::of_line(self.file, line, "a quote that is never closed"));
                }
                let is_record = !parser.bytes.is_empty() || !parser.ends.is_empty();
                parser.ends.push(parser.bytes.len());
                return Ok(is_record);
            }
            let end = chunk.iter().position(|byte| parser.push(*byte));
            let used = end.map_or(chunk.len(), |at| at + 1);
            self.input.consume(used);
            if parser.bytes.len() > MAX_RECORD_BYTES || parser.ends.len() > MAX_FIELDS {
                let rule = format!(
                    "a record of at most {MAX_RECORD_BYTES} bytes and {MAX_FIELDS} fields; is a quote never closed?"
                );
                return Err(Fault::of_line(self.file, line, rule));
            }
            if end.is_some() {
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<(u64, Vec<String>)>, String> {
        let mut input = std::io::BufReader::with_capacity(3, bytes);
        let (mut records, mut record) = (Records::new("x.csv", &mut input), Record::default());
        let mut all = Vec::new();
        while records.next(&mut record).map_err(|fault| fault.to_string())? {
            all.push((record.line, record.fields().map(str::to_owned).collect()));
        }
        Ok(all)
    }

    fn lines(bytes: &[u8]) -> Vec<(u64, String)> {
        read(bytes).expect("records").into_iter().map(|(line, fields)| (line, fields.join("|"))).collect()
    }

    #[test]
    fn records_have_the_line_on_which_they_begin() {
        let expected = [(1, "a|b"), (2, "1|2"), (5, "3|4")].map(|(n, text)| (n, text.to_owned()));
        assert_eq!(lines(b"a,b\n1,2\n\n  \n3,4\n"), expected);
        assert_eq!(lines(b"\xef\xbb\xbfa,b\r\n1,2\r\n\r\n  \r\n3,4"), expected);
        assert_eq!(lines(b"\xef\xbb\xbf\"a\",\"b\"\r1,2\r\r\r 3 , 4 \r"), expected);
        let quoted = lines(b"a,b\n\"x\ny \"\"z\"\", w\",2\r\n3,\"\"\n");
        assert_eq!(quoted[1], (2, "x\ny \"z\", w|2".to_owned()));
        assert_eq!(quoted[2], (4, "3|".to_owned()));
        assert_eq!(lines(b"5\" pipe,x\n")[0].1, "5\" pipe|x");
        assert_eq!(lines(b""), []);
    }

    #[test]
    fn what_is_unbounded_or_not_utf8_is_refused_or_marked() {
        assert_eq!(read(b"a\n\"x\n1,2\n").expect_err("a quote"), "x.csv:2: a quote that is never closed");
        let open = [b"a\n\"".as_slice(), &vec![b'\n'; MAX_RECORD_BYTES + 10]].concat();
        assert!(read(&open).expect_err("a long record").starts_with("x.csv:2: a record of at most"));
        assert!(read(&vec![b','; 1000]).is_err());
        let mut input: &[u8] = b"Z\xfcrich,2\n";
        let mut record = Record::default();
        assert!(Records::new("x.csv", &mut input).next(&mut record).expect("a record"));
        assert_eq!((record.get(0), record.get(1), record.get(2)), ("Zürich", "2", ""));
        assert!(record.not_utf8.is_some());
    }
}
