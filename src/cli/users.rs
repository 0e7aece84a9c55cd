//! `outbid user add|list|disable|password`: people who may log in, without the API, also beside a running server, which
//! knows of it at once. Nothing is ever asked for: a password comes from stdin, where `--password-stdin` says so.

use super::api_keys::KeysPlace;
use super::output::table;
use super::{Common, Failure};
use crate::admin::{self, IssueError, PersonRequest};
use crate::store::control::ControlError;
use crate::store::control::users::UserRow;
use anyhow::Context;
use serde_json::{Value, json};
use std::io::Read as _;

/// More than a password may have.
const MAX_INPUT: u64 = 4_096;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub(super) enum What {
    /// Invites somebody, and shows the token once; with a password on stdin, makes somebody who may log in at once.
    Add(AddArguments),
    /// Lists the people.
    List {
        #[command(flatten)]
        place: KeysPlace,
    },
    /// Disables somebody; all sessions end at once.
    Disable {
        #[command(flatten)]
        place: KeysPlace,
        /// The e-mail address.
        email: String,
    },
    /// Sets somebody's password from stdin; all sessions end, and who was disabled is active again.
    Password(PasswordArguments),
}

/// Who is wanted.
#[derive(Debug, clap::Args)]
pub(super) struct AddArguments {
    #[command(flatten)]
    place: KeysPlace,
    /// What is logged in with.
    #[arg(long)]
    email: String,
    /// owner, admin, trader, analyst or advertiser_viewer.
    #[arg(long)]
    role: String,
    /// The account.
    #[arg(long, value_name = "ID", default_value_t = 1, conflicts_with = "platform")]
    account: u32,
    /// Of the platform: sees all accounts, and may change exchanges, rates and safety rules.
    #[arg(long)]
    platform: bool,
    /// What an advertiser_viewer sees. Repeatable.
    #[arg(long = "advertiser", value_name = "ID")]
    advertisers: Vec<u32>,
    /// Reads the password from stdin, up to the end of its first line.
    #[arg(long)]
    password_stdin: bool,
}

/// Whose password.
#[derive(Debug, clap::Args)]
pub(super) struct PasswordArguments {
    #[command(flatten)]
    place: KeysPlace,
    /// The e-mail address.
    email: String,
    /// Reads the password from stdin, up to the end of its first line.
    #[arg(long, required = true)]
    password_stdin: bool,
    /// Takes the second factor off too, for who has lost it.
    #[arg(long)]
    remove_totp: bool,
}

pub(super) fn run(common: &Common, what: &What) -> Result<(), Failure> {
    match what {
        What::Add(arguments) => add(common, arguments),
        What::List { place } => list(common, place),
        What::Disable { place, email } => {
            let row = admin::disable_person(&place.open(common)?, email).map_err(failure)?;
            say(place, &row, &format!("{} is disabled; every session is over", row.email))
        }
        What::Password(PasswordArguments { place, email, remove_totp, .. }) => {
            let control = place.open(common)?;
            let row = admin::set_password(&control, email, &password()?, *remove_totp).map_err(failure)?;
            say(place, &row, &format!("{} has a new password; every session is over", row.email))
        }
    }
}

fn add(common: &Common, arguments: &AddArguments) -> Result<(), Failure> {
    let AddArguments { place, email, role, account, platform, advertisers, password_stdin } = arguments;
    let control = place.open(common)?;
    let request = PersonRequest {
        account: (!platform).then_some(*account),
        email: email.clone(),
        role: role.clone(),
        advertisers: advertisers.clone(),
    };
    if *password_stdin {
        let row = admin::add_person(&control, request, &password()?).map_err(failure)?;
        return say(place, &row, &format!("{} ({}) may log in", row.email, row.role));
    }
    let (row, token, expires_ms) = admin::invite_person(&control, request).map_err(failure)?;
    let until = moment(Some(expires_ms)).unwrap_or_default();
    if place.json {
        let mut view = view(&row);
        view["invite_token"] = token.into();
        view["invite_expires_at"] = until.into();
        println!("{view}");
    } else {
        println!(
            "{} ({}) is invited until {until}, by a token that is shown only now:\n{token}",
            row.email, row.role
        );
    }
    Ok(())
}

fn list(common: &Common, place: &KeysPlace) -> Result<(), Failure> {
    let rows = place.open(common)?.read(|read| read.users(None));
    let rows = rows.map_err(|why: ControlError| Failure::Damaged(why.into()))?;
    if place.json {
        println!("{}", json!({ "users": rows.iter().map(view).collect::<Vec<_>>() }));
        return Ok(());
    }
    let cells = |row: &UserRow| {
        vec![
            row.id.to_string(),
            row.email.clone(),
            row.name.clone(),
            row.account.map_or_else(|| "platform".to_owned(), |id| id.to_string()),
            row.role.clone(),
            row.status.as_str().to_owned(),
            moment(row.last_login_ms).unwrap_or_else(|| "never".to_owned()),
        ]
    };
    let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
    print!("{}", table(&["id", "e-mail", "name", "account", "role", "status", "last login"], &rows));
    Ok(())
}

fn say(place: &KeysPlace, row: &UserRow, words: &str) -> Result<(), Failure> {
    match place.json {
        true => println!("{}", view(row)),
        false => println!("{words}"),
    }
    Ok(())
}

fn view(row: &UserRow) -> Value {
    let advertisers: Vec<String> = row.advertisers.iter().map(u32::to_string).collect();
    json!({
        "id": row.id.to_string(), "account_id": row.account.map(|id| id.to_string()), "email": row.email,
        "name": row.name, "role": row.role, "advertiser_ids": advertisers, "status": row.status.as_str(),
        "totp_enabled": row.totp_secret.is_some(), "last_login_at": moment(row.last_login_ms),
    })
}

fn moment(ms: Option<i64>) -> Option<String> {
    ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()).map(|moment| moment.to_string())
}

/// The first line of stdin.
fn password() -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(MAX_INPUT).read_to_string(&mut text);
    read.context("the password could not be read from stdin")?;
    Ok(text.lines().next().unwrap_or("").to_owned())
}

fn failure(why: IssueError) -> Failure {
    match why {
        IssueError::Invalid(_) => Failure::Usage(why.to_string()),
        IssueError::Store(_) => Failure::Damaged(why.into()),
    }
}
