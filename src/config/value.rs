//! Values: how a raw value of a source becomes the type of an option, and how it is printed again.
//!
//! A file says the type of a value; an environment variable and `--set` are plain text whose type the option decides
//! (`5000`, `reuseport`, `10.0.0.0/8,::1`). Each type states what a good value is, for messages and the default file.

use super::secret::{MASK, Secret};
use crate::model::exchange::IpNet;
use crate::model::url::HttpUrl;
use crate::telemetry::log::{LogFormat, LogLevel};
use jiff::civil::Date;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A value as a source gives it.
#[derive(Clone, Debug)]
pub(super) enum Raw {
    /// Text from the environment or the command line, of any type.
    Plain(String),
    /// A TOML string.
    Text(String),
    /// A TOML integer.
    Integer(i128),
    /// A TOML array.
    List(Vec<Raw>),
    /// A TOML value of a kind that no option has, by its name for people.
    Other(&'static str),
}

impl Raw {
    fn text(&self) -> Option<&str> {
        match self {
            Raw::Plain(text) | Raw::Text(text) => Some(text),
            _ => None,
        }
    }

    fn integer(&self) -> Option<i128> {
        match self {
            Raw::Plain(text) => text.trim().replace('_', "").parse().ok(),
            Raw::Integer(number) => Some(*number),
            _ => None,
        }
    }

    fn list(&self) -> Option<Vec<Raw>> {
        match self {
            Raw::Plain(text) if text.trim().is_empty() => Some(Vec::new()),
            Raw::Plain(text) => {
                Some(text.split(',').map(|item| Raw::Plain(item.trim().to_owned())).collect())
            }
            Raw::List(items) => Some(items.clone()),
            _ => None,
        }
    }

    /// For an error message.
    fn describe(&self) -> String {
        match self {
            Raw::Plain(text) => format!("found {text:?}"),
            Raw::Text(text) => format!("found the text {text:?}"),
            Raw::Integer(number) => format!("found the number {number}"),
            Raw::List(_) => "found a list".to_owned(),
            Raw::Other(kind) => format!("found {kind}"),
        }
    }
}

/// What reading a value may need beside it.
pub(super) struct Context<'c> {
    /// Smallest and largest allowed number.
    pub(super) bounds: Option<(u64, u64)>,
    /// The environment, for `env:` references of secrets.
    pub(super) env: &'c BTreeMap<String, String>,
}

/// A type that an option can have.
pub(super) trait Setting: Sized {
    /// A line of the default file where there is no default.
    const EXAMPLE: &'static str = "";

    /// The value of an option without a default that nobody gives; `None` where that cannot be.
    fn absent() -> Option<Self> {
        None
    }

    /// What a good value is, as the end of "give …".
    fn expects(bounds: Option<(u64, u64)>) -> String;

    /// Reads a value; the error says what was found instead.
    fn read(raw: &Raw, context: &Context<'_>) -> Result<Self, String>;

    /// The value as TOML, secrets masked; `None` where there is none.
    fn to_toml(&self) -> Option<String>;
}

macro_rules! whole_number {
    ($($ty:ty),+) => {$(
        impl Setting for $ty {
            fn expects(bounds: Option<(u64, u64)>) -> String {
                let (min, max) = bounds.unwrap_or((0, <$ty>::MAX as u64));
                format!("a whole number from {min} to {max}")
            }

            fn read(raw: &Raw, context: &Context<'_>) -> Result<Self, String> {
                let (min, max) = context.bounds.unwrap_or((0, <$ty>::MAX as u64));
                let number = raw.integer().ok_or_else(|| raw.describe())?;
                u64::try_from(number)
                    .ok()
                    .filter(|n| (min..=max).contains(n))
                    .and_then(|n| <$ty>::try_from(n).ok())
                    .ok_or_else(|| format!("{number} is out of range"))
            }

            fn to_toml(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )+};
}
whole_number!(u32, u64, usize);

impl Setting for SocketAddr {
    fn expects(_: Option<(u64, u64)>) -> String {
        "an address and port such as \"127.0.0.1:8080\" or \"[::1]:8080\" (port 0: any free one)".to_owned()
    }

    fn read(raw: &Raw, _: &Context<'_>) -> Result<Self, String> {
        raw.text().and_then(|text| text.trim().parse().ok()).ok_or_else(|| raw.describe())
    }

    fn to_toml(&self) -> Option<String> {
        Some(quote(&self.to_string()))
    }
}

impl Setting for HttpUrl {
    fn expects(_: Option<(u64, u64)>) -> String {
        "a URL such as \"https://t.example.com\" or \"https://example.com/track\", without query or fragment"
            .to_owned()
    }

    /// A base URL: trailing slashes go, and only characters that need no encoding are allowed in the prefix.
    fn read(raw: &Raw, _: &Context<'_>) -> Result<Self, String> {
        let text = raw.text().ok_or_else(|| raw.describe())?.trim().trim_end_matches('/');
        let url = HttpUrl::parse(text).map_err(|why| format!("{}: {why}", raw.describe()))?;
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~".contains(&b);
        let prefix = url.path_and_more();
        if !prefix.bytes().all(is_plain)
            || prefix.contains("//")
            || prefix.split('/').any(|s| s == "." || s == "..")
        {
            return Err(format!(
                "{}: its path prefix {prefix:?} cannot be matched byte by byte",
                raw.describe()
            ));
        }
        Ok(url)
    }

    fn to_toml(&self) -> Option<String> {
        Some(quote(self.as_str()))
    }
}

impl Setting for Date {
    fn expects(_: Option<(u64, u64)>) -> String {
        "a day such as \"2026-02-28\"".to_owned()
    }

    fn read(raw: &Raw, _: &Context<'_>) -> Result<Self, String> {
        raw.text().and_then(|text| text.trim().parse().ok()).ok_or_else(|| raw.describe())
    }

    fn to_toml(&self) -> Option<String> {
        Some(quote(&self.to_string()))
    }
}

impl Setting for Vec<IpNet> {
    fn expects(_: Option<(u64, u64)>) -> String {
        "a list of addresses or networks such as [\"10.0.0.0/8\", \"::1\"] (as plain text: separated by commas)".to_owned()
    }

    fn read(raw: &Raw, _: &Context<'_>) -> Result<Self, String> {
        let items = raw.list().ok_or_else(|| raw.describe())?;
        let read = |item: &Raw| item.text().and_then(IpNet::parse).ok_or_else(|| item.describe());
        items.iter().map(read).collect()
    }

    fn to_toml(&self) -> Option<String> {
        let items: Vec<_> = self.iter().map(|net| quote(&format!("{}/{}", net.addr, net.prefix))).collect();
        Some(format!("[{}]", items.join(", ")))
    }
}

impl Setting for PathBuf {
    fn expects(_: Option<(u64, u64)>) -> String {
        "a path such as \"./outbid-data\"".to_owned()
    }

    fn read(raw: &Raw, _: &Context<'_>) -> Result<Self, String> {
        let text = raw.text().filter(|text| !text.trim().is_empty() && !text.contains('\0'));
        text.map(PathBuf::from).ok_or_else(|| raw.describe())
    }

    fn to_toml(&self) -> Option<String> {
        Some(quote(&self.to_string_lossy()))
    }
}

impl Setting for Option<Secret> {
    const EXAMPLE: &'static str = "\"env:OUTBID_ADMIN_KEY\"";

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn expects(bounds: Option<(u64, u64)>) -> String {
        let (min, max) = bounds.unwrap_or((1, u64::MAX));
        format!(
            "{min} to {max} printable characters, or \"env:NAME\" or \"file:PATH\" to read them from there"
        )
    }

    /// No message repeats the text: it may be a secret that was put in the wrong place.
    fn read(raw: &Raw, context: &Context<'_>) -> Result<Self, String> {
        let text = raw.text().ok_or_else(|| "found something that is no text".to_owned())?;
        let (secret, origin) = if let Some(name) = text.strip_prefix("env:") {
            let value = context.env.get(name).ok_or_else(|| format!("the variable {name} is not set"))?;
            (value.clone(), format!("the variable {name}"))
        } else if let Some(path) = text.strip_prefix("file:") {
            let value = std::fs::read_to_string(path).map_err(|why| format!("cannot read {path}: {why}"))?;
            (value.trim_end_matches(['\n', '\r']).to_owned(), format!("the file {path}"))
        } else {
            (text.to_owned(), "the secret".to_owned())
        };
        let (min, max) = context.bounds.unwrap_or((1, u64::MAX));
        let length = secret.chars().count() as u64;
        if !(min..=max).contains(&length) {
            return Err(format!("{origin} has {length} characters"));
        }
        if secret.chars().any(char::is_control) {
            return Err(format!("{origin} has a control character"));
        }
        Ok(Some(Secret::new(secret)))
    }

    fn to_toml(&self) -> Option<String> {
        self.as_ref().map(|_| quote(MASK))
    }
}

/// An option with a few named values.
pub(super) trait Choice: Copy + PartialEq + 'static {
    /// Names and values.
    const ALL: &'static [(&'static str, Self)];
}

impl<T: Choice> Setting for T {
    fn expects(_: Option<(u64, u64)>) -> String {
        let names: Vec<_> = T::ALL.iter().map(|(name, _)| quote(name)).collect();
        format!("one of {}", names.join(", "))
    }

    fn read(raw: &Raw, _: &Context<'_>) -> Result<Self, String> {
        let chosen = raw.text().and_then(|text| T::ALL.iter().find(|(name, _)| *name == text.trim()));
        chosen.map(|(_, value)| *value).ok_or_else(|| raw.describe())
    }

    fn to_toml(&self) -> Option<String> {
        T::ALL.iter().find(|(_, value)| value == self).map(|(name, _)| quote(name))
    }
}

/// How connections reach the serving cores.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acceptor {
    /// Every core has its own listening socket and the kernel spreads connections over them.
    ReusePort,
    /// One acceptor hands each connection to the core with the fewest.
    Balanced,
}

impl Choice for Acceptor {
    const ALL: &'static [(&'static str, Acceptor)] =
        &[("reuseport", Acceptor::ReusePort), ("balanced", Acceptor::Balanced)];
}

/// What happens when an advertiser's spending runs away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnRunaway {
    /// People are told.
    Alarm,
    /// The advertiser is stopped as well.
    Stop,
}

impl Choice for OnRunaway {
    const ALL: &'static [(&'static str, OnRunaway)] =
        &[("alarm", OnRunaway::Alarm), ("stop", OnRunaway::Stop)];
}

/// The legal basis that is registered for a purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LegalBasis {
    /// Consent.
    Consent,
    /// Legitimate interest.
    LegitimateInterest,
    /// Consent, unless a publisher asks for legitimate interest.
    FlexibleConsent,
    /// Legitimate interest, unless a publisher asks for consent.
    FlexibleLegitimateInterest,
}

impl Choice for LegalBasis {
    const ALL: &'static [(&'static str, LegalBasis)] = &[
        ("consent", LegalBasis::Consent),
        ("legitimate_interest", LegalBasis::LegitimateInterest),
        ("flexible_consent", LegalBasis::FlexibleConsent),
        ("flexible_legitimate_interest", LegalBasis::FlexibleLegitimateInterest),
    ];
}

/// What a GPP string means whose sections are not said to apply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnscopedGpp {
    /// The context alone is used.
    Contextual,
    /// Nothing.
    Ignore,
}

impl Choice for UnscopedGpp {
    const ALL: &'static [(&'static str, UnscopedGpp)] =
        &[("contextual", UnscopedGpp::Contextual), ("ignore", UnscopedGpp::Ignore)];
}

/// A switch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum YesNo {
    /// Off.
    No,
    /// On.
    Yes,
}

impl Choice for YesNo {
    const ALL: &'static [(&'static str, YesNo)] = &[("no", YesNo::No), ("yes", YesNo::Yes)];
}

impl Choice for LogLevel {
    const ALL: &'static [(&'static str, LogLevel)] = &[
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
}

impl Choice for LogFormat {
    const ALL: &'static [(&'static str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];
}

/// A text as a TOML basic string.
pub(super) fn quote(text: &str) -> String {
    toml::Value::from(text).to_string()
}
