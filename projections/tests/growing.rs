//! The tree: each event is appended once, leaves are proven, and signed checkpoints are kept.

use keyledger_domain::testing::{Attempt, creations, history};
use keyledger_domain::{RecordedEvent, Timestamp};
use keyledger_projections::log::{LogReadError, LogReader, LogWriteError, LogWriter};
use keyledger_projections::{Lease, LeaseName, ReadTables, Rebuild, WriteError};
use keyledger_tlog::merkle::{TreeHash, root_of, verify_consistency, verify_inclusion};
use keyledger_tlog::{Checkpoint, Entry};
use std::time::Duration;
use uuid::Uuid;

use crate::given::{Kind, delivered, head, on_both_databases, tables};

fn lease(tables: &ReadTables, node: u128, period: Duration) -> Lease {
    Lease::new(tables, LeaseName::Tree, Uuid::from_u128(node), period)
}

async fn writer(tables: &ReadTables) -> LogWriter {
    let lease = lease(tables, 1, Duration::from_secs(600));
    LogWriter::load(tables, lease.claim().await.unwrap().unwrap()).await.unwrap()
}

fn now() -> Timestamp {
    Timestamp::parse("2026-03-01T12:00:00Z").unwrap()
}

fn leaves(events: &[RecordedEvent]) -> Vec<TreeHash> {
    events.iter().map(|event| Entry::of(event).unwrap().hash()).collect()
}

async fn grow(writer: &mut LogWriter, events: &[RecordedEvent]) {
    for batch in events.chunks(500) {
        writer.append(batch, batch.last().unwrap().position).await.unwrap();
    }
}

async fn the_tree_is_that_of_the_events_however_they_come(kind: Kind) {
    let events = creations(1_300);
    let leaves = leaves(&events);
    let (_database, tables) = tables(kind).await;
    let tree = LogReader::new(&tables);
    assert_eq!(tree.state().await.unwrap().root, TreeHash::empty());
    let mut rest = &events[..];
    for size in [1, 2, 3, 250, 256, 400, 300, 88] {
        let (batch, after) = rest.split_at(size);
        // A new writer each time, as after a restart.
        let mut writer = writer(&tables).await;
        grow(&mut writer, batch).await;
        rest = after;
        let grown = events.len() - rest.len();
        let state = tree.state().await.unwrap();
        assert_eq!(state, writer.state());
        assert_eq!(state.size, grown as u64);
        assert_eq!(state.position, events[grown - 1].position);
        assert_eq!(state.root, root_of(leaves[..grown].iter().copied()));
    }
    assert!(rest.is_empty());
    let size = events.len() as u64;
    let root = root_of(leaves.iter().copied());
    for index in [0, 1, 255, 256, 257, 511, 512, 1_023, 1_024, 1_299] {
        let leaf = tree.leaf_of(events[index].id).await.unwrap().unwrap();
        assert_eq!(leaf, index as u64);
        let proof = tree.prove_inclusion(leaf, size).await.unwrap();
        assert_eq!((proof.leaf, proof.root), (leaves[index], root));
        verify_inclusion(leaves[index], leaf, size, &proof.path, root).unwrap();
        let earlier = tree.root_at(leaf + 1).await.unwrap();
        assert_eq!(earlier, root_of(leaves[..=index].iter().copied()));
        let proof = tree.prove_consistency(leaf + 1, size).await.unwrap();
        assert_eq!((proof.from_root, proof.to_root), (earlier, root));
        verify_consistency((leaf + 1, earlier), (size, root), &proof.path).unwrap();
    }
    let mut walk = tree.walk(size);
    for (index, leaf) in (0..).zip(&leaves) {
        assert_eq!(walk.leaf(index).await.unwrap(), *leaf);
        let proof = walk.inclusion(index).await.unwrap();
        verify_inclusion(*leaf, index, size, &proof, root).unwrap();
        let at = usize::try_from(index / 256 * 256).unwrap();
        let range = &leaves[at..leaves.len().min(at + 256)];
        assert_eq!(walk.range(index / 256).await.unwrap(), root_of(range.iter().copied()));
    }
}

async fn two_who_write_do_not_meet(kind: Kind) {
    let events = creations(20);
    let (_database, tables) = tables(kind).await;
    let (mut one, mut other) = (writer(&tables).await, writer(&tables).await);
    grow(&mut one, &events[..10]).await;
    let refused = other.append(&events[..5], events[4].position).await;
    assert!(matches!(refused, Err(LogWriteError::Write(WriteError::Superseded))), "{refused:?}");
    grow(&mut one, &events[10..]).await;
    let state = LogReader::new(&tables).state().await.unwrap();
    assert_eq!(state.root, root_of(leaves(&events)));
}

async fn what_is_signed_is_remembered_before_and_kept(kind: Kind) {
    let events = creations(20);
    let (_database, tables) = tables(kind).await;
    let tree = LogReader::new(&tables);
    let mut writer = writer(&tables).await;
    assert_eq!(writer.checkpoint("log", now()).await.unwrap(), None, "there is nothing");
    grow(&mut writer, &events[..10]).await;
    let checkpoint = writer.checkpoint("log", now()).await.unwrap().unwrap();
    assert_eq!((checkpoint.size, checkpoint.root), (10, root_of(leaves(&events[..10]))));
    assert_eq!(tree.last_signed().await.unwrap(), None, "it is not signed yet");
    // As after a crash between the two steps: the same checkpoint is returned again.
    let mut writer = self::writer(&tables).await;
    let again: Checkpoint = writer.checkpoint("log", now()).await.unwrap().unwrap();
    assert_eq!(again, checkpoint);
    writer.keep(&again, "the note").await.unwrap();
    assert_eq!(writer.checkpoint("log", now()).await.unwrap(), None, "nothing is new");
    assert_eq!(tree.last_signed().await.unwrap().unwrap().note, "the note");
    grow(&mut writer, &events[10..]).await;
    let next = writer.checkpoint("log", now()).await.unwrap().unwrap();
    writer.keep(&next, "the next").await.unwrap();
    let sizes = |signed: Vec<keyledger_projections::log::SignedCheckpoint>| {
        signed.into_iter().map(|signed| signed.size).collect::<Vec<_>>()
    };
    assert_eq!(sizes(tree.signed_after(0).await.unwrap()), [10, 20]);
    assert_eq!(sizes(tree.signed_after(10).await.unwrap()), [20]);
}

async fn a_tree_that_does_not_continue_what_was_signed_is_not_signed(kind: Kind) {
    let events = creations(20);
    let (database, tables) = tables(kind).await;
    let mut writer = writer(&tables).await;
    grow(&mut writer, &events[..10]).await;
    let checkpoint = writer.checkpoint("log", now()).await.unwrap().unwrap();
    writer.keep(&checkpoint, "the note").await.unwrap();
    // The tree is emptied, and built again from another history.
    database.tamper("DELETE FROM tree_tile").await;
    database.tamper("DELETE FROM tree_event").await;
    let empty = match kind {
        Kind::Sqlite => "UPDATE tree SET position = 0, size = 0, frontier = x''",
        Kind::Postgres => "UPDATE tree SET position = 0, size = 0, frontier = ''",
    };
    database.tamper(empty).await;
    let mut writer = self::writer(&tables).await;
    let attempts: Vec<_> = (0..10).map(|number| Attempt::Create(number + 5)).collect();
    grow(&mut writer, &history(&attempts)).await;
    let refused = writer.checkpoint("log", now()).await;
    assert!(refused.unwrap().is_none(), "this size was signed before");
    let more = creations(11);
    writer.append(&more[10..], more[10].position).await.unwrap();
    let refused = writer.checkpoint("log", now()).await;
    assert!(matches!(refused, Err(LogWriteError::NotContinued { size: 10 })), "{refused:?}");
}

async fn a_damaged_tree_is_not_gone_on_with(kind: Kind) {
    let (database, tables) = tables(kind).await;
    grow(&mut writer(&tables).await, &creations(300)).await;
    let cut = match kind {
        Kind::Sqlite => "UPDATE tree_tile SET hashes = zeroblob(44 * 32) WHERE number = 1",
        Kind::Postgres => {
            "UPDATE tree_tile SET hashes = decode(repeat('00', 44 * 32), 'hex') WHERE number = 1"
        }
    };
    database.tamper(cut).await;
    let lease = lease(&tables, 1, Duration::from_secs(600));
    let term = lease.claim().await.unwrap().unwrap();
    let refused = LogWriter::load(&tables, term).await.unwrap_err();
    let told = refused.to_string();
    assert_eq!(told, "the tree is damaged: its hashes do not lead to its root");
}

/// A statement that alters one byte of a stored tile.
fn alter_tile(kind: Kind, level: u8, number: u64, byte: usize) -> String {
    let altered = match kind {
        Kind::Sqlite => format!(
            "CAST(substr(hashes, 1, {byte})
                  || CASE substr(hashes, {byte} + 1, 1) WHEN x'00' THEN x'01' ELSE x'00' END
                  || substr(hashes, {byte} + 2) AS BLOB)"
        ),
        Kind::Postgres => format!("set_byte(hashes, {byte}, get_byte(hashes, {byte}) # 1)"),
    };
    format!("UPDATE tree_tile SET hashes = {altered} WHERE level = {level} AND number = {number}")
}

async fn a_damaged_tile_is_found_and_nothing_is_proven_by_it(kind: Kind) {
    const SIZE: u64 = 1_300;
    let events = creations(SIZE);
    let (database, tables) = tables(kind).await;
    let mut writer = writer(&tables).await;
    grow(&mut writer, &events[..700]).await;
    let checkpoint = writer.checkpoint("log", now()).await.unwrap().unwrap();
    writer.keep(&checkpoint, "the note").await.unwrap();
    grow(&mut writer, &events[700..]).await;
    let tree = LogReader::new(&tables);
    assert_eq!(tree.check_tiles(usize::MAX).await.unwrap(), 5, "the full tiles of the leaves");
    assert_eq!(tree.check_tiles(3).await.unwrap(), 3);
    // Leaf 300, in tile 1.
    database.tamper(&alter_tile(kind, 0, 1, 44 * 32)).await;
    let damaged = tree.check_tiles(usize::MAX).await.unwrap_err().to_string();
    assert_eq!(damaged, "the tree is damaged: tile 0/1 does not lead to the hash above it");
    assert_eq!(tree.check_tiles(3).await.unwrap(), 3, "no more than these are read");
    let is_damaged = |error: LogReadError| matches!(error, LogReadError::Damaged(_));
    for size in [301, 512, 600, 700, SIZE] {
        for leaf in [256, 299, 300, 301, 511].into_iter().filter(|leaf| *leaf < size) {
            let refused = tree.prove_inclusion(leaf, size).await.unwrap_err();
            assert!(is_damaged(refused), "{leaf} in {size}");
        }
    }
    for (from, to) in [(300, 301), (301, SIZE), (400, 700), (5, 400)] {
        let refused = tree.prove_consistency(from, to).await.unwrap_err();
        assert!(is_damaged(refused), "from {from} to {to}");
    }
    // What does not need the damaged hashes is still proven.
    tree.prove_inclusion(800, SIZE).await.unwrap();
    tree.prove_consistency(512, SIZE).await.unwrap();
    // The same if the tree's own root was altered with it, but not what was signed.
    database.tamper(&alter_tile(kind, 1, 0, 0)).await;
    let forged = tree.root_at(SIZE).await;
    assert!(forged.is_ok(), "{forged:?}");
    assert!(is_damaged(tree.prove_inclusion(800, SIZE).await.unwrap_err()));
}

async fn a_tree_is_made_anew_in_its_place(kind: Kind) {
    let events = creations(600);
    let (database, tables) = tables(kind).await;
    let mut old = writer(&tables).await;
    grow(&mut old, &events).await;
    let checkpoint = old.checkpoint("log", now()).await.unwrap().unwrap();
    old.keep(&checkpoint, "the note").await.unwrap();
    let before = LogReader::new(&tables).state().await.unwrap();
    database.tamper(&alter_tile(kind, 0, 1, 44 * 32)).await;
    let lease = lease(&tables, 1, Duration::from_secs(600));
    let term = lease.claim().await.unwrap().unwrap();
    let mut anew = LogWriter::restart(&tables, term).await.unwrap();
    assert_eq!(anew.state().size, 0);
    grow(&mut anew, &events).await;
    let tree = LogReader::new(&tables);
    assert_eq!(tree.state().await.unwrap(), before);
    assert_eq!(tree.check_tiles(usize::MAX).await.unwrap(), 2);
    assert_eq!(tree.leaf_of(events[300].id).await.unwrap(), Some(300));
    assert_eq!(tree.stored_after(0).await.unwrap(), [(600, before.root)]);
    let refused = old.append(&[], events[599].position.plus(1).unwrap()).await;
    assert!(refused.is_ok(), "the tree is where its former writer left it: {refused:?}");
}

async fn a_rebuild_leaves_the_tree_as_it_is(kind: Kind) {
    let events = creations(30);
    let (_database, tables) = tables(kind).await;
    grow(&mut writer(&tables).await, &events).await;
    let before = LogReader::new(&tables).state().await.unwrap();
    let build = Rebuild::begin(&tables).await.unwrap();
    build.run(delivered(&events), head(&events), |_| {}).await.unwrap();
    assert_eq!(LogReader::new(&tables).state().await.unwrap(), before);
}

on_both_databases! {
    the_tree_is_that_of_the_events_however_they_come,
    two_who_write_do_not_meet,
    what_is_signed_is_remembered_before_and_kept,
    a_tree_that_does_not_continue_what_was_signed_is_not_signed,
    a_damaged_tree_is_not_gone_on_with,
    a_damaged_tile_is_found_and_nothing_is_proven_by_it,
    a_tree_is_made_anew_in_its_place,
    a_rebuild_leaves_the_tree_as_it_is,
}

#[keyledger_bounded::test]
async fn whoever_lost_the_lease_appends_and_signs_nothing() {
    let events = creations(20);
    let (_database, tables) = tables(Kind::Postgres).await;
    let paused = lease(&tables, 1, Duration::from_millis(1));
    let term = paused.claim().await.unwrap().unwrap();
    let mut old = LogWriter::load(&tables, term).await.unwrap();
    grow(&mut old, &events[..10]).await;
    let successor = lease(&tables, 2, Duration::from_secs(600));
    while successor.claim().await.unwrap().is_none() {}
    let refused = old.append(&events[10..], events[19].position).await;
    assert!(matches!(refused, Err(LogWriteError::Write(WriteError::Superseded))), "{refused:?}");
    let mut old = LogWriter::load(&tables, term).await.unwrap();
    let refused = old.checkpoint("log", now()).await;
    assert!(matches!(refused, Err(LogWriteError::Write(WriteError::Superseded))), "{refused:?}");
    let state = LogReader::new(&tables).state().await.unwrap();
    let checkpoint =
        Checkpoint { origin: "log".into(), size: 10, root: state.root, time: Some(now()) };
    assert!(matches!(old.keep(&checkpoint, "late").await, Err(WriteError::Superseded)));
}
