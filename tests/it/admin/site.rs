//! The real program on a fresh data directory, every listener on a port that was free.

use super::calls::{Calls, KEY, request};
use crate::server::{Client, Reply};
use outbid::model::clock::Clock;
use outbid::telemetry::clock::SystemClock;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

pub(super) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_outbid"))
}

/// Runs the program to its end.
pub(super) fn run(arguments: &[&str]) -> String {
    let done = Command::new(program()).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{arguments:?}: {said}{}", String::from_utf8_lossy(&done.stderr));
    said
}

/// A directory and the server on it.
pub(super) struct Site {
    dir: TempDir,
    sets: Vec<String>,
    child: Child,
    pub(super) bid: SocketAddr,
    pub(super) track: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) ops: SocketAddr,
}

impl Site {
    /// An empty account, served.
    pub(super) fn fresh(sets: &[&str]) -> Site {
        let dir = tempfile::tempdir().unwrap();
        run(&["init", "--data-dir", dir.path().to_str().unwrap()]);
        Site::of(dir, sets)
    }

    /// Serves what lies in a directory.
    pub(super) fn of(dir: TempDir, sets: &[&str]) -> Site {
        let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
        let (child, at) = start(dir.path(), &sets);
        let [bid, track, admin, ops] = at;
        Site { dir, sets, child, bid, track, admin, ops }
    }

    /// Stops it as an operator does, and starts it again.
    pub(super) fn restart(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.stop();
        }
        let (child, at) = start(self.dir.path(), &self.sets);
        self.child = child;
        [self.bid, self.track, self.admin, self.ops] = at;
    }

    /// Ends it in the middle of whatever it does, and starts it again.
    pub(super) fn crash(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let (child, at) = start(self.dir.path(), &self.sets);
        self.child = child;
        [self.bid, self.track, self.admin, self.ops] = at;
    }

    /// Stops it and starts it where it cannot: how it ended, and what it said.
    pub(super) fn fails_to_restart(&mut self) -> (Option<i32>, String) {
        let _gone = self.child.kill();
        self.child.wait().unwrap();
        let sets = [format!("data.dir={}", self.dir.path().display()), "engine.cores=1".to_owned()];
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        let done = Command::new(program()).arg("serve").args(sets).stdin(Stdio::null()).output().unwrap();
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    }

    fn stop(&mut self) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success(), "{}", self.log());
    }

    /// Tells it that something is new, as an operator does.
    pub(super) fn hang_up(&self) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::HUP).unwrap();
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(log_of(self.dir.path())).unwrap()
    }

    /// The bid on [`request`], if there is one.
    pub(super) fn bid(&self) -> Option<Value> {
        let reply = Client::connect(self.bid).bid("north", request().to_string().as_bytes()).unwrap();
        (reply.status == 200).then(|| reply.json()["seatbid"][0]["bid"][0].clone())
    }

    /// What is bid.
    pub(super) fn price(&self) -> Option<f64> {
        self.bid().map(|bid| bid["price"].as_f64().unwrap())
    }

    /// The value of one line of `/metrics`; 0 where it is not there yet.
    pub(super) fn metric(&self, line: &str) -> f64 {
        let reply = Client::connect(self.ops).send("GET", "/metrics", &[], b"").unwrap();
        let value = reply.text().lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(' ')).unwrap_or("0");
        value.parse().unwrap()
    }

    /// Waits until bids are as they should be, and for how long, from the answer to what was done.
    pub(super) fn until(&self, what: &str, mut is_so: impl FnMut(&Site) -> bool) -> Duration {
        let clock = SystemClock::new();
        let begun_ns = clock.mono_ns();
        let passed = || Duration::from_nanos(clock.mono_ns() - begun_ns);
        while !is_so(self) {
            assert!(passed() < Duration::from_secs(20), "{what}: not within 20 s; {}", self.log());
            std::thread::sleep(Duration::from_millis(1));
        }
        passed()
    }
}

impl Calls for Site {
    fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let key = format!("Bearer {KEY}");
        let headers: Vec<(&str, &str)> =
            headers.iter().copied().chain([("authorization", key.as_str())]).collect();
        Client::connect(self.admin).send(method, path, &headers, body.as_bytes()).unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // Whether it is still there or not: nothing is left behind.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// The configuration file of a directory, where a trial has written one.
pub(super) fn config_of(dir: &Path) -> PathBuf {
    dir.join("outbid.toml")
}

fn log_of(dir: &Path) -> PathBuf {
    dir.join("server.log")
}

/// Starts the server and waits until it says where it listens.
fn start(dir: &Path, sets: &[String]) -> (Child, [SocketAddr; 4]) {
    let log = std::fs::File::create(log_of(dir)).unwrap();
    let mut command = Command::new(program());
    command.arg("serve").stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    let own = [
        format!("data.dir={}", dir.display()),
        format!("admin.bootstrap_key={KEY}"),
        "listen.bid=127.0.0.1:0".to_owned(),
        "listen.track=127.0.0.1:0".to_owned(),
        "listen.admin=127.0.0.1:0".to_owned(),
        "listen.ops=127.0.0.1:0".to_owned(),
        "engine.cores=1".to_owned(),
        // A machine that compiles beside the tests is late with everything, and that is not what is tried here.
        "engine.budget_us=1000000".to_owned(),
        "server.queue_shed_ms=10000".to_owned(),
        "server.queue_shed_window_ms=60000".to_owned(),
        "server.drain_grace_ms=0".to_owned(),
        "ledger.segment_bytes=1048576".to_owned(),
        "admin.rate_per_s=100000".to_owned(),
        "admin.burst=100000".to_owned(),
    ];
    let file = config_of(dir);
    let is_configured = file.exists();
    if is_configured {
        command.arg("--config").arg(file);
    }
    // What a trial's own file says of the admin API is not overruled.
    for set in own.iter().filter(|set| !(is_configured && set.starts_with("admin."))).chain(sets) {
        command.args(["--set", set]);
    }
    let mut child = command.spawn().unwrap();
    for _ in 0..6_000 {
        let said = std::fs::read_to_string(log_of(dir)).unwrap();
        if let Some(line) = said.lines().find(|line| line.contains("serving bid=") && line.contains(" ops="))
        {
            let at = ["bid", "track", "admin", "ops"].map(|name| {
                let value =
                    line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
                value.unwrap().parse().unwrap()
            });
            return (child, at);
        }
        if let Some(status) = child.try_wait().unwrap() {
            panic!("{status}: {said}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _gone = child.kill();
    panic!("it does not serve within 30 s: {}", std::fs::read_to_string(log_of(dir)).unwrap());
}
