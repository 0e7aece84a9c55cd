//! The control plane: the API by which people and programs configure an account, over HTTP and JSON.
//!
//! A call goes one way: `routes` finds what is meant, `keyring` says who asks, `auth` whether it may,
//! `crud` does it inside one transaction of the
//! control store, and the answer is a view of the row. What is written is first put into the [`Editor`], which reads it
//! as the engine would; what the editor refuses is never committed, so a published account always compiles. After the
//! commit the publisher is poked, and takes up the newest account as a whole.
//!
//! The ledger hears of budgets from the published account, whose amounts are absolute and whose versions grow: a change
//! that is told twice, or again after a crash, is the same change. That makes the committed rows the outbox.
//!
//! Invariant: the editor holds what the database holds. A transaction that fails after it has put something takes that
//! back; where even the commit fails, the editor is filled again from the database.
//!
//! Deliberately absent: a web framework. The routes are one table, from which requests are matched and the API's
//! description is written, so the two cannot differ.

mod alerts;
mod api_keys;
mod apply;
mod audience;
mod audit;
mod auth;
mod bulk;
mod call;
mod crud;
mod docs;
mod download;
mod explain;
mod filled;
mod forecast;
mod funnel;
mod hints;
mod idempotent;
mod import;
mod jobs;
mod json;
mod key_request;
mod keyring;
mod limits;
mod lists;
mod merge;
mod money;
mod openapi;
mod page;
mod people;
mod pixels;
mod problem;
mod puts;
mod routes;
mod rules;
mod samples;
mod shape;
mod sheets;
mod state;
mod status;
mod tenants;

pub use audience::{Forget, People as PeopleKept, PeopleSource};
pub use explain::{Explained, ExplainedImp, ExplainedLineItem};
pub use filled::{owners, read_account, read_account_of};
pub use import::import;
pub use jobs::JobOptions;
pub use key_request::{IssueError, KeyRequest, issue_key};
pub use limits::Rate;
pub use people::{PersonRequest, add_person, disable_person, invite_person, set_password};
pub use state::{Admin, Setup, StartError};
pub use status::Serving;
