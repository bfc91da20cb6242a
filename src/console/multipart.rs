//! Bodies of forms that send a file (`multipart/form-data`, RFC 7578), held in memory as a whole.

/// Most characters of a boundary, as in RFC 2046.
const MAX_BOUNDARY: usize = 70;
/// Most bytes of the head of a part.
const MAX_HEAD_BYTES: usize = 4_096;
/// Most parts of a form.
const MAX_PARTS: usize = 8;

/// The rule that other bodies break.
pub(super) const RULE: &str = "a form that sends a file, as multipart/form-data";

/// The boundary that the content type of a form names.
pub(super) fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let parameters = parameters.split(';').filter_map(|parameter| parameter.trim().split_once('='));
    let (_, boundary) = parameters.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("boundary"))?;
    let boundary = boundary.trim_matches('"');
    let is_plain = boundary.bytes().all(|byte| byte.is_ascii_graphic());
    (is_plain && (1..=MAX_BOUNDARY).contains(&boundary.len())).then_some(boundary)
}

/// The parts of a body, by their names. A part is looked at once, whatever it holds.
pub(super) fn parts<'a>(body: &'a [u8], boundary: &str) -> Option<Vec<(String, &'a [u8])>> {
    let delimiter = format!("\r\n--{boundary}");
    let mut rest = body.strip_prefix(&delimiter.as_bytes()[2..])?;
    let mut parts = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Some(parts);
        }
        let part = rest.strip_prefix(b"\r\n")?;
        let head = find(&part[..part.len().min(MAX_HEAD_BYTES)], b"\r\n\r\n")?;
        let content = &part[head + 4..];
        let end = find(content, delimiter.as_bytes())?;
        if parts.len() == MAX_PARTS {
            return None;
        }
        parts.push((name(&part[..head])?, &content[..end]));
        rest = &content[end + delimiter.len()..];
    }
}

/// The name that the head of a part gives it.
fn name(head: &[u8]) -> Option<String> {
    let head = std::str::from_utf8(head).ok()?;
    let lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let (_, value) =
        lines.into_iter().find(|(field, _)| field.eq_ignore_ascii_case("content-disposition"))?;
    let named = value.split_once("; name=\"")?.1;
    Some(named.split('"').next()?.to_owned())
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &[u8] = b"--x\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\ntoken\r\n--x\r\n\
        content-disposition: form-data; name=\"file\"; filename=\"a.zip\"\r\nContent-Type: application/zip\r\n\r\n\
        PK\r\n--y\r\n\r\n\r\n--x--\r\n";

    #[test]
    fn a_form_with_a_file_is_read() {
        let whole = parts(FORM, "x").expect("a form");
        let expected: [(String, &[u8]); 2] =
            [("csrf".to_owned(), b"token"), ("file".to_owned(), b"PK\r\n--y\r\n\r\n")];
        assert_eq!(whole, expected);
        assert_eq!(boundary("multipart/form-data; boundary=x"), Some("x"));
        assert_eq!(boundary("Multipart/Form-Data; charset=utf-8; Boundary=\"--a b\""), None);
        assert_eq!(boundary("multipart/form-data; boundary=\"ab\""), Some("ab"));
    }

    #[test]
    fn what_is_no_form_is_refused_and_never_panics() {
        for end in 0..FORM.len() {
            let cut = parts(&FORM[..end], "x");
            assert!(cut.is_none() || FORM[..end].ends_with(b"--x--") || end > FORM.len() - 3, "{end}");
        }
        for none in ["", "multipart/form-data", "multipart/form-data; boundary=", "text/plain; boundary=x"] {
            assert_eq!(boundary(none), None, "{none}");
        }
        assert_eq!(boundary(&format!("multipart/form-data; boundary={}", "x".repeat(71))), None);
        let many = b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n".repeat(9);
        assert_eq!(parts(&[&many[..], b"--x--"].concat(), "x"), None, "too many parts");
        assert_eq!(parts(b"--x\r\nContent-Disposition: attachment\r\n\r\n\r\n--x--", "x"), None, "no name");
        assert_eq!(parts(b"a preamble\r\n--x--", "x"), None);
    }
}
