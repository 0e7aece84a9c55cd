//! The data directory: one process, keys that last, epochs that never repeat.

use outbid::store::data_dir::{DataDir, DataDirError};
use std::os::unix::fs::PermissionsExt;

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_new_directory_gets_its_parts() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("a/b");
    let dir = DataDir::open(&root).unwrap();
    for part in [dir.audience(), dir.ledger(), dir.events(), root.join("keys")] {
        assert!(part.is_dir(), "{}", part.display());
    }
    assert_eq!(mode(&root.join("keys")), 0o700);
    assert_eq!(dir.account_file(), root.join("account.json"));
    assert_eq!(dir.world_file(), root.join("world.json"));
    assert_eq!(dir.root(), root);
}

#[test]
fn two_never_share_a_directory_and_the_error_names_the_holder() {
    let temp = tempfile::tempdir().unwrap();
    let first = DataDir::open(temp.path()).unwrap();
    let refused = DataDir::open(temp.path()).unwrap_err();
    assert!(matches!(refused, DataDirError::Locked { .. }), "{refused:?}");
    let text = refused.to_string();
    assert!(
        text.contains(&format!("process {}", std::process::id())) && text.contains("--set data.dir"),
        "{text}"
    );
    drop(first);
    DataDir::open(temp.path()).unwrap();
}

#[test]
fn an_epoch_is_never_used_twice_whatever_the_wall_clock_does() {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir::open(temp.path()).unwrap();
    for (wall_s, expected) in [
        (1_700_000_000, 1_700_000_000),
        (1_700_000_000, 1_700_000_001),
        (5, 1_700_000_002),
        (-5, 1_700_000_003),
        (1_800_000_000, 1_800_000_000),
        (i64::MAX, u32::MAX - 1),
        (0, u32::MAX),
    ] {
        assert_eq!(dir.next_epoch(wall_s).unwrap(), expected, "{wall_s}");
    }
    assert!(matches!(dir.next_epoch(0), Err(DataDirError::Damaged { .. })));
    drop(dir);

    let dir = DataDir::open(temp.path()).unwrap();
    for damage in ["", "17", "1700000000x\n", "-1\n"] {
        std::fs::write(dir.ledger().join("epoch"), damage).unwrap();
        assert!(matches!(dir.next_epoch(1), Err(DataDirError::Damaged { .. })), "{damage:?}");
    }
}

#[test]
fn an_epoch_outlives_the_process_that_opened_it() {
    let temp = tempfile::tempdir().unwrap();
    let first = DataDir::open(temp.path()).unwrap().next_epoch(100).unwrap();
    // What a crash between writing and renaming leaves behind does not count.
    std::fs::write(temp.path().join("ledger/epoch.tmp"), "999").unwrap();
    let second = DataDir::open(temp.path()).unwrap().next_epoch(100).unwrap();
    assert_eq!((first, second), (100, 101));
}

#[test]
fn keys_are_random_private_and_last() {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir::open(temp.path()).unwrap();
    let (keys, user) = (dir.token_keys().unwrap(), dir.user_key().unwrap());
    assert_eq!(keys.previous, None);
    assert_ne!(keys.current.secret, [0; 32]);
    assert_eq!(mode(&temp.path().join("keys/token-1.key")), 0o600);
    assert_eq!(mode(&temp.path().join("keys/user.key")), 0o600);
    drop(dir);

    let dir = DataDir::open(temp.path()).unwrap();
    assert_eq!(dir.token_keys().unwrap(), keys);
    assert_eq!(dir.user_key().unwrap(), user);
    let elsewhere = tempfile::tempdir().unwrap();
    let other = DataDir::open(elsewhere.path()).unwrap();
    assert_ne!(other.user_key().unwrap(), user);
    assert!(
        !format!("{keys:?}").contains(&format!("{}", keys.current.secret[0])) || keys.current.secret[0] < 10
    );
}

#[test]
fn after_a_rotation_the_old_key_still_verifies() {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir::open(temp.path()).unwrap();
    let first = dir.token_keys().unwrap().current;
    let second = dir.rotate_token_key().unwrap();
    assert_eq!(second.previous, Some(first.clone()));
    assert_ne!(second.current.id, first.id);
    assert_ne!(second.current.secret, first.secret);
    for _ in 0..10 {
        dir.rotate_token_key().unwrap();
    }
    let last = dir.token_keys().unwrap();
    assert_eq!((last.current.id, last.previous.map(|key| key.id)), (12, Some(11)));
}

#[test]
fn keys_of_tokens_that_are_gone_are_missed_where_a_server_has_run() {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir::open(temp.path()).unwrap();
    let first = dir.token_keys().unwrap().current;
    dir.next_epoch(1).unwrap();
    assert_eq!(dir.token_keys().unwrap().current, first);
    for file in std::fs::read_dir(temp.path().join("keys")).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    let text = dir.token_keys().unwrap_err().to_string();
    assert!(text.contains("no key of notice tokens") && text.contains("outbid keys rotate"), "{text}");
    // Said in so many words, a new one is begun with.
    assert_ne!(dir.rotate_token_key().unwrap().current.secret, first.secret);
    assert!(dir.token_keys().is_ok());
}

#[test]
fn a_damaged_key_is_not_replaced() {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir::open(temp.path()).unwrap();
    dir.user_key().unwrap();
    std::fs::write(temp.path().join("keys/user.key"), b"short").unwrap();
    let text = dir.user_key().unwrap_err().to_string();
    assert!(text.contains("user.key is damaged: it has 5 bytes and not 16"), "{text}");
    assert_eq!(std::fs::read(temp.path().join("keys/user.key")).unwrap(), b"short");
}

#[test]
fn a_place_that_cannot_be_made_is_named() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let text = DataDir::open(&file.join("data")).unwrap_err().to_string();
    assert!(text.starts_with("cannot create ") && text.contains("file/data"), "{text}");
}
