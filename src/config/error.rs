//! What is wrong with a configuration, where it stands and what to do about it.

use std::fmt;
use std::path::PathBuf;

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the file, at a line counted from 1.
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// In an environment variable of this name.
    Env(String),
    /// In a `--set` of this key (never its value, which may be a secret).
    Set(String),
    /// Nowhere: it is the default.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { path, line } => write!(f, "{}:{line}", path.display()),
            Place::Env(name) => write!(f, "environment variable {name}"),
            Place::Set(key) => write!(f, "--set {key}"),
            Place::Default => f.write_str("default"),
        }
    }
}

/// What is wrong with one value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file is not TOML.
    #[error("the file is not valid TOML: {message}; mend this line first")]
    Syntax {
        /// What the reader says.
        message: String,
    },
    /// A `--set` without `=`.
    #[error("a --set needs a key and a value; write --set section.key=value")]
    NotAnAssignment,
    /// A key or section that does not exist.
    #[error("{key}: there is no such {what}; {}", hint(.suggestion.as_deref()))]
    Unknown {
        /// `option` or `section`.
        what: &'static str,
        /// As it was written.
        key: String,
        /// What was probably meant.
        suggestion: Option<String>,
    },
    /// A plain value where a section must stand.
    #[error("{key} is a section, not an option; write [{key}] and its options below it")]
    SectionAsValue {
        /// The section.
        key: String,
    },
    /// A value of the wrong type, out of range or malformed.
    #[error("{key}: {found}; give {expected}")]
    Value {
        /// The option.
        key: &'static str,
        /// What was found, without the text of a secret.
        found: String,
        /// What a good value is.
        expected: String,
    },
    /// Two options that do not go together.
    #[error("{key}: {reason}")]
    Conflict {
        /// The option to change.
        key: &'static str,
        /// Why, and what to do.
        reason: String,
    },
}

fn hint(suggestion: Option<&str>) -> String {
    match suggestion {
        Some(name) => format!("did you mean {name}?"),
        None => "every option is listed in config/outbid.toml".to_owned(),
    }
}

/// One error of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct ConfigError {
    /// Where.
    pub place: Place,
    /// What, and what to do.
    pub problem: Problem,
}

/// Every error of a configuration, by place; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(f, "the configuration has {count} error{}", if count == 1 { "" } else { "s" })?;
        self.0.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}

impl std::error::Error for ConfigErrors {}
