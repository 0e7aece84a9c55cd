//! The index as a file: what is saved comes back, and what is no index is named.

use super::*;

#[test]
fn a_saved_index_comes_back_with_base_overlay_and_links() {
    let folder = tempfile::tempdir().unwrap();
    assert!(AudienceIndex::load(folder.path(), &SECRET).unwrap().is_none());
    let mut builder = Builder::default();
    for user in 0..5_000 {
        let memberships = (0..user % 20).map(|i| Membership {
            expires_s: (i % 3 > 0).then_some(NOW + (mix(user * 50 + i) % 1_000_000_000) as i64),
            ..of((mix(user * 100 + i) % 100_000) as u32)
        });
        builder.push(UserKey(mix(user)), memberships).unwrap();
    }
    let index = builder.finish().unwrap();
    (0..100).for_each(|user| index.add(UserKey(mix(user)), of(2)).unwrap());
    index.erase(UserKey(mix(150)));
    index.link(SECRET.matched(ExchangeId(1), "x"), UserKey(mix(1)), Some(NOW + 5_000));
    let path = index.save(folder.path(), &SECRET).unwrap();
    assert_eq!(path, folder.path().join("audience/base.v1"));
    let left: Vec<_> = std::fs::read_dir(folder.path().join("audience")).unwrap().collect();
    assert_eq!(left.len(), 1, "no temporary file stays");

    let loaded = AudienceIndex::load(folder.path(), &SECRET).unwrap().unwrap();
    assert_eq!(loaded.stats(), index.stats());
    for user in 0..5_000 {
        for now in [NOW, NOW + 300_000_000] {
            let keys = cookies(&[UserKey(mix(user))]);
            let (before, after) = (look_up(&index, &keys, now), look_up(&loaded, &keys, now));
            assert_eq!((before.segments, before.refused), (after.segments, after.refused));
        }
    }
}

#[test]
fn a_bad_file_is_named_with_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let index = AudienceIndex::default();
    index.add(UserKey(mix(1)), of(1)).unwrap();
    index.merge(NOW).unwrap();
    let path = index.save(folder.path(), &SECRET).unwrap();
    let check = |bytes: &[u8], key: &IdKey, expected: &str| {
        std::fs::write(&path, bytes).unwrap();
        let error = AudienceIndex::load(folder.path(), key).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("audience/base.v1"), "{error}");
    };
    let good = std::fs::read(&path).unwrap();
    check(b"", &SECRET, "it ends inside the first bytes");
    check(b"something else", &SECRET, "does not begin like an audience index");
    check(&good, &IdKey([0; 16]), "another identity key");
    check(&good[..good.len() - 1], &SECRET, "it ends inside the orders");
    let mut changed = good.clone();
    changed[8] = 1;
    check(&changed, &SECRET, "format version 1, this program reads version 3");
    let mut changed = good.clone();
    changed[good.len() / 2] ^= 4;
    check(&changed, &SECRET, "is damaged: the checksum of ");
}
