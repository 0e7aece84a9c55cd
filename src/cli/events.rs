//! `outbid events cat|stat|verify`: what the event log says, also beside a running server: nothing is locked or changed.

use super::{Common, Failure, boot};
use crate::events::{EventReader, Item, LogName, segments};
use crate::model::event::{BidMade, Converted, Event, Kind, NoBid, NoticeEvent, Noticed, Place, What};
use anyhow::{Context, anyhow};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::time::Duration;

/// What to do with the event log.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Task {
    /// Shows records as JSON, one a line, the older of both logs first.
    Cat(CatArguments),
    /// Says what is kept: segments, sizes, records by kind, the times of the first and the last.
    Stat {
        #[command(flatten)]
        place: Where,
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Reads everything and names damaged and missing places; exits with 4 where there are any.
    Verify {
        #[command(flatten)]
        place: Where,
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// Which records to show.
#[derive(Debug, clap::Args)]
pub(super) struct CatArguments {
    #[command(flatten)]
    place: Where,
    /// One log alone.
    #[arg(long, value_name = "bids|notices", value_parser = log_name)]
    log: Option<LogName>,
    /// Begin with this number; needs --log.
    #[arg(long, value_name = "NUMBER", requires = "log", default_value_t = 1)]
    from: u64,
    /// These kinds alone: bid, no_bid, win, bill, loss, impression, click, player.
    #[arg(long, value_name = "KIND,…", value_delimiter = ',', value_parser = kind)]
    kind: Vec<Kind>,
    /// Stop after so many.
    #[arg(short = 'n', long, value_name = "COUNT")]
    count: Option<u64>,
    /// Go on waiting for more.
    #[arg(short, long)]
    follow: bool,
}

/// Where the event log is.
#[derive(Debug, clap::Args)]
pub(super) struct Where {
    /// The data directory; without it, the configured one.
    #[arg(long, visible_alias = "data-dir", value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Where {
    fn events(&self, common: &Common) -> Result<PathBuf, Failure> {
        let root = match &self.data {
            Some(root) => root.clone(),
            None => boot::configuration(common, Vec::new())?.data.dir,
        };
        let events = root.join("events");
        if events.is_dir() {
            return Ok(events);
        }
        Err(Failure::Failed(anyhow!(
            "{} is no data directory, because there is no events/ in it; name the directory that `outbid serve` uses \
             with --data DIR",
            root.display()
        )))
    }
}

fn log_name(text: &str) -> Result<LogName, String> {
    let found = LogName::ALL.into_iter().find(|name| name.as_str() == text);
    found.ok_or_else(|| "use bids or notices".to_owned())
}

fn kind(text: &str) -> Result<Kind, String> {
    let found = Kind::ALL.into_iter().find(|kind| kind.as_str() == text);
    found.ok_or_else(|| format!("use some of {}", Kind::ALL.map(Kind::as_str).join(", ")))
}

pub(super) fn run(common: &Common, task: &Task) -> Result<(), Failure> {
    match task {
        Task::Cat(arguments) => cat(common, arguments),
        Task::Stat { place, json } => stat(&place.events(common)?, *json),
        Task::Verify { place, json } => verify(&place.events(common)?, *json),
    }
}

/// A log while it is shown: its reader and what that found last.
struct Source {
    log: LogName,
    reader: EventReader,
    head: Option<Item>,
}

impl Source {
    fn look(&mut self) -> Result<(), Failure> {
        if self.head.is_none() {
            self.head = self.reader.next().context("event log")?;
        }
        Ok(())
    }

    /// Faults come before records, which come by their time.
    fn rank(&self) -> Option<i64> {
        self.head.as_ref().map(|item| match item {
            Item::Event(_, event) => event.at_ms,
            Item::Gap(..) | Item::Damaged { .. } => i64::MIN,
        })
    }
}

fn cat(common: &Common, arguments: &CatArguments) -> Result<(), Failure> {
    let events = arguments.place.events(common)?;
    let logs = arguments.log.map_or(LogName::ALL.to_vec(), |log| vec![log]);
    let source = |log: LogName| {
        let reader = EventReader::open(&log.dir(&events), arguments.from);
        Source { log, reader, head: None }
    };
    let mut sources: Vec<Source> = logs.into_iter().map(source).collect();
    let mut left = arguments.count.unwrap_or(u64::MAX);
    let mut out = BufWriter::new(std::io::stdout().lock());
    while left > 0 {
        sources.iter_mut().try_for_each(Source::look)?;
        let oldest =
            sources.iter_mut().filter(|source| source.head.is_some()).min_by_key(|source| source.rank());
        let Some((log, item)) = oldest.and_then(|source| Some((source.log, source.head.take()?))) else {
            if out.flush().is_err() || !arguments.follow {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        let line = match &item {
            Item::Event(number, event) => {
                if !arguments.kind.is_empty() && !arguments.kind.contains(&event.what.kind()) {
                    continue;
                }
                left -= 1;
                shown(log, *number, event)
            }
            fault => json!({ "log": log.as_str(), "kind": "fault", "fault": words(fault) }),
        };
        // Who closed standard output wants no more.
        if writeln!(out, "{line}").is_err() {
            break;
        }
    }
    let _gone = out.flush();
    Ok(())
}

/// A moment in UTC; one that no calendar has as its number.
fn utc_text(unix_ms: i64) -> String {
    Timestamp::from_millisecond(unix_ms).map_or_else(|_| format!("{unix_ms} ms"), |at| at.to_string())
}

/// A gap or a damaged place in words.
fn words(item: &Item) -> String {
    match item {
        Item::Gap(from, to) => format!("records {from} to {} are gone", to - 1),
        Item::Damaged { file, offset, what } => format!("{file} at byte {offset}: {what}"),
        Item::Event(number, _) => format!("record {number}"),
    }
}

fn shown(log: LogName, number: u64, event: &Event) -> Value {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    put("log", json!(log.as_str()));
    put("number", json!(number));
    put("at", json!(utc_text(event.at_ms)));
    put("kind", json!(event.what.kind().as_str()));
    match &event.what {
        What::Bid(bid) => put_bid(bid, &mut put),
        What::NoBid(NoBid { exchange, reason, place }) => {
            put("exchange", json!(exchange.0));
            put("reason", json!(reason.as_str()));
            put_place(place, &mut put);
        }
        What::Notice(noticed) => put_notice(noticed, &mut put),
        What::Conversion(converted) => put_conversion(converted, &mut put),
    }
    Value::Object(fields)
}

fn put_conversion(converted: &Converted, put: &mut dyn FnMut(&str, Value)) {
    put("conversion", json!(converted.conversion.0));
    put("advertiser", json!(converted.advertiser.0));
    put("user", json!((converted.user.0 != 0).then(|| format!("{:016x}", converted.user.0))));
    put("value", json!(converted.value.map(|value| value.to_string())));
    let credit = converted.credit;
    put("bid", json!(credit.map(|credit| credit.bid.to_string())));
    put("line_item", json!(credit.map(|credit| credit.line_item.0)));
    put("creative", json!(credit.map(|credit| credit.creative.0)));
    put("after", json!(credit.map(|credit| if credit.click { "click" } else { "impression" })));
    put("after_s", json!(credit.map(|credit| credit.after_s)));
}

fn put_bid(bid: &BidMade, put: &mut dyn FnMut(&str, Value)) {
    put("bid", json!(bid.id.to_string()));
    put("exchange", json!(bid.exchange.0));
    put("campaign", json!(bid.campaign.0));
    put("line_item", json!(bid.line_item.0));
    put("creative", json!(bid.creative.0));
    put("price_cpm", json!(bid.price.to_string()));
    put("currency", json!(bid.currency.as_str()));
    put("multiplier_ppm", json!(bid.multiplier_ppm));
    put("user", json!((bid.user.0 != 0).then(|| format!("{:016x}", bid.user.0))));
    put("media", json!(bid.media.to_string()));
    put("size", json!(bid.size.map(|size| size.to_string())));
    put("duration_s", json!((bid.duration_s > 0).then_some(bid.duration_s)));
    put("deal", json!(bid.deal));
    put("test", json!(bid.test));
    let evidence = &bid.evidence;
    put("worth_cpm", json!(evidence.worth.to_string()));
    put("first_price", json!(evidence.first_price));
    let probability = |ppb: u32| (ppb > 0).then(|| f64::from(ppb) / 1e9);
    put("click_probability", json!(probability(evidence.click_ppb)));
    put("conversion_probability", json!(probability(evidence.conversion_ppb)));
    put("features", json!(evidence.features.as_slice().len()));
    put_place(&bid.place, put);
}

fn put_place(place: &Place, put: &mut dyn FnMut(&str, Value)) {
    put("channel", json!(place.channel.map(|channel| format!("{channel:?}").to_lowercase())));
    put("inventory", json!((place.inventory != 0).then(|| format!("{:016x}", place.inventory))));
    put("country", json!(place.country.map(|country| country.as_str().to_owned())));
    put("device_type", json!(place.device_type));
}

fn put_notice(noticed: &Noticed, put: &mut dyn FnMut(&str, Value)) {
    put("bid", json!(noticed.bid.to_string()));
    put("exchange", json!(noticed.exchange.0));
    put("line_item", json!(noticed.line_item.0));
    put("creative", json!(noticed.creative.0));
    put("user", json!((noticed.user.0 != 0).then(|| format!("{:016x}", noticed.user.0))));
    put("after_s", json!(noticed.after_s));
    put("min_to_win_cpm", json!(noticed.min_to_win.map(|price| price.to_string())));
    match noticed.kind {
        NoticeEvent::Win(price) => put("price_cpm", json!(price.map(|price| price.to_string()))),
        NoticeEvent::Bill { charged, price, lsn } => {
            put("charged", json!(charged.to_string()));
            put("price_cpm", json!(price.to_string()));
            put("journal_lsn", json!((lsn > 0).then_some(lsn)));
        }
        NoticeEvent::Loss(code) => put("loss", json!(code)),
        NoticeEvent::Player(event) => put("event", json!(event.name())),
        NoticeEvent::Impression | NoticeEvent::Click => {}
    }
}

/// What a log was found to hold.
#[derive(Default)]
struct Summary {
    files: usize,
    bytes: u64,
    kinds: BTreeMap<Kind, u64>,
    /// Numbers and times of the first and the last record.
    first: Option<(u64, i64)>,
    last: Option<(u64, i64)>,
    faults: Vec<String>,
}

fn summarise(events: &std::path::Path, log: LogName) -> Result<Summary, Failure> {
    let dir = log.dir(events);
    let files = segments(&dir).context("event log")?;
    let oldest = files.first().map_or(1, |segment| segment.first);
    let mut summary =
        Summary { files: files.len(), bytes: files.iter().map(|f| f.bytes).sum(), ..Summary::default() };
    let mut reader = EventReader::open(&dir, oldest);
    while let Some(item) = reader.next().context("event log")? {
        match &item {
            Item::Event(number, event) => {
                *summary.kinds.entry(event.what.kind()).or_default() += 1;
                summary.first.get_or_insert((*number, event.at_ms));
                summary.last = Some((*number, event.at_ms));
            }
            fault => summary.faults.push(words(fault)),
        }
    }
    Ok(summary)
}

impl Summary {
    fn json(&self) -> Value {
        let end =
            |end: Option<(u64, i64)>| end.map(|(number, at)| json!({"number": number, "at": utc_text(at)}));
        let records: BTreeMap<&str, u64> =
            self.kinds.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
        json!({
            "segments": self.files, "bytes": self.bytes, "records": records,
            "first": end(self.first), "last": end(self.last), "faults": self.faults,
        })
    }

    fn print(&self, log: LogName) {
        let records: u64 = self.kinds.values().sum();
        println!("{}: {records} records, {} bytes in {} segments", log.as_str(), self.bytes, self.files);
        for (kind, count) in &self.kinds {
            println!("  {count:>12}  {}", kind.as_str());
        }
        for (name, end) in [("first", self.first), ("last", self.last)] {
            if let Some((number, at)) = end {
                println!("  {name}: number {number}, {}", utc_text(at));
            }
        }
        self.faults.iter().for_each(|fault| println!("  fault: {fault}"));
    }
}

fn both(events: &std::path::Path, as_json: bool) -> Result<usize, Failure> {
    let mut all = Map::new();
    let mut faults = 0;
    for log in LogName::ALL {
        let summary = summarise(events, log)?;
        faults += summary.faults.len();
        match as_json {
            true => {
                all.insert(log.as_str().to_owned(), summary.json());
            }
            false => summary.print(log),
        }
    }
    if as_json {
        println!("{}", Value::Object(all));
    }
    Ok(faults)
}

fn stat(events: &std::path::Path, json: bool) -> Result<(), Failure> {
    both(events, json).map(|_| ())
}

fn verify(events: &std::path::Path, json: bool) -> Result<(), Failure> {
    match both(events, json)? {
        0 => Ok(()),
        faults => Err(Failure::Damaged(anyhow!(
            "{faults} places of the event log are damaged or missing; what is left can be read, and money is not in it"
        ))),
    }
}
