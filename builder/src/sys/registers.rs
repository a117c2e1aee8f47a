//! The registers of a stopped thread, as far as they have to do with system calls: all that differs between processors.

/// Most registers that a processor has, of those that the kernel tells of together.
const ROOM: usize = 34;

/// Where the registers of a processor are in what the kernel tells of them (`NT_PRSTATUS`), counted in words.
struct Layout {
    /// How many there are.
    count: usize,
    /// The number of a call.
    number: usize,
    /// Its arguments.
    arguments: [usize; 6],
    /// What it has returned.
    result: usize,
    /// The next instruction.
    next: usize,
    /// The end of the stack.
    stack: usize,
    /// Where the kernel notes that the thread is in a call, which it may want to begin anew.
    in_call: Option<usize>,
    /// The instruction that makes a call.
    instruction: &'static [u8],
}

/// `struct user_regs_struct`.
const X86_64: Layout = Layout {
    count: 27,
    number: 10,
    arguments: [14, 13, 12, 7, 9, 8],
    result: 10,
    next: 16,
    stack: 19,
    in_call: Some(15),
    instruction: &[0x0f, 0x05],
};

/// `struct user_pt_regs`. That a call is to begin anew the kernel has decided before anybody can look, by setting these
/// registers back; the first argument it keeps elsewhere, that of the last call.
const AARCH64: Layout = Layout {
    count: 34,
    number: 8,
    arguments: [0, 1, 2, 3, 4, 5],
    result: 0,
    next: 32,
    stack: 31,
    in_call: None,
    instruction: &[0x01, 0x00, 0x00, 0xd4],
};

const LAYOUT: Layout = if cfg!(target_arch = "x86_64") { X86_64 } else { AARCH64 };

/// The instruction that makes a system call.
pub const CALL_INSTRUCTION: &[u8] = LAYOUT.instruction;

/// The registers of one thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registers([u64; ROOM]);

impl Registers {
    /// Size in bytes.
    pub(super) const SIZE: usize = LAYOUT.count * size_of::<u64>();

    /// Returns room for those of a thread.
    pub(super) fn empty() -> Self {
        Self([0; ROOM])
    }

    /// Returns where they are.
    pub(super) fn as_mut_ptr(&mut self) -> *mut u64 {
        self.0.as_mut_ptr()
    }

    /// Returns the end of the stack.
    pub(super) fn stack(&self) -> u64 {
        self.0[LAYOUT.stack]
    }

    /// Sets the end of the stack.
    pub(super) fn set_stack(&mut self, address: u64) {
        self.0[LAYOUT.stack] = address;
    }

    /// Returns the next instruction.
    pub(super) fn next(&self) -> u64 {
        self.0[LAYOUT.next]
    }

    /// Returns what a call has returned.
    pub(super) fn result(&self) -> i64 {
        self.0[LAYOUT.result].cast_signed()
    }

    /// Returns whether they are those of a thread that is in a call, which it has made with the instruction before this one,
    /// and is to begin anew.
    pub(super) fn have_called(&self, next: u64) -> bool {
        match LAYOUT.in_call {
            Some(_) => self.next() == next,
            // Already set back.
            None => self.next() + CALL_INSTRUCTION.len() as u64 == next,
        }
    }

    /// Returns the first argument of the call.
    pub(super) fn first_argument(&self) -> u64 {
        self.0[LAYOUT.arguments[0]]
    }

    /// Leaves the call as one that a signal has interrupted: its number and arguments are where they were.
    pub(super) fn interrupted_call(mut self, next: u64, result: i64) -> Self {
        self.0[LAYOUT.result] = result.cast_unsigned();
        self.0[LAYOUT.next] = next;
        self
    }

    /// Goes on at an instruction, as if the call had returned this.
    pub(super) fn after_call(mut self, next: u64, result: i64) -> Self {
        self.leave_call();
        self.0[LAYOUT.result] = result.cast_unsigned();
        self.0[LAYOUT.next] = next;
        self
    }

    /// Makes a call with an instruction that does so.
    pub(super) fn before_call(mut self, instruction: u64, number: i64, arguments: [u64; 6]) -> Self {
        self.leave_call();
        self.0[LAYOUT.number] = number.cast_unsigned();
        for (place, argument) in LAYOUT.arguments.into_iter().zip(arguments) {
            self.0[place] = argument;
        }
        self.0[LAYOUT.next] = instruction;
        self
    }

    /// Returns whether a thread that was to make a call has entered it, and no other.
    pub(super) fn has_entered(&self, prepared: &Self) -> bool {
        let is_same = |place: usize| self.0[place] == prepared.0[place];
        let number = self.0[LAYOUT.in_call.unwrap_or(LAYOUT.number)];
        number == prepared.0[LAYOUT.number]
            && self.next() == prepared.next() + CALL_INSTRUCTION.len() as u64
            && LAYOUT.arguments.into_iter().all(is_same)
    }

    /// Sets the last argument of a call.
    pub(super) fn with_last_argument(mut self, value: u64) -> Self {
        self.0[LAYOUT.arguments[5]] = value;
        self
    }

    fn leave_call(&mut self) {
        if let Some(in_call) = LAYOUT.in_call {
            self.0[in_call] = u64::MAX;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_where_the_c_library_has_them() {
        use std::mem::offset_of;

        use libc::user_regs_struct as Known;
        #[cfg(target_arch = "x86_64")]
        let known = [
            (LAYOUT.number, offset_of!(Known, rax)),
            (LAYOUT.result, offset_of!(Known, rax)),
            (LAYOUT.next, offset_of!(Known, rip)),
            (LAYOUT.stack, offset_of!(Known, rsp)),
            (LAYOUT.arguments[0], offset_of!(Known, rdi)),
            (LAYOUT.arguments[1], offset_of!(Known, rsi)),
            (LAYOUT.arguments[2], offset_of!(Known, rdx)),
            (LAYOUT.arguments[3], offset_of!(Known, r10)),
            (LAYOUT.arguments[4], offset_of!(Known, r8)),
            (LAYOUT.arguments[5], offset_of!(Known, r9)),
            (15, offset_of!(Known, orig_rax)),
        ];
        #[cfg(target_arch = "aarch64")]
        let known = [
            (LAYOUT.number, offset_of!(Known, regs) + 8 * size_of::<u64>()),
            (LAYOUT.result, offset_of!(Known, regs)),
            (LAYOUT.next, offset_of!(Known, pc)),
            (LAYOUT.stack, offset_of!(Known, sp)),
            (LAYOUT.arguments[5], offset_of!(Known, regs) + 5 * size_of::<u64>()),
        ];
        for (place, offset) in known {
            assert_eq!(place * size_of::<u64>(), offset);
        }
        assert_eq!(Registers::SIZE, size_of::<Known>());
    }

    #[test]
    fn no_two_registers_are_in_one_place() {
        for layout in [X86_64, AARCH64] {
            let mut places = layout.arguments.to_vec();
            places.extend([layout.next, layout.stack]);
            places.extend(layout.in_call);
            assert!(!places.contains(&layout.number) && places.iter().all(|place| *place < layout.count));
            let count = places.len();
            places.sort_unstable();
            places.dedup();
            assert_eq!(places.len(), count);
        }
    }
}
