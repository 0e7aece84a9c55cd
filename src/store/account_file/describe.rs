//! Which members an entry has and of what form they are, found out from the very structs that read entries: each is read
//! once from a source that notes what is asked of it.
//!
//! Invariant: what is described here is what [`super::Editor::put`] takes, because both come from the same structs. A new
//! field is described as soon as it is read.
//!
//! Deliberately absent: bounds and meanings, which the readers know and say when they are not kept.

use super::editor::Part;
use super::wire::{
    AdvertiserWire, CampaignWire, ConversionWire, CreativeWire, DealWire, ExchangeWire, LineItemWire,
    ListWire, PixelWire, RatesWire, SafetyWire, SegmentWire,
};
use serde::de::value::{Error, StrDeserializer};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// A member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// As JSON names it.
    pub name: &'static str,
    /// What it holds.
    pub form: Form,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// A text; ids, amounts and moments are texts too.
    Text,
    /// A whole number.
    Whole,
    /// True or false.
    Switch,
    /// A text or something else.
    Any,
    /// Several of one form.
    List(Box<Form>),
    /// An object of texts by any names.
    Texts,
    /// An object, its members in the order of the struct.
    Object(Vec<Member>),
}

/// The members of the entries of a part, in the order in which they are written.
pub fn members(part: Part) -> Vec<Member> {
    fn of<W: for<'de> Deserialize<'de>>() -> Form {
        let mut form = Form::Any;
        W::deserialize(Tracer(&mut form)).expect("the wire structs take empty values of every form");
        form
    }
    let form = match part {
        Part::Rates => of::<RatesWire>(),
        Part::Safety => of::<SafetyWire>(),
        Part::Exchange => of::<ExchangeWire>(),
        Part::Segment => of::<SegmentWire>(),
        Part::Advertiser => of::<AdvertiserWire>(),
        Part::Campaign => of::<CampaignWire>(),
        Part::Creative => of::<CreativeWire>(),
        Part::List => of::<ListWire>(),
        Part::Deal => of::<DealWire>(),
        Part::Conversion => of::<ConversionWire>(),
        Part::Pixel => of::<PixelWire>(),
        Part::LineItem => of::<LineItemWire>(),
    };
    match form {
        Form::Object(members) => members,
        other => unreachable!("an entry is an object and not {other:?}"),
    }
}

/// A source of empty values that notes which form was asked for.
struct Tracer<'f>(&'f mut Form);

macro_rules! whole {
    ($($method:ident)+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            *self.0 = Form::Whole;
            visitor.visit_i64(0)
        }
    )+};
}

impl<'de> Deserializer<'de> for Tracer<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        *self.0 = Form::Any;
        visitor.visit_str("")
    }

    whole! { deserialize_i64 deserialize_u64 deserialize_i32 deserialize_u32 }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        *self.0 = Form::Switch;
        visitor.visit_bool(false)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        *self.0 = Form::Text;
        visitor.visit_str("")
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut inner = Form::Any;
        let value = visitor.visit_seq(One { form: &mut inner, is_given: false })?;
        *self.0 = Form::List(Box::new(inner));
        Ok(value)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let mut members = Vec::with_capacity(fields.len());
        let value = visitor.visit_map(Each { rest: fields.iter(), name: "", members: &mut members })?;
        *self.0 = Form::Object(members);
        Ok(value)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        *self.0 = Form::Texts;
        visitor.visit_map(Each { rest: [].iter(), name: "", members: &mut Vec::new() })
    }

    forward_to_deserialize_any! {
        i8 i16 i128 u8 u16 u128 f32 f64 char bytes byte_buf unit unit_struct newtype_struct tuple tuple_struct
        enum identifier ignored_any
    }
}

/// A list of one value.
struct One<'f> {
    form: &'f mut Form,
    is_given: bool,
}

impl<'de> SeqAccess<'de> for One<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if std::mem::replace(&mut self.is_given, true) {
            return Ok(None);
        }
        seed.deserialize(Tracer(self.form)).map(Some)
    }
}

/// Every field of a struct.
struct Each<'f> {
    rest: std::slice::Iter<'static, &'static str>,
    name: &'static str,
    members: &'f mut Vec<Member>,
}

impl<'de> MapAccess<'de> for Each<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(name) = self.rest.next() else { return Ok(None) };
        self.name = name;
        seed.deserialize(StrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let mut form = Form::Any;
        let value = seed.deserialize(Tracer(&mut form))?;
        self.members.push(Member { name: self.name, form });
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(part: Part, path: &str) -> Form {
        let mut form = Form::Object(members(part));
        for name in path.split('.') {
            let Form::Object(members) = form else { panic!("{path}: nothing below {name}") };
            let found = members.into_iter().find(|member| member.name == name);
            form = found.unwrap_or_else(|| panic!("{path}: there is no {name}")).form;
        }
        form
    }

    #[test]
    fn the_members_of_entries_are_those_that_their_readers_ask_for() {
        let list = |form| Form::List(Box::new(form));
        assert_eq!(at(Part::LineItem, "budget.daily"), Form::Text);
        assert_eq!(at(Part::LineItem, "targeting.countries.include"), list(Form::Text));
        assert_eq!(at(Part::LineItem, "targeting.device_types.exclude"), list(Form::Whole));
        assert_eq!(at(Part::LineItem, "targeting.placement.rewarded"), Form::Switch);
        assert!(
            matches!(at(Part::LineItem, "creatives"), Form::List(form) if matches!(*form, Form::Object(_)))
        );
        assert_eq!(at(Part::Creative, "cattax"), Form::Whole);
        assert_eq!(at(Part::Segment, "sensitive"), Form::Switch);
        assert_eq!(at(Part::Segment, "values"), Form::Texts);
        assert_eq!(at(Part::Segment, "rule.within_s"), Form::Whole);
        assert_eq!(at(Part::Segment, "interest.weights.cart"), Form::Text);
        assert_eq!(at(Part::Exchange, "price_codec"), Form::Any);
        for part in [Part::Rates, Part::Safety, Part::Advertiser, Part::Campaign] {
            assert!(!members(part).is_empty(), "{part:?}");
        }
    }
}
