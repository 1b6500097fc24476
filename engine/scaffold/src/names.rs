//! What a plugin is called: its folder and package, its module, its component.

use heck::{ToKebabCase, ToSnakeCase, ToUpperCamelCase};

use crate::Error;

/// The names of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The folder and the package: `my-loss`.
    pub project: String,
    /// The module of paths in a config, and the library: `my_loss`.
    pub module: String,
    /// The component: `MyLoss`.
    pub component: String,
}

/// Names that a package cannot have: it would hide a crate that the plugin uses, or is a word of the language.
const RESERVED: [&str; 47] = [
    "as",
    "async",
    "await",
    "break",
    "const",
    "continue",
    "crate",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "fn",
    "for",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "match",
    "mod",
    "move",
    "mut",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "struct",
    "super",
    "trait",
    "true",
    "type",
    "unsafe",
    "use",
    "where",
    "while",
    "core",
    "std",
    "alloc",
    "test",
    "byoc",
    "schemars",
    "serde",
    "serde_json",
    "tch",
    "abstract",
];

impl Names {
    /// The names that follow from the one that was given, as cargo-generate derives them: a name in `snake_case` stays, any
    /// other becomes kebab-case. The component has the same name in CamelCase unless it is given; one of a transform
    /// ends with `d`, as MONAI's do.
    pub fn new(name: &str, kind: &str, component: Option<&str>) -> Result<Self, Error> {
        let module = name.to_snake_case();
        let project = if module == name { module.clone() } else { name.to_kebab_case() };
        let wrong = |reason: &str| Error::Name { name: name.to_owned(), what: "a plugin", reason: reason.to_owned() };
        let fits = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        if !fits || !module.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Err(wrong("expected letters, digits, `-` and `_`, and a letter at the beginning"));
        }
        if RESERVED.contains(&module.as_str()) {
            return Err(wrong("it is a word of Rust, or a crate that the plugin uses"));
        }
        let component = if let Some(component) = component {
            component.to_owned()
        } else {
            let camel = name.to_upper_camel_case();
            if kind == "transform" && !camel.ends_with('d') { format!("{camel}d") } else { camel }
        };
        // the regular expression of the template's placeholder
        let rest_fits = component.chars().all(|c| c.is_ascii_alphanumeric());
        if !rest_fits || !component.starts_with(|c: char| c.is_ascii_uppercase()) {
            let reason = "expected CamelCase: letters and digits, and a capital at the beginning".to_owned();
            return Err(Error::Name { name: component, what: "a component", reason });
        }
        Ok(Self { project, module, component })
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn names_follow_from_one() {
        for (name, kind, project, module, component) in [
            ("my_loss", "loss", "my_loss", "my_loss", "MyLoss"),
            ("my-loss", "loss", "my-loss", "my_loss", "MyLoss"),
            ("myLoss", "loss", "my-loss", "my_loss", "MyLoss"),
            ("add_noise", "transform", "add_noise", "add_noise", "AddNoised"),
            ("blurred", "transform", "blurred", "blurred", "Blurred"),
        ] {
            let names = Names::new(name, kind, None).unwrap();
            assert_eq!(
                (names.project, names.module, names.component),
                (project.into(), module.into(), component.into())
            );
        }
        assert_eq!(Names::new("a", "loss", Some("FocalTversky")).unwrap().component, "FocalTversky");
    }

    #[test]
    fn what_rust_or_a_config_cannot_take_is_refused() {
        for name in ["", "1st", "a/b", "a b.c", "../x", "größe", "match", "byoc", "serde-json"] {
            assert!(Names::new(name, "loss", None).is_err(), "{name}");
        }
        for component in ["", "lower", "With_Underscore", "1st"] {
            assert!(Names::new("a", "loss", Some(component)).is_err(), "{component}");
        }
    }
}
