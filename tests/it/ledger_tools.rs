//! `outbid ledger` and the admin API of the ledger: what operators see of the money, and what they can do. The files
//! are written by the real binary, which is ended with SIGKILL.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod admin;
mod files;
mod live;

use crate::server::{Client, Reply, admin as ask_admin, good_request, notice_url};
use outbid::budget::file_storage::FileStorage;
use outbid::budget::journal::{Item, Journal, Options, dump};
use outbid::budget::record::Event;
use outbid::cli::demo::world;
use outbid::store::account_file;
use outbid::store::data_dir::DataDir;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const KEY: &str = "an operator's key";
const PUBLIC_URL: &str = "https://track.example/ob";

/// A data directory with the demo's account.
fn data_dir() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut account = world::account();
    for profile in &mut account.exchanges {
        // A machine that compiles beside the tests is slow.
        (profile.default_tmax_ms, profile.max_tmax_ms) = (60_000, 60_000);
    }
    let data = DataDir::open(dir.path()).unwrap();
    account_file::write(&account, &data.account_file()).unwrap();
    dir
}

/// What a command did.
struct Outcome {
    code: i32,
    out: String,
    err: String,
}

impl Outcome {
    fn check(&self, code: i32, out: &[&str], err: &[&str]) {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        for (parts, text) in [(out, &self.out), (err, &self.err)] {
            for part in parts {
                assert!(text.contains(part), "no {part:?} in:\n{}{}", self.out, self.err);
            }
        }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }
}

fn binary(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outbid"));
    // Away from any configuration file, and without what the environment may set.
    command.args(arguments).current_dir(std::env::temp_dir()).env_clear();
    command
}

/// `outbid ledger` on a directory.
fn ledger(data: &Path, arguments: &[&str]) -> Outcome {
    let output = binary(&["ledger"]).args(arguments).arg("--data").arg(data).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// A running `outbid serve`.
struct Served {
    child: Child,
    bid: SocketAddr,
    track: SocketAddr,
    admin: SocketAddr,
    ops: SocketAddr,
}

impl Served {
    fn start(data: &Path) -> Served {
        let sets = [
            "listen.bid=127.0.0.1:0",
            "listen.track=127.0.0.1:0",
            "listen.admin=127.0.0.1:0",
            "listen.ops=127.0.0.1:0",
            "engine.cores=1",
            "engine.budget_us=1000000",
            "server.queue_shed_ms=10000",
            "server.drain_grace_ms=0",
            "ledger.segment_bytes=1048576",
            "log.format=json",
        ];
        let mut command = binary(&["serve"]);
        command.args(sets.iter().flat_map(|set| ["--set", set]));
        for set in [
            format!("data.dir={}", data.display()),
            format!("admin.bootstrap_key={KEY}"),
            format!("track.public_url={PUBLIC_URL}"),
        ] {
            command.args(["--set", &set]);
        }
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let serving = lines
            .by_ref()
            .map(|line| line.unwrap())
            .find_map(|line| {
                serde_json::from_str(&line).ok().filter(|line: &Value| line["message"] == "serving")
            })
            .expect("the server starts");
        // A full pipe would stop the server's log.
        std::thread::spawn(move || lines.for_each(drop));
        let at = |name: &str| serving[name].as_str().unwrap().parse().unwrap();
        Served { child, bid: at("bid"), track: at("track"), admin: at("admin"), ops: at("ops") }
    }

    fn bid(&self, id: &str) -> Option<Value> {
        let body = good_request(id).to_string();
        let reply = Client::connect(self.bid).bid("demo", body.as_bytes()).unwrap();
        (reply.status == 200).then(|| reply.json()["seatbid"][0]["bid"][0].clone())
    }

    /// Makes a bid and bills it.
    fn sell(&self, id: &str, price: &str) {
        self.sell_and_repeat(id, price, 1);
    }

    /// Makes a bid and bills it so many times.
    fn sell_and_repeat(&self, id: &str, price: &str, times: usize) {
        let bid = self.bid(id).expect("a bid");
        let path = notice_url(&bid, "burl", price);
        let path = path.strip_prefix("https://track.example").unwrap();
        for _ in 0..times {
            let reply = Client::connect(self.track).send("GET", path, &[], b"").unwrap();
            assert_eq!(reply.status, 204, "{reply:?}");
        }
    }

    fn admin(&self, method: &str, path: &str, body: &str) -> Reply {
        ask_admin(self.admin, KEY, method, path, body)
    }

    fn ops(&self, path: &str) -> Reply {
        Client::connect(self.ops).send("GET", path, &[], b"").unwrap()
    }

    fn verify(&self, data: &Path) -> Outcome {
        ledger(data, &["verify", "--url", &format!("http://{}", self.admin), "--key", KEY])
    }

    fn show(&self, data: &Path) -> Outcome {
        ledger(data, &["show", "--url", &format!("http://{}", self.admin), "--key", KEY])
    }

    /// As a crash of the machine would end it.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// As an operator ends it.
    fn end(mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Gone already where the test ended it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes the records of a journal anew into another data directory, each changed as `change` says; the checksums are
/// right. Checkpoints are copied as they are where `checkpoints` says so.
fn rewritten(from: &Path, checkpoints: bool, mut change: impl FnMut(u64, &mut Event)) -> TempDir {
    let dir = data_dir();
    let (from, to) = (from.join("ledger"), dir.path().join("ledger"));
    let options = Options { segment_bytes: 1 << 20, spare_segments: 1, emergency_bytes: 4_096 };
    let (mut journal, _) = Journal::open(Box::new(FileStorage::open(&to).unwrap()), options).unwrap();
    let mut bytes = Vec::new();
    dump(&FileStorage::open(&from).unwrap(), |item| {
        let Item::Record { lsn, payload, .. } = item else { panic!("{item:?}") };
        let mut event = Event::read(payload).unwrap();
        change(lsn, &mut event);
        event.write_to(&mut bytes);
        assert_eq!(journal.append(&bytes), lsn);
        journal.commit().unwrap();
    })
    .unwrap();
    drop(journal);
    for file in std::fs::read_dir(&from).unwrap().map(|entry| entry.unwrap().path()) {
        if checkpoints && file.extension().is_some_and(|extension| extension == "ckpt") {
            std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
        }
    }
    dir
}

/// The records of a journal.
fn records(data: &Path) -> Vec<(u64, Event, PathBuf, u64)> {
    let ledger = data.join("ledger");
    let mut records = Vec::new();
    dump(&FileStorage::open(&ledger).unwrap(), |item| {
        if let Item::Record { file, offset, lsn, payload } = item {
            records.push((lsn, Event::read(payload).unwrap(), ledger.join(file), offset));
        }
    })
    .unwrap();
    records
}
