#![expect(non_snake_case, reason = "the module name that configs use")]
//! Example.
