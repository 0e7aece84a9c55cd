//! An answer with bids, from JSON or protobuf.
//!
//! Invariant: prices keep their exact value: they are read from the text of the number, and from protobuf, where they
//! are floats by the format, to the nearest millionth.

use super::money::decimal;
use super::wire;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// An answer.
#[derive(Debug, Default)]
pub(crate) struct Answer<'a> {
    pub(crate) id: Cow<'a, str>,
    pub(crate) bidid: Cow<'a, str>,
    /// Empty where there is none: dollars.
    pub(crate) cur: Cow<'a, str>,
    pub(crate) nbr: Option<i64>,
    pub(crate) seats: Vec<Seat<'a>>,
}

/// The bids of a seat.
#[derive(Debug, Default)]
pub(crate) struct Seat<'a> {
    pub(crate) seat: Cow<'a, str>,
    pub(crate) bids: Vec<Bid<'a>>,
}

/// A bid; texts that are absent are empty.
#[derive(Debug, Default)]
pub(crate) struct Bid<'a> {
    pub(crate) id: Cow<'a, str>,
    pub(crate) impid: Cow<'a, str>,
    /// CPM micros, rounded down; `None` for what is no finite decimal.
    pub(crate) price: Option<i64>,
    pub(crate) nurl: Cow<'a, str>,
    pub(crate) burl: Cow<'a, str>,
    pub(crate) lurl: Cow<'a, str>,
    pub(crate) adm: Markup<'a>,
    pub(crate) adomain: Vec<Cow<'a, str>>,
    pub(crate) cid: Cow<'a, str>,
    pub(crate) crid: Cow<'a, str>,
    pub(crate) dealid: Cow<'a, str>,
    pub(crate) cat: Vec<Cow<'a, str>>,
    pub(crate) cattax: Option<i64>,
    pub(crate) attr: Vec<i64>,
    pub(crate) w: Option<i64>,
    pub(crate) h: Option<i64>,
    pub(crate) wratio: Option<i64>,
    pub(crate) mtype: Option<i64>,
    pub(crate) exp: Option<i64>,
}

/// The ad, unescaped only when somebody looks at it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Markup<'a> {
    /// There is none.
    #[default]
    None,
    /// A string of JSON, quotes and escapes in place.
    Json(&'a RawValue),
    /// A text.
    Text(&'a str),
    /// Native in protobuf: the message.
    Native(&'a [u8]),
}

impl<'a> Markup<'a> {
    /// Texts that the ad is made of; `None` when it is no text.
    pub(crate) fn texts(self) -> Option<Vec<Cow<'a, str>>> {
        match self {
            Markup::None => Some(Vec::new()),
            Markup::Json(raw) => serde_json::from_str::<String>(raw.get()).ok().map(|text| vec![text.into()]),
            Markup::Text(text) => Some(vec![text.into()]),
            Markup::Native(message) => Some(wire::texts(message).into_iter().map(Cow::Borrowed).collect()),
        }
    }
}

impl<'a> Answer<'a> {
    /// Reads an answer; the error says what it is not.
    pub(crate) fn read(body: &'a [u8], is_protobuf: bool) -> Result<Answer<'a>, String> {
        if is_protobuf {
            return wire::answer(body).ok_or_else(|| "no protobuf message of an answer".to_owned());
        }
        let json: JsonAnswer<'a> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        Ok(json.answer())
    }

    /// The currency of its bids.
    pub(crate) fn currency(&self) -> &str {
        if self.cur.is_empty() { "USD" } else { &self.cur }
    }
}

#[derive(Deserialize)]
struct JsonAnswer<'a> {
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    bidid: Cow<'a, str>,
    #[serde(borrow, default)]
    cur: Cow<'a, str>,
    nbr: Option<i64>,
    #[serde(borrow, default)]
    seatbid: Vec<JsonSeat<'a>>,
}

#[derive(Deserialize)]
struct JsonSeat<'a> {
    #[serde(borrow, default)]
    seat: Cow<'a, str>,
    #[serde(borrow, default)]
    bid: Vec<JsonBid<'a>>,
}

#[derive(Deserialize)]
struct JsonBid<'a> {
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    impid: Cow<'a, str>,
    #[serde(borrow)]
    price: Option<&'a RawValue>,
    #[serde(borrow, default)]
    nurl: Cow<'a, str>,
    #[serde(borrow, default)]
    burl: Cow<'a, str>,
    #[serde(borrow, default)]
    lurl: Cow<'a, str>,
    #[serde(borrow)]
    adm: Option<&'a RawValue>,
    #[serde(borrow, default)]
    adomain: Vec<Cow<'a, str>>,
    #[serde(borrow, default)]
    cid: Cow<'a, str>,
    #[serde(borrow, default)]
    crid: Cow<'a, str>,
    #[serde(borrow, default)]
    dealid: Cow<'a, str>,
    #[serde(borrow, default)]
    cat: Vec<Cow<'a, str>>,
    cattax: Option<i64>,
    #[serde(default)]
    attr: Vec<i64>,
    w: Option<i64>,
    h: Option<i64>,
    wratio: Option<i64>,
    mtype: Option<i64>,
    exp: Option<i64>,
}

impl<'a> JsonAnswer<'a> {
    fn answer(self) -> Answer<'a> {
        let seat = |seat: JsonSeat<'a>| Seat {
            seat: seat.seat,
            bids: seat.bid.into_iter().map(JsonBid::bid).collect(),
        };
        let seats = self.seatbid.into_iter().map(seat).collect();
        Answer { id: self.id, bidid: self.bidid, cur: self.cur, nbr: self.nbr, seats }
    }
}

impl<'a> JsonBid<'a> {
    fn bid(self) -> Bid<'a> {
        Bid {
            id: self.id,
            impid: self.impid,
            price: self.price.and_then(|price| decimal(price.get(), 6)),
            nurl: self.nurl,
            burl: self.burl,
            lurl: self.lurl,
            adm: self.adm.map_or(Markup::None, Markup::Json),
            adomain: self.adomain,
            cid: self.cid,
            crid: self.crid,
            dealid: self.dealid,
            cat: self.cat,
            cattax: self.cattax,
            attr: self.attr,
            w: self.w,
            h: self.h,
            wratio: self.wratio,
            mtype: self.mtype,
            exp: self.exp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_with_its_exact_price() {
        let body = br#"{"id":"q\"1","cur":"EUR","seatbid":[{"seat":"s","bid":[{"id":"1-0-a","impid":"1",
            "price":1.234567,"adm":"<a href=\"x\">","w":300,"h":250,"cat":["IAB1"],"ext":{"z":[1]}}]}]}"#;
        let answer = Answer::read(body, false).unwrap();
        let bid = &answer.seats[0].bids[0];
        assert_eq!((answer.id.as_ref(), answer.currency(), bid.price), ("q\"1", "EUR", Some(1_234_567)));
        assert_eq!(bid.adm.texts().unwrap(), ["<a href=\"x\">"]);
        assert_eq!((bid.w, bid.mtype, bid.burl.as_ref()), (Some(300), None, ""));
        assert_eq!(Answer::read(br#"{"id":"x","nbr":2}"#, false).unwrap().nbr, Some(2));
    }

    #[test]
    fn what_is_no_answer_says_why() {
        for body in
            ["", "[]", r#"{"id":5}"#, r#"{"id":"a","id":"b"}"#, r#"{"seatbid":[{"bid":[{"w":"1"}]}]}"#]
        {
            assert!(Answer::read(body.as_bytes(), false).is_err(), "{body}");
        }
        let odd = r#"{"seatbid":[{"bid":[{"price":"1.0"},{"price":1e2},{}]}]}"#;
        let odd = Answer::read(odd.as_bytes(), false).unwrap();
        assert!(odd.seats[0].bids.iter().all(|bid| bid.price.is_none()));
    }
}
