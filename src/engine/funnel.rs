//! How far every line item got in every request, counted as decisions are made: exactly from the index on. Of a line item that
//! the index did not find only that is known; why is told by a sample (see [`super::explain`]).
//!
//! ```text
//! decide ──Watch──▶ Tally (a core, a request) ──commit──▶ Table (of a catalog, a lane a core) ──drain──▶ whoever reports
//! ```
//!
//! What is counted is requests, each once: a line item that could have been shown in several places of a request, impressions or
//! deals, counts where it got furthest. So for every line item, in every drain,
//!
//! ```text
//! requests = refused as a whole + not found + Σ reasons + bids
//! ```
//!
//! Invariants: a core never waits for the reader, and allocates nothing once its buffers have grown. Deliberately absent: time,
//! files, and what happens after the bid.

use super::catalog::Catalog;
use super::observer::{Observer, Rejection};
use crate::model::auction::{Auction, Deal};
use crate::model::funnel::{Counted, Ends, ExchangeEnds};
use crate::model::ids::{DealId, ExchangeId, LineItemId};
use crate::model::list::ListKind;
use crate::model::no_bid::NoBidReason;
use crate::pricing::{Factors, Offer};
use crate::targeting::LineItemIx;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Deals that are counted.
const MOST_DEALS: usize = 10_000;
/// Entries that may wait for the lane to be free; then the core waits for it.
const MOST_PENDING: usize = 1 << 16;

/// The cell of who was found and met nothing: nobody looked at it, as another one is better.
const BEATEN: u8 = NoBidReason::LostInternal as u8;

/// [`Ends`] of a second or so.
type Row = [u32; Ends::CELLS];
const EMPTY: Row = [0; Ends::CELLS];

/// The counters of one catalog.
#[derive(Debug)]
pub struct Table {
    version: u64,
    line_items: Box<[LineItemId]>,
    exchanges: Box<[ExchangeId]>,
    /// The deals that any line item wants, ascending.
    deals: Box<[Wanted]>,
    /// By the deal's id in requests: places in `deals`.
    deal_rows: HashMap<String, Vec<u32>>,
    /// One a core, which alone writes there.
    lanes: Box<[Mutex<Sheet>]>,
    /// Empty, to take the place of the one that is read.
    spare: Mutex<Option<Sheet>>,
}

/// A deal with the line items that want it.
#[derive(Debug)]
struct Wanted {
    deal: DealId,
    /// The position of its exchange.
    position: u32,
    /// Ascending.
    line_items: Vec<u32>,
}

#[derive(Debug)]
struct Sheet {
    line_items: Vec<Row>,
    /// Requests that were refused as a whole, and the others.
    exchanges: Vec<[Row; 2]>,
    deals: Vec<Row>,
}

impl Table {
    /// For the line items, the exchanges and the deals of a catalog and so many cores. Takes about 200 bytes for each of them
    /// and each core, and once more. Of more than [`MOST_DEALS`] the first by id are counted.
    pub fn new(catalog: &Catalog, cores: usize) -> Table {
        let (deals, deal_rows) = wanted_deals(catalog);
        let mut table = Table {
            version: catalog.version,
            line_items: catalog.line_items().iter().map(|line| line.item.id).collect(),
            exchanges: catalog.exchanges().iter().map(|exchange| exchange.id).collect(),
            deals,
            deal_rows,
            lanes: Box::default(),
            spare: Mutex::new(None),
        };
        table.lanes = (0..cores.max(1)).map(|_| Mutex::new(table.sheet())).collect();
        table.spare = Mutex::new(Some(table.sheet()));
        table
    }

    /// The version of the catalog that it counts for.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Takes out what was counted since the last time. Every request is in one drain, with all that it counted.
    pub fn drain(&self) -> Counted {
        let mut spare = self.spare.lock();
        let mut exchanges = vec![ExchangeEnds::default(); self.exchanges.len()];
        let mut line_items: BTreeMap<LineItemId, Ends> = BTreeMap::new();
        let mut deals = vec![Ends::default(); self.deals.len()];
        for lane in &self.lanes {
            let empty = spare.take().unwrap_or_else(|| self.sheet());
            // The core finds its lane taken for the moment of this exchange only.
            let mut sheet = std::mem::replace(&mut *lane.lock(), empty);
            for (all, [whole, found]) in exchanges.iter_mut().zip(&mut sheet.exchanges) {
                take(whole, &mut all.whole);
                take(found, &mut all.found);
            }
            for (id, row) in self.line_items.iter().zip(&mut sheet.line_items) {
                if *row != EMPTY {
                    take(row, line_items.entry(*id).or_default());
                }
            }
            sheet.deals.iter_mut().zip(&mut deals).for_each(|(row, ends)| take(row, ends));
            *spare = Some(sheet);
        }
        let offered = self.deals.iter().zip(deals).filter(|(_, ends)| !ends.is_empty());
        let sent = self.exchanges.iter().copied().zip(exchanges).filter(|(_, ends)| ends.requests() > 0);
        Counted {
            exchanges: sent.collect(),
            line_items: line_items.into_iter().collect(),
            deals: offered.map(|(wanted, ends)| (wanted.deal, ends)).collect(),
        }
    }

    fn sheet(&self) -> Sheet {
        Sheet {
            line_items: vec![EMPTY; self.line_items.len()],
            exchanges: vec![[EMPTY; 2]; self.exchanges.len()],
            deals: vec![EMPTY; self.deals.len()],
        }
    }

    /// The rows of a deal that the exchange at this position offers; none where no line item wants it.
    fn rows_of(&self, position: u32, deal: &str) -> impl Iterator<Item = u32> {
        let rows = self.deal_rows.get(deal).map_or(&[][..], Vec::as_slice).iter().copied();
        rows.filter(move |row| self.deals[*row as usize].position == position)
    }
}

/// The deals that line items want as resources of their accounts, which alone have a funnel; and their places by their texts.
fn wanted_deals(catalog: &Catalog) -> (Box<[Wanted]>, HashMap<String, Vec<u32>>) {
    let positions: HashMap<ExchangeId, u32> =
        catalog.exchanges().iter().map(|exchange| exchange.id).zip(0u32..).collect();
    let mut wanted: BTreeMap<DealId, (String, Wanted)> = BTreeMap::new();
    for (row, line) in (0u32..).zip(catalog.line_items()) {
        for list in line.item.targeting.lists_of(ListKind::Deal, false) {
            let position = list.exchange.and_then(|exchange| positions.get(&exchange));
            let (Some(position), [text]) = (position, &list.values[..]) else { continue };
            let deal = DealId(list.id.0);
            let empty = || (text.clone(), Wanted { deal, position: *position, line_items: Vec::new() });
            wanted.entry(deal).or_insert_with(empty).1.line_items.push(row);
        }
    }
    let mut rows: HashMap<String, Vec<u32>> = HashMap::new();
    let mut deals = Vec::with_capacity(wanted.len().min(MOST_DEALS));
    for (row, (text, deal)) in (0u32..).zip(wanted.into_values().take(MOST_DEALS)) {
        rows.entry(text).or_default().push(row);
        deals.push(deal);
    }
    (deals.into(), rows)
}

fn take(row: &mut Row, to: &mut Ends) {
    for (cell, count) in (0u8..).zip(std::mem::replace(row, EMPTY)) {
        let exists = to.add(cell, count.into());
        debug_assert!(exists, "a row has the cells of Ends");
    }
}

/// Something that a line item met in a place of a request.
#[derive(Clone, Copy, Debug)]
struct Met {
    line_item: u32,
    imp: u32,
    /// Tells the deals of an impression apart; 0 = the open auction, or every place.
    deal: usize,
    /// What is met later in a place counts there.
    order: u32,
    cell: u8,
}

/// Deals borrow their ids from the request: where they lie tells them apart.
fn address(deal: &str) -> usize {
    deal.as_ptr() as usize
}

/// What one core has counted of a request, and of those before it whose lane was taken.
#[derive(Debug, Default)]
pub struct Tally {
    /// Line items with the impressions that they were found for.
    found: Vec<(u32, u32)>,
    imps: usize,
    met: Vec<Met>,
    /// Rows and cells of line items.
    pending: Vec<(u32, u8)>,
    /// Rows and cells of exchanges; `true` = refused as a whole.
    pending_requests: Vec<(u32, u8, bool)>,
    /// Rows and cells of deals.
    pending_deals: Vec<(u32, u8)>,
}

impl Tally {
    /// Begins a request: what was not committed of the one before is forgotten.
    pub fn watch(&mut self) -> Watch<'_> {
        self.found.clear();
        self.met.clear();
        self.imps = 0;
        Watch(self)
    }

    /// Counts a request of the exchange at `position`. `refused` is why it gets no answer; where line items were found for
    /// it, each of them has its own reason, unless the answer was late or could not be written (`whole`).
    pub fn commit(
        &mut self,
        lane: &Writer,
        (position, auction): (usize, &Auction<'_>),
        refused: Option<NoBidReason>,
        whole: bool,
    ) {
        if auction.test {
            return;
        }
        let row = position as u32;
        let whole =
            refused.filter(|reason| whole || self.found.is_empty() || *reason == NoBidReason::Deadline);
        match whole.map(Ends::cell) {
            Some(cell) => self.pending_requests.push((row, cell, true)),
            None => {
                let furthest = self.fold();
                self.pending_requests.push((row, furthest, false));
            }
        }
        let first_deal = self.pending_deals.len();
        for deal in auction.imps.iter().flat_map(|imp| imp.deals) {
            for deal_row in lane.table.rows_of(row, deal.id) {
                let wanted = &lane.table.deals[deal_row as usize];
                let end = whole.map_or_else(|| self.end_on(deal, wanted), Ends::cell);
                // Offered for two impressions it is one request.
                match self.pending_deals[first_deal..].iter_mut().find(|(row, _)| *row == deal_row) {
                    Some((_, cell)) => *cell = end.max(*cell),
                    None => self.pending_deals.push((deal_row, end)),
                }
            }
        }
        lane.write(self);
    }

    /// Where the line item that got furthest did, of those that want a deal: on the deal, or before any deal was looked at.
    fn end_on(&self, deal: &Deal<'_>, wanted: &Wanted) -> u8 {
        let wants = |line_item: u32| wanted.line_items.binary_search(&line_item).is_ok();
        let here = |met: &&Met| (met.deal == 0 || met.deal == address(deal.id)) && wants(met.line_item);
        let mut furthest = Ends::cell(NoBidReason::NoMatch);
        let mut met_any = self.met.iter().filter(here).peekable();
        // The last thing that a line item met in a place counts; what it met there stands together, in order.
        while let Some(met) = met_any.next() {
            let place = |met: &Met| (met.line_item, met.imp, met.deal);
            if met_any.peek().is_none_or(|next| place(next) != place(met)) {
                furthest = furthest.max(met.cell);
            }
        }
        let is_found = |(line_item, _): &&(u32, u32)| wants(*line_item);
        let is_met = |line_item: u32| self.met.binary_search_by_key(&line_item, |met| met.line_item).is_ok();
        match self.found.iter().filter(is_found).any(|(line_item, _)| !is_met(*line_item)) {
            true => furthest.max(BEATEN),
            false => furthest,
        }
    }

    /// The bid that was chosen for a line item on an impression could not be written.
    pub fn unwritten(&mut self, imp: usize, line_item: LineItemIx) {
        let is_it =
            |met: &&mut Met| (met.line_item, met.imp, met.cell) == (line_item.0, imp as u32, Ends::BID);
        if let Some(met) = self.met.iter_mut().find(is_it) {
            met.cell = Ends::cell(NoBidReason::LimitExceeded);
        }
    }

    /// Puts every line item that was found where it got furthest; returns where the furthest did.
    fn fold(&mut self) -> u8 {
        let order = |met: &Met| (met.line_item, met.imp, met.deal, met.order);
        self.met.sort_unstable_by_key(order);
        if self.imps > 1 {
            self.beat();
            self.met.sort_unstable_by_key(order);
        }
        let mut furthest = 0;
        let mut met = self.met.chunk_by(|a, b| a.line_item == b.line_item).peekable();
        // Both ascend, and nobody meets anything who was not found.
        for (line_item, _) in &self.found {
            let places = met.next_if(|places| places[0].line_item == *line_item).unwrap_or_default();
            let last_of_each = places.chunk_by(|a, b| (a.imp, a.deal) == (b.imp, b.deal));
            let cell = last_of_each.filter_map(|place| place.last()).map(|met| met.cell).max();
            let cell = cell.unwrap_or(BEATEN);
            self.pending.push((*line_item, cell));
            furthest = furthest.max(cell);
        }
        furthest
    }

    /// Of several impressions: notes who was beaten in each of them, and leaves every line item in `found` once.
    fn beat(&mut self) {
        let met = self.met.len();
        for (line_item, imp) in &self.found {
            let at = |met: &Met| (met.line_item, met.imp).cmp(&(*line_item, *imp));
            if self.met[..met].binary_search_by(at).is_err() {
                self.met.push(Met { line_item: *line_item, imp: *imp, deal: 0, order: 0, cell: BEATEN });
            }
        }
        self.found.sort_unstable();
        self.found.dedup_by_key(|(line_item, _)| *line_item);
    }
}

/// Where a core writes.
#[derive(Clone, Debug)]
pub struct Writer {
    table: Arc<Table>,
    lane: usize,
}

impl Writer {
    /// The lane of core `core`.
    pub fn new(table: Arc<Table>, core: usize) -> Writer {
        let lane = core % table.lanes.len();
        Writer { table, lane }
    }

    /// The version of the catalog that it counts for.
    pub fn version(&self) -> u64 {
        self.table.version
    }

    /// Writes what waits, unless the lane is being read this very moment: then it waits for the next request.
    fn write(&self, tally: &mut Tally) {
        let lane = &self.lanes()[self.lane];
        let sheet = match lane.try_lock() {
            Some(sheet) => sheet,
            None if tally.pending.len() < MOST_PENDING => return,
            None => lane.lock(),
        };
        apply(sheet, tally);
    }

    /// Writes what waits, also where that takes a moment: before a core goes on to another table.
    pub fn flush(&self, tally: &mut Tally) {
        if !tally.pending_requests.is_empty() {
            apply(self.lanes()[self.lane].lock(), tally);
        }
    }

    fn lanes(&self) -> &[Mutex<Sheet>] {
        &self.table.lanes
    }
}

fn apply(mut sheet: parking_lot::MutexGuard<'_, Sheet>, tally: &mut Tally) {
    for (row, cell) in tally.pending.drain(..) {
        sheet.line_items[row as usize][usize::from(cell)] += 1;
    }
    for (row, cell) in tally.pending_deals.drain(..) {
        sheet.deals[row as usize][usize::from(cell)] += 1;
    }
    for (row, cell, whole) in tally.pending_requests.drain(..) {
        sheet.exchanges[row as usize][usize::from(!whole)][usize::from(cell)] += 1;
    }
}

/// Watches one decision for a [`Tally`].
#[derive(Debug)]
pub struct Watch<'t>(&'t mut Tally);

impl Watch<'_> {
    fn met(&mut self, imp: usize, line_item: LineItemIx, deal: Option<&str>, cell: u8) {
        let order = self.0.met.len() as u32;
        let deal = deal.map_or(0, address);
        self.0.met.push(Met { line_item: line_item.0, imp: imp as u32, deal, order, cell });
    }
}

impl Observer for Watch<'_> {
    fn candidates(&mut self, imp: usize, found: &[LineItemIx]) {
        self.0.imps += 1;
        self.0.found.extend(found.iter().map(|ix| (ix.0, imp as u32)));
    }

    fn rejected(&mut self, imp: usize, line_item: LineItemIx, rejection: &Rejection<'_>) {
        self.met(imp, line_item, rejection.deal, Ends::cell(rejection.reason));
    }

    fn offered(&mut self, imp: usize, line_item: LineItemIx, deal: Option<&str>, _: &Offer, _: &Factors) {
        // Unless it is chosen, or its money cannot be held, another one beat it.
        self.met(imp, line_item, deal, BEATEN);
    }

    fn chosen(&mut self, imp: usize, line_item: LineItemIx, deal: Option<&str>) {
        self.met(imp, line_item, deal, Ends::BID);
    }
}
