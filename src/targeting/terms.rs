//! Every value that some line item targets is a *term* with a dense number. A request is resolved into the set of
//! terms that it has, with those that its values imply: `news.example.com` has the terms of `example.com`, a phone
//! that of "mobile or tablet", a segment those of the tree nodes above it. A rule is then met when one of its
//! included terms is present and none of its excluded ones.
//!
//! Invariant: a value that no line item targets has no term and costs one failed look-up, and no look-up allocates.

use super::dim::Dim;
use super::{Facts, normalise};
use crate::model::auction::{Imp, Size};
use crate::model::country::Country;
use crate::model::ids::SegmentId;
use crate::model::media::FlexibleSize;
use crate::model::targeting::{Category, Fit};
use crate::model::taxonomy::Taxonomy;
use foldhash::fast::FixedState;
use std::collections::HashMap;

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
    /// Bytes of the longest text: what is longer need not be hashed.
    longest: usize,
}

impl Dictionary {
    fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.numbers.is_empty()
    }

    fn text(&self, key: &[u8]) -> Option<Term> {
        if key.is_empty() || key.len() > self.longest { None } else { self.texts.get(key).copied() }
    }
}

/// The terms of one matcher.
#[derive(Debug, Default)]
pub(super) struct Terms {
    dictionaries: [Dictionary; Dim::COUNT],
    /// By raw membership: the targeted segments and nodes that it is under, as a range of `above`.
    memberships: HashMap<u32, (u32, u32), FixedState>,
    above: Vec<Term>,
    count: Term,
}

// Numbering, while a matcher is compiled.
impl Terms {
    /// How many terms there are.
    pub(super) fn len(&self) -> usize {
        self.count as usize
    }

    /// The term of a text as a line item lists it.
    pub(super) fn intern_text(&mut self, dim: Dim, listed: &str) -> Term {
        let key = match dim {
            Dim::Deal => listed.as_bytes().to_vec(),
            Dim::Domain => normalise::host(listed).to_ascii_lowercase().into_bytes(),
            Dim::Language => listed.trim().bytes().map(fold_language).collect(),
            _ => listed.trim().to_ascii_lowercase().into_bytes(),
        };
        self.intern_key(dim, key)
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

    /// Lays out which targeted nodes a raw membership is under, when every term is numbered. Returns by term how many
    /// raw values have it: the segments under a node, one for everything else.
    pub(super) fn link_segments(&mut self, taxonomy: &Taxonomy) -> Vec<u32> {
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
        pairs.sort_unstable();
        for run in pairs.chunk_by(|a, b| a.0 == b.0) {
            let start = self.above.len() as u32;
            self.above.extend(run.iter().map(|(_, term)| *term));
            self.memberships.insert(run[0].0, (start, self.above.len() as u32));
        }
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
        present.begin(Dim::Deal);
        if !self.dictionaries[Dim::Deal as usize].is_empty() {
            for deal in imp.deals {
                present.extend(self.dictionaries[Dim::Deal as usize].text(deal.id.as_bytes()));
            }
        }
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
                present.folded.clear();
                present.fold(value);
                present.extend(dictionary.text(&present.folded));
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
        present.folded.clear();
        if let Some(country) = country {
            present.fold(country.as_str());
            present.folded.push(separator as u8);
        }
        let name_at = present.folded.len();
        present.fold(name);
        present.extend(dictionary.text(&present.folded));
        if name_at > 0 {
            present.extend(dictionary.text(&present.folded[name_at..]));
        }
    }

    /// The host and every domain that it is under.
    fn domain(&self, present: &mut Present, host: Option<&str>) {
        present.begin(Dim::Domain);
        let dictionary = &self.dictionaries[Dim::Domain as usize];
        let Some(host) = host.filter(|_| !dictionary.is_empty()) else { return };
        present.folded.clear();
        present.fold(host);
        let mut at = 0;
        loop {
            present.extend(dictionary.text(&present.folded[at..]));
            match memchr::memchr(b'.', &present.folded[at..]) {
                Some(dot) => at += dot + 1,
                None => return,
            }
        }
    }

    fn categories(&self, present: &mut Present, cattax: u16, cat: &[&str]) {
        let dictionary = &self.dictionaries[Dim::Category as usize];
        if dictionary.is_empty() {
            return;
        }
        for id in cat.iter().map(|id| id.trim()) {
            present.folded.clear();
            present.folded.extend(cattax.to_be_bytes());
            present.fold(id);
            let key = std::mem::take(&mut present.folded);
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
        let mut key = std::mem::take(&mut present.folded);
        key.clear();
        key.extend(language.bytes().map(fold_language));
        for key in hyphen_prefixes(&key) {
            present.extend(dictionary.text(key));
        }
        present.folded = key;
    }

    fn segments(&self, present: &mut Present, segments: &[SegmentId]) {
        if self.memberships.is_empty() {
            return;
        }
        for id in segments {
            if let Some((start, end)) = self.memberships.get(&id.0) {
                for term in &self.above[*start as usize..*end as usize] {
                    present.extend(Some(*term));
                }
            }
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

    fn fold(&mut self, text: &str) {
        self.folded.extend(text.bytes().map(|b| b.to_ascii_lowercase()));
    }
}
