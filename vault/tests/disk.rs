//! What is on the disk.

use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};

use super::{Place, email, erasure, user};

impl Place {
    /// Changes the tables as another program could.
    pub(super) async fn tamper(&self, statement: &str) {
        let statement = AssertSqlSafe(statement.to_owned());
        if self.folder.is_some() {
            let mut connection = SqliteConnection::connect(&self.url).await.unwrap();
            sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        } else {
            let mut connection = PgConnection::connect(&self.url).await.unwrap();
            sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
        }
    }

    /// The bytes of all files of a vault in a file.
    fn bytes(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.folder.as_ref().unwrap().path()).unwrap();
        files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }

    /// A column of all owners and of all look-ups.
    async fn column(&self, query: &'static str) -> Vec<Vec<u8>> {
        let mut connection = SqliteConnection::connect(&self.url).await.unwrap();
        sqlx::query_scalar(query).fetch_all(&mut connection).await.unwrap()
    }
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[keyledger_bounded::test]
async fn nothing_of_a_person_is_there_in_clear() {
    let place = Place::file();
    let vault = place.open(&[1]).await;
    let address = email(Some("ann.of.the.test@example.com"), 0);
    let ann = vault.owner_of(&user("user-of-the-test"), &address).await.unwrap();
    let bytes = place.bytes();
    for text in ["user-of-the-test", "ann.of.the.test", "example.com"] {
        assert!(!has(&bytes, text.as_bytes()), "{text}");
    }
    assert!(has(&bytes, ann.id.as_uuid().as_bytes()), "the handle is");
}

#[keyledger_bounded::test]
async fn what_was_destroyed_is_in_no_byte_of_the_files_while_the_vault_is_open() {
    let place = Place::file();
    let vault = place.open(&[1]).await;
    let mut ids = Vec::new();
    for name in ["ann", "bob"] {
        ids.push(vault.owner_of(&user(name), &email(None, 0)).await.unwrap().id);
    }
    let secrets = |place: Place| async move {
        let mut secrets = place.column("SELECT wrapped FROM vault_owners ORDER BY owner_id").await;
        secrets.extend(place.column("SELECT person FROM vault_owners ORDER BY owner_id").await);
        secrets.extend(place.column("SELECT hash FROM vault_lookup ORDER BY owner_id").await);
        (place, secrets)
    };
    let (place, all) = secrets(place).await;
    assert!(all.iter().all(|secret| has(&place.bytes(), secret)), "they were there");
    // Rows are in the order of the ids.
    let is_first = ids[0] < ids[1];
    vault.erase(ids[0], erasure(7)).await.unwrap();
    let bytes = place.bytes();
    for (number, secret) in all.iter().enumerate() {
        let is_of_ann = (number % 2 == 0) == is_first;
        // A part may be left where the whole is not.
        let is_there = secret.windows(8).any(|part| has(&bytes, part));
        assert_eq!(is_there, !is_of_ann, "{number}");
    }
}
