//! Allocations of a whole request, hyper's and every other thread's included: `cargo bench --bench requests`.
//!
//! The real server runs in this process, on the seeded world with its ledger thread and without an event log, and is
//! asked over a connection of loopback by a client that allocates nothing. Blocks are counted by dhat, the allocator of
//! this program, over all threads.
#![allow(clippy::print_stdout, reason = "figures are what it is for")]

#[path = "../loadtest/src/bodies.rs"]
#[allow(dead_code, unused_imports, reason = "outbid-load uses the rest")]
mod bodies;
#[path = "../loadtest/src/json.rs"]
#[allow(unused_imports, reason = "its tests run with outbid-load's")]
mod json;
#[path = "../loadtest/src/market/mod.rs"]
#[allow(dead_code, unused_imports, reason = "outbid-load uses the rest")]
mod market;
#[allow(dead_code, reason = "each bench uses its part")]
mod seeded;
#[path = "../loadtest/src/world.rs"]
#[allow(dead_code, unused_imports, reason = "outbid-load uses the rest")]
mod world;

use anyhow::{Context, ensure};
use outbid::cli::seed::{WorldParams, facts};
use outbid::serve;
use seeded::{PARAMS, REQUESTS};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Allocations of one request that architecture.md section 8 allows.
const LIMIT: f64 = 25.0;

fn main() -> anyhow::Result<()> {
    let params = WorldParams { users: 10_000, line_items: 1_000, ..PARAMS };
    let (shared, bodies) = seeded::server(&params)?;
    let running = serve::start(Arc::clone(&shared))?;
    let address = running.addresses.bid;
    let requests: Vec<Vec<u8>> = bodies
        .iter()
        .map(|body| {
            let head = format!(
                "POST /openrtb2/{} HTTP/1.1\r\nHost: bid\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                facts::EXCHANGE,
                body.len()
            );
            [head.as_bytes(), body.as_bytes()].concat()
        })
        .collect();
    let mut exchange = TcpStream::connect(address).context("connect")?;
    exchange.set_nodelay(true)?;
    let mut answer = vec![0; 256 << 10];
    let mut bids = 0;
    for request in &requests {
        bids += usize::from(ask(&mut exchange, request, &mut answer)?);
    }
    let profiler = dhat::Profiler::builder().testing().build();
    let before = dhat::HeapStats::get().total_blocks;
    for request in &requests {
        ask(&mut exchange, request, &mut answer)?;
    }
    let blocks = dhat::HeapStats::get().total_blocks - before;
    drop(profiler);
    let a_request = blocks as f64 / REQUESTS as f64;
    println!("| whole request | figure | limit |\n|---|---|---|");
    println!("| allocations, {bids} of {REQUESTS} bid on | {a_request:.2} | ≤ {LIMIT} |");
    ensure!(a_request <= LIMIT, "a request allocates {a_request:.2} times; the limit is {LIMIT}");
    // The process ends with its threads.
    Ok(())
}

/// Sends a request and reads its answer to the end; whether it was a bid.
fn ask(exchange: &mut TcpStream, request: &[u8], answer: &mut [u8]) -> anyhow::Result<bool> {
    exchange.write_all(request)?;
    let mut read = 0;
    loop {
        let more = exchange.read(&mut answer[read..])?;
        ensure!(more > 0, "the server closed the connection");
        read += more;
        let Some(head) = memchr::memmem::find(&answer[..read], b"\r\n\r\n") else { continue };
        let is_bid = answer.starts_with(b"HTTP/1.1 200");
        let rest = if is_bid { content_length(&answer[..head]).context("no content-length")? } else { 0 };
        if read >= head + 4 + rest {
            return Ok(is_bid);
        }
    }
}

fn content_length(head: &[u8]) -> Option<usize> {
    let head = std::str::from_utf8(head).ok()?;
    let line = head.split("\r\n").find_map(|line| line.strip_prefix("content-length: "))?;
    line.trim().parse().ok()
}
