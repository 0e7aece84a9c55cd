//! How often each thing happened in a run.

use super::KINDS;
use super::mail::Kind;
use crate::counterpart::Outcome;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) answers: u64,
    pub(crate) answers_with_bids: u64,
    pub(crate) no_bids: u64,
    /// Status neither 200 nor 204.
    pub(crate) refused: u64,
    /// Answers that came after the request's tmax.
    pub(crate) after_tmax: u64,
    /// Answers that were judged by every rule.
    pub(crate) judged: u64,
    pub(crate) bids: u64,
    /// Impressions with a bid in time.
    pub(crate) auctions: u64,
    pub(crate) wins: u64,
    /// What was won for, in CPM micros of the bids' currencies, all together.
    pub(crate) won_micros: u64,
    pub(crate) notices_sent: u64,
    /// Bills that were never sent.
    pub(crate) bills_lost: u64,
    /// Notices by kind and by what was said of them.
    by_class: BTreeMap<(Kind, String), u64>,
}

impl Counts {
    /// Counts what came of a notice.
    pub(crate) fn notice(&mut self, kind: Kind, outcome: &Outcome<'_>) {
        let class = match outcome {
            Outcome::Unanswered => "unanswered",
            Outcome::Answered { status: 503, .. } => "unavailable",
            Outcome::Answered { status, class: "" } if *status < 400 => "answered",
            Outcome::Answered { class: "", .. } => "refused",
            Outcome::Answered { class, .. } => class,
        };
        *self.by_class.entry((kind, class.to_owned())).or_default() += 1;
    }

    /// How often a notice of this kind was answered so.
    #[cfg(test)]
    pub(crate) fn class(&self, kind: Kind, class: &str) -> u64 {
        self.by_class.get(&(kind, class.to_owned())).copied().unwrap_or(0)
    }

    /// Everything.
    pub(crate) fn json(&self) -> Value {
        let mut notices = Map::new();
        for kind in KINDS {
            let of = self.by_class.iter().filter(|((one, _), _)| *one == kind);
            let classes: Map<String, Value> = of.map(|((_, class), n)| (class.clone(), json!(n))).collect();
            notices.insert(kind.name().to_owned(), classes.into());
        }
        json!({
            "answers": self.answers, "answers_with_bids": self.answers_with_bids, "no_bids": self.no_bids,
            "refused": self.refused, "after_tmax": self.after_tmax, "judged": self.judged, "bids": self.bids,
            "auctions": self.auctions, "wins": self.wins, "won_micros": self.won_micros,
            "notices_sent": self.notices_sent, "bills_lost": self.bills_lost, "notices": notices,
        })
    }
}
