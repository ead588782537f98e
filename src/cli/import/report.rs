//! What became of the rows.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use anyhow::{Context, bail};
use keyledger_commands::Imported;
use serde::Serialize;

use super::cells::BadRow;
use crate::cli::say;

/// The results so far, and where refused rows are told.
pub(super) struct Report {
    new: u64,
    known: u64,
    revoked: u64,
    refused: u64,
    file: Option<BufWriter<File>>,
}

/// A line of the file of refused rows.
#[derive(Serialize)]
struct RefusedRow<'a> {
    line: u64,
    column: Option<&'a str>,
    problem: &'a str,
}

impl Report {
    /// With a path, refused rows are also written to this file as NDJSON. A file that is there is replaced.
    pub(super) fn to(path: Option<&String>) -> anyhow::Result<Self> {
        let create = |path: &String| {
            let file = File::create(path);
            file.map(BufWriter::new).with_context(|| format!("{path:?} cannot be written"))
        };
        let file = path.map(create).transpose()?;
        Ok(Self { new: 0, known: 0, revoked: 0, refused: 0, file })
    }

    pub(super) fn count(&mut self, imported: Imported) {
        match imported {
            Imported::New => self.new += 1,
            Imported::Known => self.known += 1,
            Imported::Revoked => self.revoked += 1,
        }
    }

    /// Counts and tells a row that is not imported.
    pub(super) fn refuse(
        &mut self,
        line: u64,
        BadRow { column, problem }: &BadRow,
    ) -> io::Result<()> {
        self.refused += 1;
        // An error is ignored: standard error may be closed.
        let _ = match column {
            Some(column) => writeln!(io::stderr(), "line {line}, {column}: {problem}"),
            None => writeln!(io::stderr(), "line {line}: {problem}"),
        };
        if let Some(file) = &mut self.file {
            serde_json::to_writer(&mut *file, &RefusedRow { line, column: *column, problem })?;
            file.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Prints the numbers.
    ///
    /// # Errors
    /// That rows were refused, so that the exit code tells it too.
    pub(super) fn finish(self, is_rehearsal: bool) -> anyhow::Result<()> {
        let Self { new, known, revoked, refused, file } = self;
        if let Some(file) = file {
            file.into_inner().context("the file of refused lines cannot be written")?;
        }
        let nothing = if is_rehearsal { " Nothing was written: this was a dry run." } else { "" };
        say(&format!(
            "Keys: {new} imported, {known} known before, {revoked} known before and revoked now. \
             Lines refused: {refused}.{nothing}"
        ))?;
        if refused > 0 {
            bail!("not all lines were imported: correct the lines named above, and import again");
        }
        Ok(())
    }
}
