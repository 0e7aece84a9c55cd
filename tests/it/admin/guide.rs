//! The guide for newcomers does what it says: its very commands are run in one shell, on ports that are free, and each
//! answer has what the guide shows.

use super::site::program;
use serde_json::Value;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

/// Between the outputs of two blocks.
const MARK: &str = "---- the next block ----";

/// A block of commands, and what the guide shows of its output: the language and the text.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) commands: String,
    shown: Option<(String, String)>,
}

/// The fenced blocks of a guide.
pub(super) fn steps(guide: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = guide.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else { continue };
        let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let text = text.join("\n");
        match language {
            "sh" => steps.push(Step { commands: text, shown: None }),
            "json" | "text" => {
                let last = steps.last_mut().expect("an answer follows a command");
                let before = last.shown.replace((language.to_owned(), text));
                assert!(before.is_none(), "two answers to {}", last.commands);
            }
            other => panic!("a block of {other:?}"),
        }
    }
    steps
}

/// Ports that were free a moment ago, all held until each has been chosen.
fn free_ports() -> Vec<u16> {
    let held: Vec<TcpListener> = (0..4).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

/// Whether an answer has everything that is shown of it.
fn has(answer: &Value, shown: &Value) -> bool {
    match (answer, shown) {
        (Value::Object(answer), Value::Object(shown)) => {
            shown.iter().all(|(name, shown)| answer.get(name).is_some_and(|answer| has(answer, shown)))
        }
        (Value::Array(answer), Value::Array(shown)) => {
            answer.len() == shown.len() && answer.iter().zip(shown).all(|(answer, shown)| has(answer, shown))
        }
        (Value::Number(answer), Value::Number(shown)) => answer.as_f64() == shown.as_f64(),
        _ => answer == shown,
    }
}

#[test]
fn a_newcomer_s_commands_lead_to_a_bid() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide/first-campaign.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let dir = tempfile::tempdir().unwrap();
    // What a newcomer would change: the directory, and ports that are taken.
    let mut script = String::from("trap 'kill $SERVER' EXIT\n");
    let mut steps = steps(&guide);
    let ports = free_ports();
    for (port, name) in ports.iter().zip(["BID=", "TRACK=", "API=", "OPS="]) {
        let first = &mut steps[0].commands;
        let line = first.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        *first = first.replace(&line, &format!("{name}127.0.0.1:{port}"));
    }
    for step in &steps {
        script.push_str(&format!("{}\nprintf '\\n%s\\n' '{MARK}'\n", step.commands));
    }
    script.push_str("trap - EXIT\n");
    let path = format!("{}:{}", program().parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    bash.args(["-c", &script]).current_dir(&dir).env("PATH", path).stdin(Stdio::null());
    let Ok(done) = bash.output() else {
        return eprintln!("SKIPPED: bash is not installed, so the guide was not tried");
    };
    let (said, wrong) = (String::from_utf8(done.stdout).unwrap(), String::from_utf8_lossy(&done.stderr));
    if wrong.contains("curl: command not found") {
        return eprintln!("SKIPPED: curl is not installed, so the guide was not tried");
    }
    assert!(done.status.success() && wrong.is_empty(), "{wrong}{said}");
    let outputs: Vec<&str> = said.split(MARK).collect();
    assert_eq!(outputs.len(), steps.len() + 1);
    for (step, output) in steps.iter().zip(outputs) {
        let Some((language, shown)) = &step.shown else { continue };
        let last = output.trim().lines().last().unwrap_or("");
        match language.as_str() {
            "json" => {
                let parse = |text: &str| {
                    serde_json::from_str::<Value>(text).unwrap_or_else(|why| panic!("{why}: {text:?}"))
                };
                assert!(has(&parse(last), &parse(shown)), "{}\nanswered {last}\nnot {shown}", step.commands);
            }
            _ => {
                assert!(output.contains(shown.as_str()), "{}\nanswered {output}\nnot {shown}", step.commands)
            }
        }
    }
    assert!(TcpStream::connect(("127.0.0.1", ports[0])).is_err(), "the server has gone");
}
