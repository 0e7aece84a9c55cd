//! The three sources (file, environment, `--set`) brought into one form: per option, the values given for it with
//! their places, the strongest last. Unknown names are found here.

use super::error::{ConfigError, Place, Problem};
use super::options::{OptionSpec, SECTIONS};
use super::value::{Context, Raw, Setting};
use crate::model::suggest::closest;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// Where a configuration comes from. Nothing is read from the process itself, so that tests inject everything.
pub struct Sources<E> {
    /// The file's path, for messages, and its text.
    pub file: Option<(PathBuf, String)>,
    /// The environment: `OUTBID__SECTION__KEY` are options, others serve `env:` references.
    pub env: E,
    /// `section.key=value`, as given to `--set`.
    pub sets: Vec<String>,
}

/// What starts the name of an environment variable that is an option.
const ENV_PREFIX: &str = "OUTBID__";

/// The given values, from which each option is taken once.
pub(super) struct Reader<'e> {
    given: BTreeMap<&'static str, Vec<(Place, Raw)>>,
    env: &'e BTreeMap<String, String>,
    places: BTreeMap<&'static str, Place>,
    errors: Vec<ConfigError>,
}

impl<'e> Reader<'e> {
    /// Reads all sources; what is wrong with them is kept for [`Reader::into_errors`].
    pub(super) fn new(
        file: Option<&(PathBuf, String)>,
        env: &'e BTreeMap<String, String>,
        sets: &[String],
    ) -> Reader<'e> {
        let mut reader = Reader { given: BTreeMap::new(), env, places: BTreeMap::new(), errors: Vec::new() };
        if let Some((path, text)) = file {
            reader.read_file(path, text);
        }
        for (name, value) in env {
            if let Some(rest) = name.strip_prefix(ENV_PREFIX) {
                let key = rest.to_ascii_lowercase().replace("__", ".");
                reader.give(&key, Place::Env(name.clone()), Raw::Plain(value.clone()));
            }
        }
        for set in sets {
            match set.split_once('=') {
                Some((key, value)) => {
                    let key = key.trim();
                    reader.give(key, Place::Set(key.to_owned()), Raw::Plain(value.to_owned()));
                }
                None => reader.refuse(Place::Set("…".to_owned()), Problem::NotAnAssignment),
            }
        }
        reader
    }

    /// The strongest value of an option, else its default. Weaker values are checked all the same, so that removing
    /// an override never brings a server down.
    pub(super) fn take<T: Setting>(&mut self, path: &'static str) -> T {
        let spec = spec(path).expect("only paths of the table are taken");
        let context = Context { bounds: spec.bounds, env: self.env };
        let mut chosen = None;
        for (place, raw) in self.given.remove(path).unwrap_or_default() {
            match T::read(&raw, &context) {
                Ok(value) => chosen = Some((place, value)),
                Err(found) => {
                    let expected = (spec.expects)(spec.bounds);
                    self.errors
                        .push(ConfigError { place, problem: Problem::Value { key: path, found, expected } });
                }
            }
        }
        match chosen {
            Some((place, value)) => {
                self.places.insert(path, place);
                value
            }
            None => default(spec, &context),
        }
    }

    /// The places of the values taken so far.
    pub(super) fn take_places(&mut self) -> BTreeMap<&'static str, Place> {
        std::mem::take(&mut self.places)
    }

    /// Every error found so far, by place.
    pub(super) fn into_errors(self) -> Vec<ConfigError> {
        self.errors
    }

    fn refuse(&mut self, place: Place, problem: Problem) {
        self.errors.push(ConfigError { place, problem });
    }

    fn give(&mut self, key: &str, place: Place, raw: Raw) {
        match spec(key) {
            Some(spec) => self.given.entry(spec.path).or_default().push((place, raw)),
            None => {
                let suggestion = suggest(key).map(|path| as_written(path, &place));
                self.refuse(place, Problem::Unknown { what: "option", key: key.to_owned(), suggestion });
            }
        }
    }

    fn read_file(&mut self, path: &Path, text: &str) {
        let (document, syntax) = DeTable::parse_recoverable(text);
        let place = |start: usize| {
            let line = 1 + text.as_bytes()[..start.min(text.len())].iter().filter(|b| **b == b'\n').count();
            Place::File { path: path.to_owned(), line }
        };
        for error in syntax {
            let at = place(error.span().map_or(0, |span| span.start));
            self.refuse(at, Problem::Syntax { message: error.message().to_owned() });
        }
        for (section, value) in document.get_ref() {
            let (name, at) = (section.get_ref().as_ref(), place(section.span().start));
            match (SECTIONS.iter().any(|s| s.name == name), value.get_ref()) {
                (true, DeValue::Table(options)) => {
                    for (key, value) in options {
                        let at = place(key.span().start);
                        self.give(&format!("{name}.{}", key.get_ref()), at, raw(value.get_ref()));
                    }
                }
                (true, _) => self.refuse(at, Problem::SectionAsValue { key: name.to_owned() }),
                (false, _) => {
                    let suggestion = closest(name, SECTIONS.iter().map(|s| s.name)).map(str::to_owned);
                    self.refuse(at, Problem::Unknown { what: "section", key: name.to_owned(), suggestion });
                }
            }
        }
    }
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.clone().into_owned()),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .map_or(Raw::Other("a number beyond all bounds"), Raw::Integer),
        DeValue::Array(items) => Raw::List(items.iter().map(|item| raw(item.get_ref())).collect()),
        DeValue::Float(_) => Raw::Other("a number with a fraction"),
        DeValue::Boolean(_) => Raw::Other("true or false"),
        DeValue::Datetime(_) => Raw::Other("a date"),
        DeValue::Table(_) => Raw::Other("a table"),
    }
}

/// Every option, in the table's order.
pub(super) fn all_options() -> impl Iterator<Item = &'static OptionSpec> {
    SECTIONS.iter().flat_map(|section| section.options)
}

fn spec(path: &str) -> Option<&'static OptionSpec> {
    all_options().find(|option| option.path == path)
}

/// The option that was probably meant: the same key in another section, else the nearest path.
fn suggest(path: &str) -> Option<&'static str> {
    let key = path.rsplit('.').next().unwrap_or(path);
    let moved = all_options().find(|option| option.key == key).map(|option| option.path);
    moved.or_else(|| closest(path, all_options().map(|option| option.path)))
}

fn as_written(path: &str, place: &Place) -> String {
    match place {
        Place::Env(_) => format!("{ENV_PREFIX}{}", path.to_ascii_uppercase().replace('.', "__")),
        _ => path.to_owned(),
    }
}

/// The default of an option, through the same reader as a given value.
fn default<T: Setting>(spec: &OptionSpec, context: &Context<'_>) -> T {
    let raw = match spec.default {
        "none" => return T::absent().expect("only an option that may be absent has no default"),
        text => {
            let value = DeValue::parse(text).expect("the table's defaults are TOML");
            raw(value.get_ref())
        }
    };
    T::read(&raw, context).expect("the table's defaults are within its bounds")
}
