//! Durable creates a second, beside the disk itself and a bare handler on the same disk.

use crate::load::{Client, rate};
use crate::service::{self, Server};
use crate::{ROUNDS, SPAN, disk, median};

/// As many bytes as the journal stores for one creation, data and metadata.
pub(crate) const RECORD: &[u8] = &[b'x'; 560];
const CLIENTS: [usize; 3] = [1, 8, 64];

pub(crate) fn clients(server: &Server, count: usize) -> Vec<Client> {
    let client = |number| {
        let token = service::token(&format!("user-{number}"));
        Client::new(&server.address, "POST /keys", &token, r#"{"name":"bench"}"#)
    };
    (0..count).map(client).collect()
}

pub(crate) fn run() {
    let (ours_folder, bare_folder) = (crate::folder(), crate::folder());
    let ours = service::keyledger(ours_folder.path());
    let bare = service::bare(bare_folder.path());
    println!("durable creates per second, {ROUNDS} rounds of {SPAN:?} each, medians");
    println!(
        "{:>8} {:>10} {:>10} {:>10} {:>12} {:>12}",
        "clients", "keyledger", "disk", "bare axum", "of the disk", "of bare axum"
    );
    for count in CLIENTS {
        let mut our_clients = clients(&ours, count);
        let mut bare_clients = clients(&bare, count);
        let (mut our, mut raw, mut stand) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            raw.push(disk::rate(RECORD, count));
            stand.push(rate(&mut bare_clients, SPAN));
            our.push(rate(&mut our_clients, SPAN));
        }
        let ratio = |to: &[f64]| median(our.iter().zip(to).map(|(our, to)| our / to).collect());
        let (of_disk, of_bare) = (ratio(&raw), ratio(&stand));
        println!(
            "{count:>8} {:>10.0} {:>10.0} {:>10.0} {of_disk:>12.2} {of_bare:>12.2}",
            median(our),
            median(raw),
            median(stand)
        );
    }
    println!("(the disk: one fdatasync for as many records as there are clients)\n");
}
