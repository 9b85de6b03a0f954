//! Bytes behind which nothing may be touched: a kernel that reads or writes one too many is killed, and not merely lucky.
#![allow(
    unsafe_code,
    reason = "memory at the end of a page, before one without access, comes only from the system"
)]

use std::ops::{Deref, DerefMut};
use std::ptr::null_mut;

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

/// The largest page of any machine here: arm64 has 4, 16 or 64 kB.
const PAGE: usize = 65_536;

pub struct Guarded {
    mapped: *mut u8,
    /// Of the pages with access.
    size: usize,
    len: usize,
}

impl Guarded {
    pub fn new(len: usize, value: u8) -> Self {
        let size = len.next_multiple_of(PAGE);
        let (all, access) = (size + PAGE, ProtFlags::READ | ProtFlags::WRITE);
        // SAFETY: new memory, at no address of ours.
        let mapped = unsafe { mmap_anonymous(null_mut(), all, access, MapFlags::PRIVATE) };
        let mapped = mapped.unwrap().cast::<u8>();
        // SAFETY: the last page of what was just mapped; no reference to it exists.
        unsafe { mprotect(mapped.add(size).cast(), PAGE, MprotectFlags::empty()) }.unwrap();
        let mut bytes = Self { mapped, size, len };
        bytes.fill(value);
        bytes
    }
}

impl Deref for Guarded {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the last `len` of `size` mapped bytes, which were zeroed by the system; borrowed from `self`.
        unsafe { std::slice::from_raw_parts(self.mapped.add(self.size - self.len), self.len) }
    }
}

impl DerefMut for Guarded {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.mapped.add(self.size - self.len), self.len) }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: what `new` mapped, and nobody borrows it any more.
        let _ = unsafe { munmap(self.mapped.cast(), self.size + PAGE) };
    }
}
