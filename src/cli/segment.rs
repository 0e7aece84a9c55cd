//! `outbid segment`: customer lists into segments of a running server, people like those of a segment, lists of a segment for
//! use elsewhere, and how many are in it.

use super::remote::{Answered, Remote};
use super::{Common, Failure};
use crate::contacts::Channel;
use anyhow::{Context, anyhow};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often the job is asked for.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Subcommand)]
pub(super) enum What {
    /// Puts the people of a list into a segment, or takes them out, and waits until it is done.
    Load(LoadArguments),
    /// Finds people like those of a segment, puts them into another one, and says how good that is.
    Similar(SimilarArguments),
    /// Says how people can be reached outside of ads, and that they agree to it, or that they do not any more.
    Contacts(ContactsArguments),
    /// Writes a list of the people of a segment who agree to be reached in a channel.
    Activate(ActivateArguments),
    /// Says how many are in a segment.
    Stat(StatArguments),
}

/// Which segment of which server.
#[derive(Debug, clap::Args)]
pub(super) struct Where {
    /// The segment by its key, such as crm.buyers, or by its id.
    #[arg(long, value_name = "KEY")]
    segment: String,
    #[command(flatten)]
    server: Server,
}

/// Which server, and as whom.
#[derive(Debug, clap::Args)]
pub(super) struct Server {
    /// The admin listener of the server.
    #[arg(long, value_name = "http://HOST:PORT", env = "OUTBID_URL")]
    url: String,
    /// An API key; without it, the configured admin.bootstrap_key.
    #[arg(long, value_name = "KEY", env = "OUTBID_KEY", hide_env_values = true)]
    key: Option<String>,
    /// The account, where the key is the platform's.
    #[arg(long, value_name = "ID")]
    account: Option<u32>,
    /// As JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct LoadArguments {
    /// The list: CSV, or a JSON object a line where the name ends in .ndjson or .jsonl; - is CSV from standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    at: Where,
    /// What the people of the list have agreed to: given, or explicit, which sensitive segments need.
    #[arg(long, value_parser = ["given", "explicit"])]
    consent: String,
    /// What is done: add, remove, or replace, which takes out whom the list does not name.
    #[arg(long, default_value = "add", value_parser = ["add", "remove", "replace"])]
    mode: String,
    /// After how many days memberships end, where a row says nothing; without it never.
    #[arg(long, value_name = "DAYS")]
    ttl_days: Option<u32>,
    /// Whose customers these are, for what was bought.
    #[arg(long, value_name = "ID")]
    advertiser: Option<u32>,
    /// Counts, and changes nothing.
    #[arg(long)]
    validate_only: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct SimilarArguments {
    #[command(flatten)]
    at: Where,
    /// The segment that is filled, by its key; it is made where there is none.
    #[arg(long, value_name = "KEY")]
    target: String,
    /// How many people to find.
    #[arg(long, value_name = "NUMBER")]
    size: u64,
    /// After how many days they leave; without it 30.
    #[arg(long, value_name = "DAYS")]
    ttl_days: Option<u32>,
    /// Takes out whom earlier searches have put there and this one does not find.
    #[arg(long)]
    replace: bool,
    /// Finds and measures, and puts nobody anywhere.
    #[arg(long)]
    validate_only: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ContactsArguments {
    /// The contacts: CSV, or a JSON object a line where the name ends in .ndjson or .jsonl; - is CSV from standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    server: Server,
    /// After how many days a consent ends, where a row says nothing; without it never.
    #[arg(long, value_name = "DAYS")]
    ttl_days: Option<u32>,
    /// Counts, and changes nothing.
    #[arg(long)]
    validate_only: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ActivateArguments {
    /// Where the list is written, for its owner alone; it must not be there yet.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    at: Where,
    /// In which way people are reached.
    #[arg(long, value_parser = Channel::ALL.map(Channel::as_str))]
    channel: String,
    /// What for; it goes into the record.
    #[arg(long, value_name = "TEXT")]
    purpose: String,
    /// The form of the list: csv, or ndjson, a JSON object a line.
    #[arg(long, default_value = "csv", value_parser = ["csv", "ndjson"])]
    format: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct StatArguments {
    #[command(flatten)]
    at: Where,
}

pub(super) fn run(common: &Common, what: &What) -> Result<(), Failure> {
    match what {
        What::Load(arguments) => load(common, arguments),
        What::Similar(arguments) => similar(common, arguments),
        What::Contacts(arguments) => contacts(common, arguments),
        What::Activate(arguments) => activate(common, arguments),
        What::Stat(StatArguments { at }) => stat(common, at),
    }
}

fn load(common: &Common, arguments: &LoadArguments) -> Result<(), Failure> {
    let LoadArguments { file, at, consent, mode, ttl_days, advertiser, validate_only } = arguments;
    let (list, media) = read(file)?;
    let remote = at.server.remote(common)?;
    let id = at.segment_id(&remote)?;
    let mut path = format!(
        "/v1/segments/{id}/members:upload?consent={consent}&mode={mode}&validate_only={validate_only}{}",
        at.server.account_and('&')
    );
    for (name, value) in [("ttl_days", ttl_days), ("advertiser_id", advertiser)] {
        path.extend(value.iter().map(|value| format!("&{name}={value}")));
    }
    let begun = remote.send(&path, media, &list)?;
    let begun = begun.ok().with_context(|| format!("{} was not taken", file.display()))?;
    at.server.wait(&remote, begun, show_job).map(drop)
}

fn contacts(common: &Common, arguments: &ContactsArguments) -> Result<(), Failure> {
    let ContactsArguments { file, server, ttl_days, validate_only } = arguments;
    let (list, media) = read(file)?;
    let remote = server.remote(common)?;
    let mut path = format!("/v1/contacts:upload?validate_only={validate_only}{}", server.account_and('&'));
    path.extend(ttl_days.iter().map(|days| format!("&ttl_days={days}")));
    let begun = remote.send(&path, media, &list)?;
    let begun = begun.ok().with_context(|| format!("{} was not taken", file.display()))?;
    let show = |job: &Value| {
        show_errors(job);
        let count = |name: &str| job[name].as_u64().unwrap_or(0);
        println!(
            "{} rows: {} added, {} changed, {} withdrawn, {} as they were, {} refused",
            count("rows"),
            count("added"),
            count("changed"),
            count("removed"),
            count("unchanged"),
            count("refused")
        );
    };
    server.wait(&remote, begun, show).map(drop)
}

fn activate(common: &Common, arguments: &ActivateArguments) -> Result<(), Failure> {
    let file = &arguments.file;
    // Before anything is asked for: a list is handed over once.
    let new = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let mut new = new.with_context(|| format!("cannot make {}", file.display()))?;
    let taken = hand_over(common, arguments, &mut new);
    if taken.is_err() {
        // It is empty, or not all of it has come.
        let _gone = std::fs::remove_file(file);
    }
    taken
}

/// Has a list made, and writes it.
fn hand_over(common: &Common, arguments: &ActivateArguments, out: &mut dyn Write) -> Result<(), Failure> {
    let ActivateArguments { at, channel, purpose, format, .. } = arguments;
    let remote = at.server.remote(common)?;
    let id = at.segment_id(&remote)?;
    let path = format!("/v1/segments/{id}/contacts:export{}", at.server.account_and('?'));
    let body = json!({ "channel": channel, "purpose": purpose, "format": format });
    let begun = remote.call("POST", &path, Some(&body.to_string()))?.ok().context("nobody is chosen")?;
    let show = |job: &Value| {
        let list = &job["list"];
        println!(
            "{} contacts of {} members; left out: {} without one, {} who have withdrawn, {} whose consent has ended, {} \
             of whom several might be meant",
            list["contacts"],
            list["members"],
            list["no_contact"],
            list["withdrawn"],
            list["consent_ended"],
            list["ambiguous"]
        );
    };
    let job = at.server.wait(&remote, begun, show)?;
    let id = job["id"].as_str().unwrap_or_default();
    let path = format!("/v1/jobs/{id}/contacts:download{}", at.server.account_and('?'));
    remote.take(&path, out).context("the list was not taken; begin another one").map_err(Failure::from)
}

/// Says whether a job that has ended did all of it.
fn outcome(job: &Value) -> Result<(), Failure> {
    if job["state"] == "succeeded" {
        return Ok(());
    }
    let job_id = job["id"].as_str().unwrap_or_default();
    let reason = job["reason"].as_str().unwrap_or("it says nothing");
    Err(Failure::Failed(anyhow!("job {job_id} ended as {}: {reason}", job["state"].as_str().unwrap_or("?"))))
}

/// A list, and its content type.
fn read(file: &Path) -> Result<(Vec<u8>, &'static str), Failure> {
    let read = || {
        if file != Path::new("-") {
            return std::fs::read(file);
        }
        let mut list = Vec::new();
        std::io::stdin().read_to_end(&mut list)?;
        Ok(list)
    };
    let list = read().with_context(|| format!("cannot read {}", file.display()))?;
    let is_json = file.extension().is_some_and(|ending| ending == "ndjson" || ending == "jsonl");
    Ok((list, if is_json { "application/x-ndjson" } else { "text/csv" }))
}

fn similar(common: &Common, arguments: &SimilarArguments) -> Result<(), Failure> {
    let SimilarArguments { at, target, size, ttl_days, replace, validate_only } = arguments;
    let remote = at.server.remote(common)?;
    let id = at.segment_id(&remote)?;
    let path =
        format!("/v1/segments/{id}:expand?validate_only={validate_only}{}", at.server.account_and('&'));
    let body = json!({ "target": target, "size": size, "ttl_days": ttl_days, "replace": replace });
    let begun = remote.call("POST", &path, Some(&body.to_string()))?.ok().context("nobody is looked for")?;
    at.server.wait(&remote, begun, |job| show_similar(job, target)).map(drop)
}

fn show_similar(job: &Value, target: &str) {
    let found = &job["expansion"];
    if found.is_null() {
        return;
    }
    println!(
        "{} people like the {} found among {} in {} ms: {} of {} that were held back, a lift of {} ({} to {})",
        found["chosen"],
        found["seed"],
        found["population"],
        found["took_ms"],
        found["found"],
        found["held_back"],
        found["lift"],
        found["lift_low"],
        found["lift_high"]
    );
    for of in found["telling"].as_array().into_iter().flatten() {
        let percent = |name: &str| of[name].as_f64().unwrap_or_default() * 100.0;
        let key = of["key"].as_str().unwrap_or_default();
        println!(
            "  {key}: {:.1} % of them, {:.1} % of others",
            percent("seed_share"),
            percent("other_share")
        );
    }
    println!("{target}: {} added, {} changed, {} removed", job["added"], job["changed"], job["removed"]);
}

fn show_errors(job: &Value) {
    for error in job["errors"].as_array().into_iter().flatten() {
        let text = |name: &str| error[name].as_str().unwrap_or_default();
        println!("! line {}: {} {}", error["line"], text("column"), text("message"));
    }
}

fn show_job(job: &Value) {
    let count = |name: &str| job[name].as_u64().unwrap_or(0);
    show_errors(job);
    println!(
        "{} rows: {} added, {} changed, {} removed, {} as they were, {} refused; {} were known",
        count("rows"),
        count("added"),
        count("changed"),
        count("removed"),
        count("unchanged"),
        count("refused"),
        count("matched")
    );
}

fn stat(common: &Common, at: &Where) -> Result<(), Failure> {
    let remote = at.server.remote(common)?;
    let id = at.segment_id(&remote)?;
    let path = format!("/v1/segments/{id}/stats{}", at.server.account_and('?'));
    let stats = loop {
        let stats = remote.call("GET", &path, None)?.ok()?;
        if !stats["counted_at"].is_null() {
            break stats;
        }
        std::thread::sleep(PAUSE);
    };
    if at.server.json {
        println!("{stats:#}");
        return Ok(());
    }
    let text = |name: &str| stats[name].as_str().unwrap_or_default();
    println!(
        "{} members at {}, {} with those of segments below, {} by lists, {} with explicit consent",
        stats["members"],
        text("counted_at"),
        stats["members_with_below"],
        stats["listed"],
        stats["explicit_consent"]
    );
    Ok(())
}

impl Server {
    pub(super) fn remote(&self, common: &Common) -> Result<Remote, Failure> {
        Remote::at(common, &self.url, self.key.as_deref())
    }

    /// The parameter that names the account, behind a mark.
    pub(super) fn account_and(&self, mark: char) -> String {
        self.account.map_or_else(String::new, |account| format!("{mark}account_id={account}"))
    }

    /// Waits until a job has ended, and shows it.
    fn wait(&self, remote: &Remote, mut job: Value, show: impl Fn(&Value)) -> Result<Value, Failure> {
        let id = job["id"].as_str().unwrap_or_default().to_owned();
        while ["queued", "running"].contains(&job["state"].as_str().unwrap_or_default()) {
            std::thread::sleep(PAUSE);
            job = remote.call("GET", &format!("/v1/jobs/{id}{}", self.account_and('?')), None)?.ok()?;
        }
        if self.json {
            println!("{job:#}");
        } else {
            show(&job);
        }
        outcome(&job).map(|()| job)
    }
}

impl Where {
    /// The id of the segment.
    fn segment_id(&self, remote: &Remote) -> Result<String, Failure> {
        if self.segment.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(self.segment.clone());
        }
        let mut token = String::new();
        loop {
            let path =
                format!("/v1/segments?page_size=1000&fields=id,key{token}{}", self.server.account_and('&'));
            let page: Answered = remote.call("GET", &path, None)?;
            let page = page.ok().context("cannot look for the segment")?;
            let mut segments = page["segments"].as_array().into_iter().flatten();
            if let Some(found) = segments.find(|segment| segment["key"] == self.segment.as_str()) {
                return Ok(found["id"].as_str().unwrap_or_default().to_owned());
            }
            match page["next_page_token"].as_str() {
                Some(next) => token = format!("&page_token={next}"),
                None => {
                    let key = &self.segment;
                    return Err(Failure::Failed(anyhow!("there is no segment with the key {key:?}")));
                }
            }
        }
    }
}
