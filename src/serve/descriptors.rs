//! File descriptors. Connections get what the process's own files leave: a journal that cannot open its next segment
//! ends the process, so no peer may take the descriptor for it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Of a thread that serves: its runtime's, and the socket it listens on.
const PER_THREAD: u64 = 5;
/// For files that are opened while the process works: next segments, their directories, readers of the event log. A
/// connection that a listener accepts only to close it has one of them for a moment.
const RESERVE: u64 = 8;
/// What is assumed to be open where the system does not say.
const ASSUMED: u64 = 64;

/// Most open connections by listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Shares {
    pub(super) bid: usize,
    pub(super) track: usize,
    pub(super) admin: usize,
    pub(super) ops: usize,
}

/// Allows the process as many descriptors as the system lets it: the usual soft limit is from times of select(2) and
/// lies below any hard one. How many that are; `None` = no limit.
pub(super) fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // What cannot be raised stays as it is, and is read below.
        let _refused = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    }
    getrlimit(Resource::Nofile).current
}

/// How many descriptors a process with `threads` serving threads takes without any connection, from what is open now.
pub(super) fn needed(threads: u64) -> u64 {
    // One of them is the directory that is being read.
    let open = std::fs::read_dir("/proc/self/fd").map_or(ASSUMED, |open| (open.count() as u64).max(1) - 1);
    open + threads * PER_THREAD + RESERVE
}

/// Divides what is left: operators and browsers get something even where exchanges take all they can. `None` = there is
/// not one for each listener.
pub(super) fn shares(limit: Option<u64>, needed: u64, most: usize) -> Option<Shares> {
    let Some(limit) = limit else { return Some(Shares { bid: most, track: most, admin: most, ops: most }) };
    let room = usize::try_from(limit.saturating_sub(needed)).unwrap_or(usize::MAX);
    let (ops, admin) = ((room / 32).clamp(1, 256), (room / 16).clamp(1, 1_024));
    let track = (room / 4).clamp(1, most);
    let bid = room.checked_sub(ops + admin + track).filter(|bid| *bid > 0)?;
    Some(Shares { bid: bid.min(most), track, admin: admin.min(most), ops: ops.min(most) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_share_what_files_leave() {
        let check = |limit: Option<u64>, expected: Option<[usize; 4]>| {
            let found = shares(limit, 60, 20_000);
            let expected = expected.map(|[bid, track, admin, ops]| Shares { bid, track, admin, ops });
            assert_eq!(found, expected, "{limit:?}");
            if let (Some(found), Some(limit)) = (found, limit) {
                let all = (found.bid + found.track + found.admin + found.ops) as u64;
                assert!(all + 60 <= limit);
            }
        };
        check(None, Some([20_000; 4]));
        check(Some(1_048_576), Some([20_000, 20_000, 1_024, 256]));
        check(Some(20_060), Some([13_720, 5_000, 1_024, 256]));
        check(Some(66), Some([3, 1, 1, 1]));
        check(Some(64), Some([1, 1, 1, 1]));
        check(Some(63), None);
        check(Some(0), None);
    }
}
