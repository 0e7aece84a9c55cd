//! Money that people put into wallets or take out: the control side of it. What campaigns spend is the ledger's.
//!
//! Invariant: rows are only added, which triggers in the file see to; an advertiser has one currency; every balance
//! along the way fits its type, so that no sum ever overflows; a client's key books once for ever.
//!
//! Deliberately absent: telling the ledger. Who books writes an [`super::outbox`] row in the same transaction.

use super::cursor::{Cursor, SortKey, fingerprint};
use super::error::ControlError;
use super::resource::Kind;
use super::sql::{self, names};
use super::transaction::{Read, Write};
use crate::model::money::{Currency, Nanos};
use rusqlite::params;

names! {
    /// Why money moved.
    TransactionKind {
        /// The advertiser paid.
        TopUp = "top_up",
        /// The platform gives.
        Credit = "credit",
        /// Something is put right.
        Adjustment = "adjustment",
    }
}

/// Money to be moved.
#[derive(Clone, Debug)]
pub struct NewTransaction {
    /// The tenant.
    pub account: u32,
    /// Whose wallet.
    pub advertiser: u32,
    /// Why.
    pub kind: TransactionKind,
    /// How much; negative where it leaves.
    pub amount: Nanos,
    /// In which currency.
    pub currency: Currency,
    /// For people.
    pub note: String,
    /// Who did it, for people.
    pub actor: String,
    /// The client's key.
    pub idempotency_key: Option<String>,
}

/// Money that moved.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// Ascending.
    pub id: i64,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// What.
    pub moved: NewTransaction,
}

/// The sum of everything that moved in a wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Whose.
    pub advertiser: u32,
    /// In which currency.
    pub currency: Currency,
    /// How much.
    pub amount: Nanos,
}

/// Which transactions, newest first.
#[derive(Clone, Debug, Default)]
pub struct TransactionQuery {
    /// Of one tenant.
    pub account: Option<u32>,
    /// Of one wallet.
    pub advertiser: Option<u32>,
    /// Behind the last one of the page before.
    pub after: Option<Cursor>,
    /// At most so many.
    pub limit: usize,
}

/// Why no money moved.
#[derive(Debug, thiserror::Error)]
pub enum TransactionError {
    /// The tenant has no such advertiser.
    #[error("account {account} has no advertiser {advertiser}")]
    NoAdvertiser {
        /// The tenant.
        account: u32,
        /// The advertiser that was named.
        advertiser: u32,
    },
    /// The wallet has another currency.
    #[error("the wallet of advertiser {advertiser} is in {has}; a wallet never changes its currency")]
    Currency {
        /// Whose.
        advertiser: u32,
        /// Its currency.
        has: Currency,
    },
    /// No wallet holds so much.
    #[error("the balance of advertiser {advertiser} would leave what a wallet can hold; book less")]
    TooMuch {
        /// Whose.
        advertiser: u32,
    },
    /// The client's key booked before.
    #[error("transaction {} was booked with this idempotency key already", booked.id)]
    KeyUsed {
        /// What it booked.
        booked: Box<Transaction>,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] ControlError),
}

impl TransactionQuery {
    /// The cursor behind `transaction`, the last one of a page of this query.
    pub fn cursor(&self, transaction: &Transaction) -> Cursor {
        Cursor::new(self.fingerprint(), SortKey::Number(transaction.id), transaction.id)
    }

    fn fingerprint(&self) -> [u8; 8] {
        fingerprint(&format!("transactions {:?} {:?}", self.account, self.advertiser))
    }
}

macro_rules! columns {
    () => {
        "id, at_ms, account, advertiser, kind, amount, currency, note, actor, idempotency_key"
    };
}

fn currency(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Currency> {
    let code = row.get_ref(column)?.as_str()?;
    Currency::parse(code).ok_or_else(|| {
        let what = format!("{code:?} is no currency");
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, what.into())
    })
}

fn transaction(row: &rusqlite::Row<'_>) -> rusqlite::Result<Transaction> {
    let moved = NewTransaction {
        account: row.get(2)?,
        advertiser: row.get(3)?,
        kind: row.get(4)?,
        amount: Nanos(row.get(5)?),
        currency: currency(row, 6)?,
        note: row.get(7)?,
        actor: row.get(8)?,
        idempotency_key: row.get(9)?,
    };
    Ok(Transaction { id: row.get(0)?, at_ms: row.get(1)?, moved })
}

fn balance(row: &rusqlite::Row<'_>) -> rusqlite::Result<Balance> {
    Ok(Balance { advertiser: row.get(0)?, currency: currency(row, 1)?, amount: Nanos(row.get(2)?) })
}

impl Read<'_> {
    /// What moved in a wallet, summed; `None` where nothing did.
    pub fn balance(&self, advertiser: u32) -> Result<Option<Balance>, ControlError> {
        // Summed in the order of the index, in which every step is known to fit; SQLite fails where one did not.
        const SQL: &str = "SELECT advertiser, currency, sum(amount) \
             FROM transactions INDEXED BY transactions_advertiser WHERE advertiser = ?1 GROUP BY advertiser";
        sql::one(self.connection, "sum a wallet", SQL, [advertiser], balance)
    }

    /// Every wallet in which something moved, in the order of the advertisers.
    pub fn balances(&self) -> Result<Vec<Balance>, ControlError> {
        const SQL: &str = "SELECT advertiser, currency, sum(amount) \
             FROM transactions INDEXED BY transactions_advertiser GROUP BY advertiser ORDER BY advertiser";
        sql::many(self.connection, "sum all wallets", SQL, [], balance)
    }

    /// One page of what moved, newest first.
    pub fn transactions(&self, query: &TransactionQuery) -> Result<Vec<Transaction>, ControlError> {
        let after = match &query.after {
            Some(after) => {
                after.check(query.fingerprint())?;
                after.id
            }
            None => i64::MAX,
        };
        let sql = match (query.account, query.advertiser) {
            (_, Some(_)) => {
                concat!(
                    "SELECT ",
                    columns!(),
                    " FROM transactions WHERE advertiser = ?2 AND (?1 IS NULL OR +account = ?1) AND id < ?3 \
                     ORDER BY id DESC LIMIT ?4"
                )
            }
            (Some(_), None) => {
                concat!(
                    "SELECT ",
                    columns!(),
                    " FROM transactions WHERE account = ?1 AND ?2 IS NULL AND id < ?3 ORDER BY id DESC LIMIT ?4"
                )
            }
            (None, None) => {
                concat!(
                    "SELECT ",
                    columns!(),
                    " FROM transactions WHERE ?1 IS NULL AND ?2 IS NULL AND id < ?3 ORDER BY id DESC LIMIT ?4"
                )
            }
        };
        let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
        let params = params![query.account, query.advertiser, after, limit];
        sql::many(self.connection, "list transactions", sql, params, transaction)
    }
}

impl Write<'_> {
    /// Moves money.
    pub fn transact(&mut self, new: NewTransaction) -> Result<Transaction, TransactionError> {
        let (account, advertiser) = (new.account, new.advertiser);
        if let Some(key) = &new.idempotency_key {
            const SQL: &str = concat!(
                "SELECT ",
                columns!(),
                " FROM transactions WHERE account = ?1 AND idempotency_key = ?2"
            );
            let booked =
                sql::one(self.connection, "look for a transaction", SQL, params![account, key], transaction)?;
            if let Some(booked) = booked {
                return Err(TransactionError::KeyUsed { booked: Box::new(booked) });
            }
        }
        let owner = self.get(Kind::Advertiser, advertiser)?.map(|row| row.account);
        if owner != Some(account) {
            return Err(TransactionError::NoAdvertiser { account, advertiser });
        }
        if let Some(before) = self.balance(advertiser)? {
            if before.currency != new.currency {
                return Err(TransactionError::Currency { advertiser, has: before.currency });
            }
            let fits = before.amount.0.checked_add(new.amount.0).is_some();
            fits.then_some(()).ok_or(TransactionError::TooMuch { advertiser })?;
        }
        const SQL: &str = "INSERT INTO transactions (account, advertiser, kind, amount, currency, note, actor, at_ms, \
             idempotency_key) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) RETURNING id";
        let at_ms = self.now_ms();
        let params = params![
            account,
            advertiser,
            new.kind,
            new.amount.0,
            new.currency.as_str(),
            new.note,
            new.actor,
            at_ms,
            new.idempotency_key
        ];
        let id = sql::only(self.connection, "book a transaction", SQL, params, |row| row.get(0))?;
        self.serves();
        Ok(Transaction { id, at_ms, moved: new })
    }
}
