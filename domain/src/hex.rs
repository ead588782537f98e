//! Bytes as lower-case hexadecimal digits.

/// The digits of these bytes, two for each.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for half in [byte >> 4, byte & 0x0f] {
            digits.push(char::from_digit(u32::from(half), 16).unwrap_or('0'));
        }
    }
    digits
}

/// The `N` bytes with these digits; `None` for any other text, also one with capitals.
#[must_use]
pub fn from_hex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let half = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    let bytes = pairs.iter().map(|[high, low]| Some(half(*high)? << 4 | half(*low)?));
    bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_survive_their_digits(bytes in any::<[u8; 32]>()) {
            prop_assert_eq!(from_hex(&hex(&bytes)), Some(bytes));
        }
    }

    #[test]
    fn other_texts_are_no_digits() {
        assert_eq!(from_hex("00ff"), Some([0, 255]));
        for other in ["", "00f", "00FF", "00ff00", "é0f", " 0ff"] {
            assert_eq!(from_hex::<2>(other), None, "{other}");
        }
    }
}
