use proptest::prelude::*;

use super::*;

// The keys, the text and the signatures that the reference implementation is tested with.
const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const PETER_PRIVATE: &str =
    "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const ENOCH: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
const BY_PETER: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1F\
                        FYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const BY_ENOCH: &str = "\u{2014} EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1\
                        aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

fn key(text: &str) -> NoteVerifyingKey {
    text.parse().unwrap()
}

fn note(signatures: &[&str]) -> Note {
    Note::parse(&format!("{TEXT}\n{}", signatures.concat())).unwrap()
}

fn signing_key(name: &str, seed: u8) -> NoteSigningKey {
    NoteSigningKey::from_seed(name, zeroize::Zeroizing::new([seed; 32])).unwrap()
}

#[test]
fn published_keys_are_read_and_written_as_they_are() {
    for text in
        [PETER, ENOCH, "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"]
    {
        assert_eq!(key(text).to_string(), text);
    }
    let private = NoteSigningKey::parse(PETER_PRIVATE).unwrap();
    assert_eq!(private.verifying_key().to_string(), PETER);
    assert_eq!(*private.private_text(), PETER_PRIVATE);
}

#[test]
fn a_published_signature_is_made_again_and_replaces_itself() {
    let mut note = Note::new(TEXT.to_owned()).unwrap();
    for _ in 0..2 {
        note.sign(&NoteSigningKey::parse(PETER_PRIVATE).unwrap()).unwrap();
        assert_eq!(note.to_string(), format!("{TEXT}\n{BY_PETER}"));
    }
}

#[test]
fn a_note_is_believed_if_a_key_that_is_trusted_has_signed_it() {
    let (peter, enoch) = (key(PETER), key(ENOCH));
    let both = note(&[BY_PETER, BY_ENOCH]);
    assert_eq!(both.text(), TEXT);
    assert_eq!(both.verify(std::slice::from_ref(&enoch)), Ok(vec![&enoch]));
    assert_eq!(both.verify(&[enoch.clone(), peter.clone()]), Ok(vec![&peter, &enoch]));
    assert_eq!(note(&[BY_PETER, BY_PETER]).verify(std::slice::from_ref(&peter)).unwrap().len(), 1);
    let unknown = Err(NoteError::UnknownKey("EnochRoot+af0cfe78".to_owned()));
    assert_eq!(note(&[BY_ENOCH]).verify(&[peter]), unknown);
    assert!(both.verify(&[]).is_err());
}

#[test]
fn a_wrong_signature_of_a_key_that_is_trusted_is_never_passed_over() {
    let wrong = BY_ENOCH.replace("5n2tiOHp", "5n2tiOHq");
    let keys = [key(PETER), key(ENOCH)];
    let bad = Err(NoteError::BadSignature("EnochRoot+af0cfe78".to_owned()));
    assert_eq!(note(&[BY_PETER, &wrong]).verify(&keys), bad);
    assert_eq!(note(&[BY_PETER, &wrong]).verify(&keys[..1]), Ok(vec![&keys[0]]));
    let longer = format!("{}ABCD{}", &BY_PETER[..60], &BY_PETER[60..]);
    assert!(note(&[&longer]).verify(&keys).is_err());
}

#[test]
fn keys_of_one_name_take_over_from_each_other() {
    let (old, new) = (signing_key("example.com/log", 1), signing_key("example.com/log", 2));
    let mut note = Note::new("text\n".to_owned()).unwrap();
    note.sign(&old).unwrap();
    note.sign(&new).unwrap();
    let read = Note::parse(&note.to_string()).unwrap();
    assert_eq!(read, note);
    for key in [&old, &new] {
        let key = key.verifying_key().clone();
        assert_eq!(read.verify(std::slice::from_ref(&key)), Ok(vec![&key]));
    }
    assert!(read.verify(&[signing_key("example.com/log", 3).verifying_key().clone()]).is_err());
}

#[test]
fn what_has_not_the_form_of_a_note_is_refused() {
    let longest = "x".repeat(MAX_LENGTH);
    for wrong in [
        TEXT.to_owned(),
        format!("{TEXT}\n"),
        format!("{TEXT}\n{}", BY_PETER.trim_end()),
        format!("{TEXT}{BY_PETER}"),
        format!("\u{1}{TEXT}\n{BY_PETER}"),
        format!("{}\n{BY_PETER}", TEXT.replace('\n', "\r\n")),
        format!("{TEXT}\n{BY_PETER}Unexpected line.\n"),
        format!("{TEXT}\n{BY_PETER}\n"),
        format!("{TEXT}\n{}", BY_PETER.replace("Peter", "Peter ")),
        format!("{TEXT}\n{}", BY_PETER.replace("Peter", "Peter+")),
        format!("{TEXT}\n{}", BY_PETER.replace("\u{2014}", "-")),
        format!("{TEXT}\n{}", BY_PETER.replace("AM=", "AN=")),
        format!("{TEXT}\n\u{2014} PeterNeumann x08gow==\n"),
        format!("{TEXT}\n{}", BY_PETER.repeat(MAX_SIGNATURES + 1)),
        format!("{longest}\n\n{BY_PETER}"),
    ] {
        assert!(Note::parse(&wrong).is_err(), "{wrong:.300}");
    }
    assert!(Note::parse(&format!("{TEXT}\n{}", BY_PETER.repeat(MAX_SIGNATURES))).is_ok());
    for wrong in ["", "no line feed", "a tab\t\n"] {
        assert_eq!(Note::new(wrong.to_owned()), Err(NoteError::Text), "{wrong}");
    }
}

#[test]
fn no_part_of_a_key_is_a_key() {
    for from in 0..PETER.len() {
        for to in from..=PETER.len() {
            let whole = from == 0 && to == PETER.len();
            assert_eq!(PETER[from..to].parse::<NoteVerifyingKey>().is_ok(), whole);
        }
    }
    for text in [PETER, PETER_PRIVATE] {
        for at in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] += 1;
            let changed = String::from_utf8(bytes).unwrap();
            assert!(changed.parse::<NoteVerifyingKey>().is_err(), "{changed}");
            assert!(NoteSigningKey::parse(&changed).is_err(), "{changed}");
        }
    }
    // A wrong length and another key type, each with matching hex digits.
    let longer = "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==";
    let typed = "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    for wrong in [longer, typed, &PETER.replace("c74f20a3", "C74F20A3")] {
        assert!(wrong.parse::<NoteVerifyingKey>().is_err(), "{wrong}");
    }
    for name in ["", "a b", "a+b", "a\nb", "a\u{a0}b", &"x".repeat(256)] {
        assert_eq!(NoteVerifyingKey::new(name, [0; 32]), Err(NoteKeyError::Name), "{name:?}");
    }
}

#[test]
fn a_private_key_cannot_be_debug_printed() {
    let key = NoteSigningKey::parse(PETER_PRIVATE).unwrap();
    assert_eq!(format!("{key:?}"), "NoteSigningKey(PeterNeumann+c74f20a3, ..)");
}

proptest! {
    #[test]
    fn no_changed_byte_of_a_signed_note_is_believed(
        at in any::<prop::sample::Index>(), change in 1..=255_u8,
    ) {
        let good = format!("{TEXT}\n{BY_PETER}");
        let mut bytes = good.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        if let Ok(text) = String::from_utf8(bytes) {
            let read = Note::parse(&text);
            prop_assert!(read.is_err() || read.unwrap().verify(&[key(PETER)]).is_err());
        }
    }

    #[test]
    fn no_text_makes_reading_panic(text in "(?s).*") {
        let _ = Note::parse(&text);
        let _ = text.parse::<NoteVerifyingKey>();
    }
}
