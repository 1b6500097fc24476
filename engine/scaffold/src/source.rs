//! Where a plugin takes `byoc` from.

use std::path::{Path, PathBuf};

use crate::Error;

/// The right-hand side of `byoc = …` in a Cargo.toml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A folder with the crate.
    Path(PathBuf),
    /// A repository, and a branch, tag or commit of it.
    Git {
        /// Its URL.
        url: String,
        /// What stands behind a `#`.
        revision: Option<String>,
    },
    /// A version of a registry.
    Version(String),
    /// Any other, as Cargo wants it.
    Verbatim(String),
}

impl Source {
    /// What a text means: a version begins with a digit or a comparison, a URL has a `://` or begins with `git@`, what
    /// begins with `{` is meant for Cargo as it is, and everything else is a folder.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.starts_with('{') {
            return Ok(Self::Verbatim(text.to_owned()));
        }
        if text.contains("://") || text.starts_with("git@") {
            let (url, revision) = match text.split_once('#') {
                Some((url, revision)) => (url, Some(revision.to_owned())),
                None => (text, None),
            };
            return Ok(Self::Git { url: url.to_owned(), revision });
        }
        if text.starts_with(|c: char| c.is_ascii_digit() || "=^~<>*".contains(c)) {
            return Ok(Self::Version(text.to_owned()));
        }
        Self::folder(Path::new(text))
    }

    /// A folder, if it holds the crate; the path becomes absolute.
    pub fn folder(folder: &Path) -> Result<Self, Error> {
        let not_there = || Error::Source(folder.to_owned());
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).map_err(|_| not_there())?;
        let manifest: toml::Table = manifest.parse().map_err(|_| not_there())?;
        let name = manifest.get("package").and_then(|package| package.get("name")).and_then(toml::Value::as_str);
        if name != Some("byoc") {
            return Err(not_there());
        }
        folder.canonicalize().map(Self::Path).map_err(|_| not_there())
    }

    /// As it stands in a Cargo.toml.
    pub(crate) fn dependency(&self) -> String {
        // the shortest form that TOML reads back as the same text
        let quoted = |text: &str| toml::Value::from(text).to_string();
        match self {
            Self::Path(path) => format!("{{ path = {} }}", quoted(&path.to_string_lossy())),
            Self::Git { url, revision: None } => format!("{{ git = {} }}", quoted(url)),
            Self::Git { url, revision: Some(revision) } => {
                format!("{{ git = {}, rev = {} }}", quoted(url), quoted(revision))
            }
            Self::Version(version) => quoted(version),
            Self::Verbatim(text) => text.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn the_three_sources_are_told_apart_and_written_as_cargo_reads_them() {
        for (text, dependency) in [
            ("0.1", r#""0.1""#),
            ("=0.1.2", r#""=0.1.2""#),
            ("https://example.org/mmar", r#"{ git = "https://example.org/mmar" }"#),
            ("git@example.org:mmar.git#v0.2", r#"{ git = "git@example.org:mmar.git", rev = "v0.2" }"#),
            ("{ version = \"0.1\" }", r#"{ version = "0.1" }"#),
        ] {
            assert_eq!(Source::parse(text).unwrap().dependency(), dependency, "{text}");
        }
    }

    #[test]
    fn a_folder_must_hold_byoc() {
        let plugin_api = concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugin-api");
        let dependency = Source::parse(plugin_api).unwrap().dependency();
        assert!(dependency.starts_with("{ path = \"/") && dependency.ends_with("/plugin-api\" }"), "{dependency}");
        assert!(Source::parse(env!("CARGO_MANIFEST_DIR")).is_err());
        assert!(Source::parse("no/such/folder").unwrap_err().to_string().contains("a version"));
    }
}
