//! The template's files with the names of a plugin in them.

use liquid::ParserBuilder;
use liquid::model::Value;

use crate::template::{CONFIG_FILE, Config, FILES};
use crate::{Error, Plugin};

/// A file of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path in the plugin's folder.
    pub path: String,
    /// What is in it.
    pub content: Vec<u8>,
}

/// Renders every file that a plugin of this kind has, sorted by path.
pub(crate) fn render(plugin: &Plugin) -> Result<Vec<File>, Error> {
    let config = Config::read()?;
    let kinds = config.kinds()?;
    if !kinds.contains(&plugin.kind) {
        let known = kinds.iter().map(|kind| format!("`{kind}`")).collect();
        return Err(Error::Kind { kind: plugin.kind.clone(), known });
    }
    let ignored = config.ignored("kind", &plugin.kind)?;
    let variables = variables(plugin);
    // a variable that the template does not get is an error here, not an empty text
    let parser = ParserBuilder::with_stdlib().build().map_err(|error| Error::Template(error.to_string()))?;
    let text = |path: &str, template: &str| -> Result<String, Error> {
        let rendered = parser.parse(template).and_then(|template| template.render(&variables));
        rendered.map_err(|error| Error::Template(format!("{path}: {error}")))
    };
    let mut files = Vec::new();
    for (path, content) in FILES {
        if *path == CONFIG_FILE || ignored.contains(path) {
            continue;
        }
        let content = if config.is_excluded(path)? {
            content.to_vec()
        } else {
            let template = std::str::from_utf8(content).map_err(|error| Error::Template(format!("{path}: {error}")))?;
            text(path, template)?.into_bytes()
        };
        files.push(File { path: text(path, path)?, content });
    }
    Ok(files)
}

fn variables(plugin: &Plugin) -> liquid::Object {
    let values = [
        ("project-name", plugin.names.project.clone()),
        ("crate_name", plugin.names.module.clone()),
        ("component", plugin.names.component.clone()),
        ("kind", plugin.kind.clone()),
        ("byoc", plugin.byoc.dependency()),
    ];
    values.into_iter().map(|(name, value)| (name.into(), Value::scalar(value))).collect()
}
