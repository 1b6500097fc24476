//! Plugin files to checked generations to the component registry.
