//! `outbid user`, on a data directory and beside a running server.

use crate::admin::calls::Calls;
use crate::admin::site::{Site, program, run};
use crate::server::{Client, Reply};
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

/// Runs `outbid user …` with a line on stdin; its exit code and what it said.
fn user(arguments: &[&str], input: &str) -> (i32, String) {
    let mut command = Command::new(program());
    command.arg("user").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Who does not read it may have gone already.
    let _gone = child.stdin.take().unwrap().write_all(input.as_bytes());
    let done = child.wait_with_output().unwrap();
    let said = [done.stdout, done.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    (done.status.code().unwrap(), said)
}

fn post(site: &Site, path: &str, body: &Value) -> Reply {
    let headers = [("content-type", "application/json")];
    Client::connect(site.admin).send("POST", path, &headers, body.to_string().as_bytes()).unwrap()
}

#[test]
fn people_are_made_and_ended_on_the_machine_of_the_server_which_knows_at_once() {
    let site = Site::fresh(&[]);
    let root = site.path().to_str().unwrap().to_owned();
    let at = |arguments: &[&str], input: &str| {
        let place = ["--data-dir", root.as_str()];
        user(&[&arguments[..1], &place, &arguments[1..]].concat(), input)
    };
    let (code, said) =
        at(&["add", "--email", "o@agency.example", "--role", "owner", "--password-stdin"], "short\n");
    assert_eq!(code, 2, "{said}");
    let phrase = "a long enough phrase";
    let (code, said) = at(
        &["add", "--email", "o@agency.example", "--role", "owner", "--password-stdin"],
        &format!("{phrase}\n"),
    );
    assert_eq!((code, said.as_str()), (0, "o@agency.example (owner) may log in\n"));
    let (code, said) = at(&["add", "--email", "t@agency.example", "--role", "trader", "--json"], "");
    assert_eq!(code, 0, "{said}");
    let invited: Value = serde_json::from_str(&said).unwrap();
    let accepted = json!({ "token": invited["invite_token"], "name": "T", "password": phrase });
    assert_eq!(post(&site, "/v1/invites:accept", &accepted).status, 200);
    let login = |email: &str, password: &str| {
        post(&site, "/v1/session", &json!({ "email": email, "password": password }))
    };
    let reply = login("t@agency.example", phrase);
    assert_eq!(reply.status, 201, "{}", reply.text());
    let cookie = reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let me =
        || Client::connect(site.admin).send("GET", "/v1/me", &[("cookie", &cookie)], b"").unwrap().status;
    assert_eq!(me(), 200);
    assert_eq!(at(&["disable", "o@agency.example"], "").0, 2, "the last owner");
    assert_eq!(at(&["disable", "nobody@agency.example"], "").0, 2);
    assert_eq!(at(&["disable", "t@agency.example"], "").0, 0);
    assert_eq!(me(), 401);
    let (code, said) = at(&["list", "--json"], "");
    assert_eq!(code, 0, "{said}");
    let listed: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&listed["users"][1]["status"], &listed["users"][1]["name"]),
        (&json!("disabled"), &json!("T"))
    );
    assert!(!said.contains("argon2"), "{said}");
    assert!(run(&["user", "list", "--data-dir", &root]).contains("o@agency.example"));
    assert_eq!(at(&["password", "t@agency.example"], "").0, 2, "nothing is asked for");
    let (code, said) = at(&["password", "t@agency.example", "--password-stdin"], "another long phrase\n");
    assert_eq!(code, 0, "{said}");
    assert_eq!(
        (login("t@agency.example", phrase).status, login("t@agency.example", "another long phrase").status),
        (401, 201)
    );
    for (outcome, times) in [("accepted", 2.0), ("refused", 1.0), ("slowed", 0.0)] {
        let line = format!("outbid_admin_logins_total{{outcome=\"{outcome}\"}}");
        assert_eq!(site.metric(&line), times, "{outcome}");
    }
    let audit = site.get("/v1/audit?filter[kind]=user&filter[action]=invite");
    assert_eq!(
        (&audit["audit"][0]["actor"], &audit["audit"][0]["source"]),
        (&json!("command line"), &json!("cli"))
    );
    assert!(!site.log().contains(phrase) && !site.log().contains(&cookie));
}
