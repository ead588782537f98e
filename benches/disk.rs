//! Durable appends to a file: what the disk itself can do.

use std::fs::File;
use std::io::Write;
use std::time::Instant;

use crate::SPAN;

/// Records a second, when `group` of them share one `fdatasync`.
pub(crate) fn rate(record: &[u8], group: usize) -> f64 {
    let folder = crate::folder();
    let mut file = File::create(folder.path().join("log")).unwrap();
    let bytes = record.repeat(group);
    let begun = Instant::now();
    let mut syncs = 0;
    while begun.elapsed() < SPAN {
        file.write_all(&bytes).unwrap();
        file.sync_data().unwrap();
        syncs += 1;
    }
    f64::from(syncs) * group as f64 / begun.elapsed().as_secs_f64()
}
