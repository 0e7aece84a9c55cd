//! Contacts on the disk of the real program: what a crash keeps, what no file has, and what it says without its keys.

use super::calls::{Calls, JSON, KEY};
use super::site::{Site, program, run};
use crate::server::Client;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const CSV: (&str, &str) = ("content-type", "text/csv");
const WAIT: (&str, &str) = ("prefer", "wait=60");

fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn job(site: &Site, path: &str, media: (&str, &str), body: &str) -> Value {
    let reply = site.call("POST", path, &[media, WAIT], body);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let job = reply.json();
    assert_eq!(job["state"], "succeeded", "{job}");
    job
}

fn list(site: &Site) -> Vec<String> {
    let asked = json!({ "channel": "mail", "purpose": "Spring newsletter" }).to_string();
    let job = job(site, "/v1/segments/1/contacts:export", JSON, &asked);
    let path = format!("/v1/jobs/{}/contacts:download", job["id"].as_str().unwrap());
    let (status, _, list) = Client::connect(site.admin).take(&path, KEY);
    assert_eq!(status, 200, "{list}");
    list.lines().skip(1).map(|row| row.split(',').next().unwrap().to_owned()).collect()
}

/// The files below a directory that have these bytes in them.
fn files_with(dir: &Path, bytes: &[u8], found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_with(&path, bytes, found);
        } else if std::fs::read(&path).unwrap().windows(bytes.len()).any(|window| window == bytes) {
            found.push(path.display().to_string());
        }
    }
}

#[test]
fn contacts_go_in_and_a_list_comes_out_by_the_command_line() {
    let site = Site::fresh(&[]);
    site.make_all();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let rows = "{\"cookie\": \"c 1\", \"channel\": \"message\", \"address\": \"+491701234567\", \"consent\": \"given\", \
                \"consent_at\": \"2026-01-01T00:00:00Z\"}\n{\"cookie\": \"c 2\", \"channel\": \"message\", \
                \"consent\": \"withdrawn\"}\n{\"cookie\": \"c 3\"}\n";
    std::fs::write(path("contacts.ndjson"), rows).unwrap();
    job(&site, "/v1/segments/1/members:upload?consent=given", CSV, "cookie\nc 1\nc 2\nc 4\n");
    let url = format!("http://{}", site.admin);
    let own = ["--url", &url, "--key", KEY];
    let command = |rest: &[&str]| run(&[&["segment"], rest, &own[..]].concat());
    let said = command(&["contacts", &path("contacts.ndjson")]);
    assert!(said.starts_with("! line 3: channel is one of"), "{said}");
    assert!(said.ends_with("3 rows: 1 added, 0 changed, 1 withdrawn, 0 as they were, 1 refused\n"), "{said}");
    let list = path("list.csv");
    let activate =
        ["activate", &list, "--segment", "crm.buyers", "--channel", "message", "--purpose", "Survey"];
    let said = command(&activate);
    assert!(
        said.starts_with("1 contacts of 3 members; left out: 1 without one, 1 who have withdrawn"),
        "{said}"
    );
    let expected = "address,consent_at,consent_until\n+491701234567,2026-01-01T00:00:00Z,\n";
    assert_eq!(std::fs::read_to_string(&list).unwrap(), expected);
    let mode = std::fs::metadata(&list).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // What is there already is not written over, and nothing is asked for.
    let all = [&["segment"], &activate[..], &own[..]].concat();
    let again = Command::new(program()).args(all).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("cannot make"), "{again:?}");
}

#[test]
fn a_crash_keeps_contacts_no_file_has_an_address_and_without_their_keys_nothing_starts() {
    let mut site = Site::fresh(&[]);
    site.make_all();
    let people = ["ann", "bob"];
    let members: String = people.map(|name| sha256(name) + "\n").concat();
    job(&site, "/v1/segments/1/members:upload?consent=given", CSV, &format!("email_sha256\n{members}"));
    let names = "email_sha256,channel,address,consent,consent_at\n";
    let rows = people.map(|name| {
        format!("{},mail,{name}.secretive@example.com,given,2026-01-01T00:00:00Z\n", sha256(name))
    });
    let said = job(&site, "/v1/contacts:upload", CSV, &(names.to_owned() + &rows.concat()));
    assert_eq!(said["added"], 2, "{said}");
    site.crash();
    let mut mail = list(&site);
    mail.sort_unstable();
    assert_eq!(mail, ["ann.secretive@example.com", "bob.secretive@example.com"]);
    job(
        &site,
        "/v1/contacts:upload",
        CSV,
        &format!("email_sha256,channel,consent\n{},mail,withdrawn\n", sha256("bob")),
    );
    let erased = json!({ "ids": [{ "type": "email_sha256", "value": sha256("ann") }] }).to_string();
    assert_eq!(site.call("POST", "/v1/people:erase", &[JSON], &erased).json()["contacts"], 1);
    assert_eq!(list(&site), [""; 0]);
    let mut found = Vec::new();
    files_with(site.path(), b"secretive", &mut found);
    assert_eq!(found, [""; 0], "neither a file of the store, nor one of a job, nor the log");
    // What was withdrawn and erased has no key any more; a new one is not readable for others.
    let row = format!("{},mail,cid.secretive@example.com,given,2026-01-01T00:00:00Z\n", sha256("cid"));
    job(&site, "/v1/contacts:upload", CSV, &(names.to_owned() + &row));
    let keys = site.path().join("keys/contacts.db");
    let mode = std::fs::metadata(&keys).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    site.restart();
    let aside = site.path().join("aside");
    std::fs::rename(&keys, &aside).unwrap();
    let (stopped, said) = site.fails_to_restart();
    assert_eq!(stopped, Some(4), "{said}");
    assert!(
        said.contains("keys/contacts.db is missing") && said.contains("put it back from a backup"),
        "{said}"
    );
    // Keys of another pair are told from a damaged file.
    let other = tempfile::tempdir().unwrap();
    Command::new(program()).args(["init", "--data-dir", other.path().to_str().unwrap()]).output().unwrap();
    std::fs::create_dir_all(other.path().join("keys")).unwrap();
    let contacts = outbid::contacts::Contacts::open(other.path(), []).unwrap().0;
    contacts.choose(1, (1, outbid::contacts::Channel::Mail), &[], 0).unwrap();
    std::fs::copy(other.path().join("keys/contacts.db"), &keys).unwrap();
    let (_, said) = site.fails_to_restart();
    assert!(said.contains("do not belong together"), "{said}");
    std::fs::rename(&aside, &keys).unwrap();
    site.restart();
    let shown = json!({ "ids": [{ "type": "email_sha256", "value": sha256("cid") }] }).to_string();
    let shown = site.call("POST", "/v1/people:export", &[JSON], &shown).json();
    assert_eq!(shown["contacts"][0]["channel"], "mail", "{shown}");
}
