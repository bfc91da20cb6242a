//! What a client does after a problem, for the API's description. A test compares it with the clients'
//! book, whose words they are.

use super::catalogue::Kind;

/// What a client does with the request that was answered so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Retry {
    /// It sends the same request with the same key after `retry_after`, or after a moment.
    SameKey,
    /// It sends a request with a new key once what the advice says is done.
    NewKey,
    /// A repeat does not help.
    Never,
}

impl Retry {
    /// The word for it in the description.
    pub(in crate::http) fn as_str(self) -> &'static str {
        match self {
            Self::SameKey => "same_key",
            Self::NewKey => "new_key",
            Self::Never => "never",
        }
    }
}

impl Kind {
    /// What its client does next, in words; `\u{2013}` for nothing.
    pub(in crate::http) fn next(&self) -> &'static str {
        let is_this =
            |(code, status, _): &&(&str, u16, &str)| *code == self.code && *status == self.status.as_u16();
        NEXT.iter().find(is_this).map_or("\u{2013}", |(_, _, next)| next)
    }

    /// How the request is repeated.
    pub(in crate::http) fn retry(&self) -> Retry {
        match self.next() {
            "same key, later" | "later" => Retry::SameKey,
            "\u{2013}" => Retry::Never,
            _ => Retry::NewKey,
        }
    }
}

#[rustfmt::skip] // A table.
const NEXT: &[(&str, u16, &str)] = &[
    ("003001", 401, "ask the user"),
    ("003002", 401, "sign in"),
    ("003003", 409, "another name"),
    ("003004", 401, "sign in with `code` too"),
    ("003005", 401, "give the next code; each counts once"),
    ("003006", 403, "set it up in the console"),
    ("003007", 403, "ask for the password again"),
    ("003008", 403, "have another code made"),
    ("003070", 404, "\u{2013}"),
    ("003073", 422, "correct it"),
    ("003074", 422, "correct it"),
    ("003074", 400, "correct it"),
    ("003074", 413, "correct it"),
    ("003074", 405, "correct it"),
    ("003091", 403, "\u{2013}"),
    ("003092", 403, "`POST /v1/sessions/current/confirmation`, then again"),
    ("003097", 503, "same key, later"),
    ("003098", 503, "same key, later"),
    ("003099", 500, "same key, later"),
    ("004000", 409, "other seats"),
    ("004001", 403, "ask the user"),
    ("004002", 402, "top up"),
    ("006001", 409, "book again"),
    ("006002", 409, "read the order"),
    ("006003", 409, "\u{2013}"),
    ("006004", 409, "\u{2013}"),
    ("006005", 422, "new key"),
    ("006006", 409, "same key, later"),
    ("006007", 423, "new key, later"),
    ("006008", 409, "set one"),
    ("006009", 409, "\u{2013}"),
    ("006010", 409, "read the order"),
    ("006011", 409, "same key, later"),
    ("006012", 409, "redrive it"),
    ("006020", 409, "\u{2013}"),
    ("006021", 503, "later"),
    ("006022", 409, "another bus"),
    ("006040", 409, "pay or cancel"),
    ("006041", 409, "later, new key"),
    ("006042", 409, "\u{2013}"),
    ("006043", 403, "authorize again"),
    ("006044", 409, "\u{2013}"),
    ("006045", 409, "preview again"),
    ("006060", 409, "check the slip"),
    ("006061", 403, "another operator; also for an own order"),
    ("006062", 403, "another operator"),
    ("006063", 409, "read the approval"),
    ("006070", 422, "correct what `faults` names"),
    ("006071", 409, "preview again"),
    ("006072", 409, "see `detail`; `import_id` is an import that is not finished"),
    ("005001", 429, "same key, later"),
    ("005002", 503, "same key, later"),
    ("005003", 421, "another host name"),
    ("003098", 408, "same key, later"),
];

#[cfg(test)]
mod tests {
    use super::super::catalogue;

    #[test]
    fn the_advice_is_that_of_the_clients_book() {
        let book = include_str!("../../../docs/clients/errors.md");
        for kind in catalogue::all() {
            let row = format!("| {} | {} | ", kind.code, kind.status.as_u16());
            let row = book.lines().find(|line| line.starts_with(&row)).expect(kind.code);
            let next = row.trim_end_matches(" |").rsplit(" | ").next();
            assert_eq!(next, Some(kind.next()), "{row}");
        }
    }
}
