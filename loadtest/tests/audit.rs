//! `outbid-load audit` from the outside: with a stub in the place of `outbid`, and with the real one on a journal in
//! which one amount was changed, where there is one.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic like the tests themselves")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const LOAD: &str = env!("CARGO_BIN_EXE_outbid-load");

const ACCOUNT: &str = r#"{"exchanges":[{"id":"1","name":"load","price_codec":"plain","price_unit":"cpm"}],
    "advertisers":[{"id":"1","currency":"USD","wallet":"1.00"}],
    "campaigns":[{"id":"4","advertiser":"1","budget":{"lifetime":"0.50"}}],
    "line_items":[{"id":"5","campaign":"4","budget":{"daily":"0.25"}}]}"#;

const BOOKS: &str = r#"{"version":1,"exchange":"load","before":{"lsn":3,"campaigns":{"4":1000},"house":{}},
    "bills":[["a-0-1",4,2000000,0,"charged"],["a-0-2",4,1500000,250,"either"],["a-0-3",4,100,0,"house"]]}"#;

const SHOW: &str = r#"{"lsn":9,"accounts":[
    {"account":"wallet","id":"1","day":null,"budget":"1.00","posted":"0.003501","leased":"0.00"},
    {"account":"campaign","id":"4","day":null,"budget":"0.50","posted":"0.003501","leased":"0.10"},
    {"account":"line_item","id":"5","day":null,"budget":null,"posted":"0.003501","leased":"0.10"},
    {"account":"line_item_day","id":"5","day":"2026-01-02","budget":"0.25","posted":"0.0035","leased":"0.10"}],
    "house":[{"exchange":"load","advertiser":"1","overdelivery":"0.0000001","overprice":"0.00000025","stale":"0.00"}]}"#;

const EXPORT: &str = r#"{"lsn":3,"kind":"opening","exchange":"load","advertiser":"1","media":"0.000001","charge":"0.000001"}
{"lsn":5,"kind":"charge","bid":"a-0-1","campaign":"4","line_item":"5","budget_day":"2026-01-02","media":"0.002","charge":"0.002"}
{"lsn":7,"kind":"late","bid":"a-0-2","campaign":"4","line_item":"5","budget_day":"2026-01-02","media":"0.0015","charge":"0.0015","overprice":"0.00000025"}
{"lsn":9,"kind":"late","bid":"a-0-3","campaign":"4","line_item":"5","budget_day":"2026-01-02","overdelivery":"0.0000001"}
"#;

/// A program that answers `ledger show` and `ledger export` with files beside it, and ends with `code`.
fn stub(dir: &Path, code: u32) -> PathBuf {
    let path = dir.join("stub.sh");
    let script = format!("#!/bin/sh\ncat \"${{0%/*}}/$2\"\necho of the stub >&2\nexit {code}\n");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn audit(dir: &Path, books: &Path, server: &Path) -> Output {
    let mut command = Command::new(LOAD);
    command.arg("audit").arg("--data-dir").arg(dir).arg("--books").arg(books).arg("--server-cmd").arg(server);
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The exit code of an audit, and that it says this, with one of the files changed.
fn check(file: &str, from: &str, to: &str, code: i32, expected: &str) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [("account.json", ACCOUNT), ("books.json", BOOKS), ("show", SHOW), ("export", EXPORT)]
    {
        let text = if name == file { text.replacen(from, to, 1) } else { text.to_owned() };
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let output = audit(dir.path(), &dir.path().join("books.json"), &stub(dir.path(), 0));
    let said = said(&output);
    assert_eq!(output.status.code(), Some(code), "{file}: {from} → {to}: {said}");
    assert!(said.contains(expected), "{file}: {from} → {to}: {said}");
}

#[test]
fn books_that_agree_are_said_to_and_one_nano_is_not_forgiven() {
    check("", "", "", 0, "3 bills, 4 records, 0.003500000 charged to campaigns");
    check("export", r#""charge":"0.002""#, r#""charge":"0.002000001""#, 1, "record 5, bid a-0-1, campaign 4");
    check("export", r#""overdelivery":"0.0000001""#, r#""overdelivery":"0.00000011""#, 1, "record 9");
    check("export", "a-0-2", "a-0-9", 1, "bid a-0-9, which was never billed");
    check(
        "export",
        "a-0-2",
        "a-0-9",
        1,
        "bid a-0-2 of campaign 4, 0.001500000, was answered Either, and has no",
    );
    check("export", "a-0-3", "a-0-1", 1, "I5: record 9");
    check("show", r#""posted":"0.003501""#, r#""posted":"0.003500999""#, 1, "I4: wallet 1");
    check(
        "show",
        r#""id":"4","day":null,"budget":"0.50","posted":"0.003501""#,
        r#""id":"4","day":null,"budget":"0.50","posted":"0.003501001""#,
        1,
        "campaign 4 is charged 0.003500001, and 0.002000000 to 0.003500000 was billed",
    );
    check("show", r#""overprice":"0.00000025""#, r#""overprice":"0.00000024""#, 1, "house overprice");
    check("books.json", "2000000,0", "2000001,0", 1, "record 5");
    check(
        "account.json",
        r#""daily":"0.25""#,
        r#""daily":"0.003""#,
        1,
        "P1: line_item_day 5 2026-01-02 is charged",
    );
}

#[test]
fn what_cannot_be_audited_fails_and_says_why() {
    check("books.json", r#""version":1"#, r#""version":2"#, 1, "version 2");
    check("books.json", "load", "other", 1, "other");
    check("export", r#""kind":"late""#, r#""kind":7"#, 1, "no kind");
    check("show", "0.10", "x", 1, "no amount of money");
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [("account.json", ACCOUNT), ("books.json", BOOKS), ("show", SHOW), ("export", EXPORT)]
    {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let output = audit(dir.path(), &dir.path().join("books.json"), &stub(dir.path(), 4));
    assert!(output.status.code() == Some(1) && said(&output).contains("of the stub"), "{}", said(&output));
}

/// CRC-32C, bit by bit (RFC 3720 appendix B.4).
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

/// Makes one charge in the journal two nanos more or less, and its checksum right again (docs/journal.md).
fn tamper(ledger: &Path) -> bool {
    let files = std::fs::read_dir(ledger).unwrap().map(|entry| entry.unwrap().path());
    for path in files.filter(|path| path.to_string_lossy().contains("journal-0")) {
        let mut bytes = std::fs::read(&path).unwrap();
        let mut at = 24;
        while let Some(head) = bytes.get(at..at + 20) {
            let length = u32::from_le_bytes(head[..4].try_into().unwrap()) as usize;
            if length == 0 || length > 1 << 20 {
                break;
            }
            let payload = at + 20..at + 20 + length;
            if let Some(charge) = charge_of(&bytes[payload.clone()]) {
                bytes[payload.start + charge] ^= 2;
                let crc = crc32c(&[&bytes[at..at + 4], &bytes[at + 8..payload.end]].concat());
                bytes[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());
                std::fs::write(&path, bytes).unwrap();
                return true;
            }
            at = payload.end;
        }
    }
    false
}

/// Where in a record's payload the charge begins; `None` for any but a charge (`Record.post.charge`).
fn charge_of(payload: &[u8]) -> Option<usize> {
    let mut at = 0;
    let varint = |at: &mut usize| {
        let (mut value, mut shift) = (0usize, 0);
        loop {
            let byte = *payload.get(*at)?;
            *at += 1;
            value |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
    };
    (varint(&mut at)? == 5 << 3 | 2).then_some(())?;
    varint(&mut at)?;
    loop {
        match varint(&mut at)? {
            key if key == 3 << 3 => return Some(at),
            key if key & 7 == 2 => at += varint(&mut at)?,
            _ => drop(varint(&mut at)?),
        }
    }
}

/// The real server: what `OUTBID_PROGRAM` names, or `outbid` beside the program under test.
fn server() -> Option<PathBuf> {
    let beside = Path::new(LOAD).with_file_name("outbid");
    let named = std::env::var_os("OUTBID_PROGRAM").map(PathBuf::from);
    named.into_iter().chain([beside]).find(|path| path.is_file())
}

#[test]
fn one_changed_amount_in_a_real_journal_is_found() {
    let Some(server) = server() else {
        eprintln!("SKIPPED: no outbid beside {LOAD}; build it, or name it with OUTBID_PROGRAM");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (world, books) = (dir.path().join("world"), dir.path().join("books.json"));
    let run = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", said(&output));
    };
    let seed =
        ["seed", "--quiet", "--users", "1000", "--line-items", "100", "--segments", "200", "--data-dir"];
    run(Command::new(&server).args(seed).arg(&world));
    let trial = ["exchange-trial", "--requests", "400", "--bill-delay-ms", "20", "--tail", "0", "--data-dir"];
    run(Command::new(LOAD)
        .args(trial)
        .arg(&world)
        .arg("--server-cmd")
        .arg(&server)
        .arg("--books")
        .arg(&books));
    let good = audit(&world, &books, &server);
    assert!(good.status.success(), "{}", said(&good));
    assert!(said(&good).contains("to the nano"), "{}", said(&good));
    assert!(tamper(&world.join("ledger")), "the journal has no charge");
    let bad = audit(&world, &books, &server);
    assert_eq!(bad.status.code(), Some(1), "{}", said(&bad));
    assert!(said(&bad).contains("amount: record") || said(&bad).contains("breaks"), "{}", said(&bad));
    eprintln!("{}", said(&bad));
}
