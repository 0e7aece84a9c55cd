//! `outbid keys create|list|revoke`: API keys without the API, also beside a running server, which refuses a revoked key
//! within a second. Whoever may write the data directory may do this, so that nobody is locked out for good.

use super::output::table;
use super::{Common, Failure, boot};
use crate::admin::{IssueError, KeyRequest, issue_key};
use crate::model::clock::Clock;
use crate::store::control::keys::KeyRow;
use crate::store::control::{Control, ControlError, WriteError};
use crate::store::data_dir::DataDir;
use crate::telemetry::clock::SystemClock;
use anyhow::anyhow;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

/// Where the keys are.
#[derive(Debug, clap::Args)]
pub(super) struct KeysPlace {
    /// The data directory; without it, the configured one.
    #[arg(long, visible_alias = "data", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// The key that is wanted.
#[derive(Debug, clap::Args)]
pub(super) struct CreateArguments {
    #[command(flatten)]
    place: KeysPlace,
    /// What it is called, for people.
    #[arg(long)]
    name: String,
    /// owner, admin, trader, analyst or advertiser_viewer.
    #[arg(long)]
    role: String,
    /// The account that it belongs to.
    #[arg(long, value_name = "ID", default_value_t = 1, conflicts_with = "platform")]
    account: u32,
    /// Of the platform: it sees all accounts, and may change exchanges, rates and safety rules.
    #[arg(long)]
    platform: bool,
    /// Only for this: read, write, money or admin. Repeatable; without it, for all that the role allows.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// Only from this address or network. Repeatable.
    #[arg(long = "address", value_name = "NET")]
    addresses: Vec<String>,
    /// What an advertiser_viewer sees. Repeatable.
    #[arg(long = "advertiser", value_name = "ID")]
    advertisers: Vec<u32>,
    /// Until when, such as 2027-01-01T00:00:00Z.
    #[arg(long, value_name = "MOMENT")]
    expires_at: Option<jiff::Timestamp>,
}

/// The key that is to go.
#[derive(Debug, clap::Args)]
pub(super) struct RevokeArguments {
    #[command(flatten)]
    place: KeysPlace,
    /// Its id, as `outbid keys list` shows it.
    id: u32,
}

/// What is listed.
#[derive(Debug, clap::Args)]
pub(super) struct ListArguments {
    #[command(flatten)]
    place: KeysPlace,
}

pub(super) fn create(common: &Common, arguments: &CreateArguments) -> Result<(), Failure> {
    let CreateArguments { place, name, role, account, platform, .. } = arguments;
    let control = place.open(common)?;
    let request = KeyRequest {
        account: (!platform).then_some(*account),
        name: name.clone(),
        role: role.clone(),
        scopes: arguments.scopes.clone(),
        addresses: arguments.addresses.clone(),
        advertisers: arguments.advertisers.clone(),
        expires_ms: arguments.expires_at.map(jiff::Timestamp::as_millisecond),
    };
    let (row, secret) = issue_key(&control, request).map_err(|why| match why {
        IssueError::Invalid(_) => Failure::Usage(why.to_string()),
        IssueError::Store(_) => Failure::Damaged(why.into()),
    })?;
    if place.json {
        println!("{}", json!({ "id": row.id.to_string(), "role": row.role, "secret": secret }));
    } else {
        println!("key {} ({}), which is shown only now:\n{secret}", row.id, row.role);
    }
    Ok(())
}

pub(super) fn revoke(common: &Common, arguments: &RevokeArguments) -> Result<(), Failure> {
    let control = arguments.place.open(common)?;
    let id = arguments.id;
    let revoked = control.write(move |tx| match tx.key(id)? {
        Some(_) => tx.revoke_key(id).map(Some),
        None => Ok::<_, ControlError>(None),
    });
    let revoked = revoked.map_err(|why: WriteError<ControlError>| Failure::Damaged(why.into()))?;
    match revoked {
        None => return Err(Failure::Failed(anyhow!("there is no key {id}; see `outbid keys list`"))),
        Some(_) if arguments.place.json => {
            println!("{}", json!({ "id": id.to_string(), "status": "revoked" }));
        }
        Some(true) => println!("key {id} is revoked; a running server refuses it within a second"),
        Some(false) => println!("key {id} was revoked before"),
    }
    Ok(())
}

pub(super) fn list(common: &Common, arguments: &ListArguments) -> Result<(), Failure> {
    let control = arguments.place.open(common)?;
    let rows =
        control.read(|read| read.keys(None)).map_err(|why: ControlError| Failure::Damaged(why.into()))?;
    let now_ms = SystemClock::new().now().unix_ms;
    let moment = |ms: Option<i64>| {
        ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()).map(|moment| moment.to_string())
    };
    if arguments.place.json {
        let keys: Vec<_> = rows
            .iter()
            .map(|row| {
                json!({
                    "id": row.id.to_string(), "account_id": row.account.map(|id| id.to_string()), "name": row.name,
                    "role": row.role, "prefix": row.prefix, "last4": row.last4, "status": row.state(now_ms),
                    "scopes": row.scopes, "addresses": row.addresses, "expires_at": moment(row.expires_ms),
                    "last_used_at": moment(row.last_used_ms),
                })
            })
            .collect();
        println!("{}", json!({ "api_keys": keys }));
        return Ok(());
    }
    let cells = |row: &KeyRow| {
        vec![
            row.id.to_string(),
            row.name.clone(),
            row.account.map_or_else(|| "platform".to_owned(), |id| id.to_string()),
            row.role.clone(),
            format!("{}…{}", row.prefix, row.last4),
            row.state(now_ms).to_owned(),
            moment(row.last_used_ms).unwrap_or_else(|| "never".to_owned()),
        ]
    };
    let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
    print!("{}", table(&["id", "name", "account", "role", "key", "status", "last used"], &rows));
    Ok(())
}

impl KeysPlace {
    pub(super) fn open(&self, common: &Common) -> Result<Control, Failure> {
        let root = match &self.data_dir {
            // With a directory named, a broken configuration must not stand in the way.
            Some(root) => root.clone(),
            None => boot::configuration(common, Vec::new())?.data.dir,
        };
        let data = DataDir::open_read_only(&root).map_err(|error| Failure::Failed(error.into()))?;
        if !data.control_file().exists() {
            let root = root.display();
            return Err(Failure::Failed(anyhow!(
                "{root} has no control database, and so no keys and no people; begin one with `outbid init --data-dir {root}`"
            )));
        }
        boot::open_control(&data, Arc::new(SystemClock::new()))
    }
}
