//! What the pages for browsers share, the console's and the riders': cookies, the token of forms,
//! languages, headers, assets, the code on a ticket.

pub(crate) mod assets;
pub(crate) mod cookies;
pub(crate) mod csrf;
pub(crate) mod headers;
pub(crate) mod language;
pub(crate) mod origin;
pub(crate) mod ticket_code;
