//! Every value that some line item targets is a *term* with a dense number. A request is resolved into the set of
//! terms that it has, with those that its values imply: `news.example.com` has the terms of `example.com`, a phone
//! that of "mobile or tablet", a segment those of the tree nodes above it. A rule is then met when one of its
//! included terms is present and none of its excluded ones.
//!
//! A list has a term of its own, which every value on it leads to: a thousand line items that use a list of a hundred
//! thousand domains cost a thousand entries and not a hundred million.
//!
//! Invariant: a value that no line item targets has no term and costs one failed look-up, and no look-up allocates.

use super::dim::Dim;
use super::{Facts, normalise};
use crate::model::address::Addresses;
use crate::model::auction::{Imp, Size};
use crate::model::country::Country;
use crate::model::exchange::IpNet;
use crate::model::ids::{ExchangeId, SegmentId};
use crate::model::list::{List, ListUse};
use crate::model::media::FlexibleSize;
use crate::model::targeting::{Category, Fit};
use crate::model::taxonomy::Taxonomy;
use foldhash::fast::FixedState;
use std::collections::HashMap;
use std::sync::Arc;

/// Numbers from here on are no sizes.
const BEYOND_SIZES: u64 = 1 << 32;

/// A term's number, dense over all dimensions of one matcher.
pub(super) type Term = u32;

/// Devices that "mobile or tablet" (1) includes: phone and tablet.
const MOBILE: u64 = 1;
const IN_MOBILE: [u64; 2] = [4, 5];

/// The targeted values of one dimension: texts in lower case, or numbers. The keys are the platform's own, so a hash
/// without a secret is safe.
#[derive(Debug, Default)]
struct Dictionary {
    texts: HashMap<Box<[u8]>, Term, FixedState>,
    numbers: HashMap<u64, Term, FixedState>,
    /// By text, the terms of the lists that it is on, as a range of `above`.
    listed: HashMap<Box<[u8]>, (u32, u32), FixedState>,
    /// Bytes of the longest text: what is longer need not be hashed.
    longest: usize,
}

impl Dictionary {
    fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.numbers.is_empty() && self.listed.is_empty()
    }

    fn text(&self, key: &[u8]) -> Option<Term> {
        if key.is_empty() || key.len() > self.longest { None } else { self.texts.get(key).copied() }
    }
}

/// The terms of one matcher.
#[derive(Debug, Default)]
pub(super) struct Terms {
    dictionaries: [Dictionary; Dim::COUNT],
    /// By raw membership, where the targeted nodes that it is under begin in `above`; one more at the end.
    memberships: Vec<u32>,
    above: Vec<Term>,
    /// Lists of addresses.
    addresses: Vec<AddressTerm>,
    count: Term,
    /// What was numbered of lists: needed while a matcher is compiled.
    lists: Vec<Listed>,
    list_terms: HashMap<(usize, bool), Term>,
}

/// A list that has a term.
#[derive(Debug)]
struct Listed {
    dim: Dim,
    list: Arc<List>,
    term: Term,
}

/// A list of addresses. Its two uses are two terms: an address is a reason to stay away without anybody's leave, and a
/// reason to come only where what is known of the user may be used.
#[derive(Debug)]
struct AddressTerm {
    addresses: Addresses,
    term: Term,
    excluded: bool,
}

// Numbering, while a matcher is compiled.
impl Terms {
    /// How many terms there are.
    pub(super) fn len(&self) -> usize {
        self.count as usize
    }

    /// The term of a text as a line item lists it.
    pub(super) fn intern_text(&mut self, dim: Dim, listed: &str) -> Term {
        self.intern_key(dim, key_of(dim, listed))
    }

    /// The term of a list, for one of its uses.
    pub(super) fn intern_list(&mut self, used: &ListUse) -> Term {
        let dim = Dim::of_list(used.list.kind);
        // All others mean the same however they are used.
        let excluded = used.excluded && dim == Dim::Address;
        let known = self.list_terms.entry((Arc::as_ptr(&used.list).addr(), excluded));
        let std::collections::hash_map::Entry::Vacant(free) = known else { return *known.or_default() };
        let term = self.count;
        free.insert(term);
        self.count += 1;
        let list = Arc::clone(&used.list);
        if dim == Dim::Address {
            let blocks: Vec<IpNet> = list.values.iter().filter_map(|block| IpNet::parse(block)).collect();
            self.addresses.push(AddressTerm { addresses: Addresses::compile(&blocks), term, excluded });
        }
        self.lists.push(Listed { dim, list, term });
        term
    }

    /// Lays out which lists a text is on, when every list is numbered. `breadth` becomes by term how many values a list
    /// has.
    fn link_lists(&mut self, breadth: &mut [u32]) {
        self.list_terms = HashMap::new();
        let mut entries: Vec<(Dim, Vec<u8>, Term)> = Vec::new();
        for Listed { dim, list, term } in std::mem::take(&mut self.lists) {
            breadth[term as usize] = u32::try_from(list.values.len()).unwrap_or(u32::MAX);
            if dim != Dim::Address {
                let keys = list.values.iter().map(|value| key_of_list(dim, list.exchange, value));
                entries.extend(keys.map(|key| (dim, key, term)));
            }
        }
        entries.sort_unstable();
        entries.dedup();
        for run in entries.chunk_by(|a, b| a.0 == b.0 && a.1 == b.1) {
            let start = self.above.len() as u32;
            self.above.extend(run.iter().map(|(_, _, term)| *term));
            let dictionary = &mut self.dictionaries[run[0].0 as usize];
            dictionary.longest = dictionary.longest.max(run[0].1.len());
            let range = (start, self.above.len() as u32);
            dictionary.listed.insert(run[0].1.clone().into_boxed_slice(), range);
        }
    }

    /// The term of a content category.
    pub(super) fn intern_category(&mut self, category: &Category) -> Term {
        let mut key = category.cattax.to_be_bytes().to_vec();
        key.extend(category.id.trim().bytes().map(|b| b.to_ascii_lowercase()));
        self.intern_key(Dim::Category, key)
    }

    /// The term of a number. "Mobile or tablet" brings phone and tablet along, so that a phone's own term exists.
    pub(super) fn intern_number(&mut self, dim: Dim, number: u64) -> Term {
        if dim == Dim::DeviceType && number == MOBILE {
            for part in IN_MOBILE {
                self.intern_number(dim, part);
            }
        }
        let term = *self.dictionaries[dim as usize].numbers.entry(number).or_insert(self.count);
        self.count = self.count.max(term + 1);
        term
    }

    fn intern_key(&mut self, dim: Dim, key: Vec<u8>) -> Term {
        let dictionary = &mut self.dictionaries[dim as usize];
        dictionary.longest = dictionary.longest.max(key.len());
        let term = *dictionary.texts.entry(key.into_boxed_slice()).or_insert(self.count);
        self.count = self.count.max(term + 1);
        term
    }

    /// Lays out which targeted nodes a raw membership is under, and which lists a text is on, when every term is numbered.
    /// Returns by term how many raw values have it: the segments under a node, the values of a list, one for everything
    /// else.
    pub(super) fn link(&mut self, taxonomy: &Taxonomy) -> Vec<u32> {
        let mut breadth = vec![1; self.len()];
        let mut pairs: Vec<(u32, Term)> = Vec::new();
        for (id, term) in &self.dictionaries[Dim::Segment as usize].numbers {
            let node = SegmentId(*id as u32);
            match taxonomy.descendants(node) {
                [] => pairs.push((node.0, *term)),
                below => {
                    pairs.extend(below.iter().map(|id| (id.0, *term)));
                    breadth[*term as usize] = below.len() as u32;
                }
            }
        }
        // Trees are tables by id, and no account has an id beyond.
        pairs.retain(|(id, _)| *id < 1 << 24);
        pairs.sort_unstable();
        for (id, term) in pairs {
            self.memberships.resize(id as usize + 1, self.above.len() as u32);
            self.above.push(term);
        }
        self.memberships.push(self.above.len() as u32);
        self.link_lists(&mut breadth);
        breadth
    }

    /// All terms of a dimension, each with those of the same dimension whose values include its own, itself first.
    pub(super) fn implications(&self, dim: Dim) -> Vec<(Term, Vec<Term>)> {
        let dictionary = &self.dictionaries[dim as usize];
        let texts = dictionary.texts.iter().map(|(key, term)| {
            let mut implied = vec![*term];
            if dim == Dim::Language {
                implied.extend(hyphen_prefixes(key).skip(1).filter_map(|key| dictionary.text(key)));
            }
            (*term, implied)
        });
        let numbers = dictionary.numbers.iter().map(|(number, term)| {
            let mut implied = vec![*term];
            if dim == Dim::DeviceType && IN_MOBILE.contains(number) {
                implied.extend(dictionary.numbers.get(&MOBILE));
            }
            (*term, implied)
        });
        texts.chain(numbers).collect()
    }
}

// Resolving, on the bid path.
impl Terms {
    /// Fills `present` with the terms of the request; the values of impressions are dropped.
    pub(super) fn resolve_request(&self, facts: &Facts<'_>, present: &mut Present) {
        let (device, geo) = (&facts.auction.device, &facts.auction.device.geo);
        present.reset_from(Dim::Exchange);
        present.exchange = facts.exchange;
        self.number(present, Dim::Exchange, Some(u64::from(facts.exchange.0)));
        self.number(present, Dim::Country, geo.country.map(country_number));
        self.number(present, Dim::DeviceType, device.device_type.map(i64::cast_unsigned));
        if matches!(device.device_type, Some(4 | 5)) {
            self.more_numbers(present, Dim::DeviceType, MOBILE);
        }
        self.text(present, Dim::Os, facts.os.or(device.os));
        self.text(present, Dim::Browser, facts.browser);
        self.number(present, Dim::Connection, device.connection_type.map(i64::cast_unsigned));
        self.language(present, device.language);
        self.place(present, Dim::Region, normalise::region(geo), '-');
        self.text(present, Dim::Metro, geo.metro);
        self.place(present, Dim::City, normalise::text(geo.city).map(|city| (geo.country, city)), ':');
        self.place(present, Dim::Zip, normalise::text(geo.zip).map(|zip| (geo.country, zip)), ':');
        self.addresses(facts, present);
        self.text(present, Dim::Carrier, device.carrier);
        self.more_texts(present, Dim::Carrier, device.mccmnc.as_slice());
        self.inventory(facts, present);
        present.begin(Dim::Segment);
        if facts.user_permitted {
            self.segments(present, facts.segments);
        }
        present.begin(Dim::FIRST_OF_IMP);
    }

    /// Adds the terms of the impression to those of its request, in the place of any other impression's.
    pub(super) fn resolve_imp(&self, imp: &Imp<'_>, present: &mut Present) {
        present.reset_from(Dim::Fit);
        if let Some(banner) = &imp.banner {
            for size in banner.sizes {
                self.more_numbers(present, Dim::Fit, fit_number(Fit::Banner(*size)));
            }
            self.flexible(present, banner.flexible);
        }
        let others = [
            (imp.video.is_some(), Fit::Video),
            (imp.audio.is_some(), Fit::Audio),
            (imp.native.is_some(), Fit::Native),
        ];
        for (_, fit) in others.into_iter().filter(|(offered, _)| *offered) {
            self.more_numbers(present, Dim::Fit, fit_number(fit));
        }
        self.deals(present.exchange, imp, present);
        present.end();
    }

    /// Adds every size of a creative that a flexible format admits: sizes are few.
    fn flexible(&self, present: &mut Present, formats: &[FlexibleSize]) {
        for format in formats {
            let sizes = self.dictionaries[Dim::Fit as usize].numbers.iter();
            let admitted = |number: &u64| size_of(*number).is_some_and(|size| format.admits(size));
            sizes.filter(|(number, _)| admitted(number)).for_each(|(_, term)| present.extend(Some(*term)));
        }
    }

    fn inventory(&self, facts: &Facts<'_>, present: &mut Present) {
        let inventory = facts.auction.channel.inventory();
        self.domain(present, normalise::site_host(facts.auction));
        self.text(present, Dim::Bundle, inventory.and_then(|i| i.bundle));
        self.text(present, Dim::Publisher, inventory.and_then(|i| i.publisher_id));
        present.begin(Dim::Category);
        if let Some(inventory) = inventory {
            self.categories(present, inventory.cattax, inventory.cat);
        }
        present.begin(Dim::Keyword);
        self.more_texts(present, Dim::Keyword, inventory.map_or(&[][..], |i| i.keywords));
        if facts.user_permitted {
            self.more_texts(present, Dim::Keyword, facts.auction.user.keywords);
        }
    }

    fn number(&self, present: &mut Present, dim: Dim, number: Option<u64>) {
        present.begin(dim);
        if let Some(number) = number {
            self.more_numbers(present, dim, number);
        }
    }

    fn more_numbers(&self, present: &mut Present, dim: Dim, number: u64) {
        present.extend(self.dictionaries[dim as usize].numbers.get(&number).copied());
    }

    /// Adds the term of a text, and those of the lists that it is on.
    fn add(&self, present: &mut Present, dim: Dim, key: &[u8]) {
        let dictionary = &self.dictionaries[dim as usize];
        if key.is_empty() || key.len() > dictionary.longest {
            return;
        }
        present.extend(dictionary.texts.get(key).copied());
        self.add_lists(present, dictionary, key);
    }

    fn add_lists(&self, present: &mut Present, dictionary: &Dictionary, key: &[u8]) {
        if !dictionary.listed.is_empty()
            && let Some((start, end)) = dictionary.listed.get(key)
        {
            self.above[*start as usize..*end as usize].iter().for_each(|term| present.extend(Some(*term)));
        }
    }

    /// The lists of addresses that one of the device's is on.
    fn addresses(&self, facts: &Facts<'_>, present: &mut Present) {
        present.begin(Dim::Address);
        if self.addresses.is_empty() {
            return;
        }
        for address in normalise::addresses(facts.auction) {
            for AddressTerm { addresses, term, excluded } in &self.addresses {
                if (*excluded || facts.user_permitted) && addresses.contains(address) {
                    present.extend(Some(*term));
                }
            }
        }
    }

    fn text(&self, present: &mut Present, dim: Dim, value: Option<&str>) {
        present.begin(dim);
        self.more_texts(present, dim, value.as_slice());
    }

    fn more_texts(&self, present: &mut Present, dim: Dim, values: &[&str]) {
        let dictionary = &self.dictionaries[dim as usize];
        if dictionary.is_empty() {
            return;
        }
        for value in values.iter().map(|value| value.trim()) {
            if value.len() <= dictionary.longest {
                let key = present.folding(|key| fold(key, value));
                self.add(present, dim, &key);
                present.folded = key;
            }
        }
    }

    /// A place by itself and with its country before it, as `de:berlin`.
    fn place(
        &self,
        present: &mut Present,
        dim: Dim,
        place: Option<(Option<Country>, &str)>,
        separator: char,
    ) {
        present.begin(dim);
        let dictionary = &self.dictionaries[dim as usize];
        let Some((country, name)) = place.filter(|(_, name)| name.len() <= dictionary.longest) else {
            return;
        };
        let mut name_at = 0;
        let key = present.folding(|key| {
            if let Some(country) = country {
                fold(key, country.as_str());
                key.push(separator as u8);
            }
            name_at = key.len();
            fold(key, name);
        });
        self.add(present, dim, &key);
        if name_at > 0 {
            self.add(present, dim, &key[name_at..]);
        }
        present.folded = key;
    }

    /// The host and every domain that it is under.
    fn domain(&self, present: &mut Present, host: Option<&str>) {
        present.begin(Dim::Domain);
        let Some(host) = host.filter(|_| !self.dictionaries[Dim::Domain as usize].is_empty()) else { return };
        let key = present.folding(|key| fold(key, host));
        let ends = memchr::memchr_iter(b'.', &key).map(|dot| dot + 1);
        std::iter::once(0).chain(ends).for_each(|at| self.add(present, Dim::Domain, &key[at..]));
        present.folded = key;
    }

    /// The deals of an impression. Lists of deals have keys of their own, because some count on one exchange only.
    fn deals(&self, exchange: ExchangeId, imp: &Imp<'_>, present: &mut Present) {
        present.begin(Dim::Deal);
        let dictionary = &self.dictionaries[Dim::Deal as usize];
        if dictionary.is_empty() {
            return;
        }
        for deal in imp.deals {
            present.extend(dictionary.text(deal.id.as_bytes()));
            for only in [None, Some(exchange)].into_iter().filter(|_| !dictionary.listed.is_empty()) {
                let key = present.folding(|key| deal_key(key, only, deal.id));
                self.add_lists(present, dictionary, &key);
                present.folded = key;
            }
        }
    }

    fn categories(&self, present: &mut Present, cattax: u16, cat: &[&str]) {
        let dictionary = &self.dictionaries[Dim::Category as usize];
        if dictionary.is_empty() {
            return;
        }
        for id in cat.iter().map(|id| id.trim()) {
            let key = present.folding(|key| {
                key.extend(cattax.to_be_bytes());
                fold(key, id);
            });
            // Only the codes of IAB Content 1.0 show their parents.
            let ancestors = if cattax == 1 { usize::MAX } else { 1 };
            for key in hyphen_prefixes(&key).take(ancestors).filter(|key| key.len() > 2) {
                present.extend(dictionary.text(key));
            }
            present.folded = key;
        }
    }

    fn language(&self, present: &mut Present, language: Option<&str>) {
        present.begin(Dim::Language);
        let dictionary = &self.dictionaries[Dim::Language as usize];
        let Some(language) = normalise::text(language).filter(|_| !dictionary.is_empty()) else { return };
        let key = present.folding(|key| key.extend(language.bytes().map(fold_language)));
        for key in hyphen_prefixes(&key) {
            present.extend(dictionary.text(key));
        }
        present.folded = key;
    }

    fn segments(&self, present: &mut Present, segments: &[SegmentId]) {
        let above = |id: &SegmentId| match self.memberships.get(id.0 as usize..id.0 as usize + 2) {
            Some([start, end]) => *start as usize..*end as usize,
            _ => 0..0,
        };
        // All are fetched before any is read: a wrong guess of how many a segment has would hold up those behind it.
        for id in segments {
            std::hint::black_box(self.above.get(above(id).start));
        }
        for term in segments.iter().flat_map(|id| &self.above[above(id)]) {
            present.extend(Some(*term));
        }
    }
}

/// A country as a dictionary's number.
pub(super) fn country_number(country: Country) -> u64 {
    country.as_str().bytes().fold(0, |number, letter| number << 8 | u64::from(letter))
}

/// What a creative fills as a dictionary's number: a size, or beyond all sizes the medium.
pub(super) fn fit_number(fit: Fit) -> u64 {
    match fit {
        Fit::Banner(size) => u64::from(size.w) << 16 | u64::from(size.h),
        other => BEYOND_SIZES | other.media_type() as u64,
    }
}

/// The size behind a number, if it is one.
fn size_of(number: u64) -> Option<Size> {
    (number < BEYOND_SIZES).then_some(Size { w: (number >> 16) as u16, h: number as u16 })
}

/// A text of a line item or a list as a dictionary's key.
fn key_of(dim: Dim, listed: &str) -> Vec<u8> {
    match dim {
        Dim::Deal => listed.as_bytes().to_vec(),
        Dim::Domain => normalise::host(listed).to_ascii_lowercase().into_bytes(),
        Dim::Language => listed.trim().bytes().map(fold_language).collect(),
        _ => listed.trim().to_ascii_lowercase().into_bytes(),
    }
}

/// The key of a value on a list.
fn key_of_list(dim: Dim, only: Option<ExchangeId>, value: &str) -> Vec<u8> {
    if dim != Dim::Deal {
        return key_of(dim, value);
    }
    let mut key = Vec::with_capacity(value.len() + 3);
    deal_key(&mut key, only, value);
    key
}

fn deal_key(key: &mut Vec<u8>, only: Option<ExchangeId>, deal: &str) {
    match only {
        None => key.push(0),
        Some(exchange) => {
            key.push(1);
            key.extend(exchange.0.to_be_bytes());
        }
    }
    key.extend(deal.as_bytes());
}

/// Adds a text in lower case.
fn fold(key: &mut Vec<u8>, text: &str) {
    key.extend(text.bytes().map(|b| b.to_ascii_lowercase()));
}

fn fold_language(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }
}

/// The key, then its beginnings that end before a hyphen, longest first: the most specific value comes first.
fn hyphen_prefixes(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(Some(key), |key| memchr::memrchr(b'-', key).map(|at| &key[..at]))
}

/// The terms that a request and one of its impressions have.
#[derive(Debug, Default)]
pub(super) struct Present {
    /// By term, as a bit set.
    set: Vec<u64>,
    /// In order of dimensions, each term once; within a broad dimension the most specific first.
    terms: Vec<Term>,
    /// By dimension, where its terms start.
    starts: [u32; Dim::COUNT + 1],
    /// Who asks.
    exchange: ExchangeId,
    /// A text in lower case, while it is looked up.
    folded: Vec<u8>,
}

impl Present {
    /// Makes room for `terms` terms and forgets everything.
    pub(super) fn resize(&mut self, terms: usize) {
        self.terms.clear();
        self.starts = [0; Dim::COUNT + 1];
        self.set.clear();
        self.set.resize(terms.div_ceil(64), 0);
    }

    /// Whether a term is there.
    pub(super) fn contains(&self, term: Term) -> bool {
        self.set[term as usize / 64] >> (term % 64) & 1 == 1
    }

    /// The terms of a dimension.
    pub(super) fn of(&self, dim: Dim) -> &[Term] {
        &self.terms[self.starts[dim as usize] as usize..self.starts[dim as usize + 1] as usize]
    }

    /// The terms of the request, without those of an impression.
    pub(super) fn of_request(&self) -> &[Term] {
        &self.terms[..self.starts[Dim::FIRST_OF_IMP as usize] as usize]
    }

    /// Forgets the terms of `dim` and of all dimensions after it.
    fn reset_from(&mut self, dim: Dim) {
        let start = self.starts[dim as usize] as usize;
        for term in self.terms.drain(start..) {
            self.set[term as usize / 64] &= !(1 << (term % 64));
        }
        self.starts[dim as usize..].fill(start as u32);
    }

    /// From here on terms belong to `dim`; dimensions are begun in the order of the enum.
    fn begin(&mut self, dim: Dim) {
        self.starts[dim as usize] = self.terms.len() as u32;
    }

    fn end(&mut self) {
        self.starts[Dim::COUNT] = self.terms.len() as u32;
    }

    fn extend(&mut self, term: Option<Term>) {
        if let Some(term) = term
            && !self.contains(term)
        {
            self.set[term as usize / 64] |= 1 << (term % 64);
            self.terms.push(term);
        }
    }

    /// A key to look up, in memory that is used again: whoever takes it puts it back.
    fn folding(&mut self, fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut key = std::mem::take(&mut self.folded);
        key.clear();
        fill(&mut key);
        key
    }
}
