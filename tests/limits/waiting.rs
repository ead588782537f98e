//! Readers that wait for a position that does not come.

use futures::future::join_all;

use crate::support::{Service, assert_problem};

#[keyledger_bounded::test]
async fn many_readers_that_wait_keep_nobody_else_waiting() {
    let service = Service::start().ready().await;
    let ann = service.user("ann");
    let far = ann.with("keyledger-min-position", "1000000000000");
    let waits = join_all((0..1_200).map(|_| far.get("/keys")));
    let creations = async {
        for _ in 0..20 {
            ann.create("ci").await;
        }
    };
    let (waited, ()) = tokio::join!(waits, creations);
    for answer in waited {
        assert_problem!(answer, 503, "read_behind");
    }
}
