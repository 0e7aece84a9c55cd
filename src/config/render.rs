//! The configuration as text: the default file with every option, and what is in effect now.

use super::options::{Config, OptionSpec, SECTIONS};
use super::sources::all_options;
use std::fmt::Write as _;

const HEADER: &str = "\
# Every option of outbid with its default. This file is generated from the table in src/config/options.rs.
#
# Precedence: --set section.key=value, then the environment variable OUTBID__SECTION__KEY, then this file, then the
# default. Secrets may be written as \"env:NAME\" or \"file:PATH\". `outbid check config` prints what is in effect.
";

/// The text of `config/outbid.toml`: every option with its comment and default. Read back, it gives the defaults.
pub fn default_file() -> String {
    let mut out = HEADER.to_owned();
    for section in SECTIONS {
        out.push('\n');
        section.docs.iter().for_each(|line| comment(&mut out, line));
        let _ = writeln!(out, "[{}]", section.name);
        for option in section.options {
            option.docs.iter().for_each(|line| comment(&mut out, line));
            if option.bounds.is_some() && option.default != "none" {
                comment(&mut out, &format!(" {}.", bounds(option)));
            }
            match option.default {
                "none" => writeln!(out, "# {} = {}", option.key, option.example),
                default => writeln!(out, "{} = {default}", option.key),
            }
            .expect("a string takes every write");
        }
    }
    out
}

fn comment(out: &mut String, line: &str) {
    out.push('#');
    out.push_str(line.trim_end());
    out.push('\n');
}

fn bounds(option: &OptionSpec) -> String {
    let text = (option.expects)(option.bounds);
    text[..1].to_uppercase() + &text[1..]
}

impl Config {
    /// The configuration in effect as TOML, secrets masked; a value that is not a default says where it was given.
    pub fn effective_toml(&self) -> String {
        let mut out = String::new();
        let mut section = "";
        for (option, value) in all_options().zip(self.values()) {
            let name = option.path.split('.').next().unwrap_or_default();
            if name != section {
                let gap = if section.is_empty() { "" } else { "\n" };
                let _ = writeln!(out, "{gap}[{name}]");
                section = name;
            }
            let source = self.places.get(option.path).map(|place| format!("  # {place}")).unwrap_or_default();
            let _ = match value {
                Some(value) => writeln!(out, "{} = {value}{source}", option.key),
                None => writeln!(out, "# {} is not set", option.key),
            };
        }
        out
    }
}
