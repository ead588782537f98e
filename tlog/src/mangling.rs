//! Recognises files that were changed on their way, by a program that did not mean to forge them.

use std::fmt;

use super::checkpoint_file::split_notes;
use super::note::Note;

/// How a file was changed on its way. Nothing can then be said of what was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mangling {
    /// The file has no byte.
    Empty,
    /// The file is compressed.
    Gzip,
    /// The file begins with a byte order mark.
    ByteOrderMark,
    /// The text is in UTF-16.
    Utf16,
    /// The file is a page, such as an error or a sign-in form.
    Page,
    /// Lines end in CR LF.
    LineEnds,
    /// The line feed at the end is missing, and nothing else.
    LastLineFeed,
}

impl Mangling {
    /// How many bytes at the start of a file [`Mangling::at_start`] looks at.
    pub(super) const START: usize = 64;

    /// What the first 64 bytes of a file show; those of a shorter file are all that it has.
    pub(super) fn at_start(start: &[u8]) -> Option<Self> {
        let text = start.get(..Self::START).unwrap_or(start).trim_ascii_start();
        match start {
            [] => Some(Self::Empty),
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0xef, 0xbb, 0xbf, ..] => Some(Self::ByteOrderMark),
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some(Self::Utf16),
            [..] => text.starts_with(b"<").then_some(Self::Page),
        }
    }

    /// How the file of checkpoints with these bytes was changed on its way, as far as it shows.
    #[must_use]
    pub fn of_notes(bytes: &[u8]) -> Option<Self> {
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
        let is_changed = |line: &[u8]| line.ends_with(b"\r\n");
        let (first, last) = (lines.next().unwrap_or_default(), lines.next_back());
        if let Some(mangling) = Self::at_start(bytes) {
            return Some(mangling);
        }
        if is_changed(first) && last.is_none_or(is_changed) {
            return Some(Self::LineEnds);
        }
        let text = String::from_utf8_lossy(bytes);
        let note = split_notes(&text).pop().filter(|note| !note.ends_with('\n'))?;
        Note::parse(&format!("{note}\n")).is_ok().then_some(Self::LastLineFeed)
    }
}

impl fmt::Display for Mangling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the file is empty",
            Self::Gzip => "the file is compressed with gzip",
            Self::ByteOrderMark => "the file begins with a byte order mark",
            Self::Utf16 => "the file was converted to UTF-16",
            Self::Page => "the file is an HTML or XML page",
            Self::LineEnds => "the line ends were changed to CR LF",
            Self::LastLineFeed => "the line feed at the end is missing",
        })?;
        f.write_str("; get the file again, byte for byte")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_to_a_file_of_checkpoints_is_told() {
        let note = "a\n1\nroot\n\n\u{2014} a AAAAAAAA\n";
        let two = format!("{note}\n{note}");
        let crlf = two.replace('\n', "\r\n");
        let gzip: &[u8] = &[0x1f, 0x8b, 8, 0];
        let bom = [b"\xef\xbb\xbf", note.as_bytes()].concat();
        for (bytes, expected) in [
            (&b""[..], Some(Mangling::Empty)),
            (gzip, Some(Mangling::Gzip)),
            (&bom, Some(Mangling::ByteOrderMark)),
            (b"\xff\xfea\0\n\0", Some(Mangling::Utf16)),
            (b"\r\n <!DOCTYPE html>\n", Some(Mangling::Page)),
            (crlf.as_bytes(), Some(Mangling::LineEnds)),
            (note.trim_end().as_bytes(), Some(Mangling::LastLineFeed)),
            (two.trim_end().as_bytes(), Some(Mangling::LastLineFeed)),
            (note.as_bytes(), None),
            (two.as_bytes(), None),
            (two.replacen('\n', "\r\n", 1).as_bytes(), None),
            (&two.as_bytes()[..two.len() - 5], None),
            (b"{}", None),
        ] {
            let text = String::from_utf8_lossy(bytes);
            assert_eq!(Mangling::of_notes(bytes), expected, "{text:?}");
        }
    }
}
