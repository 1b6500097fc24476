//! End-to-end tests.

mod loader;
