//! `True`, `False` or "every N": how MONAI's handlers say when they log.

use schemars::JsonSchema;
use serde::Deserialize;

/// Whether, or how often, something is done.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub(crate) enum Interval {
    /// Always or never.
    Flag(bool),
    /// Every so many times; 0 is never.
    Every(u64),
}

impl Interval {
    /// Whether it is time, at the `count`th time (from 1).
    pub(crate) fn is_due(self, count: u64) -> bool {
        match self {
            Self::Flag(flag) => flag,
            Self::Every(every) => every > 0 && count.is_multiple_of(every),
        }
    }
}

impl Default for Interval {
    fn default() -> Self {
        Self::Flag(true)
    }
}

#[cfg(test)]
mod tests {
    use super::Interval;

    #[test]
    fn intervals_count_from_one() {
        let due = |interval: Interval| (1..=4).filter(|&count| interval.is_due(count)).collect::<Vec<_>>();
        assert_eq!(due(Interval::Flag(true)), [1, 2, 3, 4]);
        assert_eq!(due(Interval::Every(2)), [2, 4]);
        assert!(due(Interval::Flag(false)).is_empty() && due(Interval::Every(0)).is_empty());
    }
}
