//! Events as CSV (RFC 4180), for spreadsheets.

use std::borrow::Cow;
use std::io::{BufWriter, Write};
use std::sync::Arc;

use futures::StreamExt;
use keyledger_domain::{
    Delivery, EventFilter, Position, PublishedData, PublishedEvent, RecordedEvent,
};
use serde::Serialize;

use super::{create, progress};
use keyledger_audit::{broken_off, deliveries};
use keyledger_journal::JournalReader;

/// Writes all events up to the current head; returns their number.
pub(super) async fn write(
    journal: Arc<dyn JournalReader>,
    wanted: &EventFilter,
    path: &str,
) -> anyhow::Result<u64> {
    let bar = progress(journal.head().await?.as_u64())?;
    let mut events = deliveries(journal, wanted, Position::START);
    let mut sheet = Sheet::new(BufWriter::new(create(path)?))?;
    let mut written = 0;
    loop {
        match events.next().await.unwrap_or_else(|| Err(broken_off()))? {
            Delivery::CaughtUp(_) => break,
            Delivery::Event(event) => {
                bar.set_position(event.position.as_u64());
                if wanted.fits(&event) {
                    sheet.row(&event)?;
                    written += 1;
                }
            }
        }
    }
    let file = sheet.finish()?.into_inner()?;
    file.sync_all()?;
    bar.finish();
    Ok(written)
}

/// A CSV file that is being written.
struct Sheet<W: Write> {
    rows: csv::Writer<W>,
}

impl<W: Write> Sheet<W> {
    /// Writes the header row.
    fn new(file: W) -> csv::Result<Self> {
        let mut rows = csv::WriterBuilder::new()
            .has_headers(false)
            .terminator(csv::Terminator::CRLF)
            .from_writer(file);
        rows.write_record(COLUMNS)?;
        Ok(Self { rows })
    }

    fn row(&mut self, event: &RecordedEvent) -> csv::Result<()> {
        self.rows.serialize(Row::of(event))
    }

    fn finish(self) -> anyhow::Result<W> {
        self.rows.into_inner().map_err(|error| anyhow::anyhow!("{}", error.error()))
    }
}

const COLUMNS: [&str; 19] = [
    "position",
    "occurred_at",
    "key_id",
    "revision",
    "event_id",
    "type",
    "actor",
    "user_id",
    "user_email",
    "name",
    "key_prefix",
    "expires_at",
    "reason",
    "token_issued_at",
    "client",
    "correlation_id",
    "causation_id",
    "traceparent",
    "source_id",
];

/// The row of an event. It never contains a key's hash.
#[derive(Serialize)]
struct Row<'a> {
    position: u64,
    occurred_at: String,
    key_id: String,
    revision: u32,
    event_id: String,
    event_type: &'static str,
    actor: Cow<'a, str>,
    user_id: Cow<'a, str>,
    user_email: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    key_prefix: Option<Cow<'a, str>>,
    expires_at: Option<String>,
    reason: Option<Cow<'a, str>>,
    token_issued_at: Option<String>,
    client: Option<Cow<'a, str>>,
    correlation_id: Cow<'a, str>,
    causation_id: String,
    traceparent: Option<Cow<'a, str>>,
    source_id: Option<Cow<'a, str>>,
}

impl<'a> Row<'a> {
    fn of(recorded: &'a RecordedEvent) -> Self {
        let published = PublishedEvent::from(recorded);
        let PublishedEvent { metadata, data, .. } = published;
        let PublishedData {
            user_id,
            user_email,
            name,
            key_prefix,
            expires_at,
            source_id,
            reason,
            token_issued_at,
        } = data;
        Self {
            position: published.position.as_u64(),
            occurred_at: published.occurred_at.to_string(),
            key_id: published.key_id.to_string(),
            revision: published.revision.as_u32(),
            event_id: published.id.to_string(),
            event_type: published.event_type,
            actor: plain(metadata.actor.as_str()),
            user_id: plain(user_id),
            user_email: user_email.map(plain),
            name: name.map(plain),
            key_prefix: key_prefix.map(plain),
            expires_at: expires_at.map(|at| at.to_string()),
            reason: reason.map(plain),
            token_issued_at: token_issued_at.map(|at| at.to_string()),
            client: metadata.client.as_deref().map(plain),
            correlation_id: plain(&metadata.correlation_id),
            causation_id: metadata.causation_id.to_string(),
            traceparent: metadata.traceparent.as_deref().map(plain),
            source_id: source_id.map(plain),
        }
    }
}

/// Keeps spreadsheets from taking a text for a formula: a text that begins like one gets a single
/// quote before it, as OWASP recommends.
fn plain(text: &str) -> Cow<'_, str> {
    const FORMULAS: [char; 11] =
        ['=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];
    if text.starts_with(FORMULAS) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use keyledger_domain::{EventId, Revision, decode};
    use uuid::Uuid;

    use super::*;

    fn rows(golden: &str, change: impl FnOnce(&mut RecordedEvent)) -> Vec<csv::StringRecord> {
        let stored: serde_json::Value = serde_json::from_str(golden).unwrap();
        let part = |name: &str| stored[name].to_string().into_bytes();
        let event_type = stored["type"].as_str().unwrap();
        let (event, metadata) = decode(event_type, &part("data"), &part("metadata")).unwrap();
        let mut event = RecordedEvent {
            position: 7_u64.try_into().unwrap(),
            revision: Revision::FIRST,
            id: EventId::from_uuid(Uuid::nil()),
            event,
            metadata,
        };
        change(&mut event);
        let mut sheet = Sheet::new(Vec::new()).unwrap();
        sheet.row(&event).unwrap();
        let written = sheet.finish().unwrap();
        let hash = stored["data"]["key_hash"].as_str().unwrap_or("no hash");
        assert!(!String::from_utf8(written.clone()).unwrap().contains(hash));
        assert!(written.ends_with(b"\r\n"));
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&*written);
        reader.records().map(Result::unwrap).collect()
    }

    const CREATED: &str = include_str!("../../../../domain/golden/key_created.v1.json");
    const IMPORTED: &str = include_str!("../../../../domain/golden/key_created.v1.imported.json");
    const REVOKED: &str = include_str!("../../../../domain/golden/key_revoked.v1.json");
    const CHANGED: &str = include_str!("../../../../domain/golden/key_owner_email_changed.v1.json");

    #[test]
    fn a_row_has_a_value_for_each_column() {
        for golden in [CREATED, IMPORTED, REVOKED, CHANGED] {
            let rows = rows(golden, |_| ());
            assert_eq!(rows[0], COLUMNS[..]);
            let of = |column: &str| {
                let at = COLUMNS.iter().position(|name| *name == column).unwrap();
                rows[1].get(at).unwrap()
            };
            let stored: serde_json::Value = serde_json::from_str(golden).unwrap();
            let (data, metadata) = (&stored["data"], &stored["metadata"]);
            assert_eq!((of("position"), of("revision")), ("7", "0"));
            assert_eq!(of("type"), stored["type"]);
            for column in [
                "key_id",
                "user_id",
                "user_email",
                "name",
                "key_prefix",
                "expires_at",
                "source_id",
                "reason",
                "token_issued_at",
            ] {
                assert_eq!(of(column), data[column].as_str().unwrap_or_default(), "{column}");
            }
            for column in ["actor", "correlation_id", "causation_id", "client", "traceparent"] {
                assert_eq!(of(column), metadata[column].as_str().unwrap_or_default(), "{column}");
            }
        }
    }

    #[test]
    fn no_cell_is_a_formula_and_none_breaks_its_row() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "\u{ff1d}1"] {
            assert_eq!(plain(text), format!("'{text}"));
        }
        for text in ["", "a=b", "1-1", "'=1", " =1"] {
            assert_eq!(plain(text), text);
        }
        let client = "=HYPERLINK(\"http://x\",\"a,\r\nb\")";
        let rows = rows(CREATED, |event| event.metadata.client = Some(client.to_owned()));
        assert_eq!(rows[1].get(14).unwrap(), format!("'{client}"));
    }
}
