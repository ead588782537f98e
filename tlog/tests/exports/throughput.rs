//! How fast an export is checked.

use std::fs::File;
use std::io::Read;
use std::time::{Duration, Instant};

use keyledger_tlog::export::Verifier;
use sha2::{Digest, Sha256};

use crate::history::{History, public_key};

fn read(path: &std::path::Path, mut take: impl FnMut(&[u8])) -> Duration {
    let begun = Instant::now();
    let mut file = File::open(path).unwrap();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut buffer).unwrap();
        if read == 0 {
            return begun.elapsed();
        }
        take(&buffer[..read]);
    }
}

#[test]
#[ignore = "a measurement, for release builds"]
fn checking_takes_little_longer_than_hashing_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("export");
    std::fs::write(&path, History::generate(1, 200_000).whole()).unwrap();
    let mut ratios = Vec::new();
    for _ in 0..5 {
        let mut digest = Sha256::new();
        let hashing = read(&path, |piece| digest.update(piece));
        let begun = Instant::now();
        let verifier = Verifier::new(vec![public_key()]);
        let report = verifier.check(File::open(&path).unwrap(), |_| ()).unwrap();
        let checking = begun.elapsed();
        assert!(report.is_good());
        ratios.push(hashing.as_secs_f64() / checking.as_secs_f64());
        println!("hashing {hashing:?}, checking {checking:?}");
    }
    ratios.sort_by(f64::total_cmp);
    println!("ratios {ratios:.3?}");
    assert!(ratios[2] >= 0.3, "{ratios:?}");
}
