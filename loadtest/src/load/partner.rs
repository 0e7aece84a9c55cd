//! Who plays the exchange behind a run: what it needs before the server starts, and what it says when the server has
//! stopped.

use super::args::RunArgs;
use super::slo::Check;
use super::traffic::source::Source;
use crate::counterpart::{Answered, Counterpart, Notice, Outcome, Sent};
use crate::exchange::asked::Asked;
use crate::exchange::audit::command;
use crate::exchange::audit::file::File;
use crate::exchange::audit::ledger::{self, Before, Tool};
use crate::exchange::{Exchange, Options, account};
use crate::world::World;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// An exchange with books.
pub(crate) trait Partner: Counterpart {
    /// Settings that a server which is started for the run needs for it, as `key=value`.
    fn settings(&self) -> Vec<String>;

    /// The last request was answered: what still waits is due at once.
    fn hurry(&mut self, now: Duration);

    /// The server has stopped, if it was started for the run: what was found.
    fn finish(&mut self) -> anyhow::Result<Findings>;
}

/// What a partner says after a run.
#[derive(Clone, Debug)]
pub(crate) struct Findings {
    /// Conditions beside those of the SLO; one that does not hold ends with the same exit code.
    pub(crate) checks: Vec<Check>,
    /// For the JSON object, under `exchange`.
    pub(crate) json: Value,
    /// For the reader.
    pub(crate) notes: Vec<String>,
}

/// The partner of a run; `None` where requests are only asked and answered. The server has not started yet.
pub(crate) fn partner(
    args: &RunArgs,
    world: &World,
    source: &Source,
) -> anyhow::Result<Option<Box<dyn Partner>>> {
    let (Some(data_dir), true) = (&args.target.data_dir, args.exchange.plays) else { return Ok(None) };
    let program = ledger::program(args.target.server_cmd.as_deref())?;
    let tool = Tool { program, data_dir: data_dir.clone() };
    let account = account::parse(&tool.account_text()?, &world.exchange)?;
    let asked: anyhow::Result<Vec<Asked>> = source.json.iter().map(|body| Asked::read(body)).collect();
    let options = Options {
        seed: args.traffic.seed.unwrap_or(world.seed),
        profile: args.exchange.profile.profile(),
        validate: args.exchange.validate,
    };
    Ok(Some(Box::new(Player {
        exchange: Exchange::new(options, account, asked?),
        before: tool.show()?.before(),
        tool,
        name: world.exchange.clone(),
        books: args.exchange.books.clone(),
    })))
}

/// The exchange of this program, with the ledger that its books are held against.
struct Player {
    exchange: Exchange,
    tool: Tool,
    before: Before,
    name: String,
    books: Option<PathBuf>,
}

impl Counterpart for Player {
    fn answered(&mut self, sent: &Sent<'_>, answer: &Answered<'_>, now: Duration) {
        self.exchange.answered(sent, answer, now);
    }

    fn next_due(&self) -> Option<Duration> {
        self.exchange.next_due()
    }

    fn take_due(&mut self, now: Duration) -> Option<Notice> {
        self.exchange.take_due(now)
    }

    fn noticed(&mut self, id: u64, outcome: Outcome<'_>, now: Duration) {
        self.exchange.noticed(id, outcome, now);
    }
}

impl Partner for Player {
    fn settings(&self) -> Vec<String> {
        // Nobody asks any more when it is stopped.
        vec!["server.drain_grace_ms=0".to_owned()]
    }

    fn hurry(&mut self, now: Duration) {
        self.exchange.hurry(now);
    }

    fn finish(&mut self) -> anyhow::Result<Findings> {
        let file = File::of(&self.name, &self.before, &self.exchange.books);
        if let Some(path) = &self.books {
            file.write(path)?;
        }
        let report = command::audit(&self.tool, self.exchange.account(), &file)?;
        let check = |condition: &str, faults: usize, of: &str| Check {
            condition: condition.to_owned(),
            holds: faults == 0,
            measured: format!("{faults} {of}"),
        };
        let wrong = usize::from(!self.exchange.is_clean());
        let checks = vec![
            check("answers, and what is said of notices, are right", wrong, "times not, see `exchange`"),
            check("every bill is answered for", self.exchange.books.unsettled(), "are not"),
            check("the ledger is the exchange's books, to the nano", report.differences.len(), "differences"),
        ];
        let mut json = self.exchange.json();
        json["audit"] = report.json();
        let mut said = Vec::new();
        command::print(&report, &mut said)?;
        let notes = String::from_utf8_lossy(&said).lines().map(str::to_owned).collect();
        Ok(Findings { checks, json, notes })
    }
}
