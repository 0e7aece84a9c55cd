//! The spans of a funnel: the minute at hand in memory, all of them on disk, each in a file of its own.

use super::span::{Span, Step};
use crate::model::funnel::{After, Counted, Sample};
use crate::model::ids::LineItemId;
use crate::model::storage::Storage;
use std::collections::BTreeSet;
use std::io;

const DRAFT: &str = "funnel.tmp";
const SUFFIX: &str = ".v1";

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
    pub fn count(
        &mut self,
        now_s: i64,
        counted: &Counted,
        after: &[(LineItemId, After)],
    ) -> Result<(), FunnelError> {
        let start_s = Step::Minute.start_of(now_s);
        let mut result = Ok(());
        // A clock that goes back counts in the minute at hand.
        if self.now.as_ref().is_some_and(|span| span.start_s < start_s) {
            result = self.save();
            if result.is_ok() {
                self.now = None;
                result = self.fold(start_s);
            }
        }
        if self.now.is_none() {
            let known = self.read(Step::Minute, start_s)?;
            self.now = Some(known.unwrap_or_else(|| Span::new(Step::Minute, start_s)));
        }
        if let Some(span) = &mut self.now
            && !(counted.is_empty() && after.is_empty())
        {
            span.count(counted);
            after.iter().for_each(|(line_item, after)| span.follow(*line_item, after));
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
        if let Some(span) = self.now.as_ref().filter(|_| self.is_dirty) {
            let span = span.clone();
            self.write(span)?;
            self.is_dirty = false;
        }
        Ok(())
    }

    /// What was counted from `from_s` until before `until_s`, span by span in the order of time; spans in which nothing was counted
    /// are left out. Both are moved outward to whole spans.
    ///
    /// # Errors
    /// The disk refuses to be read.
    pub fn spans(&mut self, step: Step, from_s: i64, until_s: i64) -> Result<Vec<Span>, FunnelError> {
        let from_s = step.start_of(from_s);
        let mut found: Vec<Span> = Vec::new();
        // Coarse spans stand where they are complete, fine ones where they are not yet.
        for part in Step::ALL.into_iter().rev().filter(|part| *part <= step) {
            let starts: Vec<i64> =
                self.kept.range((part, from_s)..(part, until_s)).map(|(_, start_s)| *start_s).collect();
            for start_s in starts {
                let covered = Step::ALL.into_iter().filter(|above| *above > part && *above <= step);
                let is_covered =
                    covered.into_iter().any(|above| self.kept.contains(&(above, above.start_of(start_s))));
                let at_hand = |now: &Span| (part, start_s) == (Step::Minute, now.start_s);
                if is_covered || self.now.as_ref().is_some_and(at_hand) {
                    continue;
                }
                if let Some(span) = self.read(part, start_s)? {
                    add(&mut found, step, &span);
                }
            }
        }
        let now = self.now.as_ref().filter(|now| (from_s..until_s).contains(&now.start_s));
        now.into_iter().for_each(|now| add(&mut found, step, now));
        found.sort_by_key(|span| span.start_s);
        Ok(found)
    }

    /// Makes hours of minutes and days of hours that are over before `start_s`, and forgets what is too old.
    fn fold(&mut self, start_s: i64) -> Result<(), FunnelError> {
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
                    if let Some(span) = self.read(fine, part)? {
                        whole.merge(&span);
                    }
                }
                self.write(whole)?;
            }
        }
        let too_old: Vec<(Step, i64)> =
            self.kept.iter().filter(|(step, at_s)| at_s + step.kept_s() < start_s).copied().collect();
        for (step, at_s) in too_old {
            if let Some(storage) = &self.storage {
                storage.remove(&name(step, at_s))?;
            }
            self.memory.retain(|span| (span.step, span.start_s) != (step, at_s));
            self.kept.remove(&(step, at_s));
        }
        Ok(())
    }

    fn write(&mut self, span: Span) -> Result<(), FunnelError> {
        let key = (span.step, span.start_s);
        match &self.storage {
            Some(storage) => {
                let mut file = storage.create(DRAFT, 0)?;
                file.write_at(0, &span.to_bytes())?;
                file.sync()?;
                storage.rename(DRAFT, &name(span.step, span.start_s))?;
                storage.sync_dir()?;
            }
            None => {
                self.memory.retain(|known| (known.step, known.start_s) != key);
                self.memory.push(span);
            }
        }
        self.kept.insert(key);
        Ok(())
    }

    /// A span that is kept; `None` where there is none, or none that can be read: that is counted, and goes.
    fn read(&mut self, step: Step, start_s: i64) -> Result<Option<Span>, FunnelError> {
        if !self.kept.contains(&(step, start_s)) {
            return Ok(None);
        }
        let Some(storage) = &self.storage else {
            let known = self.memory.iter().find(|span| (span.step, span.start_s) == (step, start_s));
            return Ok(known.cloned());
        };
        let name = name(step, start_s);
        match Span::from_bytes(&storage.read(&name)?) {
            Ok(span) if (span.step, span.start_s) == (step, start_s) => return Ok(Some(span)),
            Ok(_) => tracing::warn!(
                name,
                "a span of the funnel is of another time than its name says; it is passed over"
            ),
            Err(error) => {
                tracing::warn!(name, %error, "a span of the funnel cannot be read; it is passed over")
            }
        }
        self.damaged += 1;
        self.kept.remove(&(step, start_s));
        Ok(None)
    }
}

fn add(found: &mut Vec<Span>, step: Step, part: &Span) {
    let start_s = step.start_of(part.start_s);
    match found.iter_mut().find(|span| span.start_s == start_s) {
        Some(span) => span.merge(part),
        None => {
            let mut span = Span::new(step, start_s);
            span.merge(part);
            found.push(span);
        }
    }
}

fn name(step: Step, start_s: i64) -> String {
    format!("{}-{start_s}{SUFFIX}", step.as_str())
}

fn parse(name: &str) -> Option<(Step, i64)> {
    let (step, start_s) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    let step = Step::ALL.into_iter().find(|known| known.as_str() == step)?;
    let start_s: i64 = start_s.parse().ok()?;
    (step.start_of(start_s) == start_s).then_some((step, start_s))
}
