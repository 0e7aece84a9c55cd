//! Random work, random crashes, against a list.

use super::*;
use outbid::budget::journal::Fault;
use proptest::prelude::*;
use std::io::ErrorKind;

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Commit,
    Checkpoint,
    Maintain,
    /// The process ends; the system goes on.
    Restart,
    /// The power fails.
    Crash(u64),
    /// From this many operations on nothing works any more, as if the power failed in the middle of one.
    Doom(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (1_usize..700).prop_map(Step::Append),
        6 => Just(Step::Commit),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Maintain),
        1 => Just(Step::Restart),
        1 => any::<u64>().prop_map(Step::Crash),
        1 => (1_u64..12).prop_map(Step::Doom),
    ];
    prop::collection::vec(step, 1..120)
}

/// Opens, and says why it must not have been refused.
fn reopen(storage: &MemoryStorage, model: &mut Model) -> Journal {
    let (journal, recovered) =
        open(storage).unwrap_or_else(|why| panic!("refused after a crash alone: {why}"));
    model.check(&recovered).unwrap();
    assert_eq!(journal.durable_lsn(), model.durable as u64);
    journal
}

fn run(steps: &[Step], seed: u64) {
    let storage = MemoryStorage::new();
    let mut model = Model::default();
    let mut journal = reopen(&storage, &mut model);
    for (index, step) in steps.iter().enumerate() {
        let outcome = match step {
            Step::Append(length) => {
                model.append(&mut journal, *length);
                Ok(())
            }
            Step::Commit => model.commit(&mut journal),
            Step::Checkpoint => model.checkpoint(&mut journal),
            Step::Maintain => journal.maintain(),
            Step::Restart | Step::Crash(_) => Ok(()),
            Step::Doom(after) => {
                storage.fail_from(storage.operations() + after, Fault::Error(ErrorKind::Other));
                Ok(())
            }
        };
        match (step, outcome) {
            (Step::Crash(seed), _) => storage.crash(*seed),
            (Step::Restart, _) => {}
            // After a failure the process ends, or the power does.
            (_, Err(_)) if index % 2 == 0 => storage.crash(seed ^ index as u64),
            (_, Err(_)) => {}
            _ => continue,
        }
        storage.clear_faults();
        journal = reopen(&storage, &mut model);
    }
    drop(journal);
    storage.crash(seed);
    reopen(&storage, &mut model);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn no_crash_loses_what_was_committed_or_invents_anything(steps in steps(), seed: u64) {
        run(&steps, seed);
    }

    #[test]
    fn no_bytes_in_a_file_make_recovery_panic_or_hand_out_what_was_never_written(
        position in 0.0..1.0_f64, bytes in prop::collection::vec(any::<u8>(), 0..300), cut: bool,
    ) {
        let (storage, mut model) = written(12);
        let files = segments(&storage);
        let place = position * files.len() as f64;
        storage.tamper(&files[place as usize], |content| {
            let at = (content.len() as f64 * place.fract()) as usize;
            let end = (at + bytes.len()).min(content.len());
            content[at..end].copy_from_slice(&bytes[..end - at]);
            if cut {
                content.truncate(end);
            }
        });
        model.durable = 0;
        if let Ok((_, recovered)) = open(&storage) {
            model.check(&recovered).unwrap();
        }
    }
}

#[test]
fn a_power_failure_at_any_operation_loses_nothing() {
    for nth in 1.. {
        let mut reached = false;
        for seed in 0..24 {
            let storage = MemoryStorage::new();
            let mut model = Model::default();
            storage.fail_from(nth, Fault::Error(ErrorKind::Other));
            reached |= faults_script(&storage, &mut model).is_ok();
            storage.crash(seed);
            let (_, recovered) =
                open(&storage).unwrap_or_else(|why| panic!("crash at operation {nth}, seed {seed}: {why}"));
            model.check(&recovered).unwrap_or_else(|why| panic!("operation {nth}, seed {seed}: {why}"));
        }
        if reached {
            return;
        }
    }
}

fn faults_script(storage: &MemoryStorage, model: &mut Model) -> Result<(), JournalError> {
    super::faults::script(storage, model)
}
