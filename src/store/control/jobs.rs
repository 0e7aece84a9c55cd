//! What is worked on in the background: one row a job, with what was asked for and what came of it.
//!
//! Invariant: a job that has ended stays as it ended, except that its files may expire; an id is given once.
//!
//! Deliberately absent: the work, its files, and what the two documents of a row say.

use super::cursor::{Cursor, SortKey, fingerprint};
use super::error::ControlError;
use super::sql::{self, Statement, names};
use super::transaction::{Read, Write};
use rusqlite::params;

names! {
    /// How far a job is.
    JobState {
        /// Waits for others.
        Queued = "queued",
        /// Is worked on.
        Running = "running",
        /// Done.
        Succeeded = "succeeded",
        /// Ended without doing all of it.
        Failed = "failed",
        /// Ended because somebody wanted so.
        Cancelled = "cancelled",
        /// Ended, and its files are gone.
        Expired = "expired",
    }
}

impl JobState {
    /// Whether nothing more will come of it.
    pub fn has_ended(self) -> bool {
        !matches!(self, JobState::Queued | JobState::Running)
    }
}

/// A job to be done.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Its tenant; 0 is the platform.
    pub account: u32,
    /// What is done.
    pub kind: &'static str,
    /// With what.
    pub collection: &'static str,
    /// How, as JSON.
    pub options: String,
    /// Who asked for it, by the name.
    pub actor: String,
    /// The request by which it was asked for.
    pub request_id: String,
    /// What is known of its outcome, as JSON.
    pub outcome: String,
}

/// A job as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRow {
    /// Ascending, never used again.
    pub id: u32,
    /// Its tenant; 0 is the platform.
    pub account: u32,
    /// What is done.
    pub kind: String,
    /// With what.
    pub collection: String,
    /// How, as JSON.
    pub options: String,
    /// Who asked for it, by the name.
    pub actor: String,
    /// The request by which it was asked for.
    pub request_id: String,
    /// How far it is.
    pub state: JobState,
    /// When it was asked for, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// When it ended.
    pub finished_ms: Option<i64>,
    /// What came of it, as JSON.
    pub outcome: String,
}

/// Which jobs, newest first.
#[derive(Clone, Debug, Default)]
pub struct JobQuery {
    /// Of one tenant.
    pub account: Option<u32>,
    /// Behind the last one of the page before.
    pub after: Option<Cursor>,
    /// At most so many.
    pub limit: usize,
}

impl JobQuery {
    /// The cursor behind `job`, the last one of a page of this query.
    pub fn cursor(&self, job: &JobRow) -> Cursor {
        Cursor::new(self.fingerprint(), SortKey::Number(job.id.into()), job.id.into())
    }

    /// Whether it asks for a job, as far as its order and its tenant go.
    pub fn asks_for(&self, job: &JobRow) -> bool {
        self.account.is_none_or(|account| account == job.account)
            && self.after.as_ref().is_none_or(|after| i64::from(job.id) < after.id)
    }

    fn fingerprint(&self) -> [u8; 8] {
        fingerprint(&format!("jobs {:?}", self.account))
    }
}

macro_rules! columns {
    () => {
        "id, account, kind, collection, options, actor, request_id, state, created_ms, finished_ms, outcome"
    };
}

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<JobRow> {
    Ok(JobRow {
        id: row.get(0)?,
        account: row.get(1)?,
        kind: row.get(2)?,
        collection: row.get(3)?,
        options: row.get(4)?,
        actor: row.get(5)?,
        request_id: row.get(6)?,
        state: row.get(7)?,
        created_ms: row.get(8)?,
        finished_ms: row.get(9)?,
        outcome: row.get(10)?,
    })
}

impl Read<'_> {
    /// One job.
    pub fn job(&self, id: u32) -> Result<Option<JobRow>, ControlError> {
        const SQL: &str = concat!("SELECT ", columns!(), " FROM jobs WHERE id = ?1");
        sql::one(self.connection, "read a job", SQL, [id], row)
    }

    /// One page of jobs, newest first.
    pub fn jobs(&self, query: &JobQuery) -> Result<Vec<JobRow>, ControlError> {
        let mut sql = Statement::new(concat!("SELECT ", columns!(), " FROM jobs WHERE 1").to_owned());
        if let Some(account) = query.account {
            sql.and("account = ?", account);
        }
        if let Some(after) = &query.after {
            after.check(query.fingerprint())?;
            sql.and("id < ?", after.id);
        }
        sql.text.push_str(" ORDER BY id DESC LIMIT ?");
        sql.value(i64::try_from(query.limit).unwrap_or(i64::MAX));
        sql::many(self.connection, "list jobs", &sql.text, sql.params(), row)
    }

    /// The last id that was given to a job; 0 where there was none.
    pub fn last_job(&self) -> Result<u32, ControlError> {
        const SQL: &str = "SELECT seq FROM sqlite_sequence WHERE name = 'jobs'";
        let last = sql::one(self.connection, "read the last job", SQL, [], |row| row.get::<_, u32>(0))?;
        Ok(last.unwrap_or(0))
    }

    /// The jobs that have not ended, oldest first.
    pub fn open_jobs(&self) -> Result<Vec<JobRow>, ControlError> {
        const SQL: &str =
            concat!("SELECT ", columns!(), " FROM jobs WHERE state IN ('queued', 'running') ORDER BY id");
        sql::many(self.connection, "list open jobs", SQL, [], row)
    }
}

impl Write<'_> {
    /// Makes a job that waits.
    pub fn insert_job(&mut self, new: NewJob) -> Result<JobRow, ControlError> {
        const SQL: &str = concat!(
            "INSERT INTO jobs (account, kind, collection, options, actor, request_id, state, created_ms, outcome) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'queued', ?7, ?8) RETURNING ",
            columns!()
        );
        let NewJob { account, kind, collection, options, actor, request_id, outcome } = new;
        let params = params![account, kind, collection, options, actor, request_id, self.now_ms(), outcome];
        sql::only(self.connection, "add a job", SQL, params, row)
    }

    /// Writes a job as it is, which has its id from elsewhere; one that has ended already stays as it is.
    pub fn place_job(&mut self, job: &JobRow) -> Result<(), ControlError> {
        const SQL: &str = "INSERT INTO jobs (id, account, kind, collection, options, actor, request_id, state, \
             created_ms, finished_ms, outcome) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) \
             ON CONFLICT (id) DO UPDATE SET state = excluded.state, outcome = excluded.outcome, \
             finished_ms = excluded.finished_ms WHERE state IN ('queued', 'running')";
        let JobRow { id, account, kind, collection, options, actor, request_id, .. } = job;
        let JobRow { state, created_ms, finished_ms, outcome, .. } = job;
        let params = params![
            id,
            account,
            kind,
            collection,
            options,
            actor,
            request_id,
            state,
            created_ms,
            finished_ms,
            outcome
        ];
        sql::run(self.connection, "write a job", SQL, params).map(drop)
    }

    /// Says how far a job is; one that has ended already stays as it is.
    pub fn update_job(&mut self, id: u32, state: JobState, outcome: &str) -> Result<(), ControlError> {
        let finished = state.has_ended().then(|| self.now_ms());
        self.set_job(id, state, outcome, finished)
    }

    /// Says how a job has ended at a moment, which may be long after its transaction began.
    pub fn end_job(
        &mut self,
        id: u32,
        state: JobState,
        outcome: &str,
        at_ms: i64,
    ) -> Result<(), ControlError> {
        self.set_job(id, state, outcome, Some(at_ms))
    }

    fn set_job(
        &mut self,
        id: u32,
        state: JobState,
        outcome: &str,
        finished: Option<i64>,
    ) -> Result<(), ControlError> {
        const SQL: &str = "UPDATE jobs SET state = ?2, outcome = ?3, finished_ms = ?4 \
             WHERE id = ?1 AND state IN ('queued', 'running')";
        sql::run(self.connection, "change a job", SQL, params![id, state, outcome, finished]).map(drop)
    }

    /// Marks as expired what ended before a moment, and what has more than `kept` jobs after it; their ids. Jobs with
    /// more than `remembered` after them go for good.
    pub fn expire_jobs(
        &mut self,
        before_ms: i64,
        kept: u32,
        remembered: u32,
    ) -> Result<Vec<u32>, ControlError> {
        const ACTION: &str = "expire old jobs";
        const SQL: &str = "UPDATE jobs SET state = 'expired' WHERE state IN ('succeeded', 'failed', 'cancelled') \
             AND (finished_ms < ?1 OR id <= (SELECT max(id) FROM jobs) - ?2) RETURNING id";
        let gone = sql::many(self.connection, ACTION, SQL, params![before_ms, kept], |row| row.get(0))?;
        const FORGET: &str =
            "DELETE FROM jobs WHERE state = 'expired' AND id <= (SELECT max(id) FROM jobs) - ?1";
        sql::run(self.connection, ACTION, FORGET, [remembered])?;
        Ok(gone)
    }
}
