//! Checks a file on several threads: some parse blocks of it, and one compares the parsed blocks in
//! order.

use std::io::Read;
use std::num::NonZero;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::block::{Block, Cutter, Unexamined};
use super::verifier::{ExportVerifier, Report};

/// The number of bytes per read.
const PIECE: usize = 256 * 1024;
/// The maximum number of blocks that wait between two threads, which bounds the memory of a check.
const WAITING: usize = 2;
/// The maximum number of parsing threads. More of them would only wait for the comparing thread.
const MOST_EXAMINERS: usize = 4;

impl ExportVerifier {
    /// Checks everything from `source` up to its end. Calls `progress` with the number of bytes
    /// after each read.
    ///
    /// # Errors
    /// The error of a read.
    pub fn check(
        self,
        mut source: impl Read,
        mut progress: impl FnMut(usize),
    ) -> std::io::Result<Report> {
        let examiners = thread::available_parallelism().map_or(1, NonZero::get);
        let examiners = examiners.min(MOST_EXAMINERS);
        let mut cutter = Cutter::default();
        thread::scope(|scope| {
            let (to, from): (Vec<_>, Vec<_>) = (0..examiners)
                .map(|_| {
                    let (to_examiner, unexamined) = sync_channel::<Unexamined>(WAITING);
                    let (examined, from_examiner) = sync_channel(WAITING);
                    scope.spawn(move || examine(&unexamined, &examined));
                    (to_examiner, from_examiner)
                })
                .unzip();
            let comparison = scope.spawn(move || self.compare(&from));
            let mut turns = to.iter().cycle();
            let mut piece = vec![0; PIECE];
            loop {
                let length = source.read(&mut piece)?;
                progress(length);
                let read = piece.get(..length).unwrap_or_default();
                if read.is_empty() {
                    break;
                }
                if let (Some(block), Some(to)) = (cutter.cut(read), turns.next()) {
                    // Sending fails only if a thread has panicked, which the end of the scope
                    // reports.
                    let _ = to.send(block);
                }
            }
            drop(to);
            let verifier =
                comparison.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Ok(verifier.end(&cutter))
        })
    }

    /// Compares the blocks in the order in which they were read, until there are no more.
    fn compare(mut self, examined: &[Receiver<Block>]) -> Self {
        for from in examined.iter().cycle() {
            let Ok(block) = from.recv() else { break };
            self.take(block);
        }
        self
    }
}

fn examine(unexamined: &Receiver<Unexamined>, examined: &SyncSender<Block>) {
    for block in unexamined {
        if examined.send(block.examine()).is_err() {
            break;
        }
    }
}
