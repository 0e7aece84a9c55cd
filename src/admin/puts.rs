//! What one transaction puts into the editor, and what becomes of that where it is not kept.

use super::hints;
use super::problem::{FieldError, Problem};
use super::shape::Shape;
use super::state::{Inner, put_row};
use crate::serve;
use crate::store::account_file::{Editor, Put};
use crate::store::control::{Kind, Row};
use hyper::StatusCode;
use parking_lot::Mutex;
use std::sync::Arc;

/// What a transaction puts into the editor.
pub(super) struct Puts<'e> {
    pub(super) editor: &'e mut Editor,
    inner: &'e Inner,
    /// See [`hints::about`]; asked for once, because a table asks for every row.
    has_audience: Option<Option<bool>>,
    done: Vec<Put>,
    /// Whether it is thrown away as a whole where the transaction fails.
    is_copy: bool,
}

impl Puts<'_> {
    pub(super) fn on<'e>(editor: &'e mut Editor, inner: &'e Inner, is_copy: bool) -> Puts<'e> {
        Puts { editor, inner, has_audience: None, done: Vec::new(), is_copy }
    }

    /// Puts a row; the warnings about it.
    pub(super) fn put(&mut self, shape: &Shape, row: &Row) -> Result<Vec<FieldError>, Problem> {
        let put = put_row(self.editor, shape, row).map_err(Problem::invalid)?;
        let mut warnings: Vec<FieldError> =
            put.warnings.iter().cloned().map(|finding| shape.outside(FieldError::of(finding))).collect();
        self.done.push(put);
        let (inner, known) = (self.inner, &mut self.has_audience);
        let mut has_audience = || *known.get_or_insert_with(|| inner.serving.has_audience());
        warnings.extend(hints::about(self.editor, row, inner.clock.now().unix_ms, &mut has_audience));
        // Else it would be refused when it is published, and with it whatever changes after it.
        if shape.kind == Kind::Exchange
            && let Some((profile, true)) = self.editor.exchange(row.id)
            && serve::is_open_to_anyone(profile, self.inner.bid_listener)
        {
            let message = format!(
                "listen.bid = {} is beyond loopback, where anyone could ask in this exchange's name; give it a secret",
                self.inner.bid_listener
            );
            return Err(Problem::invalid(vec![FieldError::new("/auth", "conflict", message)]));
        }
        Ok(warnings)
    }

    /// What would be wrong with a row, which is not put.
    pub(super) fn errors_of(&mut self, shape: &Shape, row: &Row) -> Vec<FieldError> {
        match put_row(self.editor, shape, row) {
            Ok(put) => {
                self.editor.undo(put);
                Vec::new()
            }
            Err(errors) => errors,
        }
    }

    /// Whether a row would make a difference to what is there; it is not put.
    pub(super) fn would_change(&mut self, shape: &Shape, row: &Row) -> Result<bool, Problem> {
        let put = put_row(self.editor, shape, row).map_err(Problem::invalid)?;
        let would = self.editor.has_changed(&put);
        self.editor.undo(put);
        Ok(would)
    }

    /// Makes these the values of a list that was put.
    pub(super) fn put_values(&mut self, list: u32, values: Vec<String>) {
        self.done.extend(self.editor.put_values(list, values));
    }

    /// Says that what was put so far stays unless the whole transaction fails: of a copy nothing need be kept for that.
    pub(super) fn settle(&mut self) {
        if self.is_copy {
            self.done.clear();
        }
    }

    /// Where it is now, for [`Puts::undo_to`].
    pub(super) fn mark(&self) -> usize {
        self.done.len()
    }

    /// Takes back what was put since.
    pub(super) fn undo_to(&mut self, mark: usize) {
        while self.done.len() > mark {
            if let Some(put) = self.done.pop() {
                self.editor.undo(put);
            }
        }
    }
}

/// What a transaction did, also where it is not kept.
#[derive(Clone)]
pub(super) struct Tried<T> {
    dry: bool,
    seen: Arc<Mutex<Option<T>>>,
}

impl<T> Tried<T> {
    pub(super) fn new(dry: bool) -> Tried<T> {
        Tried { dry, seen: Arc::default() }
    }

    /// Ends a transaction: one that is only tried is not kept.
    pub(super) fn keep(&self, value: T) -> Result<T, Problem> {
        if self.dry { Err(self.without_a_trace(value)) } else { Ok(value) }
    }

    /// A refusal that keeps the transaction from being committed. What it says is not shown: `value` is the outcome.
    pub(super) fn without_a_trace(&self, value: T) -> Problem {
        *self.seen.lock() = Some(value);
        Problem::new(StatusCode::OK, "not kept", "nothing was changed")
    }

    /// What the transaction did or would have done.
    pub(super) fn settle(self, done: Result<T, Problem>) -> Result<T, Problem> {
        done.or_else(|problem| self.seen.lock().take().ok_or(problem))
    }
}
