//! What a random request is made of: numbers, texts and objects that repeat from their seed.

use crate::parse::differential::Seeded;
use serde_json::{Map, Value, json};
use std::ops::RangeInclusive;

/// A seeded source of chance.
pub(super) struct Dice(Seeded);

impl Dice {
    /// The same for the same request of the same seed.
    pub(super) fn of(seed: u64, number: u64) -> Dice {
        Dice(Seeded(seed << 32 ^ number))
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0.below(n)
    }

    /// True so many times in a hundred.
    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(super) fn flag(&mut self) -> i64 {
        self.below(2) as i64
    }

    /// 1 so many times in a hundred, else 0.
    pub(super) fn flag_of(&mut self, percent: usize) -> i64 {
        i64::from(self.chance(percent))
    }

    pub(super) fn range(&mut self, range: RangeInclusive<i64>) -> i64 {
        range.start() + self.below((range.end() - range.start() + 1) as usize) as i64
    }

    /// Mostly from a range, now and then the largest number that both encodings hold.
    pub(super) fn count(&mut self, usual: RangeInclusive<i64>) -> i64 {
        if self.chance(2) { i64::from(i32::MAX) } else { self.range(usual) }
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// A value of one of AdCOM's lists: of those that are named, now and then a vendor's own from 500 on.
    pub(super) fn listed(&mut self, named: RangeInclusive<i64>) -> i64 {
        if self.chance(3) { self.range(500..=520) } else { self.range(named) }
    }

    /// At least one of these and no more than `most`, each at most once, in any order.
    pub(super) fn some<T: Copy>(&mut self, from: &[T], most: usize) -> Vec<T> {
        let mut left = from.to_vec();
        let count = 1 + self.below(most.min(left.len()));
        (0..count).map(|_| left.swap_remove(self.below(left.len()))).collect()
    }

    /// The same of the numbers of a range.
    pub(super) fn ints(&mut self, from: RangeInclusive<i64>, most: usize) -> Vec<i64> {
        self.some(&from.collect::<Vec<_>>(), most)
    }

    /// So many of something.
    pub(super) fn several(
        &mut self,
        count: RangeInclusive<i64>,
        mut make: impl FnMut(&mut Dice) -> Value,
    ) -> Vec<Value> {
        (0..self.range(count)).map(|_| make(self)).collect()
    }

    /// A price per thousand: low as a rule, dear now and then, of up to six places.
    pub(super) fn price(&mut self) -> f64 {
        let micros = match self.below(100) {
            0..5 => 0,
            5..90 => self.range(1..=1_500_000),
            90..97 => self.range(1_500_000..=12_000_000),
            _ => self.range(12_000_000..=900_000_000),
        };
        micros as f64 / 1e6
    }

    /// From 0 to 1.
    pub(super) fn share(&mut self) -> f64 {
        self.below(1_001) as f64 / 1_000.0
    }

    /// Letters and digits.
    pub(super) fn code(&mut self, length: RangeInclusive<i64>) -> String {
        const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        (0..self.range(length)).map(|_| char::from(self.pick(LETTERS))).collect()
    }

    pub(super) fn hex(&mut self, length: i64) -> String {
        (0..length).map(|_| char::from(self.pick(b"0123456789abcdef"))).collect()
    }

    /// What people write: any script, quotes, line ends and what JSON and markup must escape.
    pub(super) fn text(&mut self) -> String {
        const WORDS: [&str; 14] = [
            "news",
            "Rugby",
            "élan",
            "日本語",
            "\"quoted\"",
            "a\\b",
            "tab\there",
            "line\nend",
            "</script>",
            "100 %",
            "Ω≈ç",
            "🎬",
            "O'Brien",
            "${AUCTION_ID}",
        ];
        (0..self.range(1..=4)).map(|_| self.pick(&WORDS)).collect::<Vec<_>>().join(" ")
    }

    pub(super) fn words(&mut self) -> String {
        (0..self.range(1..=4)).map(|_| self.code(2..=9)).collect::<Vec<_>>().join(",")
    }

    pub(super) fn texts(&mut self) -> Vec<String> {
        (0..self.range(1..=4)).map(|_| self.text()).collect()
    }

    /// An identifier in one of the forms that are in use.
    pub(super) fn id(&mut self) -> String {
        match self.below(8) {
            0 => self.range(0..=999_999).to_string(),
            1 => format!("{}-{}-{}", self.hex(8), self.hex(4), self.hex(12)),
            2 => format!("{}/{}", self.code(1..=5), self.text()),
            _ => self.code(1..=24),
        }
    }

    pub(super) fn domain(&mut self) -> String {
        format!("{}.{}", self.code(3..=10).to_lowercase(), self.pick(&["example", "test", "co.example"]))
    }

    pub(super) fn url(&mut self) -> String {
        format!("https://{}/{}?q={}", self.domain(), self.code(0..=12), self.hex(6))
    }

    /// Codes of IAB Content 1.0, of which insurance (`IAB13-6`) is none.
    pub(super) fn categories(&mut self) -> Vec<String> {
        let code = |d: &mut Dice| match (d.range(1..=12), d.below(2)) {
            (parent, 0) => format!("IAB{parent}"),
            (parent, _) => format!("IAB{parent}-{}", d.range(1..=9)),
        };
        (0..self.range(1..=5)).map(|_| code(self)).collect()
    }

    /// Codes of any other taxonomy.
    pub(super) fn numbered(&mut self) -> Vec<String> {
        (0..self.range(1..=4)).map(|_| self.range(1..=700).to_string()).collect()
    }

    pub(super) fn currency(&mut self) -> &'static str {
        match self.below(30) {
            0 => "XTS",
            1..5 => self.pick(&["EUR", "GBP", "JPY", "CHF", "SEK"]),
            _ => "USD",
        }
    }
}

/// An object on its way: fields are added or left out by chance.
pub(super) struct Object<'d> {
    pub(super) dice: &'d mut Dice,
    fields: Map<String, Value>,
}

impl<'d> Object<'d> {
    pub(super) fn of(dice: &'d mut Dice) -> Object<'d> {
        Object { dice, fields: Map::new() }
    }

    /// A field that is always there.
    pub(super) fn must<V: Into<Value>>(self, name: &str, make: impl FnOnce(&mut Dice) -> V) -> Self {
        self.may(100, name, make)
    }

    /// A field that is there so many times in a hundred.
    pub(super) fn may<V: Into<Value>>(
        mut self,
        percent: usize,
        name: &str,
        make: impl FnOnce(&mut Dice) -> V,
    ) -> Self {
        if self.dice.chance(percent) {
            let value = make(self.dice).into();
            self.fields.insert(name.to_owned(), value);
        }
        self
    }

    /// Fields that come or stay away together.
    pub(super) fn add(mut self, percent: usize, more: impl FnOnce(Object<'_>) -> Object<'_>) -> Self {
        if self.dice.chance(percent) {
            let added = more(Object::of(self.dice)).fields;
            self.fields.extend(added);
        }
        self
    }

    /// One of two ways to say something so many times in a hundred, else neither.
    pub(super) fn one(
        self,
        percent: usize,
        first: impl FnOnce(Object<'_>) -> Object<'_>,
        second: impl FnOnce(Object<'_>) -> Object<'_>,
    ) -> Self {
        self.add(percent, |o| if o.dice.chance(50) { first(o) } else { second(o) })
    }

    /// `keywords` or `kwarray`.
    pub(super) fn keywords(self, percent: usize) -> Self {
        self.one(percent, |o| o.must("keywords", Dice::words), |o| o.must("kwarray", Dice::texts))
    }

    /// `language` or `langb`.
    pub(super) fn language(self, percent: usize) -> Self {
        self.one(
            percent,
            |o| o.must("language", |d| d.pick(&["en", "de", "ja", "xx"])),
            |o| o.must("langb", |d| d.pick(&["en-GB", "zh-Hant-TW", "de-AT"])),
        )
    }

    /// Now and then `ext` with what nobody has agreed on.
    pub(super) fn ext(self) -> Value {
        self.ext_of(8, |o| o)
    }

    /// So many times in a hundred `ext`, with these fields beside what nobody has agreed on.
    pub(super) fn ext_of(self, percent: usize, known: impl FnOnce(Object<'_>) -> Object<'_>) -> Value {
        self.may(percent, "ext", |d| known(Object::of(d)).may(50, "vendor", vendor).done()).done()
    }

    pub(super) fn done(self) -> Value {
        self.fields.into()
    }
}

/// Any value, which readers must pass over.
fn vendor(dice: &mut Dice) -> Value {
    match dice.below(5) {
        0 => json!(null),
        1 => json!(dice.price()),
        2 => json!([1, "x", {}, []]),
        3 => json!({ "deep": [[{ "id": dice.id() }]] }),
        _ => json!(dice.text()),
    }
}
