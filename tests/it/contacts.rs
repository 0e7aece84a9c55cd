//! Contacts through their public face: what is said of them against a naive model, and what is left of destroyed ones.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use crate::parse::differential::Seeded;
use outbid::contacts::{Channel, Consent, Contacts, ContactsError, Held, NotTaken, Noted, Said};
use outbid::model::ids::UserKey;
use std::collections::BTreeMap;
use std::path::Path;

const NOW: i64 = 1_800_000_000;

/// What is known by account, channel and person: when it was said, when it ends, and the address; none is withdrawn.
type Model = BTreeMap<(u32, Channel, UserKey), (i64, Option<i64>, Option<String>)>;

/// What must become of a word.
fn said(model: &mut Model, account: u32, said: &Said<'_>) -> Noted {
    let place = (account, said.channel, said.person);
    let address = match said.consent {
        Consent::Given(address) => Some(address.to_owned()),
        Consent::Withdrawn => None,
    };
    let new = (said.at_s, said.expires_s.filter(|_| address.is_some()), address);
    let before = model.get(&place).cloned();
    let stays = before.as_ref().is_some_and(|before| {
        before.0 > new.0 || (before.0 == new.0 && before.2.is_none()) || *before == new
    });
    if stays {
        return Noted::Unchanged;
    }
    let is_given = new.2.is_some();
    model.insert(place, new);
    match (before, is_given) {
        (Some((_, _, Some(_))), true) => Noted::Changed,
        (_, true) => Noted::Added,
        (Some((_, _, None)), false) => Noted::Unchanged,
        (_, false) => Noted::Withdrawn,
    }
}

/// The addresses of a list of everybody, in order.
fn all(contacts: &Contacts, account: u32, channel: Channel, now_s: i64) -> Vec<String> {
    let held = contacts.held(account, channel, now_s).unwrap();
    let people: Vec<UserKey> = held.iter().map(|(person, _)| *person).collect();
    contacts.choose(1, (account, channel), &people, now_s + 1).unwrap();
    let taken = contacts.take(1, now_s).unwrap().unwrap();
    let (mut addresses, mut after) = (Vec::new(), None);
    loop {
        let (page, next) = contacts.page(&taken, after, 2).unwrap();
        addresses.extend(page.into_iter().map(|of| of.address));
        match next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(addresses.len() as u64, taken.count);
    assert_eq!(contacts.take(1, now_s).unwrap(), Err(NotTaken::Before(now_s)));
    contacts.forget_list(&taken).unwrap();
    addresses.sort_unstable();
    addresses
}

fn check(contacts: &Contacts, model: &Model, now_s: i64) {
    for account in 1..=2 {
        for channel in Channel::ALL {
            let own = model.iter().filter(|((of, by, _), _)| (*of, *by) == (account, channel));
            let in_force = |ends: &Option<i64>| ends.is_none_or(|ends| ends > now_s);
            let mut addresses: Vec<String> = own
                .clone()
                .filter(|(_, (_, ends, _))| in_force(ends))
                .filter_map(|(_, (.., address))| address.clone())
                .collect();
            addresses.sort_unstable();
            assert_eq!(all(contacts, account, channel, now_s), addresses);
            let held: Vec<(UserKey, Held)> = own
                .map(|((_, _, person), (_, ends, address))| match address {
                    None => (*person, Held::Withdrawn),
                    Some(_) if in_force(ends) => (*person, Held::Given),
                    Some(_) => (*person, Held::Ended),
                })
                .collect();
            assert_eq!(contacts.held(account, channel, now_s).unwrap(), held);
        }
    }
    for person in 0..6_u64 {
        // Keys above the half of their range too.
        let person = key(person);
        let expected: Vec<_> = model
            .iter()
            .filter(|((.., of), _)| *of == person)
            .map(|((account, channel, _), (at_s, ends, address))| {
                (*account, *channel, address.is_some(), *at_s, *ends)
            })
            .collect();
        let shown = contacts.of(person).unwrap();
        let shown: Vec<_> =
            shown.iter().map(|of| (of.account, of.channel, of.is_given, of.at_s, of.expires_s)).collect();
        assert_eq!(shown, expected);
    }
}

fn key(person: u64) -> UserKey {
    UserKey(person << 61 | person)
}

#[test]
fn whatever_is_said_in_whatever_order_contacts_are_as_a_naive_model_has_them() {
    for seed in 1..=6 {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("keys")).unwrap();
        let mut contacts = Contacts::open(dir.path(), []).unwrap().0;
        let (mut dice, mut model) = (Seeded(seed), Model::new());
        for round in 0..12 {
            let now_s = NOW + round;
            let addresses: Vec<String> = (0..8).map(|_| format!("a{}@example.com", dice.below(3))).collect();
            let words: Vec<Said<'_>> = addresses
                .iter()
                .map(|address| Said {
                    person: key(dice.below(6) as u64),
                    channel: Channel::ALL[dice.below(4)],
                    consent: if dice.below(3) == 0 { Consent::Withdrawn } else { Consent::Given(address) },
                    at_s: NOW - 5 + dice.below(8) as i64,
                    expires_s: (dice.below(2) == 0).then(|| NOW + dice.below(12) as i64),
                })
                .collect();
            let account = 1 + dice.below(2) as u32;
            let tried = contacts.note(account, &words, now_s, true).unwrap();
            let expected: Vec<Noted> = words.iter().map(|word| said(&mut model, account, word)).collect();
            assert_eq!(tried, expected, "a trial says the same");
            assert_eq!(contacts.note(account, &words, now_s, false).unwrap(), expected);
            if dice.below(4) == 0 {
                let person = key(dice.below(6) as u64);
                let before = model.len();
                model.retain(|(.., of), _| *of != person);
                assert_eq!(contacts.erase(&[person]).unwrap(), (before - model.len()) as u64);
            }
            check(&contacts, &model, now_s);
            if dice.below(3) == 0 {
                drop(contacts);
                let opened = Contacts::open(dir.path(), []).unwrap();
                assert_eq!(opened.1, Default::default());
                contacts = opened.0;
                check(&contacts, &model, now_s);
            }
        }
    }
}

fn given<'s>(person: u64, address: &'s str) -> Said<'s> {
    let (channel, consent) = (Channel::Mail, Consent::Given(address));
    Said { person: key(person), channel, consent, at_s: NOW, expires_s: None }
}

fn bytes_below(dir: &Path) -> Vec<u8> {
    let keys = std::fs::read_dir(dir.join("keys")).unwrap();
    let files = std::fs::read_dir(dir).unwrap().chain(keys).map(|file| file.unwrap().path());
    files.filter(|path| path.is_file()).flat_map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn what_was_destroyed_cannot_be_read_from_an_older_copy_and_is_over_in_time() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("keys")).unwrap();
    let file = dir.path().join("contacts.db");
    let contacts = Contacts::open(dir.path(), []).unwrap().0;
    assert!(!file.exists(), "nothing is made before there is a contact");
    contacts.note(1, &[given(1, "x@example.com")], NOW, true).unwrap();
    assert!(!file.exists(), "nor by a trial");
    contacts.note(1, &[given(1, "one@example.com"), given(2, "two@example.com")], NOW, false).unwrap();
    drop(contacts);
    let older = std::fs::read(&file).unwrap();
    let contacts = Contacts::open(dir.path(), []).unwrap().0;
    let withdrawn = Said { consent: Consent::Withdrawn, at_s: NOW + 1, ..given(1, "") };
    assert_eq!(contacts.note(1, &[withdrawn], NOW + 1, false).unwrap(), [Noted::Withdrawn]);
    contacts.erase(&[key(2)]).unwrap();
    drop(contacts);
    std::fs::write(&file, &older).unwrap();
    let (contacts, opened) = Contacts::open(dir.path(), []).unwrap();
    assert_eq!((opened.erased_again, opened.without_key), (0, 2), "their keys are gone");
    assert_eq!(all(&contacts, 1, Channel::Mail, NOW), [""; 0]);
    // Both files as they were: only who is known to be erased since is.
    contacts.note(1, &[given(1, "one@example.com"), given(3, "three@example.com")], NOW + 2, false).unwrap();
    drop(contacts);
    let (contacts, opened) = Contacts::open(dir.path(), [(key(1), NOW + 1), (key(3), NOW + 2)]).unwrap();
    assert_eq!(opened.erased_again, 1, "who came back later stays");
    assert_eq!(all(&contacts, 1, Channel::Mail, NOW + 2), ["one@example.com"]);
    // A consent that ended is forgotten a month later, a withdrawal after 400 days.
    let ends = Said { expires_s: Some(NOW + 10), at_s: NOW + 3, ..given(4, "four@example.com") };
    let no = Said { consent: Consent::Withdrawn, at_s: NOW + 3, ..given(5, "") };
    contacts.note(1, &[ends, no], NOW + 3, false).unwrap();
    let held = |now_s: i64| contacts.held(1, Channel::Mail, now_s).unwrap().len();
    contacts.tidy(NOW + 11).unwrap();
    assert_eq!(held(NOW + 11), 3);
    contacts.tidy(NOW + 10 + 30 * 86_400).unwrap();
    assert_eq!(held(NOW + 11), 2);
    contacts.tidy(NOW + 3 + 400 * 86_400).unwrap();
    assert_eq!(held(NOW + 11), 1);
    drop(contacts);
    let bytes = bytes_below(dir.path());
    assert!(!bytes.windows(8).any(|window| window == b"@example"));
}

#[test]
fn one_file_of_the_pair_is_none_and_a_crash_while_both_are_made_is_no_loss() {
    let dir = tempfile::tempdir().unwrap();
    let (keys, file) = (dir.path().join("keys/contacts.db"), dir.path().join("contacts.db"));
    std::fs::create_dir(dir.path().join("keys")).unwrap();
    let open = || Contacts::open(dir.path(), []).map(|opened| opened.0);
    // The keys' file first, then the other one, then what is in them.
    std::fs::write(&keys, b"").unwrap();
    open().unwrap();
    std::fs::write(&file, b"").unwrap();
    let contacts = open().unwrap();
    contacts.note(1, &[given(1, "one@example.com")], NOW, false).unwrap();
    drop(contacts);
    std::fs::rename(&keys, dir.path().join("aside")).unwrap();
    assert!(matches!(open(), Err(ContactsError::Missing { missing, .. }) if missing == keys));
    std::fs::rename(dir.path().join("aside"), &keys).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(open(), Err(ContactsError::Missing { missing, .. }) if missing == file));
    std::fs::write(&file, b"").unwrap();
    assert!(matches!(open(), Err(ContactsError::OtherKeys { .. })));
    std::fs::write(&file, b"no database at all, and longer than a header of one has to be to be looked at")
        .unwrap();
    assert!(matches!(open(), Err(ContactsError::Database { .. })));
}
