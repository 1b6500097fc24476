//! The one error type of components: a code, a sentence, where it came from, and what caused it.
//!
//! It crosses the plugin boundary whole, so that a user sees the same message wherever a component lives.

use std::fmt;
use std::panic::Location;

/// What a component returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure an [`Error`] is. A number, not an enum: newer plugins may send codes that an older host has
/// not heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    /// The component failed for a reason of its own.
    pub const COMPONENT: Self = Self(1);
    /// An argument of the config is wrong.
    pub const INVALID_ARGUMENT: Self = Self(2);
    /// libtorch refused an operation, mostly because of shapes or dtypes.
    pub const TENSOR: Self = Self(3);
    /// The input data is not what the component needs (a key is missing, a file is broken).
    pub const DATA: Self = Self(4);
    /// The component panicked. The object is poisoned: every later call answers [`ErrorCode::POISONED`].
    pub const PANICKED: Self = Self(5);
    /// The object panicked earlier and cannot be used any more.
    pub const POISONED: Self = Self(6);
    /// The component does not offer this operation.
    pub const UNSUPPORTED: Self = Self(7);

    /// The name used in messages: `error[invalid-argument]`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::INVALID_ARGUMENT => "invalid-argument",
            Self::TENSOR => "tensor-error",
            Self::DATA => "bad-data",
            Self::PANICKED => "component-panicked",
            Self::POISONED => "component-poisoned",
            Self::UNSUPPORTED => "unsupported",
            _ => "component-failed",
        }
    }
}

/// An error of a component.
///
/// Most are made by [`bail!`](crate::bail), [`ensure!`](crate::ensure) or by `?` on an error of libtorch, serde or
/// the file system.
#[derive(Debug, Clone)]
pub struct Error {
    code: ErrorCode,
    message: String,
    chain: Vec<String>,
    location: Option<String>,
}

impl Error {
    /// An error with a code and a sentence: lower case, no full stop, literals in backticks.
    #[track_caller]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), chain: Vec::new(), location: Some(caller()) }
    }

    /// A [`ErrorCode::COMPONENT`] error.
    #[track_caller]
    pub fn msg(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::COMPONENT, message)
    }

    /// A [`ErrorCode::INVALID_ARGUMENT`] error.
    #[track_caller]
    pub fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::INVALID_ARGUMENT, message)
    }

    /// A [`ErrorCode::DATA`] error.
    #[track_caller]
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::DATA, message)
    }

    /// Puts the pieces of an error together again, as they came over the plugin boundary.
    pub fn from_parts(code: ErrorCode, message: String, chain: Vec<String>, location: Option<String>) -> Self {
        Self { code, message, chain, location }
    }

    /// Says what was being done when the error came up; the former message moves into the chain.
    #[must_use]
    pub fn context(mut self, message: impl Into<String>) -> Self {
        let cause = std::mem::replace(&mut self.message, message.into());
        self.chain.insert(0, cause);
        self
    }

    /// What kind of failure it is.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What caused it, the nearest cause first.
    pub fn chain(&self) -> &[String] {
        &self.chain
    }

    /// `file:line` in the component's source.
    pub fn location(&self) -> Option<&str> {
        self.location.as_deref()
    }
}

#[track_caller]
fn caller() -> String {
    let location = Location::caller();
    format!("{}:{}", location.file(), location.line())
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for cause in &self.chain {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<tch::TchError> for Error {
    #[track_caller]
    fn from(error: tch::TchError) -> Self {
        Self::new(ErrorCode::TENSOR, torch_message(&error.to_string()))
    }
}

impl From<serde_json::Error> for Error {
    #[track_caller]
    fn from(error: serde_json::Error) -> Self {
        Self::new(ErrorCode::INVALID_ARGUMENT, error.to_string())
    }
}

impl From<std::io::Error> for Error {
    #[track_caller]
    fn from(error: std::io::Error) -> Self {
        Self::new(ErrorCode::DATA, error.to_string())
    }
}

/// The first sentence of a libtorch message: its C++ stack helps nobody who reads a training log.
pub fn torch_message(message: &str) -> String {
    let end = ["\nException raised from", " (function operator())", "\nframe #0"]
        .iter()
        .filter_map(|marker| message.find(marker))
        .min()
        .unwrap_or(message.len());
    message[..end].trim().trim_start_matches("Internal torch error: ").to_owned()
}

/// Returns early with an [`Error`] made of a format string.
#[macro_export]
macro_rules! bail {
    ($($arg:tt)*) => { return ::std::result::Result::Err($crate::Error::msg(::std::format!($($arg)*))) };
}

/// Returns early with an [`Error`] unless a condition holds.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($arg:tt)*) => { if !$condition { $crate::bail!($($arg)*) } };
}
