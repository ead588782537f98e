//! What gateways log.

use keyledger_test_servers::gateway::Kind;

use super::{Application, doors, key};
use crate::support::Service;
use crate::support::wait::until;

#[keyledger_bounded::test]
async fn a_key_is_in_no_log_of_a_gateway() {
    let (service, application) = (Service::start().ready().await, Application::start().await);
    let ann = service.user("ann");
    let (key, revoked) = (key(&service).await, key(&service).await);
    ann.delete(&format!("/keys/{}", revoked.id)).await.expect_status(200);
    let doors = doors(&service, &application).await;
    for keyledger in ["up", "down"] {
        for door in &doors {
            let [clients, others] = [&key.secret, &revoked.secret].map(|secret| {
                [
                    door.with(secret),
                    door.stranger.with("authorization", &format!("Bearer {secret}")),
                ]
            });
            for (number, client) in clients.iter().chain(&others).enumerate() {
                client.get(&format!("/while-{keyledger}-{number}")).await;
            }
        }
        if keyledger == "up" {
            service.signal("KILL");
        }
    }
    for door in &doors {
        // These are written after the answer.
        let logs = until(format!("all requests in the logs of {:?}", door.kind), async || {
            let logs = door.gateway.logs();
            let is_there =
                |path: &str| (0..4).all(|number| logs.contains(&format!("/while-{path}-{number}")));
            if ["up", "down"].into_iter().all(is_there) { Ok(logs) } else { Err(logs) }
        })
        .await;
        for secret in [&key.secret, &revoked.secret] {
            // Each half of what nobody else knows.
            let (first, second) = secret[13..].split_at(20);
            assert!(!logs.contains(first) && !logs.contains(second), "{:?}: {logs}", door.kind);
        }
        let failures = match door.kind {
            Kind::Nginx => "connect() failed",
            Kind::Caddy => "\"logger\":\"http.log.error",
            Kind::Traefik | Kind::Envoy => "",
        };
        assert!(logs.contains(failures), "{:?}: {logs}", door.kind);
    }
}
