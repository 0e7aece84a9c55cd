//! `outbid apply`: an account file becomes what a running server has, the plan first.

use super::remote::Remote;
use super::{Common, Failure};
use anyhow::{Context, anyhow};
use serde_json::{Map, Value};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;

/// What becomes what where.
#[derive(Debug, clap::Args)]
pub(super) struct ApplyArguments {
    /// The account file, as `outbid export` writes it, or `-` for the standard input; it may have some of the collections
    /// only.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The admin listener of the server.
    #[arg(long, value_name = "http://HOST:PORT", env = "OUTBID_URL")]
    url: String,
    /// An API key; without it, the configured admin.bootstrap_key.
    #[arg(long, value_name = "KEY", env = "OUTBID_KEY", hide_env_values = true)]
    key: Option<String>,
    /// The account, where the key is the platform's.
    #[arg(long, value_name = "ID")]
    account: Option<u32>,
    /// Archives what the file does not have, in the collections that it has.
    #[arg(long)]
    prune: bool,
    /// Shows the plan and changes nothing.
    #[arg(long, conflicts_with = "yes")]
    plan: bool,
    /// Does not ask.
    #[arg(long)]
    yes: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(common: &Common, arguments: &ApplyArguments) -> Result<(), Failure> {
    let ApplyArguments { file, url, key, account, prune, plan, yes, json } = arguments;
    let text = if file.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    let text = text.with_context(|| format!("cannot read {}", file.display()))?;
    let remote = Remote::at(common, url, key.as_deref())?;
    let mut query = format!("prune={prune}");
    if let Some(account) = account {
        query.push_str(&format!("&account_id={account}"));
    }
    let apply = |more: &str| {
        let answer = remote.call("POST", &format!("/v1/apply?{query}{more}"), Some(&text))?;
        answer.ok().with_context(|| format!("{} was not applied", file.display()))
    };
    let planned = apply("&validate_only=true")?;
    let steps = planned["steps"].as_array().map_or(0, Vec::len);
    if *plan || steps == 0 {
        show(&planned, *json);
        return Ok(());
    }
    if !json {
        show(&planned, false);
    }
    if !yes && !agreed(steps)? {
        return Err(Failure::Failed(anyhow!("nothing was changed")));
    }
    let hash = planned["plan"].as_str().unwrap_or_default();
    let done = apply(&format!("&plan={hash}"))?;
    if *json {
        show(&done, true);
    } else {
        println!("applied");
    }
    Ok(())
}

/// Asks, where somebody is there to answer.
fn agreed(steps: usize) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage("nobody is there to agree to the plan: give --yes".to_owned()));
    }
    eprint!("Apply {steps} changes? [y/N] ");
    std::io::stderr().flush().context("terminal")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("terminal")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn show(plan: &Value, json: bool) {
    if json {
        println!("{plan:#}");
        return;
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for step in plan["steps"].as_array().into_iter().flatten() {
        let action = text(&step["action"]);
        let mark = match action.as_str() {
            "create" => '+',
            "archive" => '-',
            _ => '~',
        };
        println!("{mark} {} {} {}", text(&step["kind"]), text(&step["id"]), step["name"]);
        if action == "update" {
            let (mut before, mut after) = (Map::new(), Map::new());
            flatten("", &step["before"], &mut before);
            flatten("", &step["after"], &mut after);
            let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for name in names {
                let side = |side: &Map<String, Value>| side.get(name).map_or("nothing".to_owned(), shortened);
                println!("    {name}: {} → {}", side(&before), side(&after));
            }
        }
    }
    for warning in plan["warnings"].as_array().into_iter().flatten() {
        println!("! {}: {}", text(&warning["pointer"]), text(&warning["message"]));
    }
    let count = |name: &str| plan["summary"][name].as_u64().unwrap_or(0);
    println!(
        "{} to create, {} to change, {} to archive, {} as they are",
        count("create"),
        count("update"),
        count("archive"),
        count("unchanged")
    );
}

/// Members by their paths, `budget.daily`.
fn flatten(path: &str, value: &Value, into: &mut Map<String, Value>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&path, value, into);
            }
        }
        _ => drop(into.insert(path.to_owned(), value.clone())),
    }
}

/// A value on one line.
fn shortened(value: &Value) -> String {
    const MOST: usize = 80;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
