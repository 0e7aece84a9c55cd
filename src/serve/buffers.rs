//! Gets bodies of requests off the serving cores: into buffers that are there already, or not at all.

use crossbeam_queue::ArrayQueue;

/// Buffers, and what waits in some of them with what is known of it.
pub(super) struct Buffers<T> {
    free: ArrayQueue<Vec<u8>>,
    taken: ArrayQueue<(Vec<u8>, T)>,
    bytes: usize,
}

/// Why a body is left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LeftOut {
    /// It is longer than a buffer.
    TooLong,
    /// All buffers are taken.
    NoBuffer,
}

impl<T> Buffers<T> {
    /// So many, of so many bytes each.
    pub(super) fn new(count: usize, bytes: usize) -> Buffers<T> {
        let free = ArrayQueue::new(count);
        for _ in 0..count {
            let _full = free.push(Vec::with_capacity(bytes));
        }
        Buffers { free, taken: ArrayQueue::new(count), bytes }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.taken.capacity()
    }

    /// Copies a body. Allocates nothing, and never waits.
    pub(super) fn put(&self, body: &[u8], what: T) -> Result<(), LeftOut> {
        if body.len() > self.bytes {
            return Err(LeftOut::TooLong);
        }
        let mut buffer = self.free.pop().ok_or(LeftOut::NoBuffer)?;
        buffer.clear();
        buffer.extend_from_slice(body);
        let _full = self.taken.push((buffer, what));
        Ok(())
    }

    /// The oldest that waits; its buffer is to be given back.
    pub(super) fn take(&self) -> Option<(Vec<u8>, T)> {
        self.taken.pop()
    }

    /// Takes a buffer back.
    pub(super) fn give_back(&self, buffer: Vec<u8>) {
        let _full = self.free.push(buffer);
    }

    /// Lets go of everything that waits.
    pub(super) fn discard(&self) {
        while let Some((buffer, _)) = self.take() {
            self.give_back(buffer);
        }
    }
}
