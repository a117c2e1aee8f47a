//! What a program finds on its stack when it begins: its arguments, its environment, and what the kernel tells it.

use std::io;

/// `AT_EXECFN`: the path that the program was started by.
const PATH: u64 = 31;
/// `AT_SYSINFO_EHDR`: where the kernel's own code for programs is.
const KERNEL_CODE: u64 = 33;

/// Size of a word.
const WORD: usize = size_of::<u64>();

/// Whatever the kernel allows, there is an end to it.
const MAX_WORDS: usize = 1 << 22;

/// The words at the end of a new program's stack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Beginning {
    arguments: Vec<u64>,
    environment: Vec<u64>,
    told: Vec<(u64, u64)>,
    /// The address behind them.
    end: u64,
}

impl Beginning {
    /// Reads them from the end of a stack, with a function that reads memory from an address.
    pub(super) fn read(stack: u64, read: impl Fn(u64, &mut [u8]) -> io::Result<()>) -> io::Result<Self> {
        const PIECE: usize = 512;
        let mut words: Vec<u64> = Vec::new();
        let mut taken = 0;
        let mut next = || -> io::Result<u64> {
            if taken == words.len() {
                if taken > MAX_WORDS {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                // Not beyond the page, behind which there may be nothing.
                let address = stack + (taken * WORD) as u64;
                let to_border = usize::try_from(4096 - address % 4096).unwrap_or(WORD) / WORD;
                let mut bytes = vec![0; PIECE.min(to_border) * WORD];
                read(address, &mut bytes)?;
                let word = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().unwrap_or_default());
                words.extend(bytes.chunks_exact(WORD).map(word));
            }
            taken += 1;
            Ok(words[taken - 1])
        };
        let count = next()?;
        let mut arguments = Vec::new();
        for _ in 0..count {
            arguments.push(next()?);
        }
        next()?;
        let mut environment = Vec::new();
        loop {
            match next()? {
                0 => break,
                variable => environment.push(variable),
            }
        }
        let mut told = Vec::new();
        loop {
            let pair = (next()?, next()?);
            told.push(pair);
            if pair.0 == 0 {
                break;
            }
        }
        let end = stack + (taken * WORD) as u64;
        Ok(Self {
            arguments,
            environment,
            told,
            end,
        })
    }

    /// Returns where the kernel's own code for programs is.
    pub(super) fn kernel_code(&self) -> Option<u64> {
        let told = self.told.iter().find(|(kind, _)| *kind == KERNEL_CODE);
        told.map(|(_, address)| *address)
    }

    /// Returns the end of a stack and what is to be there, for a program that is told this path, and if there are any,
    /// these arguments in the place of its first one. Nothing is moved that the words point to.
    pub(super) fn with(&self, path: &[u8], first: &[&[u8]]) -> (u64, Vec<u8>) {
        let strings: Vec<&[u8]> = std::iter::once(path).chain(first.iter().copied()).collect();
        let size: usize = strings.iter().map(|string| string.len() + 1).sum();
        let mut address = self.end - size as u64;
        let mut addresses = Vec::new();
        for string in &strings {
            addresses.push(address);
            address += string.len() as u64 + 1;
        }
        let kept = if first.is_empty() { 0 } else { 1 };
        let mut words = vec![0];
        words.extend(&addresses[1..]);
        words.extend(self.arguments.iter().skip(kept));
        words[0] = words.len() as u64 - 1;
        words.push(0);
        words.extend(&self.environment);
        words.push(0);
        for (kind, value) in &self.told {
            words.extend([*kind, if *kind == PATH { addresses[0] } else { *value }]);
        }
        let stack = (addresses[0] - (words.len() * WORD) as u64) & !15;
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.resize(usize::try_from(addresses[0] - stack).unwrap_or(bytes.len()), 0);
        for string in strings {
            bytes.extend(string);
            bytes.push(0);
        }
        (stack, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK: u64 = 0x7fff_0000_0f00;

    fn read(stack: u64, bytes: &[u8]) -> Beginning {
        let read = |address: u64, buffer: &mut [u8]| {
            let from = (address - stack) as usize;
            let there = &bytes[from..bytes.len().min(from + buffer.len())];
            buffer[..there.len()].copy_from_slice(there);
            Ok(())
        };
        Beginning::read(stack, read).unwrap()
    }

    fn string(stack: u64, bytes: &[u8], address: u64) -> String {
        let rest = &bytes[(address - stack) as usize..];
        let end = rest.iter().position(|byte| *byte == 0).unwrap();
        String::from_utf8(rest[..end].to_vec()).unwrap()
    }

    #[test]
    fn a_program_is_told_other_arguments_and_another_path() {
        let words: [u64; 13] = [2, 0x11, 0x12, 0, 0x21, 0, 6, 4096, PATH, 0x31, KERNEL_CODE, 0x41, 0];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.extend([0; 8]);
        let beginning = read(STACK, &bytes);
        assert_eq!(beginning.kernel_code(), Some(0x41));
        let (stack, bytes) = beginning.with(b"/bin/script", &[b"/bin/sh", b"-e", b"/bin/script"]);
        assert_eq!(stack % 16, 0);
        assert_eq!(stack + bytes.len() as u64, STACK + 14 * 8);
        let changed = read(stack, &bytes);
        let told = |address: u64| string(stack, &bytes, address);
        let arguments: Vec<_> = changed.arguments[..3].iter().map(|address| told(*address)).collect();
        assert_eq!(arguments, ["/bin/sh", "-e", "/bin/script"]);
        assert_eq!(
            (&changed.arguments[3..], &*changed.environment),
            (&[0x12][..], &[0x21][..])
        );
        assert_eq!((changed.told[0], changed.told[3]), ((6, 4096), (0, 0)));
        assert_eq!(told(changed.told[1].1), "/bin/script");
    }

    #[test]
    fn arguments_stay_unless_there_are_others() {
        let words: [u64; 9] = [2, 0x11, 0x12, 0, 0, PATH, 0x31, 0, 0];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let (stack, bytes) = read(STACK, &bytes).with(b"/bin/true", &[]);
        assert_eq!(read(stack, &bytes).arguments, [0x11, 0x12]);
    }
}
