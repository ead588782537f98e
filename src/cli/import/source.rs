//! Reads a file of keys row by row: NDJSON, or CSV (RFC 4180) under a header.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::cells::{BadRow, COLUMNS, Cells, REQUIRED, column};
use super::wanted::Wanted;

/// The most bytes of a row.
const MAX_ROW: usize = 64 * 1024;
/// The byte order mark, which some programs write before UTF-8.
const BOM: &[u8] = "\u{feff}".as_bytes();

/// A parsed row and its place in the file.
pub(super) struct Numbered {
    /// The number of the row's first line, from 1.
    pub(super) line: u64,
    /// The offset of the byte after the row.
    pub(super) ends_at: u64,
    pub(super) wanted: Result<Wanted, BadRow>,
}

/// The rows of a file. They end after one that cannot be read.
pub(super) struct Source {
    length: u64,
    rows: Rows,
    has_failed: bool,
}

/// A reader that fails if a row is too long, so that no row has to fit into memory before it is refused.
struct ShortRows<R> {
    reader: R,
    /// How many bytes were read since the last row ended.
    unfinished: Arc<AtomicUsize>,
}

impl<R: Read> Read for ShortRows<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        if self.unfinished.fetch_add(count, Ordering::Relaxed) > MAX_ROW {
            let why = format!("a row has more than {MAX_ROW} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        Ok(count)
    }
}

type Reader = BufReader<ShortRows<File>>;

enum Rows {
    Json {
        lines: io::Split<Reader>,
        line: u64,
        at: u64,
        unfinished: Arc<AtomicUsize>,
    },
    Csv {
        header: Vec<String>,
        /// Lines end in CRLF. The position of a record then begins before the line feed.
        is_crlf: bool,
        records: csv::ByteRecordsIntoIter<Reader>,
        unfinished: Arc<AtomicUsize>,
    },
}

impl Source {
    /// Opens a file. It is CSV if its name ends in `.csv`, and its columns are separated by the first of `,`,
    /// `;` and tab that the header has.
    ///
    /// # Errors
    /// That the file cannot be read, or that the header of CSV is not one of keys.
    pub(super) fn open(path: &str) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let unfinished = Arc::new(AtomicUsize::new(0));
        let mut reader = BufReader::new(ShortRows { reader: file, unfinished: unfinished.clone() });
        if reader.fill_buf()?.starts_with(BOM) {
            reader.consume(BOM.len());
        }
        let extension = Path::new(path).extension();
        let rows = if extension.is_some_and(|it| it.eq_ignore_ascii_case("csv")) {
            Rows::csv(reader, unfinished)?
        } else {
            Rows::Json { lines: reader.split(b'\n'), line: 0, at: 0, unfinished }
        };
        Ok(Self { length: metadata.len(), rows, has_failed: false })
    }

    /// The length of the file in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }
}

impl Iterator for Source {
    type Item = io::Result<Numbered>;

    fn next(&mut self) -> Option<io::Result<Numbered>> {
        let next = if self.has_failed { None } else { self.rows.next() };
        self.has_failed |= matches!(next, Some(Err(_)));
        next
    }
}

impl Rows {
    fn csv(mut reader: Reader, unfinished: Arc<AtomicUsize>) -> io::Result<Self> {
        let begin = reader.fill_buf()?;
        let header = begin.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let is_crlf = header.ends_with(b"\r");
        let delimiter = header.iter().find(|byte| matches!(byte, b',' | b';' | b'\t'));
        let mut reader =
            csv::ReaderBuilder::new().delimiter(*delimiter.unwrap_or(&b',')).from_reader(reader);
        let header: Vec<_> = reader.headers()?.iter().map(ToOwned::to_owned).collect();
        unfinished.store(0, Ordering::Relaxed);
        check_header(&header).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))?;
        Ok(Self::Csv { header, is_crlf, records: reader.into_byte_records(), unfinished })
    }

    fn next(&mut self) -> Option<io::Result<Numbered>> {
        match self {
            Self::Json { lines, line, at, unfinished } => loop {
                let text = match lines.next()? {
                    Ok(text) => text,
                    Err(error) => return Some(Err(error)),
                };
                unfinished.store(0, Ordering::Relaxed);
                *line += 1;
                *at += 1 + u64::try_from(text.len()).unwrap_or(0);
                let text = text.trim_ascii();
                if text.is_empty() {
                    continue;
                }
                let wanted = json_row(text).and_then(|row| Wanted::try_from(&row));
                return Some(Ok(Numbered { line: *line, ends_at: *at, wanted }));
            },
            Self::Csv { header, is_crlf, records, unfinished } => {
                let record = match records.next()? {
                    Err(error) if error.is_io_error() => return Some(Err(error.into())),
                    record => record,
                };
                unfinished.store(0, Ordering::Relaxed);
                let place = match &record {
                    Ok(record) => record.position(),
                    Err(error) => error.position(),
                };
                let line = place.map_or(0, csv::Position::line) + u64::from(*is_crlf);
                let ends_at = records.reader().position().byte();
                let wanted = csv_row(header, record).and_then(|row| Wanted::try_from(&row));
                Some(Ok(Numbered { line, ends_at, wanted }))
            }
        }
    }
}

/// Fails if the header of a CSV file lacks a column, or has one that is not known. It does not repeat the
/// header, which is a row with a hash if the file has none.
fn check_header(header: &[String]) -> Result<(), String> {
    let (required, _) = COLUMNS.split_at_checked(REQUIRED).unwrap_or_default();
    let known: Vec<_> = header.iter().map(|name| column(name)).collect();
    if let Some(missing) = required.iter().find(|column| !known.contains(&Some(**column))) {
        return Err(format!("the first line, the header, has no column {missing}"));
    }
    match known.iter().position(Option::is_none) {
        Some(at) => Err(format!(
            "column {} of the header is not known; there are: {}",
            at + 1,
            COLUMNS.join(", ")
        )),
        None => Ok(()),
    }
}

fn csv_row(
    header: &[String],
    record: Result<csv::ByteRecord, csv::Error>,
) -> Result<Cells, BadRow> {
    let record = record.map_err(|error| {
        let is_uneven = matches!(error.kind(), csv::ErrorKind::UnequalLengths { .. });
        BadRow::whole(if is_uneven {
            "it has more or fewer columns than the header"
        } else {
            "it is no record of CSV"
        })
    })?;
    let mut row = Cells::default();
    for (name, cell) in header.iter().zip(&record) {
        let text = str::from_utf8(cell)
            .map_err(|_| BadRow { column: column(name), problem: "it must be UTF-8".to_owned() })?;
        row.put(name, text.into())?;
    }
    Ok(row)
}

fn json_row(text: &[u8]) -> Result<Cells, BadRow> {
    match serde_json::from_slice::<Fields>(text) {
        Ok(Fields(fields)) => {
            fields.into_iter().try_fold(Cells::default(), |mut row, (name, value)| {
                row.put(&name, value).map(|()| row)
            })
        }
        Err(error) if error.is_data() => Err(BadRow::whole("it is no JSON object")),
        Err(_) => Err(BadRow::whole("it is no JSON")),
    }
}

/// The members of a JSON object, in which a name may be repeated.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Fields;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields, M::Error> {
                let mut fields = Vec::new();
                while let Some(member) = map.next_entry()? {
                    fields.push(member);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, content: &[u8]) -> io::Result<Vec<io::Result<Numbered>>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        Source::open(path.to_str().unwrap()).map(Iterator::collect)
    }

    /// The number of each line, and what is wrong with it.
    fn mistakes(name: &str, content: &[u8]) -> Vec<(u64, Option<BadRow>)> {
        let rows = read(name, content).unwrap().into_iter().map(Result::unwrap);
        rows.map(|row| (row.line, row.wanted.err())).collect()
    }

    const HEADER: &str = "key_hash,key_prefix,name,user_id,created_at\n";

    fn record(name: &str) -> String {
        let hash = keyledger_domain::KeyHash::of(name).to_hex();
        format!("{hash},sk-1,{name},ann,2025-01-31 12:00:00+00\n")
    }

    #[keyledger_bounded::test]
    fn a_row_that_is_too_long_ends_the_file() {
        // A buffer holds 8 KiB of the next row already.
        let long = b"x".repeat(MAX_ROW + 16 * 1024);
        let rows = read("keys.ndjson", &[&b"{}\n"[..], &long, b"\n{}\n"].concat()).unwrap();
        assert!(matches!(rows.as_slice(), [Ok(Numbered { line: 1, .. }), Err(_)]));
        let short_lines = b"x\n".repeat(MAX_ROW);
        for long in [long, [&b"\""[..], &short_lines].concat()] {
            let text = [HEADER.as_bytes(), record("a").as_bytes(), &long].concat();
            let rows = read("keys.csv", &text).unwrap();
            assert!(matches!(rows.as_slice(), [Ok(Numbered { line: 2, .. }), Err(_)]));
        }
        let longest = [b"x".repeat(MAX_ROW / 2), b"y".repeat(MAX_ROW / 2)].join(&b'\n');
        assert_eq!(read("keys.ndjson", &longest).unwrap().len(), 2);
    }

    #[keyledger_bounded::test]
    fn a_folder_is_no_file_of_keys() {
        let folder = tempfile::tempdir().unwrap();
        let opened = Source::open(folder.path().to_str().unwrap());
        assert!(opened.is_err_and(|error| error.kind() == io::ErrorKind::IsADirectory));
    }

    #[keyledger_bounded::test]
    fn files_of_spreadsheets_and_databases_are_read() {
        let plain = format!("{HEADER}{}{}", record("a"), record("\"b\n\"\"c\"\"\""));
        for text in [
            plain.clone(),
            format!("\u{feff}{plain}"),
            plain.replace('\n', "\r\n"),
            plain.replace(',', ";"),
            plain.replace(',', "\t"),
            plain.replacen("key_hash", "\" KEY_HASH\"", 1),
        ] {
            let found = mistakes("keys.CSV", text.as_bytes());
            assert_eq!(found.len(), 2, "{text}");
            assert_eq!(found[0], (2, None), "{text}");
            // The name has a line break, which is read, and which no name may have.
            let (line, bad) = &found[1];
            assert_eq!((*line, bad.as_ref().unwrap().column), (3, Some("name")), "{text}");
        }
        for text in ["\u{feff}{}\r\n\r\n{}", "{}\n\n{}\n"] {
            let lines = mistakes("keys.ndjson", text.as_bytes()).into_iter().map(|(line, _)| line);
            assert_eq!(lines.collect::<Vec<_>>(), [1, 3]);
        }
    }

    #[keyledger_bounded::test]
    fn the_header_names_known_columns() {
        for (header, told) in [
            ("key_hash,key_prefix,name,user_id\n".to_owned(), "no column created_at"),
            (HEADER.replacen("name", "name,scopes", 1), "column 4 of the header is not known"),
            (record("a"), "no column key_hash"),
            (String::new(), "no column key_hash"),
        ] {
            let error = read("keys.csv", header.as_bytes()).err().unwrap().to_string();
            assert!(error.contains(told), "{error}");
            assert!(!error.contains(&keyledger_domain::KeyHash::of("a").to_hex()));
        }
    }

    #[keyledger_bounded::test]
    fn a_row_that_is_none_is_told_with_its_line() {
        let csv = [HEADER.as_bytes(), b"1,2\n", b"\xff,2,3,4,5\n"].concat();
        let found = mistakes("keys.csv", &csv);
        assert_eq!(found[0].0, 2);
        assert!(found[0].1.as_ref().unwrap().problem.contains("more or fewer columns"));
        assert_eq!(found[1].1.as_ref().unwrap().column, Some("key_hash"));
        for (text, told) in
            [("{", "no JSON"), ("[1]", "no JSON object"), (r#"{"name":"a","name":"b"}"#, "twice")]
        {
            let found = mistakes("keys.ndjson", text.as_bytes());
            assert!(found[0].1.as_ref().unwrap().problem.contains(told), "{text}");
        }
    }
}
