//! How a network is applied to an input: at once, or window by window.

mod blending;
mod simple;
mod sliding_window;
mod windows;

pub use simple::SimpleInferer;
pub use sliding_window::SlidingWindowInferer;
