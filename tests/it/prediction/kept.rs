//! What is kept is read back as it was, and anything else is refused.

use super::log::{events, log, options, row_features, tell};
use outbid::pricing::prediction::{
    Calibration, Calibrator, DamagedBytes, Learner, LearnerOptions, Level, Model, Trainer, TrainerOptions,
};
use proptest::prelude::*;

fn small() -> Learner {
    let mut learner =
        Learner::new(LearnerOptions { bits: 8, min_count: 2, ..LearnerOptions::default() }).unwrap();
    for row in log(1, -1.0).take(40) {
        learner.learn(&row_features(&row)[..6], row.clicked_after_ms.is_some(), 1.0);
    }
    learner
}

fn small_model() -> Model {
    let mut calibrator = Calibrator::new(1_000, true);
    for (at, row) in log(1, -1.0).take(1_000).enumerate() {
        calibrator.add(0, row.campaign, -3.0 + (at % 9) as f64, f64::from(u8::from(at % 3 == 0)), 1.0);
    }
    small().snapshot(calibrator.fit(0), &Level::default(), 99)
}

fn small_trainer() -> (TrainerOptions, Trainer) {
    let learner = LearnerOptions { bits: 8, ..LearnerOptions::default() };
    let options = TrainerOptions {
        click: learner,
        conversion: learner,
        calibration_events: 50,
        guard_events: 50,
        max_impressions: 20,
        max_clicks: 10,
        ..TrainerOptions::default()
    };
    let mut trainer = Trainer::new(options).unwrap();
    tell(&mut trainer, &events(log(2, 0.0), 300));
    trainer.publish();
    (options, trainer)
}

/// Whatever byte is changed or missing is found; what follows the end as well.
fn check_damage<T>(whole: &[u8], import: impl Fn(&[u8]) -> Result<T, DamagedBytes>) {
    assert!(import(whole).is_ok());
    let step = whole.len() / 500 + 1;
    for place in (0..whole.len()).filter(|place| *place < 64 || place % step == 0) {
        for flip in [0x01, 0xff] {
            let mut bytes = whole.to_vec();
            bytes[place] ^= flip;
            let error = import(&bytes).map(|_| place).unwrap_err();
            let expected = match place {
                0..8 => matches!(error, DamagedBytes::Kind(_)),
                8..12 => matches!(error, DamagedBytes::Version { .. }),
                12..20 => matches!(error, DamagedBytes::Length { .. }),
                _ => matches!(error, DamagedBytes::Checksum(_)),
            };
            assert!(expected, "byte {place}: {error}");
        }
        let error = import(&whole[..place]).map(|_| place).unwrap_err();
        assert!(
            matches!(error, DamagedBytes::Kind(_) | DamagedBytes::Length { .. }),
            "cut at {place}: {error}"
        );
    }
    let error = import(&[whole, b"x"].concat()).map(|_| ()).unwrap_err();
    assert!(matches!(error, DamagedBytes::Length { .. }), "{error}");
}

#[test]
fn every_changed_byte_and_every_missing_tail_is_found() {
    check_damage(&small().export(), Learner::import);
    check_damage(&small_model().export(), Model::import);
    let (options, trainer) = small_trainer();
    check_damage(&trainer.export(), |bytes| Trainer::import(options, bytes));
}

#[test]
fn what_is_read_back_is_what_was_kept() {
    let learner = small();
    let read = Learner::import(&learner.export()).unwrap();
    assert_eq!((read.options(), read.rows()), (learner.options(), learner.rows()));
    assert_eq!(read.export(), learner.export());
    let model = small_model();
    assert_eq!(Model::import(&model.export()).unwrap(), model);
    let (options, trainer) = small_trainer();
    assert_eq!(Trainer::import(options, &trainer.export()).unwrap().export(), trainer.export());
}

#[test]
fn errors_say_what_it_is_and_what_to_do() {
    let model = small().snapshot(Calibration::default(), &Level::default(), 0).export();
    let check = |bytes: &[u8], expected: &str| {
        assert_eq!(Model::import(bytes).unwrap_err().to_string(), expected);
    };
    check(b"{}", "this is no model: it does not begin like one; give the file that was exported");
    let mut newer = model.clone();
    newer[8] = 9;
    check(&newer, "this model has version 9; this program reads version 1: export it again with this one");
    let expected = model.len();
    check(
        &model[..expected - 1],
        &format!("this model has {} bytes where {expected} belong; take an undamaged copy", expected - 1),
    );
    let (options, trainer) = small_trainer();
    let other = TrainerOptions { click: LearnerOptions { bits: 9, ..options.click }, ..options };
    let error = Trainer::import(other, &trainer.export()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("a learner with other parameters"), "{error}");
}

/// A frame whose checksum is right again, whatever was done to its content.
fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let length = (bytes.len() - 24) as u64;
    bytes[12..20].copy_from_slice(&length.to_le_bytes());
    let head = crc32c::crc32c_append(crc32c::crc32c(&bytes[8..12]), &bytes[12..20]);
    let sum = crc32c::crc32c_append(head, &bytes[24..]);
    bytes[20..24].copy_from_slice(&sum.to_le_bytes());
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_make_a_reader_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let (options, trainer) = small_trainer();
        for whole in [small().export(), small_model().export(), trainer.export()] {
            let mut content = whole.clone();
            for (place, value) in &changes {
                content[24 + place.index(whole.len() - 24)] = *value;
            }
            let mut shorter = content.clone();
            shorter.truncate(24 + cut.index(whole.len() - 24));
            for bytes in [resealed(content), resealed(shorter), noise.clone()] {
                // Whether they are taken is a matter of luck; nothing more may happen.
                let taken = [
                    Learner::import(&bytes).is_ok(),
                    Model::import(&bytes).is_ok(),
                    Trainer::import(options, &bytes).is_ok(),
                ];
                prop_assert!(taken.iter().filter(|taken| **taken).count() <= 1);
            }
        }
    }
}

#[test]
fn a_trainer_that_goes_on_does_as_if_it_had_never_stopped() {
    let events = events(log(4, -2.0), 6_000);
    let mut whole = Trainer::new(options()).unwrap();
    let mut stopped = Trainer::new(options()).unwrap();
    for (at, part) in events.chunks(events.len() / 4).enumerate() {
        tell(&mut whole, part);
        tell(&mut stopped, part);
        let (a, b) = (whole.publish(), stopped.publish());
        assert_eq!(a.click, b.click, "part {at}");
        assert_eq!(a.models.click, b.models.click, "part {at}");
        assert_eq!(a.models.conversion, b.models.conversion, "part {at}");
        stopped = Trainer::import(options(), &stopped.export()).unwrap();
    }
    assert!(whole.models().click.is_some());
    assert_eq!(whole.joined(), stopped.joined());
    assert_eq!(whole.export(), stopped.export());
}
