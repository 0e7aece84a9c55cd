//! The account file as JSON. Nothing is required here and most values are texts, because serde stops at the first
//! error; what is missing or malformed is found by the readers, all of it and with its place. Unknown fields and wrong
//! JSON types are serde's.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// A number in quotes: an id or an exact decimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct Quoted(pub(super) String);

impl<'de> Deserialize<'de> for Quoted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Quoted, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Quoted;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number in quotes such as \"12\" or \"2.50\"")
            }

            fn visit_str<E>(self, text: &str) -> Result<Quoted, E> {
                Ok(Quoted(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Quoted, E> {
                Ok(Quoted(text))
            }
        }
        deserializer.deserialize_string(Visitor)
    }
}

/// A value of a list that grows: by its name, or by its number where the file's format has no name for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum NameOrNumber {
    Name(String),
    Number(i64),
}

impl<'de> Deserialize<'de> for NameOrNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<NameOrNumber, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = NameOrNumber;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a name in quotes or a whole number")
            }

            fn visit_str<E>(self, text: &str) -> Result<NameOrNumber, E> {
                Ok(NameOrNumber::Name(text.to_owned()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<NameOrNumber, E> {
                Ok(NameOrNumber::Number(number))
            }

            fn visit_u64<E>(self, number: u64) -> Result<NameOrNumber, E> {
                // What does not fit is out of every bound.
                Ok(NameOrNumber::Number(i64::try_from(number).unwrap_or(i64::MAX)))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Forms: their members, with what is said of each and, where the type alone does not say it, what it may be.
macro_rules! wire {
    ($($(#[$about:meta])* $name:ident {
        $($(#[doc = $said:literal])* $field:ident: $ty:ty $(= $spec:expr)?,)+
    })+) => {$(
        $(#[$about])*
        #[derive(Debug, Default, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(in crate::store::account_file) struct $name {$(
            $(#[doc = $said])*
            #[serde(skip_serializing_if = "Absent::is_absent")]
            pub(in crate::store::account_file) $field: $ty,
        )+}

        impl Absent for $name {
            fn is_absent(&self) -> bool {
                true $(&& self.$field.is_absent())+
            }
        }

        impl Described for $name {
            fn spec() -> Spec {
                let mut form = Form::new();
                $(form.member(stringify!($field), concat!($($said),*), spec_of!($ty $(, $spec)?));)+
                form.named(stringify!($name))
            }
        }
    )+};
}

/// What is said of a member, or what its type says.
macro_rules! spec_of {
    ($ty:ty) => {
        <$ty as Described>::spec()
    };
    ($ty:ty, $spec:expr) => {
        $spec
    };
}

mod behaviour;
mod buying;
mod creative;
mod exchange;
mod targeting;

pub(super) use behaviour::*;
pub(super) use buying::*;
pub(super) use creative::*;
pub(super) use exchange::*;
pub(super) use targeting::*;

/// What is not written.
trait Absent {
    fn is_absent(&self) -> bool;
}

impl<T> Absent for Option<T> {
    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T> Absent for Vec<T> {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}

/// Include and exclude lists of one dimension.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RuleWire<T> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) include: Vec<T>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) exclude: Vec<T>,
}

impl<T> Default for RuleWire<T> {
    fn default() -> Self {
        RuleWire { include: Vec::new(), exclude: Vec::new() }
    }
}

impl<T> Absent for RuleWire<T> {
    fn is_absent(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }
}

/// A factor for one value of a price dimension.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FactorWire<T> {
    pub(super) value: T,
    pub(super) factor: Quoted,
}

/// An account as it is written.
#[derive(Debug, Default, Serialize)]
pub(super) struct AccountWire {
    #[serde(skip_serializing_if = "Absent::is_absent")]
    pub(super) rates: RatesWire,
    #[serde(skip_serializing_if = "Absent::is_absent")]
    pub(super) exchanges: Vec<ExchangeWire>,
    #[serde(skip_serializing_if = "Absent::is_absent")]
    pub(super) segments: Vec<SegmentWire>,
    #[serde(skip_serializing_if = "Absent::is_absent")]
    pub(super) advertisers: Vec<AdvertiserWire>,
    #[serde(skip_serializing_if = "Absent::is_absent")]
    pub(super) campaigns: Vec<CampaignWire>,
    #[serde(skip_serializing_if = "Absent::is_absent")]
    pub(super) creatives: Vec<CreativeWire>,
    #[serde(skip_serializing_if = "Absent::is_absent")]
    pub(super) line_items: Vec<LineItemWire>,
    #[serde(skip_serializing_if = "Absent::is_absent")]
    pub(super) safety: SafetyWire,
    #[serde(skip_serializing_if = "Absent::is_absent")]
    pub(super) lists: Vec<ListWire>,
    #[serde(skip_serializing_if = "Absent::is_absent")]
    pub(super) deals: Vec<DealWire>,
    #[serde(skip_serializing_if = "Absent::is_absent")]
    pub(super) conversions: Vec<ConversionWire>,
    #[serde(skip_serializing_if = "Absent::is_absent")]
    pub(super) pixels: Vec<PixelWire>,
}

/// An account as it is read: entries of the long lists stay text until their turn comes, so that a hundred thousand of
/// them are never in memory in two forms.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AccountText<'t> {
    pub(super) rates: RatesWire,
    pub(super) exchanges: Vec<ExchangeWire>,
    pub(super) segments: Vec<SegmentWire>,
    pub(super) advertisers: Vec<AdvertiserWire>,
    pub(super) campaigns: Vec<CampaignWire>,
    #[serde(borrow)]
    pub(super) creatives: Vec<&'t RawValue>,
    #[serde(borrow)]
    pub(super) line_items: Vec<&'t RawValue>,
    pub(super) safety: SafetyWire,
    pub(super) lists: Vec<ListWire>,
    pub(super) deals: Vec<DealWire>,
    pub(super) conversions: Vec<ConversionWire>,
    pub(super) pixels: Vec<PixelWire>,
}
