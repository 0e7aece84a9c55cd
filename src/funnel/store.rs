//! The spans of a funnel: the minute at hand in memory, all of them on disk, each in a file of its own.

use super::span::{Span, Step, Whose};
use crate::model::funnel::{Counted, Followed, Sample};
use crate::model::storage::{Storage, replace};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

const DRAFT: &str = "funnel.tmp";
const SUFFIX: &str = ".v1";
/// A clock that goes back further begins another minute.
const MOST_BACK_S: i64 = 120;

/// Why spans cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum FunnelError {
    /// The disk refuses.
    #[error("the funnel's files: {0}")]
    Io(#[from] io::Error),
}

/// See the module. One caller at a time.
pub struct Funnel {
    storage: Option<Box<dyn Storage>>,
    /// The minute at hand.
    now: Option<Span>,
    /// The minute at hand has something that is not on disk.
    is_dirty: bool,
    /// What is on disk.
    kept: BTreeSet<(Step, i64)>,
    /// Without storage: everything that would be on disk.
    memory: Vec<Span>,
    damaged: u64,
}

impl Funnel {
    /// One that is kept in memory only, and forgets what is older than its minutes.
    pub fn in_memory() -> Funnel {
        Funnel {
            storage: None,
            now: None,
            is_dirty: false,
            kept: BTreeSet::new(),
            memory: Vec::new(),
            damaged: 0,
        }
    }

    /// The one that is kept in `storage`.
    ///
    /// # Errors
    /// The disk refuses to be listed.
    pub fn open(storage: Box<dyn Storage>) -> Result<Funnel, FunnelError> {
        let kept = storage.list()?.iter().filter_map(|name| parse(name)).collect();
        Ok(Funnel { storage: Some(storage), kept, ..Funnel::in_memory() })
    }

    /// Files that could not be read so far.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Adds what was counted until `now_s`, in Unix seconds, to the minute that it lies in.
    ///
    /// # Errors
    /// A minute that is over cannot be written; it is tried again at the next call, and nothing is forgotten meanwhile.
    pub fn count(&mut self, now_s: i64, counted: &Counted, followed: &Followed) -> Result<(), FunnelError> {
        let start_s = Step::Minute.start_of(now_s);
        let mut result = Ok(());
        // A clock that goes back a little counts in the minute at hand.
        let is_over = |span: &Span| span.start_s < start_s || span.start_s > start_s + MOST_BACK_S;
        if self.now.as_ref().is_some_and(is_over) {
            result = self.save();
            if result.is_ok() {
                self.now = None;
                result = self.fold(start_s);
            }
        }
        if self.now.is_none() {
            let known = self.read(Step::Minute, start_s, Whose::Everybody);
            self.now = Some(known.unwrap_or_else(|| Span::new(Step::Minute, start_s)));
        }
        if let Some(span) = &mut self.now
            && !(counted.is_empty() && followed.is_empty())
        {
            span.count(counted);
            span.follow(followed);
            self.is_dirty = true;
        }
        result
    }

    /// Adds what a sample of the minute at hand says; nothing where nothing was ever counted.
    pub fn sample(&mut self, sample: &Sample) {
        if let Some(span) = &mut self.now {
            span.sample(sample);
            self.is_dirty = true;
        }
    }

    /// Writes the minute at hand to disk.
    ///
    /// # Errors
    /// The disk refuses; what was written before stays.
    pub fn save(&mut self) -> Result<(), FunnelError> {
        if let Some(span) = self.now.take_if(|_| self.is_dirty) {
            let written = self.write(&span);
            self.now = Some(span);
            written?;
            self.is_dirty = false;
        }
        Ok(())
    }

    /// What was counted of somebody from `from_s` until before `until_s`, span by span in the order of time; spans in which nothing
    /// was counted are left out. Both are moved outward to whole spans.
    pub fn spans(&mut self, step: Step, from_s: i64, until_s: i64, whose: Whose) -> Vec<Span> {
        let parts = self.parts(step, from_s, until_s);
        let read = parts.into_iter().filter_map(|part| self.part(part, whose)).collect();
        joined(step, read)
    }

    /// The spans that a time is made of: coarse ones where they are complete, fine ones where they are not yet. Whoever reads them
    /// one by one with [`Funnel::part`] and puts them together with [`joined`] does what [`Funnel::spans`] does, without keeping
    /// everybody else waiting.
    pub fn parts(&self, step: Step, from_s: i64, until_s: i64) -> Vec<(Step, i64)> {
        let (from_s, until_s) = step.whole(from_s, until_s);
        let mut parts = Vec::new();
        for part in Step::ALL.into_iter().filter(|part| *part <= step) {
            let starts = self.kept.range((part, from_s)..(part, until_s)).map(|(_, start_s)| *start_s);
            parts.extend(starts.filter(|at_s| !self.is_covered(part, *at_s, step)).map(|at_s| (part, at_s)));
        }
        // The minute at hand may not be on disk yet.
        let now = self.now.as_ref().map(|now| (Step::Minute, now.start_s));
        let is_new = |now: &(Step, i64)| (from_s..until_s).contains(&now.1) && !self.kept.contains(now);
        parts.extend(now.filter(is_new));
        parts
    }

    /// One of [`Funnel::parts`], as far as it is somebody's.
    pub fn part(&mut self, (step, start_s): (Step, i64), whose: Whose) -> Option<Span> {
        if let Some(now) = self.now.as_ref().filter(|now| (step, start_s) == (Step::Minute, now.start_s)) {
            return Some(now.of(whose));
        }
        let read = self.read(step, start_s, whose);
        if read.is_some() || step == Step::Minute {
            return read;
        }
        // What it was made of may still be there.
        let fine = if step == Step::Day { Step::Hour } else { Step::Minute };
        let spans = self.spans(fine, start_s, start_s + step.seconds(), whose);
        joined(step, spans).pop()
    }

    fn is_covered(&self, part: Step, at_s: i64, most: Step) -> bool {
        let coarser = Step::ALL.into_iter().filter(|coarser| *coarser > part && *coarser <= most);
        coarser.into_iter().any(|coarser| self.kept.contains(&(coarser, coarser.start_of(at_s))))
    }

    /// Makes hours of minutes and days of hours that are over before `start_s`, and forgets what is too old. What cannot be
    /// written or removed does not keep the rest from it.
    fn fold(&mut self, start_s: i64) -> Result<(), FunnelError> {
        let mut result = Ok(());
        for (fine, coarse) in [(Step::Minute, Step::Hour), (Step::Hour, Step::Day)] {
            let open = coarse.start_of(start_s);
            let over: BTreeSet<i64> = (self.kept.iter())
                .filter(|(step, at_s)| *step == fine && *at_s < open)
                .map(|(_, at_s)| coarse.start_of(*at_s))
                .filter(|at_s| !self.kept.contains(&(coarse, *at_s)))
                .collect();
            for at_s in over {
                let mut whole = Span::new(coarse, at_s);
                let parts: Vec<i64> = (self.kept.range((fine, at_s)..(fine, at_s + coarse.seconds())))
                    .map(|(_, at_s)| *at_s)
                    .collect();
                for part in parts {
                    if let Some(span) = self.read(fine, part, Whose::Everybody) {
                        whole.merge(&span);
                    }
                }
                result = result.and(self.write(&whole));
            }
        }
        let too_old: Vec<(Step, i64)> =
            self.kept.iter().filter(|(step, at_s)| at_s + step.kept_s() < start_s).copied().collect();
        for (step, at_s) in too_old {
            match self.storage.as_ref().map_or(Ok(()), |storage| storage.remove(&name(step, at_s))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    result = result.and(Err(error.into()))
                }
                _ => {
                    self.memory.retain(|span| (span.step, span.start_s) != (step, at_s));
                    self.kept.remove(&(step, at_s));
                }
            }
        }
        result
    }

    fn write(&mut self, span: &Span) -> Result<(), FunnelError> {
        let key = (span.step, span.start_s);
        match &self.storage {
            Some(storage) => {
                replace(&**storage, DRAFT, &name(span.step, span.start_s), &span.to_bytes())?;
            }
            None => {
                self.memory.retain(|known| (known.step, known.start_s) != key);
                self.memory.push(span.clone());
            }
        }
        self.kept.insert(key);
        Ok(())
    }

    /// What is somebody's of a span that is kept; `None` where there is none, or none that can be read: that is counted, and its
    /// file is left as it is for who can mend it.
    fn read(&mut self, step: Step, start_s: i64, whose: Whose) -> Option<Span> {
        if !self.kept.contains(&(step, start_s)) {
            return None;
        }
        let Some(storage) = &self.storage else {
            let known = self.memory.iter().find(|span| (span.step, span.start_s) == (step, start_s));
            return known.map(|span| span.of(whose));
        };
        let name = name(step, start_s);
        let read = storage.read(&name).map_err(|error| error.to_string());
        let read = read.and_then(|bytes| Span::of_bytes(&bytes, whose).map_err(|error| error.to_string()));
        let why = match read {
            Ok(span) if (span.step, span.start_s) == (step, start_s) => return Some(span),
            Ok(_) => "it is of another time than its name says".to_owned(),
            Err(why) => why,
        };
        tracing::warn!(name, why, "a span of the funnel cannot be read; it is passed over");
        self.damaged += 1;
        self.kept.remove(&(step, start_s));
        None
    }
}

/// Spans of `step` made of others, in the order of time.
pub fn joined(step: Step, parts: Vec<Span>) -> Vec<Span> {
    let mut found: BTreeMap<i64, Span> = BTreeMap::new();
    for part in parts {
        let start_s = step.start_of(part.start_s);
        found.entry(start_s).or_insert_with(|| Span::new(step, start_s)).merge(&part);
    }
    found.into_values().collect()
}

fn name(step: Step, start_s: i64) -> String {
    format!("{}-{start_s}{SUFFIX}", step.as_str())
}

fn parse(given: &str) -> Option<(Step, i64)> {
    let (step, start_s) = given.strip_suffix(SUFFIX)?.split_once('-')?;
    let step = Step::ALL.into_iter().find(|known| known.as_str() == step)?;
    let start_s: i64 = start_s.parse().ok()?;
    // Nothing else is one of ours.
    (step.start_of(start_s) == start_s && name(step, start_s) == given).then_some((step, start_s))
}
