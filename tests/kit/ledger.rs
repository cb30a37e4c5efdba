//! Whose memory it is: an allocator that books every block to who was at work when it was asked for.
//!
//! A block carries its owner in front of it, so that it is booked back wherever it is freed. Worlds live on one thread, and so do
//! the books: one per thread.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

/// Owners per thread; 0 is nobody in particular.
const OWNERS: usize = 16;

thread_local! {
    static AT_WORK: Cell<usize> = const { Cell::new(0) };
    static BYTES: [Cell<i64>; OWNERS] = const { [const { Cell::new(0) }; OWNERS] };
}

/// To be made a program's global allocator.
#[derive(Debug)]
pub struct Ledger;

/// Books what is allocated until it is dropped to one owner.
#[derive(Debug)]
pub struct AtWork(usize);

impl AtWork {
    pub fn of(owner: usize) -> Self {
        Self(AT_WORK.replace(owner.min(OWNERS - 1)))
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        AT_WORK.set(self.0);
    }
}

/// Bytes that an owner of this thread has now.
pub fn bytes_of(owner: usize) -> i64 {
    BYTES.with(|books| books[owner.min(OWNERS - 1)].get())
}

/// Closes the books of this thread, for a world that follows another.
pub fn forget() {
    BYTES.with(|books| books.iter().for_each(|book| book.set(0)));
}

fn book(owner: usize, bytes: i64) {
    // A thread that is ending has no books any more.
    let _ = BYTES.try_with(|books| books[owner].set(books[owner].get() + bytes));
}

/// The block with room for its owner in front, and how far behind its start the caller's part begins.
fn with_owner(layout: Layout) -> Option<(Layout, usize)> {
    let front = layout.align().max(16);
    let whole = Layout::from_size_align(layout.size().checked_add(front)?, front).ok()?;
    Some((whole, front))
}

// SAFETY: every block is one of `System`, of a size and alignment that hold the caller's layout behind `front` bytes; the owner stands in
// the last eight of those. `dealloc` undoes exactly that.
unsafe impl GlobalAlloc for Ledger {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some((whole, front)) = with_owner(layout) else { return std::ptr::null_mut() };
        // SAFETY: `whole` is larger than zero.
        let start = unsafe { System.alloc(whole) };
        if start.is_null() {
            return start;
        }
        let owner = AT_WORK.try_with(Cell::get).unwrap_or_default();
        book(owner, layout.size() as i64);
        // SAFETY: `front` is at least 16 and within the block, whose alignment is at least 16.
        unsafe {
            start.add(front - 8).cast::<u64>().write(owner as u64);
            start.add(front)
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let Some((whole, front)) = with_owner(layout) else { return };
        // SAFETY: `pointer` came from `alloc` with this layout: the owner stands before it, the block begins `front` before it.
        unsafe {
            let owner = pointer.sub(8).cast::<u64>().read();
            book(owner as usize, -(layout.size() as i64));
            System.dealloc(pointer.sub(front), whole);
        }
    }
}
