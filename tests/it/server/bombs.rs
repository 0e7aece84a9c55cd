//! Trials C4 and C5: nesting and compression meant to kill. Over HTTP the server refuses them and lives; what they
//! cost is measured in a process of its own, because memory is counted by process and other trials run beside.

use super::Setup;
use bumpalo::Bump;
use flate2::{Compression, write::GzEncoder};
use outbid::exchange::{Inflater, Limits, ParseError, deflate, parse};
use std::io::Write;
use std::process::Command;
use std::sync::OnceLock;

/// Set in the process that measures.
const CHILD: &str = "OUTBID_TEST_BOMB";
/// What the bomb inflates to.
const BOMB_BYTES: usize = 200 << 20;
/// What the bomb may have on the heap at once: the cap of inflated bodies (1 MiB) and the buffer that it grows out of,
/// a quarter as large.
const MAX_HEAP: u64 = (5 << 18) + 4_096;
/// What the bomb may add to the memory of the process at its worst.
const MAX_GROWTH: u64 = 2 << 20;

/// 200 MiB of white space in about 200 KiB.
fn bomb() -> &'static [u8] {
    static BOMB: OnceLock<Vec<u8>> = OnceLock::new();
    BOMB.get_or_init(|| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let block = vec![b' '; 1 << 20];
        (0..BOMB_BYTES / block.len()).for_each(|_| encoder.write_all(&block).unwrap());
        encoder.finish().unwrap()
    })
}

#[test]
fn deep_nesting_and_bombs_are_refused_over_http_and_the_server_lives() {
    let server = Setup::demo().start();
    let good = super::good_request("good").to_string();
    let gzip = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let check = |name: &str, compressed: bool, body: &[u8], status: u16| {
        let mut client = server.exchange();
        let headers = if compressed { &gzip[..] } else { &gzip[..1] };
        let reply = client.send("POST", "/openrtb2/demo", headers, body).unwrap();
        assert_eq!((reply.status, reply.closes()), (status, false), "{name}");
        assert_eq!(client.bid("demo", good.as_bytes()).unwrap().status, 200, "after {name}");
    };
    let within = |head: &str, open: &str, count: usize| format!("{head}{}", open.repeat(count));
    check("2×10⁵ [", false, "[".repeat(200_000).as_bytes(), 400);
    check("2×10⁵ [ in an ignored field", false, within("{\"x\":", "[", 200_000).as_bytes(), 400);
    check("objects in an ignored field", false, within("{\"ext\":", "{\"a\":", 40_000).as_bytes(), 400);
    check("10⁶ [ compressed", true, &deflate("[".repeat(1_000_000).as_bytes()), 400);
    check(
        "10⁶ [ in an ignored field, compressed",
        true,
        &deflate(within("{\"x\":", "[", 1_000_000).as_bytes()),
        400,
    );
    assert!((190 << 10..220 << 10).contains(&bomb().len()), "{} bytes", bomb().len());
    check("a bomb", true, bomb(), 413);
    assert_eq!(server.metric("outbid_panics_total"), 0);
}

#[test]
fn a_bomb_costs_two_mib_of_memory() {
    if std::env::var_os(CHILD).is_some() {
        return measure();
    }
    let name = concat!(module_path!(), "::a_bomb_costs_two_mib_of_memory");
    let name = name.split_once("::").unwrap().1;
    let child = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stderr);
    eprintln!("{said}");
    assert!(child.status.success(), "{said}{}", String::from_utf8_lossy(&child.stdout));
    assert!(said.contains("a bomb of"), "the child measured nothing: {said}");
}

/// What the bid path does with a body, as far as it gets with these.
fn refuse(inflater: &mut Inflater, body: &[u8], inflated: &mut Vec<u8>, arena: &Bump) -> u16 {
    let limits = Limits::default();
    match inflater.inflate(body, limits.inflated_body, inflated) {
        Err(error) => error.status(),
        Ok(()) => parse(inflated, &limits.inflated(), arena).map_or_else(|error| error.status(), |_| 200),
    }
}

fn measure() {
    let bomb = bomb();
    let (mut inflater, mut inflated, arena) = (Inflater::new(), Vec::new(), Bump::new());
    // As in a server that has seen requests: the code is in memory, the buffers are small.
    let small = deflate(super::good_request("small").to_string().as_bytes());
    assert_eq!(refuse(&mut inflater, &small, &mut inflated, &arena), 200);
    reset_peak();
    let (before, cpu) = (peak_bytes(), cpu_ns());
    let mut status = 0;
    let heap = allocation_counter::measure(|| status = refuse(&mut inflater, bomb, &mut inflated, &arena));
    let (took, growth) = (cpu_ns() - cpu, peak_bytes() - before);
    assert_eq!(status, 413);
    eprintln!(
        "a bomb of {} bytes for {BOMB_BYTES}: status {status}, at most {} KiB of heap, peak memory of the process \
         + {} KiB, {:.2} ms of CPU",
        bomb.len(),
        heap.bytes_max >> 10,
        growth >> 10,
        took as f64 / 1e6
    );
    assert!(heap.bytes_max <= MAX_HEAP, "{heap:?}");
    assert!(growth <= MAX_GROWTH, "{growth} bytes");
    let raw = "[".repeat(200_000);
    let cpu = cpu_ns();
    let refused = parse(raw.as_bytes(), &Limits::default(), &arena);
    let took = cpu_ns() - cpu;
    assert!(matches!(refused, Err(ParseError::TooDeep { .. })), "{refused:?}");
    eprintln!("2×10⁵ [: {:.3} ms of CPU", took as f64 / 1e6);
    let zipped = deflate("[".repeat(1_000_000).as_bytes());
    let cpu = cpu_ns();
    let status = refuse(&mut inflater, &zipped, &mut inflated, &arena);
    eprintln!("10⁶ [ compressed: {:.3} ms of CPU", (cpu_ns() - cpu) as f64 / 1e6);
    assert_eq!(status, 400);
}

/// CPU time of this thread: the first number of `schedstat` (Linux, nanoseconds), brought up to date by a yield.
fn cpu_ns() -> u64 {
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_ascii_whitespace().next().unwrap().parse().unwrap()
}

/// Makes the peak of resident memory what is resident now (proc(5), `clear_refs`).
fn reset_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// The peak of resident memory since the last reset.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}
