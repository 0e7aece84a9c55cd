//! The declarative account file: JSON ↔ [`Account`].
//!
//! Invariant: an account that [`read`] returns is whole. Every reference resolves, ids are unique, every amount is
//! exact and fits, time zones exist, segments form trees, click URLs land where they may. All errors are reported
//! together, each with its JSON pointer; what is allowed but odd comes back as a warning. JSON that cannot be read at
//! all, an unknown field or a value of the wrong JSON type is reported alone, with its line and column.
//!
//! The format follows the product's field names. Its conventions:
//! - ids are whole numbers in quotes; exchanges are referred to by name, segments by key, the rest by id;
//! - money, prices and factors are decimals in quotes and exact. They carry no currency of their own: every amount of
//!   an advertiser, its campaigns and its line items is in the advertiser's currency, a profile's in the profile's;
//! - every targeting dimension has `include` and `exclude`, the audience `all_of`, `any_of`, `none_of`;
//! - moments are RFC 3339; dayparts are whole hours `{"day": "mon", "start": 8, "end": 18}`, in the advertiser's zone
//!   where they name none;
//! - a creative's `format` is banner, video, audio or native and says which of the other fields it has. Sizes are
//!   `"300x250"` or `w` and `h`. Durations are whole seconds, bit rates kilobits a second.
//!
//! Deliberately absent: merging, partial updates and versions, which are the control database's ([`Editor`] checks its
//! entries one by one). Of a status only
//! "may serve" is kept, so what was `draft` or `archived` is written as `paused`.

mod behaviour;
mod buying;
mod creative;
mod describe;
mod dump;
mod editor;
mod exchange;
mod frequency;
mod goal;
mod known;
mod lists;
mod price_codec;
mod report;
mod safety;
mod schema;
mod targeting;
mod values;
mod wire;

pub use describe::{Form, Member, members};
pub use dump::Inconsistent;
pub use editor::{Editor, Entry, Part, Put};
pub use lists::{MAX_ITEMS, list_kind, list_value};
pub use report::{Code, Finding};
pub use schema::schema;

use super::durable;
use crate::model::account::Account;
use crate::model::suggest::closest;
use known::Known;
use report::{Listing, Report};
use std::io;
use std::path::{Path, PathBuf};
use wire::AccountText;

/// An account and what is odd about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The account.
    pub account: Account,
    /// What is allowed and probably not meant.
    pub warnings: Vec<Finding>,
}

/// How much an account may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Line items, campaigns, creatives: each.
    pub line_items: usize,
    /// Segments.
    pub segments: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { line_items: 1_000_000, segments: 1_000_000 }
    }
}

/// Why an account file was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum AccountErrors {
    /// The operating system refused something.
    #[error("cannot {action} the account file {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is not JSON of this form.
    #[error("{name}:{line}:{column}: {message}")]
    Json {
        /// The file.
        name: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong, and what was probably meant.
        message: String,
    },
    /// It has errors.
    #[error("{name} has {} error{}:{}", errors.len(), if errors.len() == 1 { "" } else { "s" }, Listing(errors))]
    Invalid {
        /// The file.
        name: String,
        /// All of them; never empty.
        errors: Vec<Finding>,
    },
    /// The account to be written contradicts itself.
    #[error("the account cannot be written to {}: {source}", path.display())]
    Inconsistent {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Inconsistent,
    },
}

/// Reads and validates an account file within the default limits.
pub fn read(path: &Path) -> Result<Loaded, AccountErrors> {
    read_within(path, Limits::default())
}

/// Reads and validates an account file.
pub fn read_within(path: &Path, limits: Limits) -> Result<Loaded, AccountErrors> {
    let text = std::fs::read_to_string(path).map_err(|source| AccountErrors::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    parse_within(&text, &path.display().to_string(), limits)
}

/// Validates the text of an account file within the default limits; `name` is what errors call it.
pub fn parse(text: &str, name: &str) -> Result<Loaded, AccountErrors> {
    parse_within(text, name, Limits::default())
}

/// Validates the text of an account file; `name` is what errors call it.
pub fn parse_within(text: &str, name: &str, limits: Limits) -> Result<Loaded, AccountErrors> {
    let unreadable = |at: usize, why: &serde_json::Error| {
        let (line, column) = position(text, at, why);
        AccountErrors::Json { name: name.to_owned(), line, column, message: explain(why) }
    };
    let parsed: AccountText<'_> = serde_json::from_str(text).map_err(|why| unreadable(0, &why))?;
    let mut report = Report::default();
    let account = account(&mut report, parsed, limits);
    if let Some((entry, why)) = &report.unreadable {
        return Err(unreadable(entry - text.as_ptr().addr(), why));
    }
    if report.errors.is_empty() {
        Ok(Loaded { account, warnings: report.warnings })
    } else {
        Err(AccountErrors::Invalid { name: name.to_owned(), errors: report.errors })
    }
}

/// Writes an account so that [`read`] gives an equal one. The file is replaced as a whole and synced; only its owner
/// may read it, because it holds the exchanges' secrets.
pub fn write(account: &Account, path: &Path) -> Result<(), AccountErrors> {
    let wire = dump::account(account)
        .map_err(|source| AccountErrors::Inconsistent { path: path.to_owned(), source })?;
    durable::replace(path, 0o600, |out| {
        serde_json::to_writer_pretty(&mut *out, &wire).map_err(io::Error::from)?;
        out.write_all(b"\n")
    })
    .map_err(|source| AccountErrors::Io { action: "write", path: path.to_owned(), source })
}

/// An account as [`write()`] writes it.
pub fn text(account: &Account) -> Result<String, AccountErrors> {
    let wire = dump::account(account)
        .map_err(|source| AccountErrors::Inconsistent { path: PathBuf::from("-"), source })?;
    serde_json::to_string_pretty(&wire).map_err(|why| AccountErrors::Io {
        action: "write",
        path: PathBuf::from("-"),
        source: io::Error::from(why),
    })
}

/// Everything in the order in which it is referred to. What is refused becomes some default, so that all errors are
/// found; the caller drops the account then.
fn account(report: &mut Report, wire: AccountText<'_>, limits: Limits) -> Account {
    for (key, count, limit) in [
        ("line_items", wire.line_items.len(), limits.line_items),
        ("campaigns", wire.campaigns.len(), limits.line_items),
        ("creatives", wire.creatives.len(), limits.line_items),
        ("segments", wire.segments.len(), limits.segments),
    ] {
        if count > limit {
            report.error_at(
                key,
                Code::OutOfRange,
                format!("has {count} entries; at most {limit} are allowed"),
            );
        }
    }
    let mut known = Known::default();
    let rates = report.within("rates", |report| exchange::rates(report, wire.rates));
    let exchanges = exchange::read_all(report, &mut known, &rates, wire.exchanges);
    let advertisers = buying::advertisers(report, &mut known, &rates, wire.advertisers);
    let conversions = lists::conversions(report, &mut known, wire.conversions);
    let pixels = behaviour::pixels(report, &mut known, wire.pixels);
    let segments = buying::segments(report, &mut known, wire.segments);
    let campaigns = buying::campaigns(report, &mut known, wire.campaigns);
    let creatives = creative::read_all(report, &mut known, wire.creatives);
    let lists = lists::lists(report, &mut known, wire.lists);
    let deals = lists::deals(report, &mut known, wire.deals);
    let line_items = buying::line_items(report, &known, wire.line_items);
    let safety = report.within("safety", |report| safety::read(report, wire.safety));
    Account {
        rates,
        exchanges,
        advertisers,
        campaigns,
        line_items,
        creatives,
        segments,
        lists,
        deals,
        conversions,
        pixels,
        safety,
        category_maps: Vec::new(),
    }
}

/// Line and column in `text`, from 1, of an error in what begins at `at`.
fn position(text: &str, at: usize, why: &serde_json::Error) -> (usize, usize) {
    let before = &text.as_bytes()[..at];
    let lines = before.iter().filter(|byte| **byte == b'\n').count();
    let indent = before.iter().rev().take_while(|byte| **byte != b'\n').count();
    (lines + why.line(), why.column() + if why.line() == 1 { indent } else { 0 })
}

/// serde's message without its position, and with a suggestion where a name is not known.
fn explain(error: &serde_json::Error) -> String {
    let full = error.to_string();
    let message = full.rsplit_once(" at line ").map_or(full.as_str(), |(message, _)| message);
    let mut names = message.split('`').skip(1).step_by(2);
    let typed = names.next().filter(|_| message.starts_with("unknown field"));
    match typed.map(|typed| (typed, closest(typed, names))) {
        Some((typed, Some(near))) => format!("unknown field {typed:?}; did you mean {near:?}?"),
        _ => plainly(message),
    }
}

/// A message of the parser without the names of our types.
fn plainly(message: &str) -> String {
    if message.contains("did not match any variant of untagged enum") {
        return "has none of the forms that it can have".to_owned();
    }
    let Some((given, expected)) = message.split_once(", expected ") else { return message.to_owned() };
    let is_number =
        |name: &str| name.len() <= 5 && name.starts_with(['i', 'u']) && name[1..].parse::<u8>().is_ok();
    let expected = match expected.split(' ').collect::<Vec<_>>()[..] {
        ["struct", ..] | [.., "enum", _] => "an object",
        ["a", "sequence"] => "a list",
        ["a", "map"] => "an object",
        [name] if is_number(name) => "a whole number",
        _ => expected,
    };
    format!("{given}, expected {expected}")
}
