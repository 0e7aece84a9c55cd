//! Answers in protobuf: the fields of `proto/openrtb.proto` that an exchange looks at, read without generated code.
//!
//! Deliberately absent: writing. What a message has beyond these fields is passed over.

use super::answer::{Answer, Bid, Markup, Seat};
use std::borrow::Cow;

/// The value of a field.
#[derive(Clone, Copy, Debug)]
enum Field<'a> {
    Number(u64),
    Bits(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message in their order; `None` at the end and from a broken one on.
struct Fields<'a> {
    rest: &'a [u8],
    is_broken: bool,
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

impl<'a> Fields<'a> {
    fn of(message: &'a [u8]) -> Fields<'a> {
        Fields { rest: message, is_broken: false }
    }

    fn read(&mut self) -> Option<(u64, Field<'a>)> {
        let key = varint(&mut self.rest)?;
        let field = match key & 7 {
            0 => Field::Number(varint(&mut self.rest)?),
            1 => {
                let (bits, after) = self.rest.split_first_chunk::<8>()?;
                self.rest = after;
                Field::Bits(u64::from_le_bytes(*bits))
            }
            2 => {
                let length = usize::try_from(varint(&mut self.rest)?).ok()?;
                let (bytes, after) = self.rest.split_at_checked(length)?;
                self.rest = after;
                Field::Bytes(bytes)
            }
            5 => {
                let (bits, after) = self.rest.split_first_chunk::<4>()?;
                self.rest = after;
                Field::Number(u32::from_le_bytes(*bits).into())
            }
            _ => return None,
        };
        (key >> 3 > 0).then_some((key >> 3, field))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Field<'a>);

    fn next(&mut self) -> Option<(u64, Field<'a>)> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.read();
        self.is_broken |= field.is_none();
        if self.is_broken { None } else { field }
    }
}

fn text<'a>(field: Field<'a>) -> Option<Cow<'a, str>> {
    match field {
        Field::Bytes(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        _ => None,
    }
}

fn number(field: Field<'_>) -> Option<i64> {
    match field {
        Field::Number(value) => Some(value as i64),
        _ => None,
    }
}

/// Numbers of a repeated field, packed or one.
fn numbers(field: Field<'_>) -> Option<Vec<i64>> {
    match field {
        Field::Number(value) => Some(vec![value as i64]),
        Field::Bytes(mut rest) => {
            let mut all = Vec::new();
            while !rest.is_empty() {
                all.push(varint(&mut rest)? as i64);
            }
            Some(all)
        }
        Field::Bits(_) => None,
    }
}

/// The price of a bid to the nearest millionth; `None` when it is not finite.
fn price(field: Field<'_>) -> Option<Option<i64>> {
    match field {
        Field::Bits(bits) => {
            let micros = (f64::from_bits(bits) * 1e6).round();
            // Far beyond any price, and every whole number below is exact.
            Some((micros.abs() < 1e15).then_some(micros as i64))
        }
        _ => None,
    }
}

/// Reads `BidResponse`; `None` when it is none.
pub(super) fn answer(message: &[u8]) -> Option<Answer<'_>> {
    let mut answer = Answer::default();
    let mut fields = Fields::of(message);
    for (tag, field) in &mut fields {
        match tag {
            1 => answer.id = text(field)?,
            2 => answer.seats.push(seat(field)?),
            3 => answer.bidid = text(field)?,
            4 => answer.cur = text(field)?,
            6 => answer.nbr = Some(number(field)?),
            _ => {}
        }
    }
    (!fields.is_broken).then_some(answer)
}

fn seat(field: Field<'_>) -> Option<Seat<'_>> {
    let Field::Bytes(message) = field else { return None };
    let mut seat = Seat::default();
    let mut fields = Fields::of(message);
    for (tag, field) in &mut fields {
        match tag {
            1 => seat.bids.push(bid(field)?),
            2 => seat.seat = text(field)?,
            _ => {}
        }
    }
    (!fields.is_broken).then_some(seat)
}

fn bid(field: Field<'_>) -> Option<Bid<'_>> {
    let Field::Bytes(message) = field else { return None };
    let mut bid = Bid::default();
    let mut fields = Fields::of(message);
    for (tag, field) in &mut fields {
        match tag {
            1 => bid.id = text(field)?,
            2 => bid.impid = text(field)?,
            3 => bid.price = price(field)?,
            5 => bid.nurl = text(field)?,
            6 => match field {
                Field::Bytes(bytes) => bid.adm = Markup::Text(std::str::from_utf8(bytes).ok()?),
                _ => return None,
            },
            7 => bid.adomain.push(text(field)?),
            9 => bid.cid = text(field)?,
            10 => bid.crid = text(field)?,
            11 => bid.attr.extend(numbers(field)?),
            13 => bid.dealid = text(field)?,
            15 => bid.cat.push(text(field)?),
            16 => bid.w = Some(number(field)?),
            17 => bid.h = Some(number(field)?),
            21 => bid.exp = Some(number(field)?),
            22 => bid.burl = text(field)?,
            23 => bid.lurl = text(field)?,
            26 => bid.wratio = Some(number(field)?),
            30 => bid.cattax = Some(number(field)?),
            33 => bid.mtype = Some(number(field)?),
            50 => match field {
                Field::Bytes(message) => bid.adm = Markup::Native(message),
                _ => return None,
            },
            _ => {}
        }
    }
    (!fields.is_broken).then_some(bid)
}

/// All texts in a message and the messages in it that may be links: what is text and what is a message protobuf does
/// not say, so a field that begins like a link is one.
pub(super) fn texts(message: &[u8]) -> Vec<&str> {
    let mut found = Vec::new();
    for (_, field) in Fields::of(message) {
        let Field::Bytes(bytes) = field else { continue };
        match std::str::from_utf8(bytes) {
            Ok(text) if text.starts_with("http://") || text.starts_with("https://") => found.push(text),
            _ => found.extend(texts(bytes)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
        let key = u64::from(tag) << 3 | 2;
        let mut out = vec![key as u8 & 0x7f | if key > 127 { 0x80 } else { 0 }];
        if key > 127 {
            out.push((key >> 7) as u8);
        }
        out.push(bytes.len() as u8);
        out.extend_from_slice(bytes);
        out
    }

    #[test]
    fn an_answer_in_protobuf_is_read() {
        let mut bid = field(1, b"1-0-a");
        bid.extend(field(2, b"imp"));
        bid.push(3 << 3 | 1);
        bid.extend(1.25f64.to_le_bytes());
        bid.extend(field(11, &[1, 0x80, 1]));
        bid.extend([0x80, 1, 0xac, 2]);
        bid.extend(field(50, &field(3, &field(1, b"https://t.example/c/x"))));
        let mut message = field(1, b"request");
        message.extend(field(2, &[field(2, b"seat"), field(1, &bid)].concat()));
        message.extend(field(4, b"EUR"));
        let answer = answer(&message).unwrap();
        let bid = &answer.seats[0].bids[0];
        assert_eq!(
            (answer.id.as_ref(), answer.currency(), answer.seats[0].seat.as_ref()),
            ("request", "EUR", "seat")
        );
        assert_eq!((bid.price, bid.w, &bid.attr[..]), (Some(1_250_000), Some(300), &[1, 128][..]));
        assert_eq!(bid.adm.texts().unwrap(), ["https://t.example/c/x"]);
    }

    #[test]
    fn what_is_cut_off_or_of_another_type_is_no_answer() {
        let whole = field(1, b"request");
        assert!(answer(&whole[..4]).is_none());
        assert!(answer(&[1 << 3, 5]).is_none());
        assert!(answer(&[]).is_some());
        assert_eq!(price(Field::Bits(f64::NAN.to_bits())), Some(None));
        assert_eq!(price(Field::Bits(f64::INFINITY.to_bits())), Some(None));
    }
}
