//! What is read of a program's file: which other program has to start it, and where that is written.

use std::ffi::CString;

/// `EM_*` of this processor.
const MACHINE: u16 = if cfg!(target_arch = "x86_64") { 62 } else { 183 };

/// Size of a file's header, and of one of the program headers that it tells of.
pub(super) const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;

/// `PT_INTERP`: the program header that names the interpreter.
const INTERPRETER: u32 = 3;

/// Where in a program header the place and the length of what it is about are.
const PLACE: usize = 8;
const LENGTH: usize = 32;

/// Where the program headers of a file are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Headers {
    /// Bytes before them.
    pub(super) place: u64,
    /// Their size in bytes.
    pub(super) size: usize,
}

/// Where the name of a program's interpreter is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Interpreter {
    /// Bytes in the file before the header that tells of it.
    header: u64,
    /// Bytes before the name.
    pub(super) place: u64,
    /// Its length with the terminator.
    pub(super) length: usize,
}

impl Headers {
    /// Reads the beginning of a file; `None` if it is no program of this processor's.
    pub(super) fn parse(header: &[u8]) -> Option<Self> {
        // 64 bits, the lower bytes first.
        let is_known = header.starts_with(b"\x7fELF\x02\x01") && word16(header, 18)? == MACHINE;
        let is_usual = usize::from(word16(header, 54)?) == PROGRAM_HEADER;
        (is_known && is_usual).then_some(Self {
            place: word64(header, 32)?,
            size: usize::from(word16(header, 56)?) * PROGRAM_HEADER,
        })
    }

    /// Finds the interpreter in the program headers; most static programs have none.
    pub(super) fn interpreter(&self, headers: &[u8]) -> Option<Interpreter> {
        let mut all = headers.chunks_exact(PROGRAM_HEADER).enumerate();
        let is_meant = |header: &[u8]| word32(header, 0) == Some(INTERPRETER);
        let (index, header) = all.find(|(_, header)| is_meant(header))?;
        Some(Interpreter {
            header: self.place + (index * PROGRAM_HEADER) as u64,
            place: word64(header, PLACE)?,
            length: usize::try_from(word64(header, LENGTH)?).ok()?,
        })
    }
}

impl Interpreter {
    /// Returns what has to be written to a program's file, and where, to have it started by an interpreter whose name is
    /// at its end. What the program itself reads of its interpreter's name stays what it is.
    pub(super) fn replaced(&self, end: u64, name: &CString) -> [(u64, Vec<u8>); 3] {
        let name = name.to_bytes_with_nul();
        [
            (end, name.to_vec()),
            (self.header + PLACE as u64, end.to_le_bytes().to_vec()),
            (self.header + LENGTH as u64, (name.len() as u64).to_le_bytes().to_vec()),
        ]
    }
}

fn word16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn word32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn word64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// Returns a program that ends with a status, and has an interpreter or none.
pub(super) fn smallest(status: u8, interpreter: Option<&str>) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    let code: Vec<u8> = if cfg!(target_arch = "x86_64") {
        // mov edi, status; mov eax, exit_group; syscall
        vec![0xbf, status, 0, 0, 0, 0xb8, 231, 0, 0, 0, 0x0f, 0x05]
    } else {
        // mov x0, status; mov x8, exit_group; svc 0
        let load = 0xd280_0000_u32 | u32::from(status) << 5;
        [load, 0xd280_0008 | 94 << 5, 0xd400_0001]
            .iter()
            .flat_map(|instruction| instruction.to_le_bytes())
            .collect()
    };
    let name = interpreter
        .map(|name| [name.as_bytes(), b"\0"].concat())
        .unwrap_or_default();
    let count = 1 + usize::from(interpreter.is_some());
    let code_at = HEADER + count * PROGRAM_HEADER;
    let (name_at, end) = (code_at + code.len(), code_at + code.len() + name.len());
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend(2_u16.to_le_bytes());
    file.extend(MACHINE.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    for word in [BASE + code_at as u64, HEADER as u64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend(0_u32.to_le_bytes());
    for word in [HEADER as u16, PROGRAM_HEADER as u16, count as u16, 0, 0, 0] {
        file.extend(word.to_le_bytes());
    }
    let mut header = |kind: u32, flags: u32, place: u64, length: u64, alignment: u64| {
        file.extend(kind.to_le_bytes());
        file.extend(flags.to_le_bytes());
        for word in [place, BASE + place, BASE + place, length, length, alignment] {
            file.extend(word.to_le_bytes());
        }
    };
    if interpreter.is_some() {
        header(INTERPRETER, 4, name_at as u64, name.len() as u64, 1);
    }
    // To be loaded, read and run.
    header(1, 5, 0, end as u64, 0x1_0000);
    file.extend(code);
    file.extend(name);
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_interpreter_is_found_and_replaced() {
        let mut file = smallest(7, Some("/lib/loader"));
        let headers = Headers::parse(&file).unwrap();
        let table = &file[headers.place as usize..][..headers.size];
        let found = headers.interpreter(table).unwrap();
        assert_eq!(&file[found.place as usize..][..found.length], b"/lib/loader\0");
        let end = file.len() as u64;
        for (place, bytes) in found.replaced(end, &c"/elsewhere/loader".to_owned()) {
            let place = place as usize;
            file.resize(file.len().max(place + bytes.len()), 0);
            file[place..place + bytes.len()].copy_from_slice(&bytes);
        }
        let table = &file[headers.place as usize..][..headers.size];
        let found = headers.interpreter(table).unwrap();
        assert_eq!(&file[found.place as usize..][..found.length], b"/elsewhere/loader\0");
    }

    #[test]
    fn what_is_no_program_has_no_headers() {
        let static_program = smallest(0, None);
        let headers = Headers::parse(&static_program).unwrap();
        assert_eq!(headers.interpreter(&static_program[HEADER..][..headers.size]), None);
        assert_eq!(Headers::parse(b"#!/bin/sh\n"), None);
        assert_eq!(Headers::parse(&static_program[..40]), None);
        let mut foreign = static_program;
        foreign[18] ^= 1;
        assert_eq!(Headers::parse(&foreign), None);
    }
}
