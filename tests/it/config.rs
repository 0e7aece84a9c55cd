//! Configuration: precedence, messages, limits and the generated default file, through `config::load`.

use outbid::config::{self, Acceptor, Config, ConfigErrors, Sources};
use std::path::PathBuf;

/// Loads from a file's text, environment pairs and `--set` arguments.
fn load(file: &str, env: &[(&str, &str)], sets: &[&str]) -> Result<Config, ConfigErrors> {
    config::load(Sources {
        file: Some((PathBuf::from("outbid.toml"), file.to_owned())),
        env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        sets: sets.iter().map(|set| (*set).to_owned()).collect(),
    })
}

/// The lines of the errors, without the heading.
fn errors(file: &str, env: &[(&str, &str)], sets: &[&str]) -> Vec<String> {
    let report = load(file, env, sets).expect_err("the configuration is bad").to_string();
    report.lines().skip(1).map(|line| line.trim().to_owned()).collect()
}

/// Expects one error that starts and ends as given.
fn check(file: &str, env: &[(&str, &str)], sets: &[&str], expected: (&str, &str)) {
    let found = errors(file, env, sets);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with(expected.0) && found[0].ends_with(expected.1), "{expected:?} in {found:#?}");
}

/// Set `OUTBID_BLESS=1` to write the file anew after a change of the table.
#[test]
fn the_default_file_lists_every_option_and_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/outbid.toml");
    let expected = config::default_file();
    if std::env::var_os("OUTBID_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(found == expected, "config/outbid.toml is out of date: run the tests once with OUTBID_BLESS=1");
}

#[test]
fn the_default_file_means_the_defaults() {
    let from_file = load(&config::default_file(), &[], &[]).unwrap();
    let strip =
        |text: String| text.lines().map(|l| l.split("  #").next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(strip(from_file.effective_toml()), strip(config::defaults().effective_toml()));
    assert_eq!(load("", &[], &[]).unwrap(), config::defaults());
}

#[test]
fn set_beats_environment_beats_file_beats_default() {
    let file = "[engine]\nbudget_us = 700\n[server]\nacceptor = \"balanced\"\nmax_headers = 32\n";
    let env = [("OUTBID__ENGINE__BUDGET_US", "800"), ("OUTBID__SERVER__MAX_HEADERS", "48"), ("PATH", "/bin")];
    let config = load(file, &env, &["engine.budget_us=900"]).unwrap();
    assert_eq!(config.engine.budget_us, 900);
    assert_eq!(config.server.max_headers, 48);
    assert_eq!(config.server.acceptor, Acceptor::Balanced);
    assert_eq!(config.server.header_timeout_ms, 5_000);
    let shown = config.effective_toml();
    for line in [
        "budget_us = 900  # --set engine.budget_us",
        "max_headers = 48  # environment variable OUTBID__SERVER__MAX_HEADERS",
        "acceptor = \"balanced\"  # outbid.toml:4",
        "header_timeout_ms = 5000",
        "# bootstrap_key is not set",
    ] {
        assert!(shown.lines().any(|l| l == line), "no {line:?} in\n{shown}");
    }
}

#[test]
fn what_is_in_effect_can_be_loaded_again() {
    let config = load("", &[], &["track.trusted_proxies=10.0.0.0/8, ::1", "listen.bid=[::1]:0"]).unwrap();
    let again = load(&config.effective_toml(), &[], &[]).unwrap();
    assert_eq!(again.track, config.track);
    assert_eq!(again.listen, config.listen);
    assert_eq!(again.track.trusted_proxies.len(), 2);
}

#[test]
fn every_error_of_every_source_is_reported_at_once() {
    let file =
        "[server]\nheader_timout_ms = 1\nacceptor = \"fair\"\n[lissten]\nbid = \"x\"\n[log]\nlevel = 3\n";
    let env = [("OUTBID__LIMITS__DEPTH", "1000"), ("OUTBID__LIMIT__IMPS", "3")];
    let found = errors(file, &env, &["data.dirs=x", "engine.budget_us", "listen.bid=localhost"]);
    let expected = [
        "outbid.toml:2: server.header_timout_ms: there is no such option; did you mean server.header_timeout_ms?",
        "outbid.toml:3: server.acceptor: found the text \"fair\"; give one of \"reuseport\", \"balanced\"",
        "outbid.toml:4: lissten: there is no such section; did you mean listen?",
        "outbid.toml:7: log.level: found the number 3; give one of \"error\", \"warn\", \"info\", \"debug\", \"trace\"",
        "environment variable OUTBID__LIMITS__DEPTH: limits.depth: 1000 is out of range; give a whole number from 8 to 128",
        "environment variable OUTBID__LIMIT__IMPS: limit.imps: there is no such option; did you mean OUTBID__LIMITS__IMPS?",
        "--set data.dirs: data.dirs: there is no such option; did you mean data.dir?",
        "--set listen.bid: listen.bid: found \"localhost\"; give an address and port such as \"127.0.0.1:8080\" or \"[::1]:8080\" (port 0: any free one)",
        "--set …: a --set needs a key and a value; write --set section.key=value",
    ];
    assert_eq!(found, expected, "{found:#?}");
}

#[test]
fn an_overridden_value_is_checked_all_the_same() {
    check(
        "[engine]\ncores = -1\n",
        &[],
        &["engine.cores=2"],
        ("outbid.toml:2: engine.cores: -1 is out of range", "from 0 to 1024"),
    );
}

#[test]
fn messages_name_the_place_and_the_remedy() {
    check("listen = 5\n", &[], &[], ("outbid.toml:1: listen is a section", "below it"));
    check(
        "\n[track]\npublic_url = \"t.example\"\n",
        &[],
        &[],
        ("outbid.toml:3: track.public_url: found the text", "fragment"),
    );
    check(
        "",
        &[("OUTBID__ENGINE__CORES", "two")],
        &[],
        ("environment variable OUTBID__ENGINE__CORES: ", "from 0 to 1024"),
    );
    check(
        "[server]\nbody_bytes = 1\n",
        &[],
        &[],
        ("outbid.toml:2: server.body_bytes: ", "did you mean limits.body_bytes?"),
    );
    check(
        "[engine]\nbudget_us = 1.5\n",
        &[],
        &[],
        ("outbid.toml:2: engine.budget_us: found a number with a fraction", "1000000"),
    );
    check(
        "[engine]\nbudget_us = 0\n",
        &[],
        &[],
        ("outbid.toml:2: engine.budget_us: 0 is out of range", "1000000"),
    );
    check(
        "",
        &[],
        &["nothing.alike=1"],
        ("--set nothing.alike: nothing.alike: there is no such option", "config/outbid.toml"),
    );
    check(
        "[track]\ntrusted_proxies = [\"10.0.0.0/33\"]\n",
        &[],
        &[],
        ("outbid.toml:2: track.trusted_proxies: found the text \"10.0.0.0/33\"", "commas)"),
    );
}

#[test]
fn a_file_that_is_no_toml_says_the_line() {
    let found = errors("[server]\nmax_headers = 64\nmax_headers = 65\n[log\n", &[], &[]);
    assert!(
        found.iter().any(|e| e.starts_with("outbid.toml:3: the file is not valid TOML: duplicate key")),
        "{found:#?}"
    );
    assert!(found.iter().any(|e| e.starts_with("outbid.toml:4: ")), "{found:#?}");
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    check(
        "",
        &[],
        &["listen.track=127.0.0.1:8080"],
        ("--set listen.track: listen.track: 127.0.0.1:8080 is taken by listen.bid", "own port"),
    );
    check(
        "",
        &[],
        &["listen.bid=0.0.0.0:8081"],
        ("--set listen.bid: listen.track: 127.0.0.1:8081 is taken", "own port"),
    );
    check(
        "",
        &[],
        &["server.drain_timeout_ms=5000"],
        ("--set server.drain_timeout_ms: ", "give a larger value"),
    );
    check(
        "",
        &[],
        &["limits.body_bytes=2000000"],
        ("--set limits.body_bytes: limits.inflated_bytes: ", "at least as much"),
    );
    assert!(load("", &[], &["listen.bid=127.0.0.1:0", "listen.track=127.0.0.1:0"]).is_ok());
}

#[test]
fn the_public_url_is_a_base_to_append_to() {
    let url = |text: &str| load("", &[], &[&format!("track.public_url={text}")]).map(|c| c.track.public_url);
    for (text, expected, https) in [
        ("https://t.example", "https://t.example", true),
        ("https://t.example/", "https://t.example", true),
        ("http://t.example:81/a/b/", "http://t.example:81/a/b", false),
    ] {
        let found = url(text).unwrap();
        assert_eq!((found.as_str(), found.is_https()), (expected, https));
    }
    for text in [
        "https://t.example/?q",
        "https://t.example/#x",
        "https://t.example/../a",
        "https://t.example//a",
        "ftp://t.example",
    ] {
        assert!(url(text).is_err(), "{text}");
    }
}

#[test]
fn a_secret_comes_from_text_environment_or_file_and_is_never_shown() {
    let long = "correct horse battery";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    std::fs::write(&path, format!("{long}\n")).unwrap();
    let from_file = format!("admin.bootstrap_key=file:{}", path.display());
    for (env, set) in [
        (vec![], format!("admin.bootstrap_key={long}")),
        (vec![("KEY", long)], "admin.bootstrap_key=env:KEY".to_owned()),
        (vec![], from_file),
    ] {
        let config = load("", &env, &[&set]).unwrap();
        let key = config.admin.bootstrap_key.clone().unwrap();
        assert_eq!(key.expose(), long);
        assert!(key.matches(long.as_bytes()) && !key.matches(b"correct horse batterx"));
        let shown = format!("{config:?} {key} {}", config.effective_toml());
        assert!(!shown.contains(long), "{shown}");
        assert!(shown.contains("bootstrap_key = \"********\""), "{shown}");
    }
    check(
        "",
        &[],
        &["admin.bootstrap_key=short secret"],
        ("--set admin.bootstrap_key: admin.bootstrap_key: the secret has 12 characters", "from there"),
    );
    check(
        "",
        &[],
        &["admin.bootstrap_key=env:NOPE"],
        ("--set admin.bootstrap_key: admin.bootstrap_key: the variable NOPE is not set", "from there"),
    );
    check(
        "",
        &[],
        &["admin.bootstrap_key=file:/nope/x"],
        ("--set admin.bootstrap_key: admin.bootstrap_key: cannot read /nope/x: ", "from there"),
    );
    let typed = errors("", &[], &["admin.bootstrap_key=hunter2\u{7}hunter2hunter2"]);
    assert!(!typed.concat().contains("hunter2"), "{typed:?}");
}

#[test]
fn serving_cores_leave_room_for_the_rest_where_there_is_any() {
    let config = config::defaults();
    for (available, expected) in [(0, 1), (1, 1), (2, 2), (3, 3), (4, 3), (16, 15)] {
        assert_eq!(config.engine.serving_cores(available), expected, "{available}");
    }
    assert_eq!(load("", &[], &["engine.cores=5"]).unwrap().engine.serving_cores(2), 5);
}
