//! Trial F4: one exchange asks as fast as it is answered. The others must have their bids as before: what an exchange
//! may ask for a second is in its profile (`max_qps`), and what is over it is answered 204 without being worked on.

use super::super::account::{self, LINES};
use super::super::edge::is_well;
use super::super::good::{self, Good, Stretch};
use super::super::http::Client;
use super::super::server::Site;
use super::super::table::{Row, Table, Verdict};
use anyhow::Context;
use serde_json::Value;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The one that floods, capped and not.
const FLOOD: [(&str, Option<u32>); 2] = [("flood", Some(500)), ("flood-uncapped", None)];
/// Its connections, each of which asks again at once.
const CONNECTIONS: usize = 32;
const EACH: Duration = Duration::from_secs(4);
const TURNS: usize = 3;
/// The others' goodput in percent of what it is without the flood.
const LEAST: f64 = 95.0;

/// Runs the trial.
pub(crate) fn run(program: &Path, dir: &Path, seed: u64, say: &mut dyn FnMut(String)) -> anyhow::Result<()> {
    let mut table = Table::new(say);
    let outcome = flood(program, dir, seed, &mut table);
    table.carried("F4", outcome);
    table.end()
}

fn flood(program: &Path, dir: &Path, seed: u64, table: &mut Table<'_>) -> anyhow::Result<()> {
    let site = good::site(program, dir, seed)?;
    add_exchanges(&site)?;
    let mut server = site.start()?;
    let good = Good { rate: 200, connections: 4, ..Good::at(site.at[0]) };
    good.calm(Duration::from_secs(2));
    for (name, cap) in FLOOD {
        let (mut calm, mut beside, mut floods) = (Stretch::default(), Stretch::default(), 0);
        for _ in 0..TURNS {
            calm.add(&good.calm(EACH));
            let (seen, count) = good.during(|| pour(&site, name));
            beside.add(&seen);
            floods += count?;
        }
        let goodput = |stretch: &Stretch| stretch.bids as f64 / (EACH.as_secs_f64() * TURNS as f64);
        let percent = 100.0 * goodput(&beside) / goodput(&calm).max(1e-9);
        let shed = good::metric(&site, "outbid_shed_total{reason=\"queue\"}")?;
        let row = Row {
            trial: "F4",
            what: match cap {
                Some(cap) => format!("flood of an exchange with max_qps {cap}: the other's goodput"),
                None => {
                    "flood of an exchange without max_qps: the other's goodput (for comparison)".to_owned()
                }
            },
            figure: format!(
                "{percent:.1} % ({:.0} → {:.0} bids/s, p99 {} → {} µs, {} → {} without a bid, {} failed); flood {:.0}/s; \
                 {shed} shed for lateness so far",
                goodput(&calm),
                goodput(&beside),
                calm.quantile_us(990),
                beside.quantile_us(990),
                calm.no_bids,
                beside.no_bids,
                beside.failed(),
                floods as f64 / (EACH.as_secs_f64() * TURNS as f64),
            ),
            limit: format!("{LEAST} %"),
            verdict: match cap {
                Some(_) => Verdict::of(percent >= LEAST && beside.failed() == 0),
                // Nobody promises anything where the profile has no cap.
                None => Verdict::Pass,
            },
        };
        table.row(row);
    }
    is_well(&site, &mut server)
}

/// Two more exchanges like the first.
fn add_exchanges(site: &Site) -> anyhow::Result<()> {
    let path = site.dir.join("account.json");
    let mut account: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
    let exchanges = account["exchanges"].as_array_mut().context("no exchanges")?;
    for (number, (name, cap)) in FLOOD.into_iter().enumerate() {
        let mut more = exchanges[0].clone();
        more["id"] = (number + 2).to_string().into();
        more["name"] = name.into();
        if let Some(cap) = cap {
            more["max_qps"] = cap.into();
        }
        exchanges.push(more);
    }
    Ok(std::fs::write(&path, format!("{account:#}\n"))?)
}

/// Asks as fast as it is answered; how many answers came.
fn pour(site: &Site, exchange: &str) -> anyhow::Result<u64> {
    let (stop, count) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let (mut client, body) = (Client::new(site.at[0]), account::request(&LINES[0], "flood"));
                while !stop.load(Relaxed) {
                    // A flood is not choosy: what is not answered is not counted.
                    count.fetch_add(u64::from(client.bid(exchange, &body).is_ok()), Relaxed);
                }
            });
        }
        std::thread::sleep(EACH);
        stop.store(true, Relaxed);
    });
    Ok(count.load(Relaxed))
}
