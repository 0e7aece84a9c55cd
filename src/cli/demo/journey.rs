//! The journey of each sample: request → segments → bid → win → billing → impression → click → spend, over HTTP
//! against the demo's own server, with every step checked.

use super::PUBLIC_URL;
use super::client::{self, Answer};
use super::samples::{self, Sample};
use super::{media, world};
use crate::budget::{AccountKey, Terms, charge};
use crate::cli::Failure;
use crate::cli::output::table;
use crate::model::creative::StreamEvent;
use crate::model::ids::{AdvertiserId, CreativeId};
use crate::model::money::{Cpm, Nanos};
use crate::model::rates::Rate;
use crate::serve::{Addresses, Shared};
use anyhow::{Context, anyhow};
use serde_json::Value;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How long a bid that should come may be missing: many times what a busy disk takes to make a lease durable.
const PATIENCE: Duration = Duration::from_secs(5);

/// Makes every journey and prints the table. Returns what went wrong, in words.
pub(super) fn travel(shared: &Arc<Shared>, at: &Addresses) -> Result<Vec<String>, Failure> {
    let mut failed = Vec::new();
    let mut rows = Vec::new();
    let before = wallet_spent(shared);
    let mut expected = Nanos(0);
    for (number, sample) in (1..).zip(&samples::ALL) {
        let mut trip = Trip { shared, at, sample, problems: Vec::new(), cells: Vec::new() };
        let charged = trip.make(number)?;
        expected.0 += charged.0;
        let spent = Nanos(wallet_spent(shared).0 - before.0);
        if spent != expected {
            trip.problems.push(format!("the wallet shows {spent} spent, the notices say {expected}"));
        }
        trip.cells.push(spent.to_string());
        failed.extend(trip.problems.iter().map(|problem| format!("{number} {}: {problem}", sample.title)));
        let mut row = vec![number.to_string(), sample.title.to_owned(), sample.user()];
        row.append(&mut trip.cells);
        rows.push(row);
    }
    let header =
        ["#", "what it shows", "user", "line item", "bid CPM", "win", "billed", "seen", "click", "spend USD"];
    print!("{}", table(&header, &rows));
    println!(
        "\nspend is what the ledger posted: clearing price + data fee + platform share, an impression at a time; +5 in \
         seen are the reports of a player that plays to the end"
    );
    Ok(failed)
}

fn wallet_spent(shared: &Shared) -> Nanos {
    shared.ledger().balance(AccountKey::Wallet(AdvertiserId(1))).posted
}

struct Trip<'t> {
    shared: &'t Arc<Shared>,
    at: &'t Addresses,
    sample: &'t Sample,
    problems: Vec<String>,
    cells: Vec<String>,
}

impl Trip<'_> {
    /// Returns what the notices should have charged.
    fn make(&mut self, number: u32) -> Result<Nanos, Failure> {
        let (id, answer) = self.ask(number)?;
        let bid = match (answer.status, self.sample.expected) {
            (204, None) => {
                self.cells.extend(["no bid", "", "", "", "", ""].map(str::to_owned));
                return Ok(Nanos(0));
            }
            (200, Some(_)) => only_bid(&answer, &id)?,
            (status, expected) => {
                self.problems
                    .push(format!("status {status}, expected {}", expected.map_or("204", |_| "200")));
                self.cells.extend(["?", "", "", "", "", ""].map(str::to_owned));
                return Ok(Nanos(0));
            }
        };
        self.check_line_item(&bid);
        let price = bid["price"].to_string();
        let bid_price =
            Cpm::parse_decimal(&price, false).ok_or_else(|| anyhow!("price {price} is no decimal"))?;
        // The second-price exchange of the demo clears at 70 % of the bid.
        let clearing = if self.sample.exchange == "demo2" { bid_price.scale_ppm(700_000) } else { bid_price };
        self.cells.push(bid_price.to_string());
        let win = self.fire(&bid, "nurl", clearing, 204, "accepted")?;
        let billed = self.fire(&bid, "burl", clearing, 204, "accepted")?;
        self.fire(&bid, "burl", clearing, 204, "duplicate")?;
        self.cells.push(mark(win));
        self.cells.push(if billed { format!("✓ {clearing}") } else { "✗".to_owned() });
        let seen = self.follow_markup(&bid, "/i/", 200)?;
        let clicked = self.follow_markup(&bid, "/c/", 302)?;
        let played = self.play(&bid)?;
        self.cells.push(if played > 0 { format!("{} +{played}", mark(seen)) } else { mark(seen) });
        self.cells.push(mark(clicked));
        let advertiser = &self.shared.snapshots().load().catalog.advertisers()[0].clone();
        let terms = Terms {
            rate: Rate::ONE,
            data_fee: advertiser.data_fee,
            platform_ppm: advertiser.platform_ppm,
            multiplier_ppm: self.sample.multiplier_ppm(),
        };
        Ok(charge(clearing, &terms).context("charge")?)
    }

    /// The id that was asked under and the answer. A bid never waits for the disk: where a line item's money for the
    /// next impression is still being made durable, the answer is 204 and an exchange's next request gets the bid. So
    /// a 204 where a bid is expected is asked again, as an exchange would, for [`PATIENCE`].
    fn ask(&self, number: u32) -> Result<(String, Answer), Failure> {
        let clock = self.shared.clock();
        let until_ns = clock.mono_ns() + PATIENCE.as_nanos() as u64;
        let path = format!("/openrtb2/{}", self.sample.exchange);
        loop {
            let id = format!("demo-{number}-{:08x}", rand::random::<u32>());
            let body = samples::request(&id, self.sample).to_string();
            let answer = client::send(self.at.bid, "POST", &path, body.as_bytes())?;
            if answer.status != 204 || self.sample.expected.is_none() || clock.mono_ns() > until_ns {
                return Ok((id, answer));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The creative says which line item answered.
    fn check_line_item(&mut self, bid: &Value) {
        let crid = bid["crid"].as_str().and_then(|crid| crid.parse().ok()).map(CreativeId);
        let snapshot = self.shared.snapshots().load();
        let name =
            crid.and_then(|id| snapshot.catalog.creative_by_id(id)).map(|entry| entry.creative.name.clone());
        let key = name.as_deref().and_then(|name| name.split(' ').next()).unwrap_or("nobody").to_owned();
        if Some(key.as_str()) != self.sample.expected {
            self.problems
                .push(format!("{key:?} bids, expected {:?}", self.sample.expected.unwrap_or_default()));
        }
        let persona = world::PERSONAS.iter().find(|persona| persona.key == key).map(|persona| persona.name);
        let medium = media::NAMES.iter().find(|(medium, _)| *medium == key).map(|(_, name)| *name);
        self.cells.push(persona.or(medium).unwrap_or("Everyone else").to_owned());
    }

    /// Fires a notice as the exchange would: macros substituted, against the tracking listener.
    fn fire(
        &mut self,
        bid: &Value,
        field: &str,
        clearing: Cpm,
        status: u16,
        class: &str,
    ) -> Result<bool, Failure> {
        let url = bid[field].as_str().ok_or_else(|| anyhow!("the bid has no {field}"))?;
        let url = url
            .replace("${AUCTION_PRICE}", &clearing.to_string())
            .replace("${AUCTION_CURRENCY}", "USD")
            .replace("${AUCTION_MULTIPLIER}", "")
            .replace("${AUCTION_MBR}", "")
            .replace("${AUCTION_MIN_TO_WIN}", "");
        let answer = self.get(&url)?;
        let became = answer.header("x-outbid-notice").unwrap_or("unclassed").to_owned();
        let good = answer.status == status && became == class;
        if !good {
            self.problems.push(format!(
                "{field}: status {} and {became:?}, expected {status} and {class:?}",
                answer.status
            ));
        }
        Ok(good)
    }

    /// Follows the pixel or the click URL of the markup as a browser would.
    fn follow_markup(&mut self, bid: &Value, kind: &str, status: u16) -> Result<bool, Failure> {
        let markup = bid["adm"].as_str().ok_or_else(|| anyhow!("the bid has no adm"))?;
        let needle = format!("{PUBLIC_URL}{kind}");
        let Some(start) = markup.find(&needle) else {
            self.problems.push(format!("the markup has no {kind} URL"));
            return Ok(false);
        };
        // An attribute ends with a quote, an element's text with the next tag.
        let url = markup[start..].split(['"', '<']).next().unwrap_or_default();
        let answer = self.get(url)?;
        let landed =
            answer.header("location").is_none_or(|to| to.starts_with("https://www.harbour-mutual.example/"));
        let good = answer.status == status && landed;
        if !good {
            self.problems.push(format!("{kind}: status {}, expected {status}", answer.status));
        }
        Ok(good)
    }

    /// Plays video or audio to its end as a player would, and counts what it reports.
    fn play(&mut self, bid: &Value) -> Result<usize, Failure> {
        let markup = bid["adm"].as_str().unwrap_or_default();
        let needle = format!("{PUBLIC_URL}/e/");
        let urls = markup.match_indices(&needle).map(|(at, _)| &markup[at..]);
        let urls = urls.map(|rest| rest.split(['"', '<', '\\']).next().unwrap_or_default());
        // XML's escapes of the two characters of a URL that it has any for.
        let urls: Vec<String> = urls.map(|url| url.replace("&#x3F;", "?").replace("&#x3D;", "=")).collect();
        let never = [StreamEvent::Skip, StreamEvent::Error].map(|event| format!("e={}", event.name()));
        let mut played = 0;
        for url in urls.iter().filter(|url| !never.iter().any(|event| url.contains(event))) {
            let answer = self.get(url)?;
            let became = answer.header("x-outbid-notice").unwrap_or("unclassed");
            if answer.status == 200 && became == "accepted" {
                played += 1;
            } else {
                self.problems.push(format!("{url}: status {} and {became:?}", answer.status));
            }
        }
        Ok(played)
    }

    fn get(&self, url: &str) -> Result<Answer, Failure> {
        let path =
            url.strip_prefix(PUBLIC_URL).ok_or_else(|| anyhow!("{url} does not begin with {PUBLIC_URL}"))?;
        Ok(client::send(self.at.track, "GET", path, b"")?)
    }
}

fn only_bid(answer: &Answer, id: &str) -> Result<Value, Failure> {
    let response: Value = serde_json::from_slice(&answer.body).context("the answer is no JSON")?;
    if response["id"] != id {
        return Err(Failure::Failed(anyhow!("the answer is to {}, not to {id:?}", response["id"])));
    }
    Ok(response["seatbid"][0]["bid"][0].clone())
}

fn mark(good: bool) -> String {
    if good { "✓" } else { "✗" }.to_owned()
}
