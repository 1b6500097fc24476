//! The plugin template, and new plugins made from it.
//!
//! `byoc-template` is a template for [cargo-generate](https://github.com/cargo-generate/cargo-generate). It is embedded
//! here ([`mod@template`]) and rendered in the same way ([`render()`]), so that whoever has the engine needs nothing else;
//! an end-to-end test compares the two byte for byte.

mod names;
mod render;
mod source;
mod template;

use std::path::{Path, PathBuf};
use std::{fs, io};

pub use names::Names;
pub use render::File;
pub use source::Source;

/// A plugin to be made.
#[derive(Debug, Clone)]
pub struct Plugin {
    /// What the folder, the crate and the component are called.
    pub names: Names,
    /// `loss`, `network` …: one of [`kinds`].
    pub kind: String,
    /// Where the crate `byoc` comes from.
    pub byoc: Source,
}

/// Why no plugin was made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that Rust, cargo or a config cannot take.
    #[error("`{name}` cannot be the name of {what}: {reason}")]
    Name {
        /// The name.
        name: String,
        /// `a plugin`, `a component`.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The template has no such kind.
    #[error("there is no template for the kind `{kind}`; there are {}", .known.join(", "))]
    Kind {
        /// The kind.
        kind: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// No `byoc` is there.
    #[error("`{}` does not hold the crate `byoc`: expected a folder with its Cargo.toml, the URL of a repository, or a version", .0.display())]
    Source(PathBuf),
    /// The folder is there already.
    #[error("`{}` is there already and is not written over", .0.display())]
    Exists(PathBuf),
    /// A file cannot be written.
    #[error("cannot write `{}`: {error}", .path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The embedded template is broken: a fault of the engine.
    #[error("the template itself is broken ({0}): please report it")]
    Template(String),
}

/// The kinds that the template has, in its order.
pub fn kinds() -> Result<Vec<String>, Error> {
    Ok(template::Config::read()?.kinds()?.to_vec())
}

/// Makes the plugin in a new folder below `parent`, and gives that folder.
pub fn create(plugin: &Plugin, parent: &Path) -> Result<PathBuf, Error> {
    let files = render::render(plugin)?;
    // `my_loss`, not `./my_loss`
    let parent = if parent == Path::new(".") { Path::new("") } else { parent };
    let root = parent.join(&plugin.names.project);
    fs::create_dir(&root).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists(root.clone()),
        _ => Error::Write { path: root.clone(), error },
    })?;
    write(&root, &files).inspect_err(|_| {
        // the folder is ours: it was not there a moment ago
        let _ = fs::remove_dir_all(&root);
    })?;
    Ok(root)
}

/// Renders a plugin without writing it.
pub fn render(plugin: &Plugin) -> Result<Vec<File>, Error> {
    render::render(plugin)
}

fn write(root: &Path, files: &[File]) -> Result<(), Error> {
    for file in files {
        let path = root.join(&file.path);
        let failed = |error| Error::Write { path: path.clone(), error };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        fs::write(&path, &file.content).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Error, Names, Plugin, Source, create, kinds, render};

    fn plugin(kind: &str) -> Plugin {
        let names = Names::new("my_thing", kind, None).unwrap();
        Plugin { names, kind: kind.into(), byoc: Source::Version("0.1".into()) }
    }

    #[test]
    fn every_kind_has_its_own_source_and_case_and_nothing_of_the_others() {
        let kinds = kinds().unwrap();
        assert_eq!(kinds, ["loss", "network", "metric", "transform", "handler"]);
        for kind in &kinds {
            let files = render(&plugin(kind)).unwrap();
            let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
            let mut expected = [
                ".cargo/config.toml".to_owned(),
                ".gitignore".to_owned(),
                "Cargo.toml".to_owned(),
                "README.md".to_owned(),
                format!("cases/{kind}.json"),
                format!("cases/{kind}.safetensors"),
                "src/lib.rs".to_owned(),
                format!("src/{kind}.rs"),
            ];
            expected.sort();
            assert_eq!(paths, expected);
            for file in files.iter().filter(|file| !file.path.ends_with(".safetensors")) {
                let text = String::from_utf8(file.content.clone()).unwrap();
                assert!(!text.contains("{{") && !text.contains("{%"), "{}:\n{text}", file.path);
            }
        }
    }

    #[test]
    fn a_folder_that_is_there_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        let root = create(&plugin("loss"), parent.path()).unwrap();
        assert_eq!(root, parent.path().join("my_thing"));
        std::fs::write(root.join("README.md"), "mine").unwrap();
        assert!(matches!(create(&plugin("metric"), parent.path()), Err(Error::Exists(_))));
        assert_eq!(std::fs::read_to_string(root.join("README.md")).unwrap(), "mine");
        assert!(!root.join("src/metric.rs").exists());
    }

    #[test]
    fn an_unknown_kind_is_told_the_known_ones() {
        let error = render(&plugin("lottery")).unwrap_err().to_string();
        assert!(error.contains("`lottery`") && error.contains("`network`"), "{error}");
    }
}
