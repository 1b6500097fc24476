//! Default values that more than one schedule has, for serde.

pub(super) fn last_epoch() -> i64 {
    -1
}

pub(super) fn gamma() -> f64 {
    0.1
}

pub(super) fn one() -> f64 {
    1.0
}

pub(super) fn yes() -> bool {
    true
}

pub(super) fn five() -> i64 {
    5
}
