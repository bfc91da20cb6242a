//! The operations of accounts and sessions.

use super::builder::{
    Access::{Anyone, SignedIn},
    Operation, Schemas, operation,
};
use crate::{
    accounts::{NewRider, ProfileChange, Rider, Session, own_sessions::OpenSessions},
    domain::Page,
    http::handlers::{account as http_account, riders as http_riders},
    payment::wallet::Entry,
};
use serde_json::json;

/// Accounts, sessions and wallets.
pub(super) fn accounts(s: &mut Schemas) -> Vec<Operation> {
    vec![
        operation("post", "/v1/riders", Anyone, "Register")
            .takes(
                s.takes::<NewRider>(),
                json!({ "user_name": "mei", "password": "blue tram 42 north", "pay_password": "271828" }),
            )
            .gives(201, "The account", s.gives::<Rider>())
            .refuses("003003")
            .keyed(),
        operation(
            "post",
            "/v1/sessions",
            Anyone,
            "Sign in; `code` is for accounts of the operations side that have a second factor",
        )
        .takes(
            s.takes::<http_riders::Credentials>(),
            json!({ "user_name": "mei", "password": "blue tram 42 north" }),
        )
        .gives(201, "A token", s.gives::<Session>())
        .refuses("003001 003004 003005 003006"),
        operation("delete", "/v1/sessions/current", SignedIn, "Sign out, on every replica within a second")
            .gives_nothing("Signed out"),
        operation("get", "/v1/riders/me", SignedIn, "One's own profile").gives(
            200,
            "The profile",
            s.gives::<Rider>(),
        ),
        operation("patch", "/v1/riders/me", SignedIn, "Change one's own profile; null clears a field")
            .refuses("003091")
            .may_take(s.takes::<ProfileChange>(), json!({ "nick_name": "Mei", "phone": null }))
            .gives(200, "The profile", s.gives::<Rider>()),
        operation(
            "put",
            "/v1/riders/me/pay-password",
            SignedIn,
            "Set or change the pay password; the first one needs the sign-in password, given lately or here",
        )
        .takes(s.takes::<http_riders::PayPassword>(), json!({ "current": "271828", "new": "314159" }))
        .gives_nothing("It is set")
        .refuses("003004 003005 003006 003007 003092 004001 006007")
        .keyed(),
        operation("get", "/v1/wallet", SignedIn, "The wallet's balance")
            .gives(200, "The balance", s.gives::<http_riders::Wallet>())
            .refuses("003070"),
        operation("get", "/v1/wallet/entries", SignedIn, "The wallet's ledger, newest first").paged().gives(
            200,
            "A page",
            s.gives::<Page<Entry>>(),
        ),
    ]
}

/// One's own account: its password and its sessions.
pub(super) fn own_account(s: &mut Schemas) -> Vec<Operation> {
    vec![
        operation("put", "/v1/riders/me/password", SignedIn, "Change the sign-in password; the other sessions end")
            .takes(
                s.takes::<http_account::PasswordChange>(),
                json!({ "current": "blue tram 42 north", "new": "seven green lamps 9" }),
            )
            .gives_nothing("It is changed")
            .refuses("003004 003005 003006 003007 003070"),
        operation("post", "/v1/password-resets", Anyone, "Set a new sign-in password with a one-time code")
            .takes(
                s.takes::<http_account::PasswordReset>(),
                json!({ "user_name": "mei", "code": "7KQM-V2ZP-93HT-XW4B-N8DR-5FJC", "new_password": "seven green lamps 9" }),
            )
            .gives_nothing("It is set; sign in with it")
            .refuses("003008"),
        operation("get", "/v1/sessions", SignedIn, "One's own sessions, newest first").gives(
            200,
            "All of them",
            s.gives::<OpenSessions>(),
        ),
        operation("delete", "/v1/sessions", SignedIn, "End all of one's own sessions, this one included")
            .gives_nothing("They end, on every replica within a second"),
        operation("delete", "/v1/sessions/{id}", SignedIn, "End one of one's own sessions")
            .gives_nothing("It ends, on every replica within a second"),
        operation(
            "post",
            "/v1/sessions/current/confirmation",
            SignedIn,
            "Give the password again, before acts that ask for it",
        )
        .takes(s.takes::<http_account::Confirmation>(), json!({ "password": "blue tram 42 north" }))
        .gives_nothing("It counts for `accounts.confirm_secs`")
        .refuses("003004 003005 003006 003007 003070"),
    ]
}
