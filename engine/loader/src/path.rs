//! How a config names a component: `DiceLoss`, `monai.losses.DiceLoss`, `BYOC.myLoss.MyDiceLoss`.

use std::path::PathBuf;

/// First segments of paths that name built-in components, as configs for the original spell them.
pub const BUILT_IN_PACKAGES: [&str; 4] = ["monai", "torch", "ignite", "medl"];

/// What a name or dotted path in a config asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ComponentPath {
    /// A built-in component by its name: a plain name, or the last segment of a path into one of
    /// [`BUILT_IN_PACKAGES`].
    BuiltIn {
        /// What stands before the component: `monai.optimizers`; empty for a plain name.
        package: String,
        /// The component.
        name: String,
    },
    /// A plugin's component: `folder.module.Component`.
    Plugin {
        /// The segments before the module; empty in `myLoss.MyDiceLoss`.
        folder: PathBuf,
        /// The plugin's module.
        module: String,
        /// The component.
        name: String,
    },
}

impl ComponentPath {
    /// Takes a name or dotted path apart; says what is wrong with it if it is neither.
    pub fn parse(text: &str) -> Result<Self, String> {
        let segments: Vec<&str> = text.split('.').collect();
        if let Some(bad) = segments.iter().find(|segment| !is_identifier(segment)) {
            return Err(format!(
                "`{text}` names no component: `{bad}` is not made of letters, digits and `_` (expected `Component` or `folder.module.Component`)"
            ));
        }
        Ok(match segments.as_slice() {
            [name] => Self::BuiltIn { package: String::new(), name: (*name).to_owned() },
            [packages @ .., name] if packages.first().is_some_and(|first| BUILT_IN_PACKAGES.contains(first)) => {
                Self::BuiltIn { package: packages.join("."), name: (*name).to_owned() }
            }
            [folder @ .., module, name] => {
                Self::Plugin { folder: folder.iter().collect(), module: (*module).to_owned(), name: (*name).to_owned() }
            }
            [] => return Err("an empty text names no component".to_owned()),
        })
    }
}

/// `[A-Za-z_][A-Za-z0-9_]*`
pub fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::ComponentPath;

    fn built_in(package: &str, name: &str) -> ComponentPath {
        ComponentPath::BuiltIn { package: package.into(), name: name.into() }
    }

    fn plugin(folder: &str, module: &str, name: &str) -> ComponentPath {
        ComponentPath::Plugin { folder: folder.into(), module: module.into(), name: name.into() }
    }

    #[test]
    fn the_last_segment_is_the_component_and_the_one_before_it_the_module() {
        for (text, expected) in [
            ("DiceLoss", built_in("", "DiceLoss")),
            ("monai.losses.DiceLoss", built_in("monai.losses", "DiceLoss")),
            ("torch.optim.Adam", built_in("torch.optim", "Adam")),
            ("myLoss.MyDiceLoss", plugin("", "myLoss", "MyDiceLoss")),
            ("BYOC.myLoss.MyDiceLoss", plugin("BYOC", "myLoss", "MyDiceLoss")),
            ("a.b.myLoss.MyDiceLoss", plugin("a/b", "myLoss", "MyDiceLoss")),
        ] {
            assert_eq!(ComponentPath::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn nothing_may_follow_or_climb_out() {
        for text in ["", "a.", ".a", "a..b", "../x.Y", "a/b.C", "myLoss.MyDiceLoss ", "myLoss.1st"] {
            assert!(ComponentPath::parse(text).is_err(), "{text}");
        }
    }
}
