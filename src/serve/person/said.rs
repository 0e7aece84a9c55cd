//! The members of an event or a sync as they are sent: a query, or JSON. Everything is a text until it is understood.

use serde::Deserialize;
use std::borrow::Cow;

/// A text that may be there.
pub(super) type Text<'a> = Option<Cow<'a, str>>;

/// Longest text of any member.
pub(super) const MAX_TEXT: usize = 4_096;

macro_rules! said {
    ($($(#[doc = $about:literal])* $name:ident = $key:literal,)+) => {
        /// See the module.
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct Said<'a> {
            $($(#[doc = $about])*
            #[serde(rename = $key, borrow, deserialize_with = "any_text")]
            pub(super) $name: Text<'a>,)+
        }

        impl<'a> Said<'a> {
            /// Of a query. Parameters that nobody knows are passed over: advertisers' pages add what they like.
            pub(super) fn of_query(query: &'a str) -> Said<'a> {
                let mut said = Said::default();
                for (key, value) in form_urlencoded::parse(query.as_bytes()) {
                    match &*key {
                        $($key => said.$name = Some(value),)+
                        _ => {}
                    }
                }
                said
            }

            /// The first member that is too long.
            pub(super) fn too_long(&self) -> Option<&'static str> {
                $(if self.$name.as_ref().is_some_and(|text| text.len() > MAX_TEXT) { return Some($key); })+
                None
            }
        }
    };
}

said! {
    /// What was done.
    action = "t",
    /// The name of a custom event.
    name = "n",
    /// Keywords.
    keywords = "q",
    /// Category, by its segment's key.
    category = "c",
    /// What it is worth, an exact decimal.
    value = "v",
    /// The currency of that.
    currency = "cur",
    /// The advertiser's id of the order, so that it counts once.
    order = "o",
    /// The definition of a conversion.
    conversion = "conv",
    /// SHA-256 in hex of the trimmed, lower-case email address.
    email = "eh",
    /// SHA-256 in hex of the telephone number in E.164.
    phone = "ph",
    /// Of a server: our cookie's uid.
    uid = "uid",
    /// Of a server: the device's advertising id.
    device = "ifa",
    /// Of a server: when, in Unix seconds.
    at = "at",
    /// Whether the GDPR applies.
    gdpr = "gdpr",
    /// TC string.
    gdpr_consent = "gdpr_consent",
    /// GPP string.
    gpp = "gpp",
    /// Its sections that apply.
    gpp_sid = "gpp_sid",
    /// US privacy string.
    us_privacy = "us_privacy",
    /// 1 = for children.
    coppa = "coppa",
    /// 1 = the device limits tracking.
    lmt = "lmt",
    /// 1 = Global Privacy Control.
    gpc = "gpc",
    /// Of a server: where the person is, ISO 3166-1.
    country = "country",
    /// Of a sync: the exchange's id of the person.
    exchange_id = "exchange_id",
    /// Of a sync: where to go on to.
    redirect = "redirect",
}

/// The text, without blanks around it; `None` where it is empty.
pub(super) fn text<'s>(text: &'s Text<'_>) -> Option<&'s str> {
    text.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

/// A text, or a number as it would be written.
fn any_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Text<'de>, D::Error> {
    struct Visitor;
    impl<'de> serde::de::Visitor<'de> for Visitor {
        type Value = Text<'de>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a text or a whole number")
        }

        fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
            Ok(Some(Cow::Borrowed(text)))
        }

        fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
            Ok(Some(Cow::Owned(text.to_owned())))
        }

        fn visit_u64<E>(self, number: u64) -> Result<Text<'de>, E> {
            Ok(Some(Cow::Owned(number.to_string())))
        }

        fn visit_i64<E>(self, number: i64) -> Result<Text<'de>, E> {
            Ok(Some(Cow::Owned(number.to_string())))
        }

        fn visit_unit<E>(self) -> Result<Text<'de>, E> {
            Ok(None)
        }
    }
    deserializer.deserialize_any(Visitor)
}
