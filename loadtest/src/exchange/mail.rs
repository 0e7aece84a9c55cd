//! Notices on their way: what waits for its moment, and what was taken and is not answered for yet.

use super::audit::books::BillId;
use crate::counterpart::Notice;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

/// What a notice reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Win,
    Bill,
    Loss,
    Impression,
    Click,
    Event,
}

impl Kind {
    /// For people.
    pub(crate) fn name(self) -> &'static str {
        ["win", "bill", "loss", "impression", "click", "event"][self as usize]
    }
}

/// Why it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Nothing depends on its answer.
    Telling,
    /// It bills; it is sent until it is answered for good. What follows it then, with another price.
    Billing(BillId, Option<String>),
    /// The bid was billed before; nothing may move.
    Repricing(BillId),
}

/// A notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) kind: Kind,
    pub(crate) role: Role,
    /// Empty while it is out, unless it may have to be sent again.
    pub(crate) path: String,
    /// Sends so far.
    pub(crate) sends: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    due: BinaryHeap<Reverse<(Duration, u64)>>,
    waiting: HashMap<u64, Letter>,
    out: HashMap<u64, Letter>,
    last: u64,
}

impl Mail {
    /// A letter for the moment `due`.
    pub(crate) fn put(&mut self, due: Duration, letter: Letter) {
        self.last += 1;
        self.due.push(Reverse((due, self.last)));
        self.waiting.insert(self.last, letter);
    }

    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.due.peek().map(|Reverse((due, _))| *due)
    }

    /// The next one that is due, counted as sent.
    pub(crate) fn take(&mut self, now: Duration) -> Option<Notice> {
        self.next_due().filter(|due| *due <= now)?;
        let Reverse((_, id)) = self.due.pop()?;
        let mut letter = self.waiting.remove(&id).expect("what is due waits");
        letter.sends += 1;
        let is_final = letter.role == Role::Telling;
        let path = if is_final { std::mem::take(&mut letter.path) } else { letter.path.clone() };
        self.out.insert(id, letter);
        Some(Notice { id, path })
    }

    /// What came back; `None` of an id that is not out.
    pub(crate) fn back(&mut self, id: u64) -> Option<Letter> {
        self.out.remove(&id)
    }

    /// Letters that wait or are out.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.out.len()
    }

    /// Nothing waits for longer than until `now`; the order stays.
    pub(crate) fn hurry(&mut self, now: Duration) {
        let all = std::mem::take(&mut self.due).into_sorted_vec().into_iter().rev().enumerate();
        let last = now.saturating_sub(Duration::from_nanos(self.waiting.len() as u64));
        for (nth, Reverse((due, id))) in all {
            self.due.push(Reverse((due.min(last + Duration::from_nanos(nth as u64)), id)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_leave_in_the_order_of_their_moments() {
        let mut mail = Mail::default();
        let ms = Duration::from_millis;
        for (due, path) in [(30, "c"), (10, "a"), (20, "b")] {
            let letter = Letter { kind: Kind::Win, role: Role::Telling, path: path.to_owned(), sends: 0 };
            mail.put(ms(due), letter);
        }
        assert_eq!((mail.next_due(), mail.take(ms(9))), (Some(ms(10)), None));
        let first = mail.take(ms(15)).unwrap();
        assert_eq!((first.path.as_str(), mail.take(ms(15))), ("a", None));
        assert_eq!((mail.len(), mail.back(first.id).unwrap().sends, mail.len()), (3, 1, 2));
        assert!(mail.back(first.id).is_none());
        mail.hurry(ms(15));
        assert_eq!(mail.take(ms(15)).unwrap().path, "b");
        assert_eq!(mail.take(ms(15)).unwrap().path, "c");
    }
}
