//! The contract of the existing UI, to the letter.

use serde_json::json;

use crate::support::{Service, assert_status, is_time};

fn unknown_key() -> &'static str {
    "/keys/01890a5d-ac96-774b-bcce-b302099a8057"
}

#[keyledger_bounded::test]
async fn a_new_user_has_no_keys() {
    let service = Service::start();
    let answer = service.user("ann").get("/keys").await;
    answer.expect_status(200);
    assert_eq!(answer.text, r#"{"success":true,"keys":[]}"#);
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[keyledger_bounded::test]
async fn a_created_key_is_shown_with_its_secret_once() {
    let service = Service::start();
    let ann = service.user("ann");
    let answer = ann.post("/keys", &json!({"name": "  ci bot "})).await;
    answer.expect_status(200);
    let created = answer.json();
    let fields: Vec<_> = created.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = ["success", "key_id", "key_prefix", "name", "created_at", "api_key"];
    expected.sort_unstable();
    assert_eq!(fields, expected);
    assert_eq!(created["success"], true);
    assert_eq!(created["name"], "ci bot");
    assert!(is_time(&created["created_at"]), "{created}");
    let api_key = created["api_key"].as_str().unwrap();
    assert!(keyledger_domain::hash_presented(api_key).is_ok(), "its checksum fits");
    assert!(api_key.starts_with("orag_"));
    assert_eq!(created["key_prefix"], api_key[..13]);

    let keys = ann.keys().await;
    assert_eq!(
        keys,
        [json!({
            "key_id": created["key_id"],
            "key_prefix": created["key_prefix"],
            "name": "ci bot",
            "created_at": created["created_at"],
            "last_used_at": null,
            "revoked": false,
        })]
    );
}

#[keyledger_bounded::test]
async fn keys_are_listed_newest_first_and_to_their_owner_only() {
    let service = Service::start();
    let (ann, bob) = (service.user("ann"), service.user("bob"));
    for name in ["one", "two", "three"] {
        ann.create(name).await;
        bob.create("bob's").await;
    }
    let names: Vec<_> = ann.keys().await.iter().map(|key| key["name"].clone()).collect();
    assert_eq!(names, ["three", "two", "one"]);
}

#[keyledger_bounded::test]
async fn a_revoked_key_stays_in_the_list_and_a_deleted_one_does_not() {
    let service = Service::start();
    let ann = service.user("ann");
    let id = ann.create("ci").await;

    let answer = ann.delete(&format!("/keys/{id}")).await;
    answer.expect_status(200);
    assert_eq!(&*answer.text, r#"{"success":true}"#);
    let keys = ann.keys().await;
    assert_eq!((keys.len(), &keys[0]["revoked"]), (1, &json!(true)));

    let again = ann.delete(&format!("/keys/{id}")).await;
    again.expect_status(200);
    assert_eq!(&*again.text, r#"{"success":true}"#);
    assert_eq!(again.position(), answer.position(), "revoking again writes nothing");

    let answer = ann.delete(&format!("/keys/{id}/permanent")).await;
    answer.expect_status(200);
    assert_eq!(&*answer.text, r#"{"success":true}"#);
    assert_eq!(ann.keys().await, [json!(null); 0]);

    for path in [format!("/keys/{id}"), format!("/keys/{id}/permanent")] {
        let problem = ann.delete(&path).await.problem();
        assert_eq!(problem, (404, "key_not_found".into(), "Key not found".into()));
    }
}

#[keyledger_bounded::test]
async fn an_active_key_can_be_deleted_at_once() {
    let service = Service::start();
    let ann = service.user("ann");
    let id = ann.create("ci").await;
    ann.delete(&format!("/keys/{id}/permanent")).await.expect_status(200);
    assert!(ann.keys().await.is_empty());
}

#[keyledger_bounded::test]
async fn another_users_key_is_refused_and_nothing_is_written() {
    let service = Service::start();
    let (ann, bob) = (service.user("ann"), service.user("bob"));
    let answer = ann.post("/keys", &json!({"name": "ci"})).await;
    let id = answer.json()["key_id"].as_str().unwrap().to_owned();

    let revoke = bob.delete(&format!("/keys/{id}")).await.problem();
    assert_eq!(revoke, (403, "not_authorized".into(), "Not authorized to revoke this key".into()));
    let delete = bob.delete(&format!("/keys/{id}/permanent")).await.problem();
    assert_eq!(delete, (403, "not_authorized".into(), "Not authorized to delete this key".into()));
    let next = ann.post("/keys", &json!({"name": "next"})).await;
    assert!(next.position() > answer.position());
    assert_eq!(service.events().await.len(), 2, "nothing was written in between");
    assert_eq!(ann.keys().await[1]["revoked"], false);
}

#[keyledger_bounded::test]
async fn an_unknown_key_is_not_found() {
    let service = Service::start();
    let ann = service.user("ann");
    for path in [unknown_key(), "/keys/no-id", "/keys/%00", "/keys/%ff"] {
        for path in [path.to_owned(), format!("{path}/permanent")] {
            let problem = ann.delete(&path).await.problem();
            assert_eq!(problem, (404, "key_not_found".into(), "Key not found".into()), "{path}");
        }
    }
}

#[keyledger_bounded::test]
async fn a_name_is_required_and_bounded() {
    let service = Service::start();
    let ann = service.user("ann");
    let required = (400, "name_required".to_owned(), "Name is required".to_owned());
    for body in [json!({}), json!({"name": ""}), json!({"name": " \t "}), json!({"name": null})] {
        assert_eq!(ann.post("/keys", &body).await.problem(), required, "{body}");
    }
    let too_long = ann.post("/keys", &json!({"name": "é".repeat(101)})).await.problem();
    let expected = "Name must be 100 characters or less";
    assert_eq!(too_long, (400, "name_too_long".into(), expected.into()));
    assert!(ann.keys().await.is_empty());

    let longest = format!("  {}  ", "é".repeat(100));
    ann.post("/keys", &json!({"name": longest})).await.expect_status(200);
}

#[keyledger_bounded::test]
async fn nobody_gets_in_without_a_token() {
    let service = Service::start();
    for (method, path) in [
        ("GET", "/keys"),
        ("POST", "/keys"),
        ("DELETE", unknown_key()),
        ("DELETE", "/keys/01890a5d-ac96-774b-bcce-b302099a8057/permanent"),
    ] {
        let answer = service.stranger().send(method, path, None).await;
        assert_status!(answer, 401, "{method} {path}");
        assert_eq!(answer.problem().2, "Authentication required");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"keyledger\""));
    }
}
