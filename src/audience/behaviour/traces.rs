//! What is kept of one person's behaviour so that the next event can be judged: a few words of memory a rule, and nothing
//! of what was searched or seen.
//!
//! ```text
//! traces   : trace after trace
//! trace    : head u32 = kind (2 bits) · number of words (6) · segment (24), then its words
//! counted  : the times of the last events that met a rule, in seconds, the newest last
//! interest : the second at which the score will have fallen to 1
//! touch    : bid (epoch, core and whether it was a click, sequence low and high) · line item · creative · time
//! customer : advertiser · first purchase · last purchase · how many · what they were worth in millionths, low and high
//! ```
//! An exponentially decaying score is one point in time: a score s at time t is 2^((z − t) / h) with z = t + h · log₂ s.
//! It needs no touch while it decays, and "at least θ" ends at z − h · log₂ θ, which is the expiry of a membership.

use crate::model::ids::{AdvertiserId, BidId, CreativeId, LineItemId, SegmentId};

/// What is kept of one user.
pub(in crate::audience) type Words = Box<[u32]>;

const SEGMENT_BITS: u32 = 24;
const COUNT_BITS: u32 = 6;
const COUNTED: u32 = 0;
const INTEREST: u32 = 1;
const CUSTOMER: u32 = 2;
const TOUCH: u32 = 3;
const CLICK: u32 = 1 << 16;

/// Most touches of one user that are kept, the newest.
const MAX_TOUCHES: usize = 8;

/// Most words of one user; the oldest traces go first.
pub(super) const MAX_WORDS: usize = 1_024;

/// One trace.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Trace {
    Counted { segment: SegmentId, times: Vec<u32> },
    Interest { segment: SegmentId, one_at: u32 },
    Customer(Customer),
    Touch(Touch),
}

/// An ad that a user clicked or saw.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Touch {
    /// The bid.
    pub bid: BidId,
    /// The line item.
    pub line_item: LineItemId,
    /// The creative.
    pub creative: CreativeId,
    /// Clicked, and not only seen.
    pub click: bool,
    /// When, in Unix seconds.
    pub at_s: u32,
}

/// Notes a touch; of too many the oldest goes.
pub(super) fn touch(traces: &mut Vec<Trace>, touch: Touch) {
    let is_touch = |trace: &Trace| matches!(trace, Trace::Touch(_));
    if traces.iter().filter(|trace| is_touch(trace)).count() >= MAX_TOUCHES
        && let Some(oldest) = traces.iter().position(is_touch)
    {
        traces.remove(oldest);
    }
    traces.push(Trace::Touch(touch));
}

/// What an advertiser's customer bought.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Customer {
    /// Whose customer.
    pub advertiser: AdvertiserId,
    /// The first purchase, in Unix seconds.
    pub first_s: u32,
    /// The last one.
    pub last_s: u32,
    /// How many.
    pub purchases: u32,
    /// What they were worth, in millionths of the advertiser's currency.
    pub value_micros: u64,
}

/// Reads what [`write`] wrote; a tail that makes no sense is left out.
pub(super) fn read(mut words: &[u32]) -> Vec<Trace> {
    let mut traces = Vec::new();
    while let Some((head, rest)) = words.split_first() {
        let count = (head >> SEGMENT_BITS & ((1 << COUNT_BITS) - 1)) as usize;
        let segment = SegmentId(head & ((1 << SEGMENT_BITS) - 1));
        let Some((own, next)) = rest.split_at_checked(count) else { break };
        words = next;
        traces.push(match (head >> (SEGMENT_BITS + COUNT_BITS), own) {
            (COUNTED, times) => Trace::Counted { segment, times: times.to_vec() },
            (INTEREST, [one_at]) => Trace::Interest { segment, one_at: *one_at },
            (CUSTOMER, [advertiser, first_s, last_s, purchases, low, high]) => Trace::Customer(Customer {
                advertiser: AdvertiserId(*advertiser),
                first_s: *first_s,
                last_s: *last_s,
                purchases: *purchases,
                value_micros: u64::from(*high) << u32::BITS | u64::from(*low),
            }),
            (TOUCH, [epoch, core, low, high, line_item, creative, at_s]) => Trace::Touch(Touch {
                bid: BidId {
                    epoch: *epoch,
                    core: *core as u16,
                    sequence: u64::from(*high) << u32::BITS | u64::from(*low),
                },
                line_item: LineItemId(*line_item),
                creative: CreativeId(*creative),
                click: core & CLICK != 0,
                at_s: *at_s,
            }),
            _ => break,
        });
    }
    traces
}

/// The traces as words. Where they are too many, those that came first are left out, customers last of all.
pub(super) fn write(traces: &[Trace]) -> Words {
    let mut words = Vec::new();
    let length = |trace: &Trace| match trace {
        Trace::Counted { times, .. } => 1 + times.len(),
        Trace::Interest { .. } => 2,
        Trace::Customer(_) => 7,
        Trace::Touch(_) => 8,
    };
    let mut over = traces.iter().map(length).sum::<usize>().saturating_sub(MAX_WORDS);
    for trace in traces {
        if over > 0 && !matches!(trace, Trace::Customer(_)) {
            over = over.saturating_sub(length(trace));
            continue;
        }
        let head = |kind: u32, count: usize, segment: u32| {
            kind << (SEGMENT_BITS + COUNT_BITS) | (count as u32) << SEGMENT_BITS | segment
        };
        match trace {
            Trace::Counted { segment, times } => {
                words.push(head(COUNTED, times.len(), segment.0));
                words.extend_from_slice(times);
            }
            Trace::Interest { segment, one_at } => {
                words.extend_from_slice(&[head(INTEREST, 1, segment.0), *one_at]);
            }
            Trace::Customer(customer) => words.extend_from_slice(&[
                head(CUSTOMER, 6, 0),
                customer.advertiser.0,
                customer.first_s,
                customer.last_s,
                customer.purchases,
                customer.value_micros as u32,
                (customer.value_micros >> u32::BITS) as u32,
            ]),
            Trace::Touch(touch) => words.extend_from_slice(&[
                head(TOUCH, 7, 0),
                touch.bid.epoch,
                u32::from(touch.bid.core) | if touch.click { CLICK } else { 0 },
                touch.bid.sequence as u32,
                (touch.bid.sequence >> u32::BITS) as u32,
                touch.line_item.0,
                touch.creative.0,
                touch.at_s,
            ]),
        }
    }
    words.into_boxed_slice()
}

/// When the score has fallen to 1, after `weight_milli` was added at `now_s` to a score that falls to 1 at `one_at`.
/// Halves every `half_life_s`. The result is rounded down to the second.
pub(super) fn add_interest(
    one_at: Option<u32>,
    weight_milli: u32,
    half_life_s: u32,
    now_s: u32,
) -> Option<u32> {
    let before = one_at.map_or(0.0, |one_at| score(one_at, half_life_s, now_s));
    let after = before + f64::from(weight_milli) / 1e3;
    (after > 0.0).then(|| moment(now_s, half_life_s, after))
}

/// When a score that falls to 1 at `one_at` has fallen to `threshold_milli`.
pub(super) fn falls_to(one_at: u32, threshold_milli: u32, half_life_s: u32) -> u32 {
    let ahead = f64::from(half_life_s) * (f64::from(threshold_milli.max(1)) / 1e3).log2();
    (f64::from(one_at) - ahead).clamp(0.0, f64::from(u32::MAX - 1)) as u32
}

/// The score at `now_s`.
pub(super) fn score(one_at: u32, half_life_s: u32, now_s: u32) -> f64 {
    ((f64::from(one_at) - f64::from(now_s)) / f64::from(half_life_s.max(1))).exp2()
}

fn moment(now_s: u32, half_life_s: u32, score: f64) -> u32 {
    let one_at = f64::from(now_s) + f64::from(half_life_s.max(1)) * score.log2();
    one_at.clamp(0.0, f64::from(u32::MAX - 1)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn trace() -> impl Strategy<Value = Trace> {
        let segment = (0..1_u32 << SEGMENT_BITS).prop_map(SegmentId);
        prop_oneof![
            (segment.clone(), prop::collection::vec(any::<u32>(), 1..17))
                .prop_map(|(segment, times)| Trace::Counted { segment, times }),
            (segment, any::<u32>()).prop_map(|(segment, one_at)| Trace::Interest { segment, one_at }),
            any::<(u32, u32, u32, u32, u64)>().prop_map(
                |(advertiser, first_s, last_s, purchases, value_micros)| {
                    let advertiser = AdvertiserId(advertiser);
                    Trace::Customer(Customer { advertiser, first_s, last_s, purchases, value_micros })
                }
            ),
            any::<(u32, u16, u64, u32, u32, bool, u32)>().prop_map(
                |(epoch, core, sequence, line_item, creative, click, at_s)| {
                    let bid = BidId { epoch, core, sequence };
                    let (line_item, creative) = (LineItemId(line_item), CreativeId(creative));
                    Trace::Touch(Touch { bid, line_item, creative, click, at_s })
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn traces_come_back_as_they_were_written(traces in prop::collection::vec(trace(), 0..20)) {
            prop_assert_eq!(read(&write(&traces)), traces);
        }

        #[test]
        fn any_words_are_read_without_a_panic(words in prop::collection::vec(any::<u32>(), 0..40)) {
            let _ = read(&words);
        }

        /// Against the sum over all events, each decayed by itself.
        #[test]
        fn a_score_kept_as_a_time_is_the_sum_of_what_decayed(
            half_life_s in 600..10_000_000_u32,
            events in prop::collection::vec((0..1_000_000_u32, 1..20_000_u32), 1..30),
            later in 0..3_000_000_u32,
        ) {
            let start = 1_800_000_000;
            let mut now = start;
            let mut one_at = None;
            let mut at = Vec::new();
            for (pause, weight) in &events {
                now += pause;
                one_at = add_interest(one_at, *weight, half_life_s, now);
                at.push((now, *weight));
            }
            let asked = now + later;
            let naive: f64 = at.iter().map(|(t, weight)| {
                f64::from(*weight) / 1e3 * (-(f64::from(asked - t)) / f64::from(half_life_s)).exp2()
            }).sum();
            let kept = score(one_at.unwrap(), half_life_s, asked);
            // Every event rounds the time down by less than a second.
            let most = events.len() as f64 * std::f64::consts::LN_2 / f64::from(half_life_s);
            prop_assert!(kept <= naive * 1.000_001 && kept >= naive * (1.0 - most - 1e-6), "{kept} {naive}");
        }
    }

    #[test]
    fn what_is_too_much_loses_its_oldest_traces_and_no_customer() {
        let counted = |id: u32| Trace::Counted { segment: SegmentId(id), times: vec![id; 16] };
        let customer = Trace::Customer(Customer { purchases: 3, ..Customer::default() });
        let mut traces = vec![customer.clone()];
        traces.extend((0..100).map(counted));
        let kept = read(&write(&traces));
        assert!(write(&traces).len() <= MAX_WORDS);
        assert_eq!(kept.first(), Some(&customer));
        assert_eq!(kept.last(), traces.last());
    }
}
