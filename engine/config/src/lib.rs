//! Config text to resolved plan: spans, dialects, variables, references, diagnostics.
