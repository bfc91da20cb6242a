//! Money that people put into a wallet or take out of it: top-ups, and corrections of entries. Each
//! has a reference, and each reference counts once.

use super::wallet::Entry;
use crate::{
    domain::{Currency, Error, FieldError, Money, Reference, Refusal, RiderId, SignedMoney},
    storage,
};
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

/// A change of a wallet by a person.
#[derive(Clone, Debug)]
pub struct WalletChange {
    /// Whose wallet.
    pub rider: RiderId,
    /// What it is.
    pub kind: ChangeKind,
    /// Signed; above zero for a top-up.
    pub amount: SignedMoney,
    /// What it is known by elsewhere.
    pub reference: Reference,
}

/// Why a person changes a wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// A payment came in.
    TopUp,
    /// An entry was wrong.
    Correction {
        /// The id of that entry.
        corrects: Uuid,
    },
}

impl ChangeKind {
    /// The word for it in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TopUp => "top_up",
            Self::Correction { .. } => "correction",
        }
    }

    /// The entry that is corrected.
    pub fn corrects(self) -> Option<Uuid> {
        match self {
            Self::TopUp => None,
            Self::Correction { corrects } => Some(corrects),
        }
    }
}

/// An entry of the ledger that a change made, or had made before.
#[derive(Clone, Debug)]
pub struct Entered {
    /// The entry.
    pub entry: Entry,
    /// Its number in the wallet.
    pub seq: i64,
    /// Whether it was made just now.
    pub is_new: bool,
}

/// A wallet whose row this transaction has locked, so that of two changes the second sees what the
/// first did.
#[derive(Debug)]
pub struct LockedWallet {
    /// What it holds.
    pub balance: Money,
    last_entry: i64,
}

impl WalletChange {
    /// A top-up.
    pub fn top_up(rider: RiderId, amount: Money, reference: &Reference) -> Self {
        let (kind, amount) = (ChangeKind::TopUp, SignedMoney::from(amount));
        Self { rider, kind, amount, reference: reference.clone() }
    }

    /// Checks the amount against the kind.
    ///
    /// # Errors
    /// Nothing, or less for a top-up.
    pub fn check(&self) -> Result<(), Refusal> {
        let amount = self.amount.decimal();
        let rule = match self.kind {
            ChangeKind::TopUp if amount <= Decimal::ZERO => "an amount above zero",
            ChangeKind::Correction { .. } if amount.is_zero() => "an amount that is not zero",
            _ => return Ok(()),
        };
        Err(Refusal::Invalid(FieldError::new("/amount", rule)))
    }
}

/// Puts money into a rider's wallet, once for each reference; a repeat returns the first entry. The
/// wallet may hold at most `cap` afterwards. Reversals and refunds have no cap: they always succeed.
///
/// # Errors
/// As [`WalletChange::check`], [`lock`], [`find`] and [`enter`].
pub async fn top_up(
    conn: &mut PgConnection,
    rider: RiderId,
    amount: Money,
    reference: &Reference,
    cap: Money,
) -> Result<Entered, Error> {
    let change = WalletChange::top_up(rider, amount, reference);
    change.check()?;
    let wallet = lock(&mut *conn, rider).await?;
    match find(&mut *conn, &change).await? {
        Some(entered) => Ok(entered),
        None => enter(conn, &change, &wallet, cap).await,
    }
}

/// Locks the wallet's row.
///
/// # Errors
/// No such wallet, or a forgotten account's; as [`storage::currency::pin`].
pub async fn lock(conn: &mut PgConnection, rider: RiderId) -> Result<LockedWallet, Error> {
    storage::currency::pin(&mut *conn, "/amount").await?;
    let row = sqlx::query!(
        "select w.balance, w.last_entry from wallet w join rider r on r.id = w.rider_id
         where w.rider_id = $1 and r.forgotten_at is null for update of w",
        rider.0
    )
    .fetch_optional(conn)
    .await?
    .ok_or(Refusal::NotFound("wallet"))?;
    Ok(LockedWallet { balance: Money::from_database(row.balance), last_entry: row.last_entry.unwrap_or(0) })
}

/// The entry that this very change made before, if it did.
///
/// # Errors
/// The reference belongs to another rider's entry, or to another change; the database's.
pub async fn find(conn: &mut PgConnection, change: &WalletChange) -> Result<Option<Entered>, Error> {
    let Some(first) = first_entry(conn, change).await? else { return Ok(None) };
    if first.rider_id != change.rider.0 {
        return Err(Refusal::ReferenceUsed { rider: RiderId(first.rider_id), entry: first.id }.into());
    }
    if first.amount != change.amount.decimal()
        || first.kind != change.kind.as_str()
        || first.corrects != change.kind.corrects()
    {
        let rule = if first.kind == change.kind.as_str() {
            "the reference was used for another amount"
        } else {
            "the reference was used for another kind of entry"
        };
        return Err(Refusal::Invalid(FieldError::new("/reference", rule)).into());
    }
    let (seq, is_new) = (first.seq, false);
    Ok(Some(Entered { entry: first.entry(), seq, is_new }))
}

/// Enters the change into the ledger of the wallet that is locked. Afterwards the wallet holds at
/// most `cap`, and never less than nothing.
///
/// # Errors
/// Too much for the cap, or for what the wallet holds; an entry that does not exist; the same
/// reference, taken at the same moment for another rider; the database's.
pub async fn enter(
    conn: &mut PgConnection,
    change: &WalletChange,
    wallet: &LockedWallet,
    cap: Money,
) -> Result<Entered, Error> {
    let corrects = corrected(&mut *conn, change).await?;
    check_room(change, wallet, cap)?;
    let (amount, balance) = (change.amount.decimal(), wallet.balance.decimal() + change.amount.decimal());
    // Of two riders' changes at once with one reference, the second waits here for the first.
    let entered = sqlx::query!(
        r#"with claimed as (
               insert into top_up_reference (key, rider_id, seq) values ($7, $1, $3)
               on conflict (key) do nothing
               returning seq
           ), entered as (
               insert into ledger_entry (rider_id, seq, id, kind, amount, balance_after, reference, corrects)
               select $1, seq, $4, $8, $5, $6, $2, $9 from claimed
               returning id, balance_after, at
           ), moved as (
               update wallet set balance = e.balance_after, last_entry = $3 from entered e where rider_id = $1
           )
           select id, balance_after, at from entered"#,
        change.rider.0,
        change.reference.as_str(),
        wallet.last_entry + 1,
        Uuid::now_v7(),
        amount,
        balance,
        change.reference.key(),
        change.kind.as_str(),
        corrects,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = entered else {
        // Another rider's change has taken the reference since it was looked up.
        let used = find(conn, change).await?;
        return used.ok_or_else(|| Refusal::NotFound("entry of this reference").into());
    };
    let entry = Entry {
        id: row.id,
        order_id: None,
        kind: change.kind.as_str().to_owned(),
        amount: Money::from_database(amount),
        currency: Currency::installed(),
        balance_after: Money::from_database(row.balance_after),
        at: row.at,
    };
    Ok(Entered { entry, seq: wallet.last_entry + 1, is_new: true })
}

/// The number of the entry that a correction corrects; none for a top-up.
///
/// # Errors
/// The wallet has no such entry; the database's.
pub async fn corrected(conn: &mut PgConnection, change: &WalletChange) -> Result<Option<i64>, Error> {
    let Some(entry) = change.kind.corrects() else { return Ok(None) };
    let seq = sqlx::query_scalar!(
        "select seq from ledger_entry where rider_id = $1 and id = $2",
        change.rider.0,
        entry
    )
    .fetch_optional(conn)
    .await?;
    let rule = "an entry of this rider's ledger";
    seq.map(Some).ok_or_else(|| Refusal::Invalid(FieldError::new("/entry_id", rule)).into())
}

/// Checks that the wallet would hold at most `cap` after the change, and not less than nothing.
///
/// # Errors
/// Names what there is room for, or what can be taken back.
pub fn check_room(change: &WalletChange, wallet: &LockedWallet, cap: Money) -> Result<(), Refusal> {
    let (amount, balance) = (change.amount.decimal(), wallet.balance.decimal() + change.amount.decimal());
    if balance < Decimal::ZERO {
        return Err(exceeds_balance(wallet.balance));
    }
    if amount > Decimal::ZERO && balance > cap.decimal() {
        return Err(exceeds_cap(cap, wallet.balance));
    }
    Ok(())
}

/// The entry that a reference was used for.
struct FirstEntry {
    rider_id: Uuid,
    seq: i64,
    id: Uuid,
    kind: String,
    corrects: Option<Uuid>,
    amount: Decimal,
    balance_after: Decimal,
    at: DateTime<Utc>,
}

impl FirstEntry {
    fn entry(self) -> Entry {
        Entry {
            id: self.id,
            order_id: None,
            kind: self.kind,
            amount: Money::from_database(self.amount),
            currency: Currency::installed(),
            balance_after: Money::from_database(self.balance_after),
            at: self.at,
        }
    }
}

/// The entry that this reference was used for, if it was.
async fn first_entry(
    conn: &mut PgConnection,
    change: &WalletChange,
) -> Result<Option<FirstEntry>, sqlx::Error> {
    // A reference from before keys were stored may have no key.
    sqlx::query_as!(
        FirstEntry,
        r#"select e.rider_id as "rider_id!", e.seq as "seq!", e.id as "id!", e.kind as "kind!",
                  (select c.id from ledger_entry c where c.rider_id = e.rider_id and c.seq = e.corrects) as corrects,
                  e.amount as "amount!", e.balance_after as "balance_after!", e.at as "at!"
           from (select 1 as nr, rider_id, seq from ledger_entry where rider_id = $1 and reference in ($2, $4)
                 union all
                 select 2, rider_id, seq from top_up_reference where key = $3) as used
           join ledger_entry e using (rider_id, seq) order by nr limit 1"#,
        change.rider.0,
        change.reference.as_str(),
        change.reference.key(),
        change.reference.as_sent(),
    )
    .fetch_optional(conn)
    .await
}

/// The wallet would hold more than it may.
fn exceeds_cap(cap: Money, holds: Money) -> Refusal {
    let room = cap.decimal() - holds.decimal();
    let rule = if room > Decimal::ZERO {
        format!("at most {} now: a wallet may be topped up to {cap}", Money::from_database(room))
    } else {
        format!("nothing now: the wallet holds {holds}, and may be topped up to {cap}")
    };
    Refusal::Invalid(FieldError::new("/amount", rule))
}

/// The wallet would hold less than nothing.
fn exceeds_balance(holds: Money) -> Refusal {
    let rule = format!("at most {holds} can be taken back: the wallet holds no more");
    Refusal::Invalid(FieldError::new("/amount", rule))
}
