//! An account that is changed entry by entry, by the same readers that read a whole file: what the control store serves
//! from, and what every write is checked against before it is committed.
//!
//! Invariant: what [`Editor::put`] takes is whole, so [`Editor::account`] always gives an account that compiles: every
//! reference resolves within its tenant, keys are unique, segments are trees. What it refuses changes nothing, and
//! [`Editor::undo`] takes back what was taken, newest first.
//!
//! What names or pays for something else is fixed when it is created: the name of an exchange, the key of a segment, a
//! parent, a currency, an advertiser's time zone. Changing one would change the meaning of entries that are not looked at.

mod checks;
mod look;
mod names;

use super::known::Known;
use super::report::{Code, Finding, Report};
use super::wire::{
    AdvertiserWire, CampaignWire, ConversionWire, CreativeWire, DealWire, ExchangeWire, LineItemWire,
    ListWire, PixelWire, RatesWire, SafetyWire, SegmentWire,
};
use super::{behaviour, buying, creative, exchange, lists, safety};
use crate::model::account::Account;
use crate::model::behaviour::{Pixel, Source};
use crate::model::creative::Creative;
use crate::model::exchange::ExchangeProfile;
use crate::model::ids::{CreativeId, ListId, SegmentId};
use crate::model::line_item::{Advertiser, Campaign, LineItem};
use crate::model::list::{Conversion, Deal, List};
use crate::model::money::Currency;
use crate::model::rates::Rates;
use crate::model::safety::Safety;
use crate::model::taxonomy::Segment;
use checks::{Parsed, fixed, parse, raw};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// A kind of entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Part {
    /// The table of rates; there is one.
    Rates,
    /// What is refused everywhere; there is one.
    Safety,
    /// An exchange profile; exchanges belong to no tenant.
    Exchange,
    /// A segment.
    Segment,
    /// An advertiser.
    Advertiser,
    /// A campaign.
    Campaign,
    /// A creative.
    Creative,
    /// A list; its values are put by [`Editor::put_values`].
    List,
    /// A deal.
    Deal,
    /// What counts as a conversion.
    Conversion,
    /// Where events are reported.
    Pixel,
    /// A line item.
    LineItem,
}

impl Part {
    /// The list of the account file that holds such entries.
    fn list(self) -> &'static str {
        match self {
            Part::Rates => "rates",
            Part::Safety => "safety",
            Part::Exchange => "exchanges",
            Part::Segment => "segments",
            Part::Advertiser => "advertisers",
            Part::Campaign => "campaigns",
            Part::Creative => "creatives",
            Part::List => "lists",
            Part::Deal => "deals",
            Part::Conversion => "conversions",
            Part::Pixel => "pixels",
            Part::LineItem => "line_items",
        }
    }
}

/// An entry that is put.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'d> {
    /// What it is.
    pub part: Part,
    /// Whose it is. References resolve within one tenant; the rates, the safety rules and exchanges are everybody's.
    pub tenant: u32,
    /// As its `id` says; 0 where there is one only.
    pub id: u32,
    /// As it stands in the account file.
    pub doc: &'d str,
    /// Whether it is for serving at all: a creative or an exchange that is not active and a line item that is archived
    /// stay known but leave [`Editor::account`]. What else is not active stays in it, for its money and its parents.
    pub serves: bool,
}

/// What [`Editor::put`] did.
#[derive(Debug)]
pub struct Put {
    /// What is allowed and probably not meant.
    pub warnings: Vec<Finding>,
    undo: Undo,
}

#[derive(Debug)]
struct Undo {
    tenant: u32,
    id: u32,
    before: Before,
}

#[derive(Debug)]
enum Before {
    Rates(Rates),
    Safety(Safety),
    Exchange(Option<Box<Kept<ExchangeProfile>>>),
    Segment(Option<Kept<Segment>>),
    Advertiser(Option<Kept<Advertiser>>),
    Campaign(Option<Kept<Campaign>>),
    Creative(Option<Box<Kept<Creative>>>),
    List(Option<Kept<Arc<List>>>),
    Deal(Option<Kept<Deal>>),
    Conversion(Option<Kept<Conversion>>),
    Pixel(Option<Kept<Pixel>>),
    LineItem(Option<Box<Kept<LineItem>>>),
}

#[derive(Clone, Debug)]
struct Kept<T> {
    tenant: u32,
    serves: bool,
    value: T,
}

type Table<T> = BTreeMap<u32, Kept<T>>;

/// See the module. A copy is as large as the account.
#[derive(Clone)]
pub struct Editor {
    rates: Rates,
    safety: Safety,
    exchanges: Table<ExchangeProfile>,
    segments: Table<Segment>,
    advertisers: Table<Advertiser>,
    campaigns: Table<Campaign>,
    creatives: Table<Creative>,
    lists: Table<Arc<List>>,
    deals: Table<Deal>,
    conversions: Table<Conversion>,
    pixels: Table<Pixel>,
    line_items: Table<LineItem>,
    tenants: HashMap<u32, Known>,
    stopped: HashSet<u32>,
}

/// Of a value that did not fit, and was left out, nobody says that it is missing.
fn once(mut errors: Vec<Finding>) -> Vec<Finding> {
    let misfits: HashSet<String> = (errors.iter().filter(|error| error.code != Code::Missing))
        .map(|error| error.pointer.clone())
        .collect();
    let is_left_out = |pointer: &str| {
        let above = pointer.match_indices('/').skip(1).map(|(end, _)| &pointer[..end]);
        above.chain([pointer]).any(|place| misfits.contains(place))
    };
    errors.retain(|error| error.code != Code::Missing || !is_left_out(&error.pointer));
    errors
}

impl Default for Editor {
    /// An account without anything in it, in US dollars.
    fn default() -> Editor {
        Editor {
            rates: Rates::new(Currency::USD),
            safety: Safety::default(),
            exchanges: Table::new(),
            segments: Table::new(),
            advertisers: Table::new(),
            campaigns: Table::new(),
            creatives: Table::new(),
            lists: Table::new(),
            deals: Table::new(),
            conversions: Table::new(),
            pixels: Table::new(),
            line_items: Table::new(),
            tenants: HashMap::new(),
            stopped: HashSet::new(),
        }
    }
}

impl Editor {
    /// Checks an entry and takes it in the place of the one with its id, if there is one.
    ///
    /// # Errors
    /// Everything that is wrong with it, by pointers into the entry itself; then nothing has changed.
    pub fn put(&mut self, entry: &Entry<'_>) -> Result<Put, Vec<Finding>> {
        let mut report = Report::default();
        let taken = self.take(&mut report, entry);
        let prefix = match entry.part {
            Part::Rates | Part::Safety => format!("/{}", entry.part.list()),
            _ => format!("/{}/0", entry.part.list()),
        };
        let local = |mut finding: Finding| {
            if let Some(local) = finding.pointer.strip_prefix(&prefix) {
                finding.pointer = local.to_owned();
            }
            finding
        };
        match taken {
            Some(before) if report.errors.is_empty() => {
                let warnings = report.warnings.into_iter().map(local).collect();
                Ok(Put { warnings, undo: Undo { tenant: entry.tenant, id: entry.id, before } })
            }
            taken => {
                if let Some(before) = taken {
                    self.put_back(Undo { tenant: entry.tenant, id: entry.id, before });
                } else {
                    // Reading notes what can be referred to, of a refused entry too.
                    self.name_again(entry.part, entry.tenant, entry.id);
                }
                Err(once(report.errors).into_iter().map(local).collect())
            }
        }
    }

    /// Takes back what was put last and not yet taken back.
    pub fn undo(&mut self, put: Put) {
        self.put_back(put.undo);
    }

    /// All of it as one account, without mappings between category taxonomies, which lie elsewhere.
    pub fn account(&self) -> Account {
        self.account_with(None)
    }

    /// The same with the line item of this id also where it is not for serving, a draft say.
    pub fn account_with(&self, draft: Option<u32>) -> Account {
        fn serving<T: Clone>(table: &Table<T>) -> impl Iterator<Item = T> {
            table.values().filter(|kept| kept.serves).map(|kept| kept.value.clone())
        }
        /// Of what is archived only the place in its tree is left.
        fn segment(Kept { serves, value, .. }: &Kept<Segment>) -> Segment {
            match serves {
                true => value.clone(),
                false => Segment { source: Source::Listed, external: Vec::new(), ..value.clone() },
            }
        }
        let drafted = draft.and_then(|id| self.line_items.get(&id)).filter(|kept| !kept.serves);
        let mut line_items: Vec<LineItem> = serving(&self.line_items).collect();
        line_items.extend(drafted.map(|kept| kept.value.clone()));
        let is_shown = |id: CreativeId| self.creatives.get(&id.0).is_some_and(|kept| kept.serves);
        let deals: HashMap<ListId, Arc<List>> =
            self.deals.values().map(|kept| (ListId(kept.value.id.0), kept.value.as_list())).collect();
        for item in &mut line_items {
            item.creatives.retain(|assigned| is_shown(assigned.creative));
            // A list may have changed since the line item was put.
            for used in &mut item.targeting.lists {
                let newest = match used.list.exchange {
                    Some(_) => deals.get(&used.list.id),
                    None => self.lists.get(&used.list.id.0).map(|kept| &kept.value),
                };
                if let Some(newest) = newest {
                    used.list = Arc::clone(newest);
                }
            }
        }
        Account {
            rates: self.rates.clone(),
            exchanges: serving(&self.exchanges).collect(),
            advertisers: self
                .advertisers
                .values()
                .map(|kept| {
                    let active = kept.value.active && !self.stopped.contains(&kept.tenant);
                    Advertiser { active, ..kept.value.clone() }
                })
                .collect(),
            campaigns: self.campaigns.values().map(|kept| kept.value.clone()).collect(),
            line_items,
            creatives: serving(&self.creatives).collect(),
            segments: self.segments.values().map(segment).collect(),
            lists: serving(&self.lists).collect(),
            deals: serving(&self.deals).collect(),
            conversions: serving(&self.conversions).collect(),
            pixels: serving(&self.pixels).collect(),
            safety: self.safety.clone(),
            category_maps: Vec::new(),
        }
    }

    /// Stops everything of a tenant, or lets it serve again. Its advertisers are not active in [`Editor::account`] while it
    /// is stopped; what is asked of the editor itself stays as it was put.
    pub fn stop_tenant(&mut self, tenant: u32, is_stopped: bool) {
        if is_stopped {
            self.stopped.insert(tenant);
        } else {
            self.stopped.remove(&tenant);
        }
    }

    /// Whether an advertiser's tenant is stopped.
    pub fn is_stopped(&self, advertiser: u32) -> bool {
        self.advertisers.get(&advertiser).is_some_and(|kept| self.stopped.contains(&kept.tenant))
    }

    /// The currency that rates are given in.
    pub fn base(&self) -> Currency {
        self.rates.base()
    }

    /// One exchange, and whether it is for serving.
    pub fn exchange(&self, id: u32) -> Option<(&ExchangeProfile, bool)> {
        self.exchanges.get(&id).map(|kept| (&kept.value, kept.serves))
    }

    /// The exchange of that name.
    pub fn exchange_named(&self, name: &str) -> Option<&ExchangeProfile> {
        self.exchanges.values().map(|kept| &kept.value).find(|profile| profile.name == name)
    }

    /// Every segment, with the tenant that it belongs to.
    pub fn segments(&self) -> impl Iterator<Item = (u32, &Segment)> {
        self.segments.values().map(|kept| (kept.tenant, &kept.value))
    }

    /// Whether requests themselves may name one of `nodes` or what is below them: exchanges and publishers have names for it.
    pub fn is_named_outside(&self, nodes: &[SegmentId]) -> bool {
        let named = self.segments.values().filter(|kept| !kept.value.external.is_empty());
        named.map(|kept| &kept.value).any(|segment| {
            let above = |known: &&Segment| {
                let parent = known.parent.filter(|parent| *parent != known.id);
                parent.and_then(|parent| self.segments.get(&parent.0)).map(|kept| &kept.value)
            };
            std::iter::successors(Some(segment), above).any(|node| nodes.contains(&node.id))
        })
    }

    /// Whether a segment or one above it is sensitive.
    pub fn is_sensitive(&self, segment: u32) -> bool {
        let mut next = Some(segment);
        // Parents never lead round in a circle.
        while let Some(kept) = next.and_then(|id| self.segments.get(&id)) {
            if kept.value.sensitive {
                return true;
            }
            next = kept.value.parent.map(|parent| parent.0).filter(|parent| *parent != kept.value.id.0);
        }
        false
    }

    /// One advertiser.
    pub fn advertiser(&self, id: u32) -> Option<&Advertiser> {
        self.advertisers.get(&id).map(|kept| &kept.value)
    }

    /// One campaign.
    pub fn campaign(&self, id: u32) -> Option<&Campaign> {
        self.campaigns.get(&id).map(|kept| &kept.value)
    }

    /// One creative, and whether it is for serving.
    pub fn creative(&self, id: u32) -> Option<(&Creative, bool)> {
        self.creatives.get(&id).map(|kept| (&kept.value, kept.serves))
    }

    /// One line item.
    pub fn line_item(&self, id: u32) -> Option<&LineItem> {
        self.line_items.get(&id).map(|kept| &kept.value)
    }

    /// One list.
    pub fn list(&self, id: u32) -> Option<&Arc<List>> {
        self.lists.get(&id).map(|kept| &kept.value)
    }

    /// Makes these the values of a list; they are as [`super::list_value`] gives them. `None`: there is no such list.
    pub fn put_values(&mut self, id: u32, values: Vec<String>) -> Option<Put> {
        let kept = self.lists.get_mut(&id)?;
        let before = kept.clone();
        let tenant = kept.tenant;
        kept.value = Arc::new(List { values: lists::in_order(values), ..List::clone(&before.value) });
        self.name_again(Part::List, tenant, id);
        Some(Put { warnings: Vec::new(), undo: Undo { tenant, id, before: Before::List(Some(before)) } })
    }

    /// Reads the entry into its place and gives what stood there; `None` where nothing was put.
    fn take(&mut self, report: &mut Report, entry: &Entry<'_>) -> Option<Before> {
        let Entry { part, tenant, id, doc, serves } = *entry;
        let Editor { rates, safety: rules, exchanges, tenants, .. } = self;
        let known = names::known(tenants, exchanges, tenant);
        match part {
            Part::Rates => {
                let Parsed::<'_, RatesWire> { wire, .. } = parse(report, part, doc)?;
                let read = report.within("rates", |report| exchange::rates(report, wire));
                for currency in self.currencies() {
                    if read.get(currency).is_none() {
                        let message = format!("{currency} is used and has no rate here; keep it");
                        report.within("rates", |report| report.error_at("others", Code::Conflict, message));
                    }
                }
                Some(Before::Rates(std::mem::replace(&mut self.rates, read)))
            }
            Part::Safety => {
                let Parsed::<'_, SafetyWire> { wire, .. } = parse(report, part, doc)?;
                let read = report.within("safety", |report| safety::read(report, wire));
                Some(Before::Safety(std::mem::replace(rules, read)))
            }
            Part::Exchange => {
                let Parsed::<'_, ExchangeWire> { wire, .. } = parse(report, part, doc)?;
                let value = exchange::read_all(report, known, rates, vec![wire]).pop()?;
                self.check_exchange(report, id, &value);
                let before = self.exchanges.insert(id, Kept { tenant, serves, value });
                self.name_exchanges();
                Some(Before::Exchange(before.map(Box::new)))
            }
            Part::Segment => {
                let Parsed::<'_, SegmentWire> { wire, .. } = parse(report, part, doc)?;
                let taken = wire.key.as_ref().and_then(|key| known.segments.get(key).copied());
                known.forget_external(self.segments.get(&id).map(|kept| &kept.value));
                let value = buying::segments(report, known, vec![wire]).pop()?;
                if !serves {
                    known.forget_external(Some(&value));
                }
                self.check_segment(report, id, taken, &value);
                Some(Before::Segment(self.segments.insert(id, Kept { tenant, serves, value })))
            }
            Part::Advertiser => {
                let Parsed::<'_, AdvertiserWire> { wire, .. } = parse(report, part, doc)?;
                let value = buying::advertisers(report, known, rates, vec![wire]).pop()?;
                if let Some(Kept { value: before, .. }) = self.advertisers.get(&id) {
                    fixed(report, part, "currency", before.currency == value.currency);
                    fixed(report, part, "time_zone", before.time_zone == value.time_zone);
                }
                Some(Before::Advertiser(self.advertisers.insert(id, Kept { tenant, serves, value })))
            }
            Part::Campaign => {
                let Parsed::<'_, CampaignWire> { wire, .. } = parse(report, part, doc)?;
                let value = buying::campaigns(report, known, vec![wire]).pop()?;
                if let Some(Kept { value: before, .. }) = self.campaigns.get(&id) {
                    fixed(report, part, "advertiser", before.advertiser == value.advertiser);
                }
                Some(Before::Campaign(self.campaigns.insert(id, Kept { tenant, serves, value })))
            }
            Part::Creative => {
                let Parsed::<'_, CreativeWire> { doc, .. } = parse(report, part, doc)?;
                let doc = raw(report, part, &doc)?;
                let value = creative::read_all(report, known, vec![doc]).pop()?;
                if let Some(Kept { value: before, .. }) = self.creatives.get(&id) {
                    fixed(report, part, "advertiser", before.advertiser == value.advertiser);
                }
                let before = self.creatives.insert(id, Kept { tenant, serves, value });
                Some(Before::Creative(before.map(Box::new)))
            }
            Part::List => {
                let Parsed::<'_, ListWire> { wire, .. } = parse(report, part, doc)?;
                let mut value = lists::lists(report, known, vec![wire]).pop()?;
                if let Some(Kept { value: before, .. }) = self.lists.get(&id) {
                    fixed(report, part, "type", before.kind == value.kind);
                    if value.values.is_empty() {
                        value = Arc::new(List { values: before.values.clone(), ..List::clone(&value) });
                    }
                }
                let before = self.lists.insert(id, Kept { tenant, serves, value });
                self.name_again(part, tenant, id);
                Some(Before::List(before))
            }
            Part::Deal => {
                let Parsed::<'_, DealWire> { wire, .. } = parse(report, part, doc)?;
                let value = lists::deals(report, known, vec![wire]).pop()?;
                self.check_deal(report, tenant, &value);
                let before = self.deals.insert(id, Kept { tenant, serves, value });
                self.name_again(part, tenant, id);
                Some(Before::Deal(before))
            }
            Part::Conversion => {
                let Parsed::<'_, ConversionWire> { wire, .. } = parse(report, part, doc)?;
                let value = lists::conversions(report, known, vec![wire]).pop()?;
                if let Some(Kept { value: before, .. }) = self.conversions.get(&id) {
                    fixed(report, part, "advertiser", before.advertiser == value.advertiser);
                }
                let before = self.conversions.insert(id, Kept { tenant, serves, value });
                self.name_again(part, tenant, id);
                Some(Before::Conversion(before))
            }
            Part::Pixel => {
                let Parsed::<'_, PixelWire> { wire, .. } = parse(report, part, doc)?;
                let value = behaviour::pixels(report, known, vec![wire]).pop()?;
                if let Some(Kept { value: before, .. }) = self.pixels.get(&id) {
                    fixed(report, part, "advertiser", before.advertiser == value.advertiser);
                }
                Some(Before::Pixel(self.pixels.insert(id, Kept { tenant, serves, value })))
            }
            Part::LineItem => {
                let Parsed::<'_, LineItemWire> { doc, .. } = parse(report, part, doc)?;
                let doc = raw(report, part, &doc)?;
                let value = buying::line_items(report, known, vec![doc]).pop()?;
                if let Some(Kept { value: before, .. }) = self.line_items.get(&id) {
                    fixed(report, part, "campaign", before.campaign == value.campaign);
                }
                let before = self.line_items.insert(id, Kept { tenant, serves, value });
                Some(Before::LineItem(before.map(Box::new)))
            }
        }
    }

    fn put_back(&mut self, undo: Undo) {
        fn restore<T>(table: &mut Table<T>, id: u32, before: Option<Kept<T>>) {
            match before {
                Some(before) => drop(table.insert(id, before)),
                None => drop(table.remove(&id)),
            }
        }
        let Undo { tenant, id, before } = undo;
        let part = match before {
            Before::Rates(before) => return self.rates = before,
            Before::Safety(before) => return self.safety = before,
            Before::Exchange(before) => {
                restore(&mut self.exchanges, id, before.map(|before| *before));
                return self.name_exchanges();
            }
            Before::Segment(before) => {
                let put = self.segments.remove(&id);
                if let (Some(put), Some(known)) = (put, self.tenants.get_mut(&tenant)) {
                    known.segments.retain(|key, segment| *key != put.value.key || segment.0 != id);
                }
                self.segments.extend(before.map(|before| (id, before)));
                return self.name_segments(tenant);
            }
            Before::Advertiser(before) => {
                restore(&mut self.advertisers, id, before);
                Part::Advertiser
            }
            Before::Campaign(before) => {
                restore(&mut self.campaigns, id, before);
                Part::Campaign
            }
            Before::Creative(before) => {
                restore(&mut self.creatives, id, before.map(|before| *before));
                Part::Creative
            }
            Before::List(before) => {
                restore(&mut self.lists, id, before);
                Part::List
            }
            Before::Deal(before) => {
                restore(&mut self.deals, id, before);
                Part::Deal
            }
            Before::Conversion(before) => {
                restore(&mut self.conversions, id, before);
                Part::Conversion
            }
            Before::Pixel(before) => {
                restore(&mut self.pixels, id, before);
                Part::Pixel
            }
            Before::LineItem(before) => {
                return restore(&mut self.line_items, id, before.map(|before| *before));
            }
        };
        self.name_again(part, tenant, id);
    }
}
