//! Cores that do not sleep while something is measured.
//!
//! A core that has nothing to do is halted. On a virtual machine waking it can cost milliseconds, so that at a rate which
//! leaves pauses an open loop would measure the machine and not the server. A thread of the lowest class (`SCHED_IDLE`,
//! sched(7)) keeps each core awake and gives way at once. It lives in a process of its own, whose time counts neither as
//! the server's nor as the generator's; `chrt` of util-linux gives it its class.
//!
//! Invariant: that process ends with its parent, however the parent ends: it lives as long as its standard input.

use crate::process::{self, Cores};
use anyhow::{Context, bail};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The hidden command of this program that [`spin`]s.
pub(crate) const COMMAND: &str = "keep-awake";
/// What cannot start says so within this time.
const START: Duration = Duration::from_millis(50);
/// Pauses between two visits to the kernel: a few microseconds.
const SPINS: usize = 50;

/// Keeps cores awake as long as it lives.
#[derive(Debug)]
pub(crate) struct Awake(Child);

impl Awake {
    /// Keeps both cores awake from now on.
    ///
    /// # Errors
    /// `chrt` is missing, or refuses.
    pub(crate) fn keep(cores: Cores) -> anyhow::Result<Awake> {
        let both = [cores.server, cores.generator].map(|core| core.to_string());
        Awake::start(&std::env::current_exe()?, &[&[COMMAND.to_owned()], both.as_slice()].concat())
    }

    fn start(program: &Path, arguments: &[String]) -> anyhow::Result<Awake> {
        let mut command = Command::new("chrt");
        command.args(["--idle", "0"]).arg(program).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::inherit());
        let spawned = command.spawn();
        let mut awake =
            Awake(spawned.context("cannot start chrt (of util-linux), which --keep-awake needs")?);
        std::thread::sleep(START);
        if let Some(status) = awake.0.try_wait()? {
            bail!("what keeps the cores awake ended at once ({status}): run without --keep-awake");
        }
        Ok(awake)
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        // Errors mean that it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Keeps these cores busy until standard input ends.
pub(crate) fn spin(cores: Vec<usize>) -> anyhow::Result<()> {
    for core in cores {
        std::thread::spawn(move || {
            // Where it cannot move it would take a core from somebody else.
            if process::pin(core).is_ok() {
                loop {
                    (0..SPINS).for_each(|_| std::hint::spin_loop());
                    // Who is woken from another core waits for this thread's next visit to the kernel, and the timer's
                    // comes every 4 ms only.
                    std::thread::yield_now();
                }
            }
        });
    }
    let mut input = std::io::stdin().lock();
    while input.read(&mut [0; 64])? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Field 41 of proc_pid_stat(5), and SCHED_IDLE in it (sched.h).
    const POLICY: usize = 41;
    const IDLE: &str = "5";

    #[test]
    fn what_it_starts_has_the_lowest_class_and_ends_with_it() {
        let awake = Awake::start(Path::new("cat"), &[]).unwrap();
        let id = awake.0.id();
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
        assert_eq!(process::stat_field(&stat, POLICY).unwrap(), IDLE, "{stat}");
        drop(awake);
        assert!(!Path::new(&format!("/proc/{id}")).exists());
    }

    #[test]
    fn what_cannot_start_is_an_error_that_says_how_to_go_on() {
        let error = Awake::start(Path::new("false"), &[]).unwrap_err().to_string();
        assert!(error.contains("without --keep-awake"), "{error}");
    }
}
