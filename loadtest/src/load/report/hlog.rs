//! The histogram of every interval in the format of HdrHistogram's own log, which its viewers read.

use crate::load::measure::Measured;
use anyhow::Context;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::IntervalLogWriterBuilder;
use hdrhistogram::serialization::{Deserializer, V2DeflateSerializer};
use std::time::{Duration, SystemTime};

/// Values are nanoseconds; the column of the longest is in milliseconds.
const MAX_DIVISOR: f64 = 1e6;

/// The text of the log; `started_s` in seconds since 1970.
pub(super) fn log(measured: &Measured, started_s: u64, run: &str) -> anyhow::Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(started_s);
    let mut writer = IntervalLogWriterBuilder::new()
        .add_comment(&format!("outbid-load, run {run}: latency from the intended send, nanoseconds"))
        .with_start_time(start)
        .with_base_time(start)
        .with_max_value_divisor(MAX_DIVISOR)
        .begin_log_with(&mut out, &mut serializer)?;
    let interval = Duration::from_nanos(measured.interval_ns);
    for (at, bytes) in measured.encoded.iter().enumerate() {
        let histogram: Histogram<u64> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|error| anyhow::anyhow!("an interval cannot be read again: {error:?}"))?;
        writer
            .write_histogram(&histogram, interval * at as u32, interval, None)
            .map_err(|error| anyhow::anyhow!("{error:?}"))
            .context("an interval cannot be written")?;
    }
    drop(writer);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::measure::{Moments, Recorder, Verdict};
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    #[test]
    fn the_log_is_read_by_its_own_reader_and_holds_every_latency() {
        let second = Duration::from_secs(1);
        let mut recorder = Recorder::new(Duration::ZERO, second * 2, second, true);
        for number in 0..20u64 {
            let intended = number * 100_000_000;
            if intended >= recorder.interval_end() {
                recorder.close_interval();
            }
            let moments = Moments { intended, sent: intended, done: intended + 1_000_000 };
            recorder.answered(moments, 204, 0, Verdict::NoBid, 1);
        }
        let text = log(&recorder.finish(), 1_800_000_000, "00").unwrap();
        let mut starts = Vec::new();
        for entry in IntervalLogIterator::new(&text) {
            if let LogEntry::Interval(interval) = entry.unwrap() {
                assert_eq!(interval.max(), 1.0, "{}", String::from_utf8_lossy(&text));
                starts.push(interval.start_timestamp());
            }
        }
        assert_eq!(starts, [Duration::ZERO, second]);
    }
}
