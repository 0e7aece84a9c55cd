//! `outbid taxonomy map`: mappings between category taxonomies, so that blocked categories in one taxonomy can be
//! compared with a creative's in another. `outbid taxonomy segments`: a published taxonomy as segments, for
//! `POST /v1/imports/segments` and `outbid apply`.

use super::boot;
use super::{Common, Failure};
use crate::store::category_maps;
use crate::store::taxonomy_file::{self, Node, SENSITIVE};
use anyhow::{Context, anyhow};
use serde_json::{Value, json};
use std::path::PathBuf;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub(super) enum What {
    /// Imports a mapping as IAB Tech Lab publishes them; it is used from the next start on.
    Map {
        /// A tab-separated file whose first line names two columns that end with "Unique ID".
        file: PathBuf,
        /// The taxonomy of the first of them, by its `cattax` number.
        #[arg(long)]
        from: u16,
        /// The taxonomy of the second.
        #[arg(long)]
        to: u16,
        /// The data directory; without it, that of the configuration.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Writes a taxonomy as IAB Tech Lab publishes them as segments: a table for an import, or an account file.
    Segments(Segments),
}

/// What `outbid taxonomy segments` is asked.
#[derive(Debug, clap::Args)]
pub(super) struct Segments {
    /// A tab-separated file with the columns "Unique ID" and "Parent", or "IAB Code".
    file: PathBuf,
    /// What the keys begin with; the taxonomy's own id follows.
    #[arg(long, default_value = "iab4.")]
    prefix: String,
    /// The key of the segment that the roots are put below; it has to be there already.
    #[arg(long, value_name = "KEY")]
    under: Option<String>,
    /// `user.data.ext.segtax` that means this taxonomy, for what bid requests say of their users; 0 is none.
    #[arg(long, default_value_t = 4)]
    segtax: u32,
    /// What words of a sensitive node's name begin with; with it the words that are otherwise taken do not count.
    #[arg(long, value_name = "WORD", num_args = 1.., value_delimiter = ',')]
    sensitive: Option<Vec<String>>,
    /// `csv` for an import, where a segment is known by its key; `json` for `outbid apply`, where ids count.
    #[arg(long, default_value = "csv", value_parser = ["csv", "json"])]
    format: String,
    /// The id of the first segment of an account file; the others follow.
    #[arg(long, default_value_t = 1)]
    first_id: u32,
}

pub(super) fn run(common: &Common, what: &What) -> Result<(), Failure> {
    let (file, from, to, data_dir) = match what {
        What::Segments(asked) => return segments(asked),
        What::Map { file, from, to, data_dir } => (file, from, to, data_dir),
    };
    if from == to {
        return Err(Failure::Usage(format!(
            "--from and --to are both {from}; a taxonomy needs no map to itself"
        )));
    }
    let dir = match data_dir {
        Some(dir) => dir.clone(),
        None => boot::configuration(common, Vec::new())?.data.dir,
    };
    boot::require_account(&dir)?;
    let kept = dir.join("taxonomies");
    let map =
        category_maps::import(file, *from, *to, &kept).map_err(|error| Failure::Failed(anyhow!(error)))?;
    println!(
        "{} pairs of categories from taxonomy {from} to {to} are in {}",
        map.pairs.len(),
        kept.display()
    );
    Ok(())
}

/// Prints a taxonomy as segments, and on the other stream which of them are marked.
fn segments(asked: &Segments) -> Result<(), Failure> {
    let name = asked.file.display().to_string();
    let text = std::fs::read(&asked.file).with_context(|| format!("cannot read {name}"))?;
    let text = String::from_utf8(text).map_err(|_| anyhow!("{name} is no UTF-8; save it as UTF-8"))?;
    let nodes = taxonomy_file::parse(&text, &name).map_err(|why| Failure::Failed(why.into()))?;
    let stems = asked.sensitive.clone().unwrap_or_else(|| SENSITIVE.map(str::to_owned).to_vec());
    let marked = taxonomy_file::sensitive(&nodes, &stems);
    let rows = nodes.iter().zip(&marked).map(|(node, is_sensitive)| row(asked, node, *is_sensitive));
    match asked.format.as_str() {
        "json" => {
            let entries: Vec<Value> = rows.zip(asked.first_id..).map(|(row, id)| row.entry(id)).collect();
            println!("{:#}", json!({ "segments": entries }));
        }
        _ => print!("{}", table(rows).context("cannot write the table")?),
    }
    let names: Vec<&str> = nodes
        .iter()
        .zip(&marked)
        .filter(|(_, marked)| **marked)
        .map(|(node, _)| node.name.as_str())
        .collect();
    eprintln!(
        "{} segments; {} are marked sensitive, each with all that is below it{}{}",
        nodes.len(),
        names.len(),
        if names.is_empty() { "" } else { ": " },
        names.join(", ")
    );
    eprintln!("look whether these are the ones that you mean; --sensitive names others");
    Ok(())
}

/// A segment.
struct Row<'n> {
    key: String,
    name: &'n str,
    parent: Option<String>,
    is_sensitive: bool,
    external: Option<Value>,
}

fn row<'n>(asked: &Segments, node: &'n Node, is_sensitive: bool) -> Row<'n> {
    let key = |id: &str| format!("{}{id}", asked.prefix);
    let parent = node.parent.as_deref().map(key).or_else(|| asked.under.clone());
    let external = (asked.segtax > 0).then(|| json!([{ "segtax": asked.segtax, "id": node.id }]));
    Row { key: key(&node.id), name: &node.name, parent, is_sensitive, external }
}

impl Row<'_> {
    /// As an account file has it.
    fn entry(self, id: u32) -> Value {
        let mut entry = json!({
            "id": id.to_string(), "key": self.key, "name": self.name, "sensitive": self.is_sensitive,
        });
        for (name, value) in [("parent", self.parent.map(Value::from)), ("external", self.external)] {
            if let Some(value) = value {
                entry[name] = value;
            }
        }
        entry
    }
}

/// A table in which each segment is known by its key, so that a newer edition of the taxonomy changes the same ones.
fn table<'n>(rows: impl Iterator<Item = Row<'n>>) -> anyhow::Result<String> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(["external_id", "key", "name", "parent", "sensitive", "external"])?;
    for Row { key, name, parent, is_sensitive, external } in rows {
        // A text that begins like a formula has a mark before it, see the rules of cells.
        let is_risky = name.starts_with(['\'', '=', '+', '-', '@']);
        let name = if is_risky { format!("'{name}") } else { name.to_owned() };
        let external = external.map(|names| names.to_string()).unwrap_or_default();
        let sensitive = if is_sensitive { "true" } else { "false" };
        table.write_record([&key, &key, &name, &parent.unwrap_or_default(), sensitive, &external])?;
    }
    Ok(String::from_utf8(table.into_inner()?)?)
}
