//! The few things libtorch has and tch lacks.
