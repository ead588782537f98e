//! Texts from people: a key's name, a reason, an e-mail address.

use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// Characters that are not seen: those that may be left out of the display (`Default_Ignorable_Code_Point`
/// in DerivedCoreProperties.txt of Unicode 17), and the blank of Braille.
const INVISIBLE: [RangeInclusive<char>; 18] = [
    '\u{AD}'..='\u{AD}',
    '\u{34F}'..='\u{34F}',
    '\u{61C}'..='\u{61C}',
    '\u{115F}'..='\u{1160}',
    '\u{17B4}'..='\u{17B5}',
    '\u{180B}'..='\u{180F}',
    '\u{200B}'..='\u{200F}',
    '\u{202A}'..='\u{202E}',
    '\u{2060}'..='\u{206F}',
    '\u{2800}'..='\u{2800}',
    '\u{3164}'..='\u{3164}',
    '\u{FE00}'..='\u{FE0F}',
    '\u{FEFF}'..='\u{FEFF}',
    '\u{FFA0}'..='\u{FFA0}',
    '\u{FFF0}'..='\u{FFF8}',
    '\u{1BCA0}'..='\u{1BCA3}',
    '\u{1D173}'..='\u{1D17A}',
    '\u{E0000}'..='\u{E0FFF}',
];

/// Whether a character changes the direction of the text around it (`Bidi_Control` in PropList.txt of
/// Unicode): with it, a name could look like another one, and hide what stands next to it.
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Whether text from outside may hold this character.
fn is_text(c: char) -> bool {
    !c.is_control() && !is_bidi_control(c)
}

fn is_visible(c: char) -> bool {
    !c.is_whitespace() && !INVISIBLE.iter().any(|range| range.contains(&c))
}

/// The name that an owner gave a key: 1 to 100 characters (Unicode scalar values) after trimming, at least
/// one of them visible, without control characters and those that control the direction of text.
///
/// These rules do not apply to stored names, so that a stricter rule cannot make old events
/// unreadable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyName(String);

/// Why a text is not a [`KeyName`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyNameError {
    /// The text is empty, or nothing of it can be seen.
    #[error("Name is required")]
    Required,
    /// The text has more than 100 characters.
    #[error("Name must be 100 characters or less")]
    TooLong,
    /// The text holds a control character.
    #[error("Name must not contain control characters")]
    ControlCharacter,
}

impl KeyName {
    /// The maximum number of characters.
    pub const MAX_CHARS: usize = 100;

    /// Parses a name from outside, without the white space at both ends.
    ///
    /// # Errors
    /// Every variant of [`KeyNameError`].
    pub fn parse(text: &str) -> Result<Self, KeyNameError> {
        let name = text.trim();
        if name.is_empty() {
            return Err(KeyNameError::Required);
        }
        if !name.chars().all(is_text) {
            return Err(KeyNameError::ControlCharacter);
        }
        if !name.chars().any(is_visible) {
            return Err(KeyNameError::Required);
        }
        if name.chars().count() > Self::MAX_CHARS {
            return Err(KeyNameError::TooLong);
        }
        Ok(Self(name.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name that was parsed before it was stored.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }
}

/// The reason for which a key was revoked or deleted: 1 to 500 characters after trimming, without
/// control characters and those that control the direction of text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reason(String);

/// Why a text is not a [`Reason`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReasonError {
    /// The text has more than 500 characters.
    #[error("Reason must be 500 characters or less")]
    TooLong,
    /// The text holds a control character.
    #[error("Reason must not contain control characters")]
    ControlCharacter,
}

impl Reason {
    /// The maximum number of characters.
    pub const MAX_CHARS: usize = 500;

    /// Parses a reason from outside, without the white space at both ends; `None` if it is blank.
    ///
    /// # Errors
    /// Every variant of [`ReasonError`].
    pub fn parse(text: &str) -> Result<Option<Self>, ReasonError> {
        let reason = text.trim();
        if reason.is_empty() {
            return Ok(None);
        }
        if !reason.chars().all(is_text) {
            return Err(ReasonError::ControlCharacter);
        }
        if reason.chars().count() > Self::MAX_CHARS {
            return Err(ReasonError::TooLong);
        }
        Ok(Some(Self(reason.to_owned())))
    }

    /// The reason as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An owner's e-mail address, as the identity provider gave it. It is shown, and no mail is sent to
/// it. `Debug` does not show it, because it must not be logged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Email(String);

impl Email {
    /// Parses an address of 1 to 320 characters (RFC 3696, erratum 1690: 64 + 1 + 255) without
    /// control characters; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=320).contains(&text.chars().count());
        (fits && !text.chars().any(char::is_control)).then(|| Self(text.to_owned()))
    }

    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// An address that was parsed before it was stored.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(..)")
    }
}

/// The id that an imported key had at the former service: 1 to 255 characters, without control characters and
/// those that control the direction of text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourceId(String);

/// The text is not a [`SourceId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id of a former service has 1 to 255 characters, without control characters")]
pub struct SourceIdError;

impl SourceId {
    /// Parses an id from outside.
    ///
    /// # Errors
    /// [`SourceIdError`] for a text that is empty, too long or not plain.
    pub fn parse(text: &str) -> Result<Self, SourceIdError> {
        let fits = (1..=255).contains(&text.chars().count());
        if fits && text.chars().all(is_text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(SourceIdError)
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_trimmed() {
        assert_eq!(KeyName::parse("  ci bot\n").unwrap().as_str(), "ci bot");
    }

    #[test]
    fn a_blank_name_is_no_name() {
        for text in [
            "",
            " ",
            "\t\n",
            "\u{3000}",
            "\u{200B}",
            "\u{2060} \u{FEFF}",
            "\u{AD}",
            "\u{3164}",
            "\u{E0041}",
            "\u{2800}",
        ] {
            assert_eq!(KeyName::parse(text), Err(KeyNameError::Required), "{text:?}");
        }
    }

    #[test]
    fn a_name_is_counted_in_characters_after_trimming() {
        let longest = "é".repeat(100);
        assert!(KeyName::parse(&format!("  {longest}  ")).is_ok());
        assert_eq!(KeyName::parse(&format!("{longest}x")), Err(KeyNameError::TooLong));
    }

    #[test]
    fn a_name_holds_no_control_characters() {
        for text in
            ["a\0b", "a\nb", "a\u{85}b", "a\u{1b}[31mb", "a\u{202E}b", "\u{2066}a", "\u{200F}"]
        {
            assert_eq!(KeyName::parse(text), Err(KeyNameError::ControlCharacter), "{text:?}");
            assert_eq!(Reason::parse(text), Err(ReasonError::ControlCharacter), "{text:?}");
        }
    }

    #[test]
    fn a_name_may_have_characters_that_are_not_seen_beside_others() {
        // A family, whose members are joined; a Persian word with a zero-width non-joiner.
        for text in ["\u{1F468}\u{200D}\u{1F469}", "می\u{200C}خواهم", "日本", "e\u{301}"] {
            assert_eq!(KeyName::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn a_blank_reason_is_none() {
        assert_eq!(Reason::parse("  "), Ok(None));
        assert_eq!(Reason::parse(" left ").unwrap().unwrap().as_str(), "left");
        assert_eq!(Reason::parse(&"x".repeat(501)), Err(ReasonError::TooLong));
        assert_eq!(Reason::parse("a\0"), Err(ReasonError::ControlCharacter));
    }

    #[test]
    fn an_id_of_a_former_service_is_bounded_and_plain() {
        for text in ["7", "0b9f-…", &"ü".repeat(255)] {
            assert_eq!(SourceId::parse(text).unwrap().as_str(), text);
        }
        for text in ["", "a\nb", "a\u{202E}", &"x".repeat(256)] {
            assert_eq!(SourceId::parse(text), Err(SourceIdError), "{text:?}");
        }
    }

    #[test]
    fn an_address_is_hidden_from_debug() {
        let email = Email::parse("ann@example.com").unwrap();
        assert_eq!(format!("{email:?}"), "Email(..)");
        assert_eq!(Email::parse(""), None);
        assert_eq!(Email::parse("a\0"), None);
    }
}
