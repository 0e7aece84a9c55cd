//! The commands of the reference do what they say: they are run as they are typed there, in one shell, against a server
//! that has what they name.

use super::calls::{Calls, KEY};
use super::guide::steps;
use super::site::{Site, program};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Stands before the commands: a call that is refused ends the shell, which curl alone does not tell.
const CURL: &str = "#!/bin/sh\nexec \"$REAL_CURL\" --fail-with-body -sS \"$@\"\n";

/// A published taxonomy, as far as the commands care.
const TREE: &str = "Unique ID\tParent ID\tCondensed Name\tTier 1\tTier 2\n1\t\tSport\tSport\t\n2\t1\tSport | Sailing\tSport\tSailing\n";

#[test]
fn the_commands_of_the_reference_work_as_they_are_typed() {
    let on_path = |name: &str| {
        let found = Command::new("sh").args(["-c", &format!("command -v {name}")]).output().unwrap();
        found.status.success().then(|| String::from_utf8(found.stdout).unwrap().trim().to_owned())
    };
    let (Some(_), Some(curl)) = (on_path("bash"), on_path("curl")) else {
        return eprintln!("SKIPPED: bash or curl is not installed, so the reference was not tried");
    };
    let site = Site::fresh(&[]);
    site.make_all();
    site.make("lists", &json!({ "name": "Good", "type": "domain" }));
    let work = tempfile::tempdir().unwrap();
    std::fs::write(work.path().join("domains.txt"), "a.example\nb.example\n").unwrap();
    std::fs::write(work.path().join("audience-1.1.tsv"), TREE).unwrap();
    let own = work.path().join("bin");
    std::fs::create_dir(&own).unwrap();
    std::fs::write(own.join("curl"), CURL).unwrap();
    std::fs::set_permissions(own.join("curl"), std::fs::Permissions::from_mode(0o755)).unwrap();

    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/api.md")).unwrap();
    let steps = steps(&text);
    assert!(steps.len() >= 6, "{}", steps.len());
    let mut script = String::from("set -euo pipefail\n");
    for step in &steps {
        script.push_str(&format!("{}\n", step.commands));
    }
    // What the reader sets.
    for (name, value) in [
        ("API=", format!("http://{}", site.admin)),
        ("D=", site.path().to_str().unwrap().to_owned()),
        ("KEY=", format!("\"{KEY}\"")),
    ] {
        let line = script.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        script = script.replacen(&line, &format!("{name}{value}"), 1);
    }
    let path = [
        own.to_str().unwrap(),
        program().parent().unwrap().to_str().unwrap(),
        &std::env::var("PATH").unwrap(),
    ]
    .join(":");
    let mut bash = Command::new("bash");
    bash.args(["-c", &script]).current_dir(&work).env("PATH", path).env("REAL_CURL", curl);
    let done = bash.stdin(Stdio::null()).output().unwrap();
    let (said, wrong) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    // What the programs say of what they did goes there too.
    let refused = wrong.contains("curl:") || wrong.contains("outbid:");
    assert!(done.status.success() && !refused, "{wrong}\n{said}\n{script}");
    assert_eq!(site.get("/v1/lists/1/items")["items"], json!(["a.example", "b.example"]));
    let segments = site.get("/v1/segments?page_size=1000");
    let names = segments["segments"].as_array().unwrap().iter().filter_map(|segment| segment["key"].as_str());
    assert_eq!(names.filter(|key| key.starts_with("iab4.")).count(), 2, "{segments}");
    assert_eq!(site.get("/v1/users")["users"].as_array().unwrap().len(), 3);
    let lines = std::fs::read_to_string(work.path().join("lines.csv")).unwrap();
    assert!(lines.lines().count() == 2 && lines.starts_with("id,version,name,bid"), "{lines}");
    assert!(said.contains("\"state\":\"succeeded\""), "{said}");
}
