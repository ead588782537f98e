//! Reads a file of keys line by line.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use super::line::{BadLine, Line, Wanted};

/// A parsed line and its place in the file.
pub(super) struct Numbered {
    /// The number of the line, from 1.
    pub(super) number: u64,
    /// The offset of the byte after the line.
    pub(super) ends_at: u64,
    pub(super) wanted: Result<Wanted, BadLine>,
}

/// The lines of a file.
pub(super) struct Source {
    length: u64,
    lines: Lines,
}

enum Lines {
    Json {
        lines: io::Split<BufReader<File>>,
        number: u64,
        at: u64,
    },
    /// Each record counts as one line: no field of a key contains a line break.
    Csv {
        header: csv::StringRecord,
        records: csv::StringRecordsIntoIter<File>,
        number: u64,
    },
}

impl Source {
    pub(super) fn open(path: &str) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let extension = Path::new(path).extension();
        let lines = if extension.is_some_and(|it| it.eq_ignore_ascii_case("csv")) {
            let mut reader = csv::Reader::from_reader(file);
            Lines::Csv {
                header: reader.headers()?.clone(),
                records: reader.into_records(),
                number: 1,
            }
        } else {
            Lines::Json { lines: BufReader::new(file).split(b'\n'), number: 0, at: 0 }
        };
        Ok(Self { length, lines })
    }

    /// The length of the file in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }
}

impl Iterator for Source {
    type Item = Numbered;

    fn next(&mut self) -> Option<Numbered> {
        match &mut self.lines {
            Lines::Json { lines, number, at } => loop {
                let line = lines.next()?;
                *number += 1;
                let text = match &line {
                    Ok(line) => line.trim_ascii(),
                    Err(_) => b"",
                };
                *at += line.as_ref().map_or(0, |line| 1 + u64::try_from(line.len()).unwrap_or(0));
                if line.is_ok() && text.is_empty() {
                    continue;
                }
                let wanted = serde_json::from_slice::<Line>(text)
                    .map_err(|error| BadLine::json(&error))
                    .and_then(Wanted::try_from);
                return Some(Numbered { number: *number, ends_at: *at, wanted });
            },
            Lines::Csv { header, records, number } => {
                let record = records.next()?;
                *number += 1;
                let ends_at = records.reader().position().byte();
                let wanted = record
                    .and_then(|record| record.deserialize::<Line>(Some(header)))
                    .map_err(|error| BadLine::csv(&error))
                    .and_then(Wanted::try_from);
                Some(Numbered { number: *number, ends_at, wanted })
            }
        }
    }
}
