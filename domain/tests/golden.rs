//! Every stored form ever written must decode for ever: one file in `golden/` per form.
//!
//! A file holds the event as a journal holds it (`type`, `data`, `metadata`). Files are added and
//! never changed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use keyledger_domain::key::{KeyCreated, KeyDeleted, KeyEvent, KeyOwnerEmailChanged, KeyRevoked};
use keyledger_domain::{DecodeError, Metadata, decode, encode};
use serde_json::{Value, json};

const CREATED: &str = include_str!("../golden/key_created.v1.json");
const CREATED_MINIMAL: &str = include_str!("../golden/key_created.v1.minimal.json");
const CREATED_IMPORTED: &str = include_str!("../golden/key_created.v1.imported.json");
const REVOKED: &str = include_str!("../golden/key_revoked.v1.json");
const DELETED: &str = include_str!("../golden/key_deleted.v1.json");
const EMAIL_CHANGED: &str = include_str!("../golden/key_owner_email_changed.v1.json");

fn read(golden: &Value) -> Result<(KeyEvent, Metadata), DecodeError> {
    decode(
        golden["type"].as_str().unwrap(),
        golden["data"].to_string().as_bytes(),
        golden["metadata"].to_string().as_bytes(),
    )
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn every_stored_form_decodes_and_is_written_back_unchanged() {
    for golden in [CREATED, CREATED_MINIMAL, CREATED_IMPORTED, REVOKED, DELETED, EMAIL_CHANGED] {
        let golden = parse(golden);
        let (event, metadata) = read(&golden).unwrap();
        let written = encode(&event, &metadata).unwrap();
        assert_eq!(written.event_type, golden["type"]);
        assert_eq!(parse(&written.data), golden["data"]);
        assert_eq!(parse(&written.metadata), golden["metadata"]);
    }
}

/// Signed logs and exports hold hashes of these bytes.
#[test]
fn the_order_of_fields_never_changes() {
    for golden in [CREATED, CREATED_MINIMAL, CREATED_IMPORTED, REVOKED, DELETED, EMAIL_CHANGED] {
        let (event, metadata) = read(&parse(golden)).unwrap();
        let written = encode(&event, &metadata).unwrap();
        // No text in a golden file has two spaces or a colon with a space after it.
        let compact: String = golden.lines().map(str::trim).collect();
        let compact = compact.replace("\": ", "\":");
        assert!(compact.contains(&format!("\"data\":{}", written.data)), "{}", written.data);
        assert!(compact.contains(&format!("\"metadata\":{}", written.metadata)));
    }
}

#[test]
fn every_golden_file_is_tested() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/golden");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 6);
}

#[test]
fn every_type_has_a_golden_file() {
    let golden = [CREATED, REVOKED, DELETED, EMAIL_CHANGED];
    let golden = golden.map(|golden| parse(golden)["type"].clone());
    assert_eq!(golden.to_vec(), KeyEvent::TYPES);
}

#[test]
fn the_type_says_which_event_it_is() {
    assert!(matches!(read(&parse(CREATED)).unwrap().0, KeyEvent::Created(KeyCreated { .. })));
    assert!(matches!(read(&parse(REVOKED)).unwrap().0, KeyEvent::Revoked(KeyRevoked { .. })));
    assert!(matches!(read(&parse(DELETED)).unwrap().0, KeyEvent::Deleted(KeyDeleted { .. })));
    let changed = read(&parse(EMAIL_CHANGED)).unwrap().0;
    assert!(matches!(changed, KeyEvent::OwnerEmailChanged(KeyOwnerEmailChanged { .. })));
}

#[test]
fn unknown_fields_are_passed_over() {
    let mut golden = parse(CREATED);
    let expected = read(&golden).unwrap();
    golden["data"]["added_later"] = json!({"any": ["thing"]});
    golden["metadata"]["added_later"] = json!(1);
    assert_eq!(read(&golden).unwrap(), expected);
}

#[test]
fn an_unknown_version_stops_the_reader() {
    let mut golden = parse(CREATED);
    golden["metadata"]["v"] = json!(2);
    assert!(matches!(read(&golden), Err(DecodeError::UnknownVersion(2))));
}

#[test]
fn an_unknown_type_stops_the_reader() {
    let mut golden = parse(CREATED);
    golden["type"] = json!("KeyBlessed");
    assert!(matches!(read(&golden), Err(DecodeError::UnknownType(name)) if name == "KeyBlessed"));
}

#[test]
fn a_missing_or_misshapen_field_stops_the_reader() {
    for (field, value) in [("key_hash", json!("beef")), ("occurred_at", json!("yesterday"))] {
        let mut golden = parse(CREATED);
        golden["data"][field] = value;
        assert!(matches!(read(&golden), Err(DecodeError::Data(_))), "{field}");
        golden["data"].as_object_mut().unwrap().remove(field);
        assert!(matches!(read(&golden), Err(DecodeError::Data(_))), "{field}");
    }
    let mut golden = parse(CREATED);
    golden["metadata"].as_object_mut().unwrap().remove("actor");
    assert!(matches!(read(&golden), Err(DecodeError::Metadata(_))));
}
