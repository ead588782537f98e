//! Reads a file of keys line by line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::line::{BadLine, Line, Wanted};

/// The most bytes of a line.
const MAX_LINE: usize = 64 * 1024;

/// A parsed line and its place in the file.
pub(super) struct Numbered {
    /// The number of the line, from 1.
    pub(super) number: u64,
    /// The offset of the byte after the line.
    pub(super) ends_at: u64,
    pub(super) wanted: Result<Wanted, BadLine>,
}

/// The lines of a file. They end after one that cannot be read.
pub(super) struct Source {
    length: u64,
    lines: Lines,
    has_failed: bool,
}

/// A reader that fails at a line that is too long, so that no line has to fit into memory before it is
/// refused.
struct ShortLines<R> {
    reader: R,
    /// How many bytes of the present line were read.
    length: usize,
}

impl<R: Read> Read for ShortLines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        let read = buffer.get(..count).unwrap_or_default();
        for (index, part) in read.split(|byte| *byte == b'\n').enumerate() {
            self.length = part.len() + if index == 0 { self.length } else { 0 };
            if self.length > MAX_LINE {
                let why = format!("a line has more than {MAX_LINE} bytes");
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
        }
        Ok(count)
    }
}

enum Lines {
    Json {
        lines: io::Split<BufReader<ShortLines<File>>>,
        number: u64,
        at: u64,
    },
    /// Each record counts as one line: no field of a key contains a line break.
    Csv {
        header: csv::StringRecord,
        records: csv::StringRecordsIntoIter<ShortLines<File>>,
        number: u64,
    },
}

impl Source {
    pub(super) fn open(path: &str) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let length = metadata.len();
        let file = ShortLines { reader: file, length: 0 };
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
        Ok(Self { length, lines, has_failed: false })
    }

    /// The length of the file in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }
}

impl Iterator for Source {
    type Item = io::Result<Numbered>;

    fn next(&mut self) -> Option<io::Result<Numbered>> {
        let next = if self.has_failed { None } else { self.lines.next() };
        self.has_failed |= matches!(next, Some(Err(_)));
        next
    }
}

impl Lines {
    fn next(&mut self) -> Option<io::Result<Numbered>> {
        match self {
            Self::Json { lines, number, at } => loop {
                let line = match lines.next()? {
                    Ok(line) => line,
                    Err(error) => return Some(Err(error)),
                };
                *number += 1;
                *at += 1 + u64::try_from(line.len()).unwrap_or(0);
                let text = line.trim_ascii();
                if text.is_empty() {
                    continue;
                }
                let wanted = serde_json::from_slice::<Line>(text)
                    .map_err(|error| BadLine::json(&error))
                    .and_then(Wanted::try_from);
                return Some(Ok(Numbered { number: *number, ends_at: *at, wanted }));
            },
            Self::Csv { header, records, number } => {
                let record = match records.next()?.map_err(|error| (error.is_io_error(), error)) {
                    Err((true, error)) => return Some(Err(error.into())),
                    record => record.map_err(|(_, error)| error),
                };
                *number += 1;
                let ends_at = records.reader().position().byte();
                let wanted = record
                    .and_then(|record| record.deserialize::<Line>(Some(header)))
                    .map_err(|error| BadLine::csv(&error))
                    .and_then(Wanted::try_from);
                Some(Ok(Numbered { number: *number, ends_at, wanted }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(name: &str, content: &[u8]) -> Vec<io::Result<Numbered>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        Source::open(path.to_str().unwrap()).unwrap().collect()
    }

    #[keyledger_bounded::test]
    fn a_line_that_is_too_long_ends_the_file() {
        let long = [&b"{}\n"[..], &b"x".repeat(MAX_LINE + 1), b"\n{}\n"].concat();
        let read = lines("keys.ndjson", &long);
        assert!(matches!(read.as_slice(), [Ok(Numbered { number: 1, .. }), Err(_)]));
        let header = b"key_hash,key_prefix,name,user_id,created_at\n1,2,3,4,5\n";
        let long = [&header[..], &b"x".repeat(MAX_LINE + 1)].concat();
        let read = lines("keys.csv", &long);
        assert!(
            matches!(read.as_slice(), [Ok(Numbered { number: 2, .. }), Err(_)]),
            "{}",
            read.len()
        );
        let longest = [b"x".repeat(MAX_LINE), b"y".repeat(MAX_LINE)].join(&b'\n');
        assert_eq!(lines("keys.ndjson", &longest).len(), 2);
    }

    #[keyledger_bounded::test]
    fn a_folder_is_no_file_of_keys() {
        let folder = tempfile::tempdir().unwrap();
        let opened = Source::open(folder.path().to_str().unwrap());
        assert!(opened.is_err_and(|error| error.kind() == io::ErrorKind::IsADirectory));
    }
}
