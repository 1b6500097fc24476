//! When a file that keeps changing is looked at.

use std::time::{Duration, Instant};

/// How long nothing may happen to a file before it is looked at.
const QUIET: Duration = Duration::from_millis(150);

/// After so long it is looked at in any case.
const CAP: Duration = Duration::from_secs(3);

/// Changes that were not dealt with yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    first: Instant,
    last: Instant,
}

impl Pending {
    pub(super) fn new(now: Instant) -> Self {
        Self { first: now, last: now }
    }

    /// One more change.
    pub(super) fn again(&mut self, now: Instant) {
        self.last = now;
    }

    /// The first of them.
    pub(super) fn since(self) -> Instant {
        self.first
    }

    /// How long to wait; zero when it is time.
    pub(super) fn due_in(&self, now: Instant) -> Duration {
        (self.last + QUIET).min(self.first + CAP).saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::{CAP, Pending, QUIET};
    use std::time::Instant;

    #[test]
    fn a_file_that_never_rests_is_looked_at_all_the_same() {
        let start = Instant::now();
        let mut pending = Pending::new(start);
        assert_eq!(pending.due_in(start), QUIET);
        pending.again(start + QUIET / 2);
        assert_eq!(pending.due_in(start + QUIET), QUIET / 2);
        pending.again(start + CAP);
        assert!(pending.due_in(start + CAP).is_zero());
        assert_eq!(pending.since(), start);
    }
}
