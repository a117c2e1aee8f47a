//! Blocks compressed on several threads and written in order.
//!
//! Block *n* goes to worker *n* modulo the number of workers, and results are taken in the same order:
//! order needs no bookkeeping, and what is in flight is bounded. Workers start as blocks come, so that a
//! stream of one block, which most layers are, never starts a thread.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};

/// How one block becomes bytes: a pure function, so that it does not matter where it runs.
pub(super) trait BlockCodec: Clone + Send + 'static {
    /// Bytes of a block; only the last may be shorter.
    const BLOCK: usize;
    /// Bytes of the preceding content that a block may refer to.
    const HISTORY: usize;
    /// Blocks that may be in memory at once, beside the one being filled.
    const IN_FLIGHT: usize;

    /// Compresses a block into `out`, which comes empty; `last` says that nothing follows.
    fn compress(&self, history: &[u8], block: &[u8], last: bool, out: &mut Vec<u8>) -> io::Result<()>;
}

/// A stream on its way through a codec.
pub(super) struct Pipeline<C> {
    codec: C,
    threads: usize,
    workers: Vec<Worker>,
    filling: Block,
    /// Blocks whose buffers can be used again: what is allocated stays what is in flight, whereas one
    /// allocator arena for each thread would keep several times as much.
    spare: Vec<Block>,
    sent: usize,
    received: usize,
}

/// A block on its way: its content and, before that in the same buffer, its history; then its result.
#[derive(Default)]
struct Block {
    buffer: Vec<u8>,
    history: usize,
    last: bool,
    compressed: Vec<u8>,
}

struct Worker {
    blocks: Sender<Block>,
    results: Receiver<io::Result<Block>>,
}

impl<C: BlockCodec> Pipeline<C> {
    /// Prepares for at most `threads` workers; with fewer than two everything happens in the caller.
    pub(super) fn new(codec: C, threads: usize) -> Self {
        Self {
            codec,
            threads: threads.min(C::IN_FLIGHT),
            workers: Vec::new(),
            filling: Block::default(),
            spare: Vec::new(),
            sent: 0,
            received: 0,
        }
    }

    /// Takes all of `bytes`, and writes to `out` what is finished when there is no room for more.
    pub(super) fn write(&mut self, mut bytes: &[u8], out: &mut impl Write) -> io::Result<()> {
        while !bytes.is_empty() {
            // A full block waits for the next byte, which tells that it is not the last one.
            if self.filling.len() == C::BLOCK {
                let block = self.next_block();
                self.compress(block, out)?;
            }
            let (now, later) = bytes.split_at(bytes.len().min(C::BLOCK - self.filling.len()));
            self.filling.buffer.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// Compresses what is left and writes everything.
    pub(super) fn finish(mut self, out: &mut impl Write) -> io::Result<()> {
        let mut block = std::mem::take(&mut self.filling);
        block.last = true;
        self.compress(block, out)?;
        while self.received < self.sent {
            self.receive(out)?;
        }
        Ok(())
    }

    /// Takes the block that is being filled and starts another one behind it.
    fn next_block(&mut self) -> Block {
        let mut next = self.spare.pop().unwrap_or_default();
        let full = &self.filling.buffer;
        next.history = full.len().min(C::HISTORY);
        next.buffer.clear();
        next.buffer.reserve_exact(C::HISTORY + C::BLOCK);
        next.buffer.extend_from_slice(&full[full.len() - next.history..]);
        std::mem::replace(&mut self.filling, next)
    }

    fn compress(&mut self, mut block: Block, out: &mut impl Write) -> io::Result<()> {
        let worth_a_thread = self.threads >= 2 && !block.last;
        let on_threads = !self.workers.is_empty() || worth_a_thread;
        if !on_threads || !self.worker_for_next() {
            block.compress(&self.codec)?;
            return self.write_out(block, out);
        }
        let worker = &self.workers[self.sent % self.workers.len()];
        worker.blocks.send(block).map_err(|_| died())?;
        self.sent += 1;
        if self.sent - self.received >= C::IN_FLIGHT.min(2 * self.threads) {
            self.receive(out)?;
        }
        Ok(())
    }

    /// Starts one more worker while there are fewer than wanted; tells whether there is any.
    fn worker_for_next(&mut self) -> bool {
        if self.workers.len() < self.threads {
            match Worker::start(self.codec.clone()) {
                Some(worker) => self.workers.push(worker),
                // The machine has no more threads to give: go on with those that there are.
                None => self.threads = self.workers.len(),
            }
        }
        !self.workers.is_empty()
    }

    fn receive(&mut self, out: &mut impl Write) -> io::Result<()> {
        let worker = &self.workers[self.received % self.workers.len()];
        let block = worker.results.recv().map_err(|_| died())??;
        self.received += 1;
        self.write_out(block, out)
    }

    fn write_out(&mut self, block: Block, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&block.compressed)?;
        self.spare.push(block);
        Ok(())
    }
}

impl Block {
    fn len(&self) -> usize {
        self.buffer.len() - self.history
    }

    fn compress(&mut self, codec: &impl BlockCodec) -> io::Result<()> {
        let (history, block) = self.buffer.split_at(self.history);
        self.compressed.clear();
        codec.compress(history, block, self.last, &mut self.compressed)
    }
}

impl Worker {
    fn start(codec: impl BlockCodec) -> Option<Self> {
        let (blocks, inbox) = channel::<Block>();
        let (outbox, results) = channel();
        let run = move || {
            for mut block in inbox {
                let result = block.compress(&codec).map(|()| block);
                if outbox.send(result).is_err() {
                    break; // The encoder was dropped.
                }
            }
        };
        let builder = std::thread::Builder::new().name("compress".to_owned());
        builder.spawn(run).ok()?;
        Some(Self { blocks, results })
    }
}

fn died() -> io::Error {
    io::Error::other("a compression thread has died")
}
