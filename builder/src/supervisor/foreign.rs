//! Doors for the fuzzer to what the supervisor reads of an image's programs.

use super::calls::script;
use super::credentials::{FileCapabilities, MAX_CAPABILITY};
use super::elf::{HEADER, Headers, Interpreter};

/// Checks the bytes of a program: what has to start it is inside of it, and can be replaced.
pub fn program(bytes: &[u8]) {
    if let Some((name, argument)) = script(bytes) {
        let said = name.len() + argument.map_or(0, <[u8]>::len);
        assert!(!name.is_empty() && said <= bytes.len());
        assert!(
            ![Some(name), argument]
                .iter()
                .flatten()
                .any(|text| text.contains(&b'\n'))
        );
    }
    let Some(found) = interpreter(bytes) else { return };
    let name = c"/new/interpreter".to_owned();
    let mut copy = bytes.to_vec();
    for (place, new) in found.replaced(bytes.len() as u64, &name) {
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        copy.resize(copy.len().max(place.saturating_add(new.len())), 0);
        copy[place..place + new.len()].copy_from_slice(&new);
    }
    // A header of the file that tells of the headers may lie in them, and is then written over.
    if let Some(again) = interpreter(&copy).filter(|_| Headers::parse(&copy) == Headers::parse(bytes)) {
        assert_eq!(again.length, name.to_bytes_with_nul().len());
        assert_eq!(again.place, bytes.len() as u64);
    }
}

/// Reads as the supervisor does: the headers must be in the file.
fn interpreter(bytes: &[u8]) -> Option<Interpreter> {
    let headers = Headers::parse(bytes.get(..HEADER)?)?;
    let place = usize::try_from(headers.place).ok()?;
    headers.interpreter(bytes.get(place..place.checked_add(headers.size)?)?)
}

/// Checks the value of `security.capability`.
pub fn capabilities(value: &[u8]) {
    let _parsed = FileCapabilities::parse(&value[..value.len().min(MAX_CAPABILITY)]);
}
