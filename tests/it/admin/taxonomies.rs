//! Published taxonomies become segments: what the command line writes, the API and applied files take.

use super::calls::{Bare, Calls};
use super::site::run;
use super::world::{BOOTSTRAP, World};
use hyper::Method;
use outbid::model::ids::SegmentId;
use outbid::model::taxonomy::Taxonomy;
use serde_json::{Value, json};

const AUDIENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/taxonomies/audience-1.1.tsv");
const CONTENT: [(&str, usize); 2] = [("content-1.0.tsv", 392), ("content-3.1.tsv", 704)];

/// Imports a table of segments and waits.
fn import(world: &World, table: &str) -> Value {
    world.call(BOOTSTRAP, &Method::POST, "/v1/imports/segments", Some(&table.into())).expect(200)
}

fn small() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = "\u{feff}\tUnique ID\tParent ID\tTier 1\tTier 2\t\r\n\t1\t1\tInterest*\t\t\r\n\
                \t2\t1\tInterest*\tFamily & Health\t\r\n\t3\t1\tInterest*\t=Sports, \"all\"\t\r\n";
    std::fs::write(file.path(), text).unwrap();
    file
}

#[test]
fn a_published_tree_is_taken_in_by_one_job_and_refined_afterwards() {
    if !std::path::Path::new(AUDIENCE).exists() {
        return eprintln!("skipped: {AUDIENCE} is not here, and the real taxonomy was not imported");
    }
    let world = World::new();
    world.make("segments", json!({ "key": "iab" }));
    let table =
        run(&["taxonomy", "segments", AUDIENCE, "--prefix", "iab4.", "--under", "iab", "--segtax", "4"]);
    let job = import(&world, &table);
    assert_eq!((&job["state"], &job["created"]), (&json!("succeeded"), &json!(1_558)), "{job}");
    let again = import(&world, &table);
    assert_eq!((&again["state"], &again["unchanged"]), (&json!("succeeded"), &json!(1_558)), "{again}");
    world.make("segments", json!({ "key": "own.trail", "parent": "iab4.607" }));
    let segments = world.admin.account().segments;
    let tree = Taxonomy::build(&segments).unwrap();
    let find = |key: &str| segments.iter().find(|segment| segment.key == key).unwrap();
    let is_under = |child: &str, node: &str| tree.is_under(find(child).id, find(node).id);
    assert!(
        is_under("own.trail", "iab4.607")
            && is_under("own.trail", "iab4.206")
            && is_under("own.trail", "iab")
    );
    assert!(!is_under("own.trail", "iab4.752"));
    assert_eq!((find("iab4.607").external[0].segtax, find("iab4.607").external[0].id.as_str()), (4, "607"));
    // Income is about finances, and so is every band of it.
    assert!(tree.is_sensitive(find("iab4.165").id) && !tree.is_sensitive(find("iab4.206").id));
    assert_eq!(tree.descendants(find("iab").id).len(), 1_560);
    let sensitive = (0..=1_560).filter(|id| tree.is_sensitive(SegmentId(*id))).count();
    eprintln!("{sensitive} of 1,558 nodes need explicit consent");
    assert!((100..800).contains(&sensitive), "{sensitive}");
}

#[test]
fn content_taxonomies_have_their_own_headers() {
    for (name, nodes) in CONTENT {
        let file = format!("{}/../shared/data/taxonomies/{name}", env!("CARGO_MANIFEST_DIR"));
        if !std::path::Path::new(&file).exists() {
            eprintln!("skipped: {file} is not here");
            continue;
        }
        let json: Value =
            serde_json::from_str(&run(&["taxonomy", "segments", &file, "--format", "json", "--segtax", "0"]))
                .unwrap();
        assert_eq!(json["segments"].as_array().unwrap().len(), nodes, "{name}");
    }
}

#[test]
fn a_table_and_a_file_say_the_same() {
    let file = small();
    let path = file.path().to_str().unwrap();
    let world = World::new();
    let job = import(&world, &run(&["taxonomy", "segments", path]));
    assert_eq!((&job["state"], &job["created"]), (&json!("succeeded"), &json!(3)), "{job}");
    let bare = Bare::in_memory();
    let applied = run(&["taxonomy", "segments", path, "--format", "json"]);
    let reply = bare.call("POST", "/v1/apply", &[("content-type", "application/json")], &applied);
    assert_eq!(reply.json()["summary"]["create"], 3, "{}", reply.text());
    let segments = world.admin.account().segments;
    assert_eq!(segments, bare.admin.account().segments);
    let names: Vec<(&str, bool)> =
        segments.iter().map(|segment| (segment.name.as_str(), segment.sensitive)).collect();
    assert_eq!(names, [("Interest", false), ("Family & Health", true), ("=Sports, \"all\"", false)]);
    assert_eq!(segments[2].parent, Some(segments[0].id));
    let own =
        run(&["taxonomy", "segments", path, "--format", "json", "--sensitive", "sport", "--first-id", "9"]);
    let own: Value = serde_json::from_str(&own).unwrap();
    let marked: Vec<&Value> =
        own["segments"].as_array().unwrap().iter().map(|entry| &entry["sensitive"]).collect();
    assert_eq!(
        (marked, &own["segments"][0]["id"]),
        (vec![&json!(false), &json!(false), &json!(true)], &json!("9"))
    );
}
