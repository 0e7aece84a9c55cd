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
use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Deals that are counted.
const MOST_DEALS: usize = 10_000;
/// Entries that may wait for the lane to be free; then the core waits for it.
const MOST_PENDING: usize = 1 << 16;

/// So much met is gone over without marks.
const FEW: usize = 24;

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
    /// Of each cell all line items, one after the other: most of those that are found are beaten, and the counts of who was
    /// beaten lie together in the cache.
    line_items: Vec<Vec<u32>>,
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
            for (cell, column) in (0u8..).zip(&mut sheet.line_items) {
                for (id, count) in self.line_items.iter().zip(column).filter(|(_, count)| **count > 0) {
                    let exists = line_items.entry(*id).or_default().add(cell, std::mem::take(count).into());
                    debug_assert!(exists, "there is a column for each cell");
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
            line_items: vec![vec![0; self.line_items.len()]; Ends::CELLS],
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

/// Where a line item got in the request at hand, if `stamp` is that of the place or of the request.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    /// Of the impression that was gone over last in which it met something.
    imp: u32,
    /// What it met there.
    cell: u8,
    /// Of the request in which `furthest` is.
    request: u32,
    furthest: u8,
}

/// What one core has counted of a request, and of those before it whose lane was taken.
#[derive(Debug, Default)]
pub struct Tally {
    /// The line items that were found, impression after impression.
    found: Vec<LineItemIx>,
    /// The impressions with where theirs end.
    imps: Vec<(u32, usize)>,
    /// In the order in which it was met.
    met: Vec<Met>,
    /// Nothing is counted.
    is_off: bool,
    /// Some of it on a deal.
    met_deals: bool,
    /// By line item of the catalog, so that a request is gone over once and nothing is sorted.
    marks: Vec<Mark>,
    /// Never given twice, but for 0, which no mark has.
    stamp: u32,
    /// Rows and cells of line items.
    pending: Vec<(u32, u8)>,
    /// Rows and cells of exchanges; `true` = refused as a whole.
    pending_requests: Vec<(u32, u8, bool)>,
    /// Rows and cells of deals.
    pending_deals: Vec<(u32, u8)>,
}

impl Tally {
    /// One that counts nothing.
    pub fn off() -> Tally {
        Tally { is_off: true, ..Tally::default() }
    }

    /// Whether it counts nothing.
    pub fn is_off(&self) -> bool {
        self.is_off
    }

    /// Begins a request: what was not committed of the one before is forgotten.
    pub fn watch(&mut self) -> Watch<'_> {
        self.found.clear();
        self.imps.clear();
        self.met.clear();
        self.met_deals = false;
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
        if auction.test || self.is_off {
            return;
        }
        let row = position as u32;
        let whole =
            refused.filter(|reason| whole || self.found.is_empty() || *reason == NoBidReason::Deadline);
        let mut sheet = lane.sheet(self.pending.len());
        match (whole.map(Ends::cell), &mut sheet) {
            (Some(cell), _) => self.pending_requests.push((row, cell, true)),
            (None, Some(sheet)) => {
                let furthest = match self.is_plain() {
                    true => self.count_plain(&mut sheet.line_items),
                    false => self.fold(lane, |_, line_item, cell| {
                        sheet.line_items[usize::from(cell)][line_item as usize] += 1;
                    }),
                };
                self.pending_requests.push((row, furthest, false));
            }
            (None, None) => {
                let furthest = self.fold(lane, |pending, line_item, cell| pending.push((line_item, cell)));
                self.pending_requests.push((row, furthest, false));
            }
        }
        self.count_deals(lane, (row, auction), whole);
        if let Some(sheet) = sheet {
            apply(sheet, self);
        }
    }

    /// Counts the request for the deals that it offers and that somebody wants.
    fn count_deals(
        &mut self,
        lane: &Writer,
        (row, auction): (u32, &Auction<'_>),
        whole: Option<NoBidReason>,
    ) {
        let (first_deal, mut is_sorted) = (self.pending_deals.len(), false);
        for deal in auction.imps.iter().flat_map(|imp| imp.deals) {
            for deal_row in lane.table.rows_of(row, deal.id) {
                if !std::mem::replace(&mut is_sorted, true) {
                    self.met.sort_unstable_by_key(|met| (met.line_item, met.imp, met.deal, met.order));
                }
                let wanted = &lane.table.deals[deal_row as usize];
                let end = whole.map_or_else(|| self.end_on(deal, wanted), Ends::cell);
                // Offered for two impressions it is one request.
                match self.pending_deals[first_deal..].iter_mut().find(|(row, _)| *row == deal_row) {
                    Some((_, cell)) => *cell = end.max(*cell),
                    None => self.pending_deals.push((deal_row, end)),
                }
            }
        }
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
        let is_met = |line_item: u32| self.met.binary_search_by_key(&line_item, |met| met.line_item).is_ok();
        match self.found.iter().filter(|ix| wants(ix.0)).any(|ix| !is_met(ix.0)) {
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
    fn fold(&mut self, lane: &Writer, mut put: impl FnMut(&mut Vec<(u32, u8)>, u32, u8)) -> u8 {
        let line_items = lane.table.line_items.len();
        // A stamp for the request and one for each impression.
        let fits = self.stamp.checked_add(self.imps.len() as u32 + 1).is_some();
        if self.marks.len() != line_items || !fits {
            self.marks.clear();
            self.marks.resize(line_items, Mark::default());
            self.stamp = 0;
        }
        self.stamp += 1;
        let request = self.stamp;
        if self.met_deals {
            // What it met last in a place stands last there; the open auction is the first place of an impression.
            self.met.sort_unstable_by_key(|met| (met.imp, met.deal, met.line_item, met.order));
        }
        let (mut start, mut first_met) = (0, 0);
        for (imp, end) in &self.imps {
            self.stamp += 1;
            let met_here = self.met[first_met..].iter().take_while(|met| met.imp == *imp).count();
            for places in self.met[first_met..first_met + met_here].chunk_by(|a, b| a.deal == b.deal) {
                for met in places {
                    let mark = &mut self.marks[met.line_item as usize];
                    (mark.imp, mark.cell) = (self.stamp, met.cell);
                }
                // Whoever met something in this place has it behind: the next place must not make it less.
                for met in places {
                    self.marks[met.line_item as usize].reach(request);
                }
            }
            for ix in &self.found[start..*end] {
                let mark = &mut self.marks[ix.0 as usize];
                if mark.imp != self.stamp {
                    mark.cell = BEATEN;
                    mark.reach(request);
                }
            }
            (start, first_met) = (*end, first_met + met_here);
        }
        let mut furthest = 0;
        for ix in &self.found {
            let mark = &mut self.marks[ix.0 as usize];
            // The mark goes, so that who was found for two impressions counts once.
            if mark.request == request {
                mark.request = 0;
                put(&mut self.pending, ix.0, mark.furthest);
                furthest = furthest.max(mark.furthest);
            }
        }
        furthest
    }

    /// One impression without deals, which most requests are, in which little was met.
    fn is_plain(&self) -> bool {
        self.imps.len() == 1 && !self.met_deals && self.met.len() <= FEW
    }

    /// Counts every line item that was found of such a request where it got; returns where the furthest did. Those that met
    /// nothing were beaten, and who met something met last what counts.
    fn count_plain(&self, columns: &mut [Vec<u32>]) -> u8 {
        let (beaten, mut furthest) = (&mut columns[usize::from(BEATEN)], 0);
        for ix in &self.found {
            beaten[ix.0 as usize] += 1;
        }
        let mut among = 0;
        for (at, met) in self.met.iter().enumerate() {
            if self.met[at + 1..].iter().any(|later| later.line_item == met.line_item) {
                continue;
            }
            columns[usize::from(BEATEN)][met.line_item as usize] -= 1;
            columns[usize::from(met.cell)][met.line_item as usize] += 1;
            (among, furthest) = (among + 1, met.cell.max(furthest));
        }
        if among < self.found.len() { furthest.max(BEATEN) } else { furthest }
    }
}

impl Mark {
    /// What it met last is as far as it got in the request, or not as far as before.
    fn reach(&mut self, request: u32) {
        let before = if self.request == request { self.furthest } else { 0 };
        (self.request, self.furthest) = (request, before.max(self.cell));
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

    /// Where to write, unless the lane is being read this very moment: then what there is waits for the next request, as long
    /// as not too much does.
    fn sheet(&self, pending: usize) -> Option<MutexGuard<'_, Sheet>> {
        let lane = &self.lanes()[self.lane];
        lane.try_lock().or_else(|| (pending >= MOST_PENDING).then(|| lane.lock()))
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

fn apply(mut sheet: MutexGuard<'_, Sheet>, tally: &mut Tally) {
    for (row, cell) in tally.pending.drain(..) {
        sheet.line_items[usize::from(cell)][row as usize] += 1;
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
        if self.0.is_off {
            return;
        }
        let order = self.0.met.len() as u32;
        let deal = deal.map_or(0, address);
        self.0.met_deals |= deal != 0;
        self.0.met.push(Met { line_item: line_item.0, imp: imp as u32, deal, order, cell });
    }
}

impl Observer for Watch<'_> {
    fn candidates(&mut self, imp: usize, found: &[LineItemIx]) {
        if self.0.is_off {
            return;
        }
        self.0.found.extend_from_slice(found);
        self.0.imps.push((imp as u32, self.0.found.len()));
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
