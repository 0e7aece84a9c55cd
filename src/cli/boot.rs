//! From a data directory to a running server: configuration → log → data → catalog → audience → shared state.

use super::served::Served;
use super::{Common, Failure};
use crate::admin::{self, Admin, Rate, Setup};
use crate::audience::{self, AudienceIndex, IdKey};
use crate::budget::file_storage::FileStorage;
use crate::budget::frequency::FrequencyTable;
use crate::budget::journal::Options;
use crate::budget::{Billed, Books, EventLog as _, JournalLog, Ledger};
use crate::config::{self, Config, Sources};
use crate::contacts::Contacts;
use crate::engine::{Catalog, Settings, Snapshot, SnapshotCell};
use crate::events::{self, LogName, Logs, Retention};
use crate::exchange::token::DuplicateKeyId;
use crate::exchange::{self, PublicUrl, TokenKey, TokenKeys};
use crate::funnel::FunnelError;
use crate::model::account::Account;
use crate::model::clock::{Clock, Now};
use crate::model::money::{Cpm, Nanos};
use crate::model::rates::Rates;
use crate::pricing::learning::Tables;
use crate::serve::{
    self, Funnels, Learner, LearningOptions, Pacing, RestoreError, SampleLog, Shared, SharedParts,
    kept_tables, runaway_rule,
};
use crate::store::account_file::{self, AccountErrors};
use crate::store::category_maps::{self, CategoryMapError};
use crate::store::control::Control;
use crate::store::data_dir::{self, DataDir};
use crate::telemetry::catalogue;
use crate::telemetry::clock::SystemClock;
use crate::telemetry::log::{self, LogLevel};
use crate::telemetry::metrics::Metrics;
use anyhow::{Context, anyhow};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::JoinHandle;

/// Warnings of an account file that are logged one by one: it is read again and again, and may have thousands.
const WARNINGS_SHOWN: usize = 20;

/// The file that is read without `--config`, where there is one.
const DEFAULT_FILE: &str = "outbid.toml";

/// The configuration file, where there is one.
pub(super) fn configuration_file(common: &Common) -> Option<PathBuf> {
    common.config.clone().or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()))
}

/// Reads the configuration; `defaults` are settings of the command itself, which everything else beats.
pub(super) fn configuration(common: &Common, defaults: Vec<String>) -> Result<Config, Failure> {
    let file = match configuration_file(common) {
        Some(path) => {
            let text = std::fs::read_to_string(&path)
                .map_err(|why| Failure::Config(format!("cannot read {}: {why}", path.display())))?;
            Some((path, text))
        }
        None => None,
    };
    // What the command presets gives way to the file and the environment, so it only fills what they leave open.
    let given = config::load(Sources { file: file.clone(), env: environment(), sets: common.sets.clone() });
    let mut config = given.map_err(|errors| Failure::Config(errors.to_string()))?;
    let open: Vec<String> = defaults
        .into_iter()
        .filter(|preset| preset.split_once('=').is_some_and(|(key, _)| !config.is_given(key)))
        .collect();
    if !open.is_empty() {
        let sets = open.into_iter().chain(common.sets.clone()).collect();
        let preset = config::load(Sources { file, env: environment(), sets });
        config = preset.map_err(|errors| Failure::Config(errors.to_string()))?;
    }
    if common.quiet {
        config.log.level = LogLevel::Warn;
    }
    match common.verbose {
        0 => {}
        1 => config.log.level = LogLevel::Debug,
        _ => config.log.level = LogLevel::Trace,
    }
    Ok(config)
}

/// The process's environment; what is not UTF-8 cannot be an option.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Starts the log as configured.
pub(super) fn start_log(config: &Config) -> Result<(), Failure> {
    log::init(config.log.level, config.log.format).context("logging").map_err(Failure::from)
}

/// Why an account was not read.
pub(super) enum Unread {
    /// The file.
    Account(AccountErrors),
    /// What lies beside it.
    Maps(CategoryMapError),
}

impl From<Unread> for Failure {
    fn from(unread: Unread) -> Failure {
        match unread {
            Unread::Account(errors) => Failure::Config(errors.to_string()),
            Unread::Maps(error) => Failure::Damaged(error.into()),
        }
    }
}

/// How much an account may hold, as configured.
pub(super) fn account_limits(config: &Config) -> account_file::Limits {
    account_file::Limits { line_items: config.limits.line_items, segments: config.limits.segments }
}

/// Reads and checks an account file; warnings go to the log.
pub(super) fn read_account(path: &Path, limits: account_file::Limits) -> Result<Account, Unread> {
    let loaded = account_file::read_within(path, limits).map_err(Unread::Account)?;
    for warning in loaded.warnings.iter().take(WARNINGS_SHOWN) {
        tracing::warn!("{warning}");
    }
    let more = loaded.warnings.len().saturating_sub(WARNINGS_SHOWN);
    if more > 0 {
        tracing::warn!(more, "the account file has more warnings like these");
    }
    let maps = category_maps::read_all(&path.with_file_name("taxonomies"));
    let category_maps = maps.map_err(Unread::Maps)?;
    Ok(Account { category_maps, ..loaded.account })
}

/// The account of a data directory, from its control database where it has one, else from its account file. Only read,
/// so that it may be asked for beside a running server.
pub(super) fn stored_account(data: &DataDir, config: &Config) -> Result<Account, Failure> {
    if !data.control_file().exists() {
        return Ok(read_account(&data.account_file(), account_limits(config))?);
    }
    let control = open_control(data, Arc::new(SystemClock::new()))?;
    let account = admin::read_account(&control).map_err(|error| Failure::Damaged(error.into()))?;
    Ok(with_maps(account, data)?)
}

/// Opens the control database of a data directory, making it where there is none.
pub(super) fn open_control(data: &DataDir, clock: Arc<dyn Clock>) -> Result<Control, Failure> {
    Control::open(&data.control_file(), clock).map_err(|error| Failure::Damaged(error.into()))
}

/// With the mappings that lie beside an account.
pub(super) fn with_maps(account: Account, data: &DataDir) -> Result<Account, Unread> {
    let category_maps = category_maps::read_all(&data.root().join("taxonomies")).map_err(Unread::Maps)?;
    Ok(Account { category_maps, ..account })
}

/// The control plane of a data directory with a control database; what it tells the server reaches `served` once that
/// is there.
fn control_plane(
    data: &DataDir,
    config: &Config,
    clock: &Arc<dyn Clock>,
    served: &Arc<OnceLock<Weak<Shared>>>,
) -> Result<Option<Admin>, Failure> {
    if !data.control_file().exists() {
        return Ok(None);
    }
    if data.account_file().exists() {
        tracing::info!("account.json is not read: the control database has the account");
    }
    let (told, kept) = (Arc::clone(served), Arc::clone(served));
    let setup = Setup {
        control: open_control(data, Arc::clone(clock))?,
        bootstrap_key: config.admin.bootstrap_key.clone(),
        clock: Arc::clone(clock),
        published: Box::new(move || {
            if let Some(shared) = told.get().and_then(Weak::upgrade) {
                shared.poke_publisher();
            }
        }),
        serving: Box::new(Served::new(Arc::clone(served), Arc::clone(clock))),
        people: Box::new(move || {
            let shared = kept.get().and_then(Weak::upgrade)?;
            let plan = Arc::clone(shared.snapshots().load().catalog.behaviour());
            let store = shared.people_kept();
            let (contacts, frequency) = (shared.contacts(), shared.frequency_kept());
            Some(admin::PeopleKept {
                store,
                plan,
                contacts,
                frequency,
                forget: Arc::new(move |keys| shared.forget(keys)),
            })
        }),
        rate: Rate { per_s: config.admin.rate_per_s, burst: config.admin.burst },
        bid_listener: config.listen.bid,
        public_url: config.track.public_url.as_str().to_owned(),
        jobs: admin::JobOptions { dir: data.root().join("jobs"), import_bytes: config.admin.import_bytes },
    };
    Admin::new(setup).map(Some).map_err(|error| Failure::Damaged(error.into()))
}

/// Compiles an account into a catalog.
pub(super) fn compile(account: Account, version: u64) -> Result<Catalog, Failure> {
    let catalog = Catalog::compile(account, version, &exchange::compile_markup);
    catalog.map_err(|error| Failure::Failed(anyhow!("the account cannot be compiled: {error}")))
}

/// The key of the user hashes of a data directory.
pub(super) fn id_key(data: &DataDir) -> Result<IdKey, Failure> {
    data.user_key().map(IdKey).map_err(|error| Failure::Damaged(error.into()))
}

/// The audience of a data directory, to look at; empty when nothing was imported yet.
pub(super) fn audience(data: &DataDir, key: &IdKey) -> Result<AudienceIndex, Failure> {
    audience::Store::look(data.root(), key).map_err(|error| Failure::Damaged(error.into()))
}

/// The audience of a data directory, to be changed.
fn people(data: &DataDir, key: IdKey) -> Result<audience::Store, Failure> {
    let (store, opened) =
        audience::Store::open(data.root(), key).map_err(|error| Failure::Damaged(error.into()))?;
    if opened.torn_bytes > 0 {
        tracing::warn!(bytes = opened.torn_bytes, "cut a torn end off the log of the audience");
    }
    if opened.erased_again > 0 {
        tracing::warn!(
            keys = opened.erased_again,
            "an older copy of the audience was put back; who was erased since is erased from it too"
        );
    }
    if opened.replayed > 0 {
        tracing::info!(changes = opened.replayed, "read changes of the audience since it was saved");
    }
    Ok(store)
}

/// How often people were shown what, to be counted on.
fn shown(data: &DataDir, config: &Config, now: Now) -> Result<FrequencyTable, Failure> {
    let storage =
        FileStorage::open(&data.frequency()).context("cannot look into the frequency table's folder")?;
    let now_s = now.second();
    FrequencyTable::open(config.engine.frequency_users, Box::new(storage), now_s)
        .map_err(|error| Failure::Damaged(anyhow!("{}: {error}", data.frequency().display())))
}

/// The sampled requests, without those of people who were erased since they were kept.
fn samples(
    data: &DataDir,
    config: &Config,
    people: &audience::Store,
    now: Now,
) -> Result<SampleLog, Failure> {
    let at = || format!("cannot look into {}", data.samples().display());
    let storage = FileStorage::open(&data.samples()).with_context(at)?;
    let log = SampleLog::open(Box::new(storage), &config.samples, now).with_context(at)?;
    let again = log.erase_again(people.erased(), now).with_context(at)?;
    if again > 0 {
        tracing::warn!(requests = again, "sampled requests of people who were erased since are gone");
    }
    Ok(log)
}

/// What learns from the event log, as far as it got.
fn learner(data: &DataDir, config: &Config, now: Now) -> Result<Learner, Failure> {
    let Some(options) = LearningOptions::of(config) else { return Ok(Learner::default()) };
    let storage = FileStorage::open(&data.learning());
    let opened =
        storage.and_then(|storage| Learner::open(Box::new(storage), &data.events(), options, now.unix_ms));
    Ok(opened.with_context(|| format!("cannot look into {}", data.learning().display()))?)
}

/// What a server has learned and kept; nothing where none has.
pub(super) fn learned(data: &DataDir, config: &Config) -> Result<Tables, Failure> {
    let Some(options) = LearningOptions::of(config).filter(|_| data.learning().exists()) else {
        return Ok(Tables::default());
    };
    let tables = FileStorage::open(&data.learning()).and_then(|storage| kept_tables(&storage, options));
    Ok(tables.with_context(|| format!("cannot look into {}", data.learning().display()))?)
}

/// The contacts of a data directory, without those who were erased since they were written.
fn contacts(data: &DataDir, people: &audience::Store) -> Result<Contacts, Failure> {
    let (contacts, opened) =
        Contacts::open(data.root(), people.erased()).map_err(|error| Failure::Damaged(error.into()))?;
    if opened.without_key > 0 {
        tracing::warn!(
            contacts = opened.without_key,
            "contacts whose keys are destroyed are gone from an older copy"
        );
    }
    if opened.erased_again > 0 {
        tracing::warn!(
            contacts = opened.erased_again,
            "an older copy of the contacts was put back; who was erased since is erased from it too"
        );
    }
    Ok(contacts)
}

/// A data directory without an account is most often a mistyped one, so nothing is created in it.
pub(super) fn require_account(root: &Path) -> Result<(), Failure> {
    if root.join("account.json").exists() || root.join("control.db").exists() {
        return Ok(());
    }
    let root = root.display();
    Err(Failure::Failed(anyhow!(
        "{root} holds no account; begin one with `outbid init --data-dir {root}`, make one to measure with \
         `outbid seed --data-dir {root}`, look at one with `outbid demo --data-dir {root}`, or name another directory \
         with --set data.dir=DIR"
    )))
}

/// Everything that serving needs, from a data directory that holds an account.
pub(super) fn shared(config: Config, data: &DataDir) -> Result<Booted, Failure> {
    let system_clock = Arc::new(SystemClock::new());
    let clock: Arc<dyn Clock> = Arc::clone(&system_clock) as Arc<dyn Clock>;
    let now = clock.now();
    let served = Arc::new(OnceLock::new());
    let admin = control_plane(data, &config, &clock, &served)?;
    let account = match &admin {
        Some(admin) => with_maps(admin.account(), data)?,
        None => read_account(&data.account_file(), account_limits(&config))?,
    };
    let rates = Arc::new(account.rates.clone());
    let compiling_ns = clock.mono_ns();
    let mut catalog = compile(account, 1)?;
    let compiled_ns = clock.mono_ns() - compiling_ns;
    let id_key = id_key(data)?;
    let audience = people(data, id_key)?;
    let frequency = Arc::new(shown(data, &config, now)?);
    let contacts = contacts(data, &audience)?;
    let pacing = FileStorage::open(&data.pacing()).and_then(|storage| Pacing::open(Box::new(storage)));
    let pacing = pacing.with_context(|| format!("cannot look into {}", data.pacing().display()))?;
    let funnels = FileStorage::open(&data.funnel()).map_err(FunnelError::from);
    let funnels = funnels.and_then(|storage| Funnels::open(Box::new(storage)));
    let funnels = funnels.with_context(|| format!("cannot look into {}", data.funnel().display()))?;
    let samples = samples(data, &config, &audience, now)?;
    let learner = learner(data, &config, now)?;
    let public_url = PublicUrl::parse(config.track.public_url.as_str()).context("track.public_url")?;
    let cores = config.engine.serving_cores(std::thread::available_parallelism().map_or(1, usize::from));
    let damaged = |error: crate::store::data_dir::DataDirError| Failure::Damaged(error.into());
    // Before the epoch, which says that a server has run here.
    let token_keys = token_keys(data)?;
    let epoch = data.next_epoch(now.unix_s()).map_err(damaged)?;
    let (log, books) = open_journal(data, &config)?;
    let logs = open_events(data, &config, log.durable_lsn(), now)?;
    let (events, event_writer) = logs.start(cores, Arc::clone(&clock)).context("event log's thread")?;
    let log = Box::new(Billed::new(Box::new(log), Box::new(events.bills())));
    let started = Ledger::start(books, log, epoch, cores as u16, Arc::clone(&clock));
    let (ledger, writer) = started.context("ledger thread")?;
    let ledger = Arc::new(ledger);
    // Above everything that was published here before.
    catalog.version = ledger.newest_version() + 1;
    let catalog = Arc::new(catalog);
    fund(&ledger, &catalog, &rates, &config, now)?;
    let settings = Settings {
        seed: u64::from(epoch),
        tracking_is_https: public_url.is_secure(),
        max_candidates: config.engine.max_candidates,
        max_cpm: Cpm(i64::try_from(config.ledger.max_cpm_micros).unwrap_or(i64::MAX).min(Cpm::MAX.0)),
        privacy: crate::serve::privacy_policy(&config.privacy),
        max_charge: Nanos(
            i64::try_from(config.ledger.max_charge_micros).unwrap_or(i64::MAX).saturating_mul(1_000),
        ),
    };
    tracing::info!(
        line_items = catalog.line_items().len(),
        users = audience.index().stats().base_users,
        cores,
        epoch,
        "loaded {}",
        data.root().display()
    );
    let learned = Arc::new(learner.tables());
    let snapshot = Snapshot { learned, ..Snapshot::usable(catalog, Arc::clone(&rates), now) };
    let shared = Arc::new(Shared::new(SharedParts {
        token_keys,
        snapshots: SnapshotCell::new(snapshot),
        metrics: Metrics::new(cores, env!("CARGO_PKG_VERSION"), now.unix_s()),
        clock,
        wall: Some(system_clock),
        config,
        audience,
        frequency,
        contacts,
        pacing,
        funnels,
        samples,
        learner,
        ledger,
        events: Some(events),
        public_url,
        settings,
    }));
    // A second start of the same parts is impossible: both were made here.
    let _first = served.set(Arc::downgrade(&shared));
    if let Some(admin) = &admin {
        shared.offer_api(Arc::new(admin.clone()));
    }
    shared.metrics().gauge(catalogue::CATALOG_BUILD, &[]).set(compiled_ns as f64 / 1e9);
    Ok(Booted { shared, admin, rates, writer, event_writer })
}

/// Everything that serving needs, and the thread that writes the books.
pub(super) struct Booted {
    pub(super) shared: Arc<Shared>,
    /// The control plane, where the data directory has its database.
    pub(super) admin: Option<Admin>,
    /// The exchange rates as the account says them.
    pub(super) rates: Arc<Rates>,
    writer: JoinHandle<()>,
    event_writer: JoinHandle<()>,
}

impl Booted {
    /// Ends the books: everything that was decided is durable, what is free has gone back.
    pub(super) fn close(self) {
        if let Some(admin) = &self.admin {
            admin.close();
        }
        self.shared.keep_learned();
        self.shared.ledger().end();
        if self.writer.join().is_err() {
            tracing::error!("the ledger's thread had panicked");
        }
        if let Some(events) = self.shared.events() {
            events.end();
        }
        if self.event_writer.join().is_err() {
            tracing::error!("the thread of the event log had panicked");
        }
    }
}

/// How the journal uses its directory.
fn journal_options(config: &Config) -> Options {
    let segment_bytes = config.ledger.segment_bytes;
    Options { segment_bytes, emergency_bytes: segment_bytes, ..Options::default() }
}

/// Recovers the books from the journal of a data directory.
fn open_journal(data: &DataDir, config: &Config) -> Result<(JournalLog, Books), Failure> {
    let opened = JournalLog::open(Box::new(journal_storage(data)?), journal_options(config));
    let (log, books) = opened.map_err(|error| Failure::Damaged(error.into()))?;
    for (currency, sums) in books.sums().into_iter().filter(|(_, sums)| sums.leased > 0) {
        let in_doubt = Nanos(i64::try_from(sums.leased).unwrap_or(i64::MAX));
        tracing::info!(%in_doubt, %currency, "money of bids of earlier runs may still be billed; it returns by itself");
    }
    Ok((log, books))
}

fn journal_storage(data: &DataDir) -> Result<FileStorage, Failure> {
    let directory = data.ledger();
    Ok(FileStorage::open(&directory).with_context(|| directory.display().to_string())?)
}

/// Opens the event log of a data directory and writes the bills of the journal, up to its last record, that a crash kept
/// from it. A log that does not open refuses the start: bills would be charged whose events nobody keeps.
fn open_events(data: &DataDir, config: &Config, last_lsn: u64, now: Now) -> Result<Logs, Failure> {
    let refused = |error: RestoreError| {
        let events = data.events();
        Failure::Damaged(anyhow!(
            "the event log does not open: {error}; bills must have their events, so nothing is served. Mend what it \
             names (its rights, space, the disk), or move {} away: then a new log is begun, with the bills that the \
             ledger's journal still holds",
            events.display()
        ))
    };
    let (mut logs, found) =
        Logs::open(&data.events(), event_options(config)).map_err(|error| refused(error.into()))?;
    let veil = events::Veil::open(&data.keys(), now.unix_ms).map_err(|error| refused(error.into()))?;
    logs.cover_by(veil);
    for (name, found) in LogName::ALL.into_iter().zip(found) {
        if let Some((file, bytes)) = &found.torn {
            tracing::warn!(
                log = name.as_str(),
                file,
                bytes,
                "the event log had a torn end, which was cut off"
            );
        }
        if let Some(file) = &found.damaged {
            tracing::warn!(log = name.as_str(), file, "the event log is damaged; see `outbid events verify`");
        }
    }
    let journal = journal_storage(data)?;
    let restored = serve::restore(logs.notices(), &journal, last_lsn).map_err(refused)?;
    if restored > 0 {
        tracing::info!(
            restored,
            "bills of the ledger's journal were missing in the event log, and are written"
        );
    }
    Ok(logs)
}

fn event_options(config: &Config) -> events::Options {
    let keep = &config.events;
    let retention = |keep_bytes, hours: u32| Retention {
        segment_bytes: keep.segment_bytes,
        keep_bytes,
        keep_ms: i64::from(hours) * 3_600_000,
    };
    events::Options {
        bids: retention(keep.bids_keep_bytes, keep.bids_keep_h),
        notices: retention(keep.notices_keep_bytes, keep.notices_keep_h),
        ring: keep.ring,
    }
}

/// Tells the ledger what the account says of money; done when every line item has its first lease.
fn fund(
    ledger: &Ledger,
    catalog: &Catalog,
    rates: &Arc<Rates>,
    config: &Config,
    now: Now,
) -> Result<(), Failure> {
    let terms = catalog.exchange_terms().collect();
    ledger.configure_exchanges(terms, Arc::clone(rates), runaway_rule(config), now);
    let funded = ledger.configure_all(catalog.funding().collect(), now);
    funded.map_err(|refused| {
        Failure::Failed(anyhow!("the account does not go with the ledger of this data directory: {refused}"))
    })
}

fn token_keys(data: &DataDir) -> Result<TokenKeys, Failure> {
    let stored = data.token_keys().map_err(|error| Failure::Damaged(error.into()))?;
    token_ring(&stored).map_err(|error| Failure::Damaged(error.into()))
}

/// The keys of a data directory as a server uses them.
pub(super) fn token_ring(stored: &data_dir::TokenKeys) -> Result<TokenKeys, DuplicateKeyId> {
    let key = |key: &data_dir::TokenKey| TokenKey { id: key.id, secret: key.secret };
    let older: Vec<TokenKey> = stored.previous.iter().map(key).collect();
    TokenKeys::new(&key(&stored.current), &older)
}
