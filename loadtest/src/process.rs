//! A server as a child process: started on its own core, its CPU time read, always stopped.
//!
//! Invariant: a [`Server`] that goes out of scope, on whatever path, is terminated and waited for. Linux only:
//! CPU time comes from `/proc`.

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a server may take from SIGTERM to its end before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// Where things run: the server on one core, the generator on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cores {
    /// The server's core.
    pub(crate) server: usize,
    /// The generator's core.
    pub(crate) generator: usize,
}

impl Cores {
    /// The first two cores that this process may use; `None` where there is only one, or where it cannot be asked.
    pub(crate) fn choose() -> Option<Cores> {
        let allowed = sched_getaffinity(None).ok()?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        Some(Cores { server: cores.next()?, generator: cores.next()? })
    }
}

/// Puts the calling thread, and the threads and processes that it starts from now on, on one core.
pub(crate) fn pin(core: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("cannot move to core {core}"))
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts `command` on the server's core; its output goes to the file `log`. The calling thread ends up on the
    /// generator's core: affinity is inherited, so the child is placed before it exists and no thread of it escapes.
    pub(crate) fn start(
        name: &'static str,
        mut command: Command,
        cores: Option<Cores>,
        log: &Path,
    ) -> anyhow::Result<Server> {
        let output =
            std::fs::File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        if let Some(cores) = cores {
            pin(cores.server)?;
        }
        let spawned = command.spawn();
        if let Some(cores) = cores {
            pin(cores.generator)?;
        }
        let child =
            spawned.with_context(|| format!("cannot start {:?} as the {name}", command.get_program()))?;
        Ok(Server { name, child, log: log.to_owned() })
    }

    /// An error that quotes the end of its output if the server is no longer there.
    pub(crate) fn check_alive(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the {} ended by itself ({status}); its last output: {}", self.name, self.last_output());
        }
        Ok(())
    }

    /// The end of what it printed.
    pub(crate) fn last_output(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The CPU time that it has used so far.
    pub(crate) fn cpu_time(&self) -> anyhow::Result<CpuTime> {
        CpuTime::of(self.child.id()).with_context(|| format!("cannot read the CPU time of the {}", self.name))
    }

    /// SIGKILL, and its end.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn stop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let terminated = pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
        let step = Duration::from_millis(20);
        let mut waited = Duration::ZERO;
        while terminated && waited < STOP_LIMIT {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(step),
                _ => return,
            }
            waited += step;
        }
        // Errors mean that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A reading of the CPU time, user and system, of a process and its threads.
#[derive(Clone, Debug)]
pub(crate) struct CpuTime {
    /// The scheduler's exact nanoseconds of every living thread; empty where the kernel does not keep them.
    threads: BTreeMap<u32, u64>,
    /// The whole process, ended threads included, in nanoseconds; exact to [`TICKS_ERROR_NS`].
    ticks_ns: u64,
}

/// How far a difference of `ticks_ns` may be too large: a tick of 10 ms each for user and system time.
const TICKS_ERROR_NS: u64 = 20_000_000;

impl CpuTime {
    /// Reads it now.
    pub(crate) fn of(pid: u32) -> anyhow::Result<CpuTime> {
        let ticks_ns = tick_ns(&std::fs::read_to_string(format!("/proc/{pid}/stat"))?)?;
        let mut threads = BTreeMap::new();
        for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
            threads.extend(thread_ns(&task?.path()));
        }
        Ok(CpuTime { threads, ticks_ns })
    }

    /// Nanoseconds used since `earlier`. What the living threads used misses those that ended in between, and the
    /// ticks are coarse; both are lower bounds, so the larger one stands.
    pub(crate) fn since_ns(&self, earlier: &CpuTime) -> u64 {
        let of_thread =
            |(id, now): (&u32, &u64)| now.saturating_sub(earlier.threads.get(id).copied().unwrap_or(0));
        let exact: u64 = self.threads.iter().map(of_thread).sum();
        let coarse = self.ticks_ns.saturating_sub(earlier.ticks_ns).saturating_sub(TICKS_ERROR_NS);
        exact.max(coarse)
    }
}

/// Thread id and run time out of `/proc/<pid>/task/<tid>`; `None` for a thread that is just ending.
fn thread_ns(task: &Path) -> Option<(u32, u64)> {
    let id = task.file_name()?.to_str()?.parse().ok()?;
    let text = std::fs::read_to_string(task.join("schedstat")).ok()?;
    Some((id, text.split(' ').next()?.parse().ok()?))
}

/// `utime` + `stime` of a line of `/proc/<pid>/stat` (proc_pid_stat(5), fields 14 and 15), at Linux's 100 ticks a
/// second.
fn tick_ns(stat: &str) -> anyhow::Result<u64> {
    let ticks = |number| stat_field(stat, number)?.parse::<u64>().context("no number");
    Ok((ticks(14)? + ticks(15)?) * 10_000_000)
}

/// The field of this number, from 3 on, in a line of `/proc/<pid>/stat` (proc_pid_stat(5)).
pub(crate) fn stat_field(stat: &str, number: usize) -> anyhow::Result<&str> {
    // The name in parentheses may hold anything, so fields are counted from its end: the next one is number 3.
    let after_name = stat.rsplit_once(") ").context("no name in stat")?.1;
    after_name.split(' ').nth(number - 3).context("stat is too short")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_a_hostile_process_name() {
        let stat = "42 (a ) b (c) S 1 42 42 0 -1 4194560 900 0 0 0 150 25 7 9 20 0 1 0 100 5 6";
        assert_eq!(tick_ns(stat).unwrap(), 1_750_000_000);
        assert!(tick_ns("42 (short) S 1").is_err());
    }

    #[test]
    fn ended_threads_are_counted_by_the_ticks_and_new_ones_in_full() {
        let reading = |threads: &[(u32, u64)], ticks_ns| CpuTime {
            threads: threads.iter().copied().collect(),
            ticks_ns,
        };
        let earlier = reading(&[(1, 500), (2, 900_000_000)], 900_000_000);
        assert_eq!(reading(&[(1, 700), (2, 900_000_100)], 900_000_000).since_ns(&earlier), 300);
        assert_eq!(reading(&[(1, 700), (2, 900_000_000), (3, 40)], 900_000_000).since_ns(&earlier), 240);
        assert_eq!(reading(&[(1, 700)], 1_000_000_000).since_ns(&earlier), 80_000_000);
        assert_eq!(reading(&[], 1_000_000_000).since_ns(&reading(&[], 900_000_000)), 80_000_000);
    }

    #[test]
    fn cpu_time_of_this_process_grows_with_its_work() {
        let pid = std::process::id();
        let before = CpuTime::of(pid).unwrap();
        let mut x = 1u64;
        for _ in 0..100_000_000u64 {
            x = std::hint::black_box(x.wrapping_mul(3) ^ (x >> 7));
        }
        let used = CpuTime::of(pid).unwrap().since_ns(&before);
        assert!((10_000_000..60_000_000_000).contains(&used), "{used} ns for {x}");
    }

    #[test]
    fn a_server_out_of_scope_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sleep");
        command.arg("60");
        let server = Server::start("sleeper", command, None, &dir.path().join("log")).unwrap();
        let pid = server.child.id();
        assert!(Path::new(&format!("/proc/{pid}")).exists());
        drop(server);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn a_server_that_fails_is_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such key >&2; exit 3"]);
        let mut server = Server::start("failure", command, None, &dir.path().join("log")).unwrap();
        let error = loop {
            match server.check_alive() {
                Ok(()) => std::thread::sleep(Duration::from_millis(5)),
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.contains("no such key") && error.contains("exit status: 3"), "{error}");
    }
}
