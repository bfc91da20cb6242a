//! Finding accounts: by user name or e-mail address, by a part of a name, by phone, by the end of an
//! id. Each way is a statement of its own with its index.

use super::reading::{MIN_NATIONAL, Reading, WantedPhone};
use crate::{accounts::user_name, domain::RiderId};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::collections::HashSet;
use uuid::Uuid;

/// Most accounts with one e-mail address.
pub const MAX_FOUND: i64 = 50;

/// The newest accounts, among which a part is looked for that many have.
const NEWEST: i64 = 1_000;

/// What a text is of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundBy {
    /// Its user name. At most one account has it.
    UserName,
    /// Its e-mail address, which any number of other accounts may claim.
    Email,
    /// Its whole phone number, which any number of other accounts may claim.
    Phone,
    /// The last digits of its phone number.
    PhoneEnd,
    /// The last digits of its id.
    IdEnd,
    /// A part of its user name, its nick name or its e-mail address.
    Part,
}

/// An account that a search text may mean.
#[derive(Clone, Debug)]
pub struct FoundRider {
    /// Its id.
    pub id: RiderId,
    /// Its name for signing in.
    pub user_name: String,
    /// How its owner wants to be called.
    pub nick_name: Option<String>,
    /// What it may do.
    pub role: String,
    /// Its e-mail address.
    pub email: Option<String>,
    /// Whether an operator checked that the address is its owner's.
    pub is_verified: bool,
    /// Its phone number, which nobody checks.
    pub phone: Option<String>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// What the text is of it.
    pub by: FoundBy,
}

/// A row of `rider`, before it is known by what it was found.
struct Row {
    id: Uuid,
    user_name: String,
    nick_name: Option<String>,
    role: String,
    email: Option<String>,
    is_verified: bool,
    phone: Option<String>,
    created_at: DateTime<Utc>,
    is_exact: bool,
}

impl Row {
    fn found(self, by: FoundBy) -> FoundRider {
        FoundRider {
            id: RiderId(self.id),
            user_name: self.user_name,
            nick_name: self.nick_name,
            role: self.role,
            email: self.email,
            is_verified: self.is_verified,
            phone: self.phone,
            created_at: self.created_at,
            by,
        }
    }
}

/// Accounts that the text may mean, the likeliest first: those with this user name or e-mail
/// address (at most [`MAX_FOUND`]), then at most `limit` others.
///
/// # Errors
/// The database's.
pub(super) async fn search(
    conn: &mut PgConnection,
    reading: &Reading,
    limit: i64,
) -> Result<Vec<FoundRider>, sqlx::Error> {
    let mut found = named(&mut *conn, &reading.text).await?;
    let mut others = Vec::new();
    if let Some(end) = &reading.end {
        others.extend(with_id_end(&mut *conn, end, limit).await?);
    }
    if let Some(phone) = &reading.phone {
        others.extend(with_phone(&mut *conn, phone, limit).await?);
    }
    if reading.is_part {
        others.extend(with_part(&mut *conn, &reading.text, limit).await?);
    }
    let mut known: HashSet<RiderId> = found.iter().map(|rider| rider.id).collect();
    others.retain(|rider| known.insert(rider.id));
    others.truncate(usize::try_from(limit).unwrap_or(0));
    found.extend(others);
    Ok(found)
}

/// Accounts with this user name (at most one) or this e-mail address (any number, at most one of
/// them verified): the user name's first, then the verified one, then older ones before newer ones.
/// Addresses are compared without the case of ASCII letters.
async fn named(conn: &mut PgConnection, text: &str) -> Result<Vec<FoundRider>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select id, user_name, nick_name, role, email, email_verified_at is not null as "is_verified!", phone,
                  created_at, lower(user_name collate "C") = $1 as "is_exact!"
           from rider
           where lower(user_name collate "C") = $1
              or email is not null and lower(normalize(email, nfc) collate "C") = lower(normalize($2::text, nfc) collate "C")
           order by 9 desc, 6 desc, created_at, id limit $3"#,
        user_name::folded(text),
        text,
        MAX_FOUND
    )
    .fetch_all(&mut *conn)
    .await?;
    let by = |is_name| if is_name { FoundBy::UserName } else { FoundBy::Email };
    Ok(rows.into_iter().map(|row| (by(row.is_exact), row)).map(|(by, row)| row.found(by)).collect())
}

/// Accounts whose id ends in these digits.
async fn with_id_end(conn: &mut PgConnection, end: &str, limit: i64) -> Result<Vec<FoundRider>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select id, user_name, nick_name, role, email, email_verified_at is not null as "is_verified!", phone,
                  created_at, true as "is_exact!"
           from rider
           where rider_terms(id, user_name, nick_name, email, phone) @> array['#' || $1::text]
           limit $2"#,
        end,
        limit
    )
    .fetch_all(&mut *conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.found(FoundBy::IdEnd)).collect())
}

/// Accounts with this phone number or with one that ends so, whole numbers first. The index knows
/// the last four digits.
async fn with_phone(
    conn: &mut PgConnection,
    wanted: &WantedPhone,
    limit: i64,
) -> Result<Vec<FoundRider>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select id, user_name, nick_name, role, email, email_verified_at is not null as "is_verified!", phone,
                  created_at, ltrim(digits_of(phone), '0') = $1 or digits_of(phone) = any($2)
                      or phone like '+%' and length($1) >= $4 and length(digits_of(phone)) - length($1) <= 3 as "is_exact!"
           from rider
           where rider_terms(id, user_name, nick_name, email, phone) @> array['+' || right($1::text, 4)]
             and (right(digits_of(phone), length($1)) = $1 or digits_of(phone) = any($2))
           order by 9 desc, created_at, id limit $3"#,
        wanted.end,
        &wanted.whole,
        limit,
        MIN_NATIONAL
    )
    .fetch_all(&mut *conn)
    .await?;
    let by = |is_whole| if is_whole { FoundBy::Phone } else { FoundBy::PhoneEnd };
    Ok(rows.into_iter().map(|row| (by(row.is_exact), row)).map(|(by, row)| row.found(by)).collect())
}

/// Accounts with this part in a name or in the e-mail address: of a part that very many have, any of
/// them. Such a part is found among the newest accounts: the index would first have all of them listed.
async fn with_part(conn: &mut PgConnection, part: &str, limit: i64) -> Result<Vec<FoundRider>, sqlx::Error> {
    let newest = sqlx::query_as!(
        Row,
        r#"select id, user_name, nick_name, role, email, email_verified_at is not null as "is_verified!", phone,
                  created_at, false as "is_exact!"
           from (select * from rider order by id desc limit $3) as newest
           where strpos(folded(user_name), folded($1)) > 0 or strpos(folded(nick_name), folded($1)) > 0
              or strpos(folded(email), folded($1)) > 0
           limit $2"#,
        part,
        limit,
        NEWEST
    )
    .fetch_all(&mut *conn)
    .await?;
    if i64::try_from(newest.len()).is_ok_and(|found| found >= limit) {
        return Ok(newest.into_iter().map(|row| row.found(FoundBy::Part)).collect());
    }
    let rows = sqlx::query_as!(
        Row,
        r#"select id, user_name, nick_name, role, email, email_verified_at is not null as "is_verified!", phone,
                  created_at, false as "is_exact!"
           from rider
           where rider_terms(id, user_name, nick_name, email, phone) @> search_grams(folded($1))
             and cardinality(search_grams(folded($1))) > 0
             and (strpos(folded(user_name), folded($1)) > 0 or strpos(folded(nick_name), folded($1)) > 0
                  or strpos(folded(email), folded($1)) > 0)
           limit $2"#,
        part,
        limit
    )
    .fetch_all(&mut *conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.found(FoundBy::Part)).collect())
}

/// The account that a search means beyond doubt: its user name, its whole phone number or the end of
/// its id, and of no other account the e-mail address or one of these. An e-mail address is not
/// enough, since anybody can claim any.
pub fn unmistakable(found: &[FoundRider]) -> Option<RiderId> {
    let exact = |by| !matches!(by, FoundBy::Part | FoundBy::PhoneEnd);
    let mut exactly = found.iter().filter(|rider| exact(rider.by));
    let only = exactly.next().filter(|rider| rider.by != FoundBy::Email);
    if exactly.next().is_some() { None } else { only.map(|rider| rider.id) }
}
