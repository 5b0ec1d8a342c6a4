//! One file of two chunks, cut, grown and written at each stage of its way to the network: where a chunk lies in memory, in the
//! journal and in a pack at once, and each part ends somewhere else.

use super::world::{ROOT, SUPER, World};
use crate::ids::CHUNK;
use crate::vfs::*;
use proptest::prelude::*;

/// Quarters of a chunk, where parts begin and end.
const PART: usize = CHUNK / 4;
/// Quarters that the file has at most.
const PARTS: usize = 8;

#[derive(Clone, Debug)]
enum Step {
    Write { from: usize, to: usize, byte: u8 },
    Truncate(usize),
    Punch { from: usize, to: usize },
    Zero { from: usize, to: usize },
    WriteBack,
    Cut,
    Commit,
    Kill,
}

/// A place in the file: some quarter's edge, or a byte beside it.
fn place() -> impl Strategy<Value = usize> {
    (0..=PARTS, 0..3usize).prop_map(|(part, beside)| (part * PART + beside).saturating_sub(1).min(PARTS * PART))
}

fn span() -> impl Strategy<Value = (usize, usize)> {
    (place(), place()).prop_map(|(a, b)| (a.min(b), a.max(b)))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (span(), 1..=255u8).prop_map(|((from, to), byte)| Step::Write { from, to, byte }),
        4 => place().prop_map(Step::Truncate),
        1 => span().prop_map(|(from, to)| Step::Punch { from, to }),
        1 => span().prop_map(|(from, to)| Step::Zero { from, to }),
        3 => Just(Step::WriteBack),
        3 => Just(Step::Cut),
        3 => Just(Step::Commit),
        1 => Just(Step::Kill),
    ]
}

/// Runs `steps`, and reads the file after each of them.
fn run(steps: &[Step]) -> Result<(), TestCaseError> {
    let mut world = World::new();
    let file = world.file(ROOT, "file");
    world.fsync(file);
    let mut model: Vec<u8> = Vec::new();
    let mut on_its_way = None;
    for (nth, step) in steps.iter().enumerate() {
        match *step {
            Step::Write { from, to, .. } if from == to => {}
            Step::Write { from, to, byte } => {
                world.write(file, from as u64, &vec![byte; to - from]);
                model.resize(model.len().max(to), 0);
                model[from..to].fill(byte);
            }
            Step::Truncate(size) => {
                world.truncate(file, size as u64);
                model.resize(size, 0);
            }
            Step::Punch { from, to } | Step::Zero { from, to } => {
                let what = match step {
                    Step::Punch { .. } => Fallocate::Punch,
                    _ => Fallocate::Zero { keep_size: true },
                };
                if from < to {
                    world.ok(|vfs| vfs.fallocate(&SUPER, file, from as u64, (to - from) as u64, what));
                }
                let end = to.min(model.len());
                model[from.min(end)..end].fill(0);
            }
            Step::WriteBack => world.write_back(),
            Step::Cut if on_its_way.is_none() => on_its_way = Some(world.cut()),
            Step::Commit => {
                let cut = on_its_way.take().unwrap_or_else(|| world.cut());
                world.commit(cut);
            }
            Step::Cut => {}
            Step::Kill => {
                // What was not synced may go; all of it is, so nothing does.
                world.fsync(file);
                if let Some(cut) = on_its_way.take() {
                    world.commit(cut);
                }
                world.kill();
                world.start_again(None);
                prop_assert_eq!(world.lookup(ROOT, "file"), file);
            }
        }
        let read = world.read(file, 0, (PARTS * PART) as u32 + 1);
        prop_assert_eq!(read.len(), model.len(), "length after step {}: {:?}", nth, step);
        let wrong = read.iter().zip(&model).position(|(is, was)| is != was);
        prop_assert!(wrong.is_none(), "byte {:?} is wrong after step {}: {:?}", wrong, nth, step);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, max_shrink_iters: 3000, ..ProptestConfig::default() })]

    /// S-TRUNC-1, S-TRUNC-3
    #[test]
    fn a_chunk_in_parts_is_whole(steps in proptest::collection::vec(step(), 1..25)) {
        run(&steps)?;
    }
}

/// S-TRUNC-3: what lies in the journal begins behind the pack's part of the chunk; cut between them, nothing of it is left, and the pack's
/// part is all there is.
#[test]
fn a_cut_between_the_pack_and_the_journal_keeps_the_pack() {
    run(&[
        Step::Write { from: 0, to: PART, byte: 1 },
        Step::Commit,
        Step::Write { from: 2 * PART, to: 3 * PART, byte: 2 },
        Step::WriteBack,
        Step::Truncate(PART + 100),
        Step::Truncate(CHUNK),
        Step::Commit,
    ])
    .unwrap();
}

/// S-TRUNC-1: the pack on its way holds what was cut off meanwhile; what lies over it afterwards must hide that.
#[test]
fn a_commit_does_not_bring_back_what_was_cut_off_meanwhile() {
    run(&[
        Step::Write { from: 0, to: PART, byte: 1 },
        Step::Commit,
        Step::Write { from: 2 * PART, to: 3 * PART, byte: 2 },
        Step::Cut,
        Step::Truncate(PART / 2),
        Step::Commit,
        Step::Truncate(CHUNK),
        Step::Commit,
    ])
    .unwrap();
}

/// S-TRUNC-1: a write-back at work, while all that was dirty is cut off and something else is written: nothing of it comes back.
#[test]
fn a_write_back_names_nothing_that_was_cut_off_meanwhile() {
    let world = World::new();
    let file = world.file(ROOT, "file");
    world.write(file, 0, &vec![1; 3 * CHUNK]);
    let meanwhile = || {
        world.truncate(file, 0);
        world.write(file, 2 * CHUNK as u64, b"new");
    };
    assert!(matches!(world.vfs.write_back_around(file, u64::MAX, meanwhile), Outcome::Done(Ok(false))));
    let expected = [vec![0; 2 * CHUNK], b"new".to_vec()].concat();
    assert!(world.read(file, 0, 4 * CHUNK as u32) == expected, "content that was cut off is back");
    world.write_back();
    assert!(world.read(file, 0, 4 * CHUNK as u32) == expected, "content that was cut off is back in the journal");
}
