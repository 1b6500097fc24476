//! Why a plugin was refused: a code that scripts can rely on, a sentence, and what to do about it.

use std::fmt;
use std::path::{Path, PathBuf};

/// Declares the codes with their spelling and explanation.
macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal: $explanation:literal;)*) => {
        /// What kept a plugin from being loaded. One code for each step of the way.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[non_exhaustive]
        pub enum LoadCode {
            $($(#[$doc])* $variant,)*
        }

        impl LoadCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name used in messages and reports: `error[plugin-incomplete]`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// What it means and what to do about it.
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$variant => $explanation),* }
            }
        }
    };
}

codes! {
    /// The file is not there, or cannot be read.
    Unreadable = "plugin-unreadable":
        "A plugin's file is not there, or cannot be read. Check the spelling and the permissions.";
    /// Not a shared library at all.
    NotALibrary = "plugin-not-a-library":
        "The file is no shared library for this system. A plugin is a crate with `crate-type = [\"cdylib\"]`; its library \
         is `target/release/libNAME.so`.";
    /// A shared library that no `export_plugin!` made.
    NotAPlugin = "plugin-not-a-plugin":
        "The file is a shared library, but it says nothing about plugins. A plugin's crate calls `byoc::export_plugin!` \
         once, at its root. Other libraries in a plugin folder are passed over.";
    /// The file ends before its own tables say that it does: a build or copy is under way, or was cut off.
    Incomplete = "plugin-incomplete":
        "The file ends before its own tables say that it does: a build or a copy is under way, or was cut off. Opening it \
         would end the process, so it was not opened. Let it finish, or copy it again; `mmar plugin install` never leaves \
         half a file.";
    /// The header is there, but does not make sense.
    BadHeader = "plugin-bad-header":
        "The part of the file that says what the plugin is cannot be read. Build it again.";
    /// Several plugins were linked into one library.
    SeveralPlugins = "plugin-several-in-one":
        "One library holds several plugins, because a plugin's crate depends on the crate of another one. Move what they \
         share into a third crate that exports nothing.";
    /// Built for another processor or operating system.
    WrongTarget = "plugin-wrong-target":
        "The plugin was built for another processor or operating system. Build it on or for this one.";
    /// Another version of the plugin interface.
    WrongAbi = "plugin-wrong-abi":
        "The plugin was built against another version of the interface between engine and plugins. An engine loads plugins \
         of its own major version whose minor version is not above its own. Build the plugin with the `byoc` of this \
         engine: `mmar plugin build CRATE`.";
    /// Built for another libtorch.
    WrongLibtorch = "plugin-wrong-libtorch":
        "The plugin was built for another libtorch. Tensors go between engine and plugin as they are, so both must run \
         exactly the same one. Build the plugin again with the engine's: `mmar plugin build CRATE`.";
    /// Built with `panic = "abort"`.
    PanicAborts = "plugin-panic-aborts":
        "The plugin was built with `panic = \"abort\"`: a panic, such as libtorch's for shapes that do not match, would end \
         the run instead of becoming an error. Take it out of the profile in Cargo.toml.";
    /// The file's module name is not the one that was asked for.
    WrongModule = "plugin-wrong-module":
        "The file has the name of one module and holds another. Configs find a plugin by its file, `libMODULE.so`: give the \
         file the name of its module again. `mmar plugin inspect FILE` says which that is.";
    /// The private copy could not be made.
    StagingFailed = "plugin-staging-failed":
        "The engine opens private copies of plugins, so that a rebuild cannot change running code, and the copy could not \
         be made. `MMAR_CACHE_DIR` names a folder for them that you can write to.";
    /// The probing process died of a signal, or left with a code of its own, while it opened the library.
    CrashesAtLoad = "plugin-crashes-at-load":
        "A build that was never seen is opened in a process of its own first, and that process crashed. So would the \
         training have. What runs when a library is opened: constructors of statics, and `describe`. The build is \
         remembered; a new one is tried again.";
    /// The probing process did not come back in time.
    HangsAtLoad = "plugin-hangs-at-load":
        "A build that was never seen is opened in a process of its own first, and that process did not come back in time. \
         `MMAR_PROBE_TIMEOUT` gives it more seconds, on a slow disk for example.";
    /// The probing process could not be started.
    ProbeFailed = "plugin-probe-failed":
        "The process in which unknown plugins are opened first could not be started. The message has the system's reason; \
         often there are too many processes or too little memory.";
    /// The dynamic linker refused the library: a missing symbol or library, mostly.
    LinkFailed = "plugin-link-failed":
        "The system's linker refused the library: a symbol or another library that it needs is missing. The message names \
         it. A library of your own must be found at run time, too, through an rpath or `LD_LIBRARY_PATH`.";
    /// The tables of functions do not match although the interface versions do.
    LayoutDiffers = "plugin-layout-differs":
        "Engine and plugin say that they speak the same version of the interface, but their tables differ. Build the plugin \
         with the engine's own `byoc`; if that is what you did, please report it.";
    /// The plugin's initialisation failed.
    InitFailed = "plugin-init-failed":
        "The plugin was opened, but its initialisation failed. The message has the plugin's reason.";
    /// The plugin's description of its components failed or does not make sense.
    DescribeFailed = "plugin-describe-failed":
        "The plugin was opened, but it could not say which components it has, or what it says makes no sense: two of the \
         same name, a name that no path can spell, a schema that is none. `mmar plugin check FILE` says more.";
    /// A component that another file provides already.
    Duplicate = "plugin-duplicate-component":
        "Two files provide a component of the same module and name. Nothing takes precedence, because nobody who reads the \
         config would see it: remove one of the files, or give one of the plugins another `module`.";
    /// The running engine itself is on another libtorch than it was built for.
    HostLibtorch = "host-wrong-libtorch":
        "The engine itself runs on another libtorch than it was built with: something put another one in its way, mostly \
         `LD_LIBRARY_PATH`. `mmar doctor` says which one it is.";
    /// The plugin could not be copied into the archive.
    InstallFailed = "plugin-install-failed":
        "The plugin is sound, but could not be copied into the archive. The message has the system's reason: permissions, \
         or a full disk.";
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

#[cfg(test)]
mod tests {
    use super::LoadCode;

    #[test]
    fn every_code_is_kebab_case_unique_and_explained() {
        let mut seen = std::collections::BTreeSet::new();
        for &code in LoadCode::ALL {
            let name = code.name();
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{name}");
            assert!(seen.insert(name), "{name} twice");
            let explanation = code.explanation();
            assert!(explanation.len() > 60 && explanation.ends_with('.') && !explanation.contains("  "), "{name}");
        }
    }
}
