//! Who may use which route: a table of every route and every kind of caller.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{
    Answer, Client, Service, Setup, assert_problem, assert_status, token, token_with,
};

/// The status that a route answers to each kind of caller.
struct Rule {
    route: &'static str,
    /// Without a token, or with a bad one.
    stranger: u16,
    owner: u16,
    other: u16,
    auditor: u16,
}

const fn rule(route: &'static str, [stranger, owner, other, auditor]: [u16; 4]) -> Rule {
    Rule { route, stranger, owner, other, auditor }
}

const RULES: [Rule; 13] = [
    rule("GET /keys", [401, 200, 200, 200]),
    // These requests have no body: 415 is for those who may create keys.
    rule("POST /keys", [401, 415, 415, 415]),
    rule("GET /keys/{key_id}", [401, 200, 403, 403]),
    rule("GET /keys/{key_id}/history", [401, 200, 403, 200]),
    rule("DELETE /keys/{key_id}", [401, 200, 403, 403]),
    rule("DELETE /keys/{key_id}/permanent", [401, 200, 403, 403]),
    rule("GET /audit/events", [401, 403, 403, 200]),
    rule("GET /audit/keys/{key_id}", [401, 403, 403, 200]),
    // No checkpoint was signed yet, and these requests name no event.
    rule("GET /audit/checkpoint", [404; 4]),
    rule("GET /audit/proofs/inclusion", [401, 403, 403, 400]),
    rule("GET /audit/proofs/consistency", [401, 403, 403, 400]),
    rule("GET /healthz", [200; 4]),
    rule("GET /readyz", [200; 4]),
];

/// What changes where creating keys needs a role that neither the owner, the other nor the auditor has.
const WITH_CREATE_ROLE: Rule = rule("POST /keys", [401, 403, 403, 403]);

async fn ask(client: &Client, route: &str, key_id: &str) -> Answer {
    let (method, path) = route.split_once(' ').unwrap();
    client.send(method, &path.replace("{key_id}", key_id), None).await
}

#[keyledger_bounded::test]
async fn every_route_has_its_rule_and_keeps_it() {
    let service = Service::start().ready().await;
    keep_their_rules(&service, &service.user("ann"), &RULES).await;
}

#[keyledger_bounded::test]
async fn where_creating_keys_needs_a_role_every_other_route_keeps_its_rule() {
    let service = Setup::new().set("KEYLEDGER_CREATE_ROLE", "keys:create").start().ready().await;
    let creator = Client::new(&service.address, Some(token("ann", &["user", "keys:create"])));
    let rules =
        RULES.map(|it| if it.route == WITH_CREATE_ROLE.route { WITH_CREATE_ROLE } else { it });
    keep_their_rules(&service, &creator, &rules).await;
    for client in [creator.clone(), creator.with("idempotency-key", "1")] {
        assert_status!(client.send("POST", "/keys", None).await, 415, "the role lets one in");
    }
    let before = service.events().await.len();
    let body = json!({"name": "ci"});
    for roles in [&[][..], &["keys:creator"], &["keys"], &["Keys:Create"], &["keyledger:audit"]] {
        let client = Client::new(&service.address, Some(token("ann", roles)));
        for client in [client.clone(), client.with("idempotency-key", "1")] {
            let refused = client.post("/keys", &body).await;
            assert_problem!(refused, 403, "create_role_required", "{roles:?}");
            let (.., sentence) = refused.problem();
            assert_eq!(sentence, "Creating keys needs a role that you do not have");
        }
    }
    assert_eq!(service.events().await.len(), before, "nothing was written");
}

/// Checks that each route answers as its rule says. Keys are made by `creator`, who is ann.
async fn keep_their_rules(service: &Service, creator: &Client, rules: &[Rule]) {
    let owner = service.user("ann");
    for rule in rules {
        // A key for each rule, since the owner's request may end it.
        let key_id = creator.create("ci").await;
        let bad_tokens = [
            service.stranger(),
            service.stranger().with("authorization", "Bearer x"),
            service.stranger().with("authorization", "Basic YW5uOmFubg=="),
            service.stranger().with("cookie", "auth_token="),
            service.stranger().with("cookie", "auth_token=x.y.z; auth_token2=1"),
            Client::new(&service.address, Some(token_with("ann", &[], -3600))),
        ];
        for stranger in bad_tokens {
            assert_status!(
                ask(&stranger, rule.route, &key_id).await,
                rule.stranger,
                "{}",
                rule.route
            );
        }
        let auditor = service.auditor("eve");
        assert_status!(ask(&auditor, rule.route, &key_id).await, rule.auditor, "{}", rule.route);
        let other = service.user("bob");
        assert_status!(ask(&other, rule.route, &key_id).await, rule.other, "{}", rule.route);
        assert_status!(ask(&owner, rule.route, &key_id).await, rule.owner, "{}", rule.route);
    }
}

#[keyledger_bounded::test]
async fn every_route_of_the_document_is_in_the_table() {
    let service = Service::start();
    let document = service.stranger().get("/openapi.json").await.json();
    let paths = document["paths"].as_object().unwrap();
    let routes: BTreeSet<String> = paths
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let ruled: BTreeSet<String> = RULES.iter().map(|rule| rule.route.to_owned()).collect();
    assert_eq!(routes, ruled);

    // The document and the table agree on which routes need a sign-in.
    for rule in RULES {
        let (method, path) = rule.route.split_once(' ').unwrap();
        let operation = &document["paths"][path][method.to_lowercase()];
        let needs_sign_in = operation["security"].as_array().is_some_and(|list| !list.is_empty());
        assert_eq!(needs_sign_in, rule.stranger == 401, "{}", rule.route);
        assert_eq!(operation["responses"]["401"] != Value::Null, rule.stranger == 401);
    }
}

#[keyledger_bounded::test]
async fn the_document_and_its_page_are_open_to_all() {
    let service = Service::start();
    let stranger = service.stranger();
    assert_eq!(stranger.get("/openapi.json").await.json()["openapi"], "3.1.0");
    let page = stranger.get("/docs/").await;
    page.expect_status(200);
    assert!(page.text.contains("swagger"), "{page:?}");
}
