//! How much a process grows.

use std::time::{Duration, Instant};

use crate::verdict::{Found, Verdict};

/// Batches in which calls are counted, and calls in a batch of something quick.
const BATCHES: usize = 4;
const CALLS: usize = 40;

/// How long a batch may take; what is slow is called less often.
const BATCH_TIME: Duration = Duration::from_secs(2);

/// What a batch may leave behind, in bytes: allocators round up, and a handler may keep a list of losses.
const TOLERATED: u64 = 160 << 10;

/// Whether calling something again and again makes the process grow. `what` is one call in words: `forward`.
pub(crate) fn growth(what: &str, mut call: impl FnMut() -> Result<(), Verdict>) -> Found {
    // the first calls fill caches that stay: kernels, allocator arenas, the author's own tables
    let start = Instant::now();
    let mut warm_up = 0;
    while warm_up < CALLS && (warm_up < 3 || start.elapsed() < BATCH_TIME) {
        call()?;
        warm_up += 1;
    }
    let mut growths = Vec::new();
    for _ in 0..BATCHES {
        let before = size()?;
        for _ in 0..warm_up {
            call()?;
        }
        let after = size()?;
        growths.push(after.resident.saturating_sub(before.resident).max(after.data.saturating_sub(before.data)));
    }
    // a leak shows in every batch, an arena that grows once in one of them
    let least = growths.iter().copied().min().unwrap_or_default();
    let calls = warm_up * (BATCHES + 1);
    if least <= TOLERATED {
        return Ok(Verdict::success(format!("{calls} × {what} without growth")));
    }
    Err(Verdict::failed(
        format!("each {what} leaves {} behind (measured over {calls})", bytes(least as f64 / warm_up as f64)),
        "free what it allocates: look for `forget`, `leak`, `into_raw`, statics and lists that only grow",
    ))
}

fn bytes(count: f64) -> String {
    if count < 1e6 { format!("{:.0} kB", count / 1e3) } else { format!("{:.1} MB", count / 1e6) }
}

/// The size of the process in bytes.
struct Size {
    resident: u64,
    /// What is allocated, touched or not.
    data: u64,
}

fn size() -> Result<Size, Verdict> {
    const PAGE: u64 = 4096;
    let unreadable = || Verdict::skipped("this system does not tell the size of a process (`/proc/self/statm`)");
    let text = std::fs::read_to_string("/proc/self/statm").map_err(|_| unreadable())?;
    let pages: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let (Some(resident), Some(data)) = (pages.get(1), pages.get(5)) else { return Err(unreadable()) };
    Ok(Size { resident: resident * PAGE, data: data * PAGE })
}

#[cfg(test)]
mod tests {
    use super::growth;
    use crate::verdict::Outcome;

    #[test]
    fn a_leak_is_seen_whether_its_memory_is_touched_or_not() {
        let _process = crate::faults::alone();
        for fill in [0u8, 1] {
            let found = growth("call", || {
                std::mem::forget(vec![fill; 1 << 20]);
                Ok(())
            });
            let verdict = found.unwrap_err();
            assert_eq!(verdict.outcome, Outcome::Failed);
            assert!(verdict.detail.contains("leaves 1.0 MB behind"), "{}", verdict.detail);
        }
        let clean = growth("call", || {
            drop(std::hint::black_box(vec![1u8; 1 << 20]));
            Ok(())
        });
        assert_eq!(clean.unwrap().outcome, Outcome::Success);
    }
}
