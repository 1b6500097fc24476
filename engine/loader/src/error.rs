//! Why a plugin was refused: a code that scripts can rely on, a sentence, and what to do about it.

use std::fmt;
use std::path::{Path, PathBuf};

/// What kept a plugin from being loaded. One code for each step of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LoadCode {
    /// The file is not there, or cannot be read.
    Unreadable,
    /// Not a shared library at all.
    NotALibrary,
    /// A shared library that no `export_plugin!` made.
    NotAPlugin,
    /// The file ends before its own tables say that it does: a build or copy is under way, or was cut off.
    Incomplete,
    /// The header is there, but does not make sense.
    BadHeader,
    /// Several plugins were linked into one library.
    SeveralPlugins,
    /// Built for another processor or operating system.
    WrongTarget,
    /// Another version of the plugin interface.
    WrongAbi,
    /// Built for another libtorch.
    WrongLibtorch,
    /// Built with `panic = "abort"`.
    PanicAborts,
    /// The file's module name is not the one that was asked for.
    WrongModule,
    /// The private copy could not be made.
    StagingFailed,
    /// The probing process died of a signal, or left with a code of its own, while it opened the library.
    CrashesAtLoad,
    /// The probing process did not come back in time.
    HangsAtLoad,
    /// The probing process could not be started.
    ProbeFailed,
    /// The dynamic linker refused the library: a missing symbol or library, mostly.
    LinkFailed,
    /// The tables of functions do not match although the interface versions do.
    LayoutDiffers,
    /// The plugin's initialisation failed.
    InitFailed,
    /// The plugin's description of its components failed or does not make sense.
    DescribeFailed,
    /// A component that another file provides already.
    Duplicate,
    /// The running engine itself is on another libtorch than it was built for.
    HostLibtorch,
    /// The plugin could not be copied into the archive.
    InstallFailed,
}

impl LoadCode {
    /// The name used in messages and reports: `error[plugin-incomplete]`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "plugin-unreadable",
            Self::NotALibrary => "plugin-not-a-library",
            Self::NotAPlugin => "plugin-not-a-plugin",
            Self::Incomplete => "plugin-incomplete",
            Self::BadHeader => "plugin-bad-header",
            Self::SeveralPlugins => "plugin-several-in-one",
            Self::WrongTarget => "plugin-wrong-target",
            Self::WrongAbi => "plugin-wrong-abi",
            Self::WrongLibtorch => "plugin-wrong-libtorch",
            Self::PanicAborts => "plugin-panic-aborts",
            Self::WrongModule => "plugin-wrong-module",
            Self::StagingFailed => "plugin-staging-failed",
            Self::CrashesAtLoad => "plugin-crashes-at-load",
            Self::HangsAtLoad => "plugin-hangs-at-load",
            Self::ProbeFailed => "plugin-probe-failed",
            Self::LinkFailed => "plugin-link-failed",
            Self::LayoutDiffers => "plugin-layout-differs",
            Self::InitFailed => "plugin-init-failed",
            Self::DescribeFailed => "plugin-describe-failed",
            Self::Duplicate => "plugin-duplicate-component",
            Self::HostLibtorch => "host-wrong-libtorch",
            Self::InstallFailed => "plugin-install-failed",
        }
    }
}

impl fmt::Display for LoadCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A plugin that was refused.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LoadError {
    /// Which step refused it.
    pub code: LoadCode,
    /// The file, as the user knows it.
    pub file: PathBuf,
    /// What was found and what was expected.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// More for who looks into it: the linker's own words, the layouts that differ.
    pub detail: Option<String>,
}

impl LoadError {
    pub(crate) fn new(code: LoadCode, file: &Path, message: impl Into<String>) -> Self {
        Self { code, file: file.to_owned(), message: message.into(), help: None, detail: None }
    }

    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    #[must_use]
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.file.display(), self.message)
    }
}

impl std::error::Error for LoadError {}
