//! libtorch's intra-op threads, per calling thread.
//!
//! A fresh thread starts with all cores and would grow an OpenMP team of its own, so that data workers and the training
//! step fight for cores. tch's `set_num_threads` is no help: it also becomes the default of every thread that starts
//! later. The OpenMP runtime keeps a count per thread; that is what is set here.

#![expect(unsafe_code, reason = "calls the OpenMP runtime")]

use crate::sys;

/// Lets operators that this thread calls use `count` threads (at least 1); other threads keep theirs. A worker calls it
/// with 1 before its first operator; the training thread with what it may have.
pub fn limit_current_thread(count: usize) {
    // libtorch sets the count of a thread at the thread's first question about it: ask first, then set
    let _ = tch::get_num_threads();
    let count = i32::try_from(count.max(1)).unwrap_or(i32::MAX);
    // SAFETY: takes a positive number
    unsafe { sys::omp_set_num_threads(count) };
}

/// How many threads an operator that this thread calls uses.
pub fn of_current_thread() -> usize {
    let _ = tch::get_num_threads();
    // SAFETY: takes nothing
    let count = unsafe { sys::omp_get_max_threads() };
    usize::try_from(count).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::{limit_current_thread, of_current_thread};

    #[test]
    fn a_limit_holds_for_its_thread_only() {
        let here = of_current_thread();
        std::thread::spawn(move || {
            limit_current_thread(here + 3);
            let _ = Tensor::ones([1 << 17], (Kind::Float, Device::Cpu)).exp();
            assert_eq!((of_current_thread(), tch::get_num_threads()), (here + 3, here as i32 + 3));
        })
        .join()
        .unwrap();
        assert_eq!(of_current_thread(), here);
        std::thread::spawn(move || assert_eq!(of_current_thread(), here)).join().unwrap();
    }
}
