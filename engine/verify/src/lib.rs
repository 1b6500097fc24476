//! Replays reference cases against components.
