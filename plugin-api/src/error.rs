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

/// What libtorch says, without its C++ stack, which helps nobody who reads a training log. Understands the text of
/// a [`tch::TchError`] and of a panic of tch's operators.
pub fn torch_message(message: &str) -> String {
    // tch's operators unwrap, so their panics show the error in its debug form, with escaped line ends
    let unwrapped = message.strip_prefix("called `Result::unwrap()` on an `Err` value: ");
    let text = match unwrapped {
        Some(debug) => {
            let inner = debug.strip_prefix("Torch(\"").unwrap_or(debug);
            inner.strip_suffix("\")").unwrap_or(inner).replace("\\n", "\n").replace("\\\"", "\"").replace("\\'", "'")
        }
        None => message.strip_prefix("Internal torch error: ").unwrap_or(message).to_owned(),
    };
    let end = ["\nException raised from", "\nframe #0"].iter().filter_map(|marker| text.find(marker)).min();
    text[..end.unwrap_or(text.len())].trim().to_owned()
}

/// The message of a caught panic.
pub fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    let message =
        payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied());
    torch_message(message.unwrap_or("it panicked without a message"))
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

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::{Error, panic_message};

    #[test]
    fn libtorch_speaks_in_one_sentence_whether_as_an_error_or_as_a_panic() {
        let [row, column] = [[1, 2], [3, 1]].map(|size| tch::Tensor::zeros(size, tch::kind::FLOAT_CPU));
        let expected = "mat1 and mat2 shapes cannot be multiplied (1x2 and 3x1)";
        assert_eq!(Error::from(row.f_mm(&column).unwrap_err()).message(), expected);
        let payload = catch_unwind(|| {
            [1, 3].map(|n| tch::Tensor::zeros([n, n + 1], tch::kind::FLOAT_CPU))[0]
                .mm(&tch::Tensor::zeros([3, 1], tch::kind::FLOAT_CPU))
        })
        .unwrap_err();
        assert_eq!(panic_message(&*payload), expected);
    }

    #[test]
    fn context_is_told_before_its_cause() {
        let error = Error::data("no such file").context("cannot load `image`").context("case 3");
        assert_eq!(error.to_string(), "case 3: cannot load `image`: no such file");
        assert!(error.location().is_some_and(|location| location.contains("error.rs")));
    }
}
