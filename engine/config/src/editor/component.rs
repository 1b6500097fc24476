//! A component of some kind: every name that it can have, and the arguments that belong to the name.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use super::Named;
use super::arguments::{Arguments, VARIABLE};

/// What a component of a place may have beside `name`, `path` and `args`.
pub(super) struct Form {
    /// The kind, as a [`crate::Catalog`] knows it.
    pub(super) kind: &'static str,
    /// How descriptions name it.
    pub(super) what: &'static str,
    /// Its keys with their schemas.
    pub(super) keys: Vec<(&'static str, Json)>,
    /// Arguments that the engine takes for itself.
    pub(super) arguments: Vec<(&'static str, Json)>,
}

/// How the names of components are spelled.
#[derive(Clone, Copy)]
pub(super) struct Spelling<'a> {
    /// First segments of paths that name built-in components.
    pub(super) packages: &'a [&'a str],
    /// Whether there may be plugins that are not listed.
    pub(super) has_other_plugins: bool,
}

/// The definition of a kind, and one for each of its components.
pub(super) fn definitions(form: &Form, all: &[Named], spelling: Spelling<'_>) -> Vec<(String, Json)> {
    let components: Vec<&Named> = all.iter().filter(|component| component.kind == form.kind).collect();
    let mut definitions = vec![(form.kind.to_owned(), kind(form, &components, spelling))];
    for component in components {
        let id = id(component);
        let base = format!("#/$defs/{id}/properties/args");
        let (args, is_required) = Arguments::new(&component.schema, &base).schema(&form.arguments);
        let mut definition = json!({ "properties": { "args": args } });
        if is_required {
            definition["required"] = json!(["args"]);
        }
        definitions.push((id, definition));
    }
    definitions
}

/// The key of a component's definition: `loss:DiceLoss`, `loss:myLoss.MyDiceLoss`.
fn id(component: &Named) -> String {
    let Named { kind, name, paths, .. } = component;
    let module = paths.first().and_then(|path| path.rsplit('.').nth(1));
    module.map_or_else(|| format!("{kind}:{name}"), |module| format!("{kind}:{module}.{name}"))
}

fn kind(form: &Form, components: &[&Named], spelling: Spelling<'_>) -> Json {
    let what = form.what;
    let switch = json!({ "type": ["boolean", "string", "null"], "pattern": VARIABLE, "default": false, "description": "Leaves the component out." });
    let text = |description: String| json!({ "type": ["string", "null"], "description": description });
    let mut properties = Map::from_iter([
        ("name".to_owned(), text(format!("A {what} of the engine; beside a `path` the name that logs and `ref` use."))),
        (
            "path".to_owned(),
            text(format!("A {what} of a plugin: folder, module, component, as in `BYOC.module.Component`.")),
        ),
        (
            "args".to_owned(),
            json!({ "type": ["object", "string", "null"], "description": format!("The arguments of the {what}.") }),
        ),
        ("disabled".to_owned(), switch),
        ("search".to_owned(), json!({ "description": "For a hyperparameter search; not used in training." })),
        ("apply".to_owned(), json!({ "description": "For a hyperparameter search; not used in training." })),
    ]);
    properties.extend(form.keys.iter().map(|(key, schema)| ((*key).to_owned(), schema.clone())));
    let keys: Vec<&str> = properties.keys().map(String::as_str).collect();
    let keys = format!("^(_.*|{})$", keys.join("|"));
    json!({
        "type": "object",
        "description": format!("A {what}."),
        "properties": properties,
        // what is disabled is not looked at
        "if": { "properties": { "disabled": { "const": true } }, "required": ["disabled"] },
        "else": {
            "propertyNames": { "pattern": keys },
            "if": { "properties": { "path": { "type": "string" } }, "required": ["path"] },
            "then": by_path(components, spelling),
            "else": by_name(components),
        },
    })
}

/// A component that is named by its path.
fn by_path(components: &[&Named], spelling: Spelling<'_>) -> Json {
    let is_builtin = |component: &&&Named| component.paths.is_empty();
    let mut known = Vec::new();
    for component in components.iter().filter(|component| !is_builtin(component)) {
        for path in &component.paths {
            known.push(json!({ "const": path, "description": component.summary }));
        }
    }
    let spellings: Vec<&str> =
        components.iter().filter(is_builtin).flat_map(|component| component.spellings()).collect();
    if !spellings.is_empty() {
        known.push(json!({ "pattern": builtin_pattern(spellings, &[], spelling.packages) }));
    }
    if spelling.has_other_plugins || components.is_empty() {
        let packages = spelling.packages.join("|");
        known.push(json!({ "pattern": format!(r"^(?!({packages})\.)\w+(\.\w+)+$") }));
    }
    known.push(json!({ "$ref": "#/$defs/variable" }));
    let rules = components.iter().map(|component| {
        let condition = if is_builtin(&component) {
            json!({ "pattern": own_pattern(component, components, spelling.packages) })
        } else {
            json!({ "enum": component.paths })
        };
        rule("path", condition, component)
    });
    branch(json!({ "path": { "anyOf": known } }), rules.collect())
}

/// A component that is named without a path.
fn by_name(components: &[&Named]) -> Json {
    let mut known = Vec::new();
    let mut aliases = Vec::new();
    let builtins = || components.iter().filter(|component| component.paths.is_empty());
    for component in builtins() {
        known.push(json!({ "const": component.name, "description": component.summary }));
        aliases.extend(component.aliases.iter().map(String::as_str));
    }
    if !aliases.is_empty() {
        known.push(json!({ "enum": aliases }));
    }
    if known.is_empty() {
        known.push(json!({ "type": "string" }));
    }
    // a path under `name` means the same; whether there is such a component is said under `path` only
    known.push(json!({ "pattern": r"^\w+(\.\w+)+$" }));
    known.push(json!({ "$ref": "#/$defs/variable" }));
    let rules = builtins().map(|component| {
        let names: Vec<&str> = component.spellings().collect();
        rule("name", json!({ "enum": names }), component)
    });
    let mut schema = branch(json!({ "name": { "anyOf": known } }), rules.collect());
    schema["required"] = json!(["name"]);
    schema
}

fn branch(properties: Json, rules: Vec<Json>) -> Json {
    let mut schema = json!({ "properties": properties });
    if !rules.is_empty() {
        schema["allOf"] = rules.into();
    }
    schema
}

/// The arguments of a component, where it is named.
fn rule(key: &str, condition: Json, component: &Named) -> Json {
    json!({
        "if": { "properties": { key: condition }, "required": [key] },
        "then": { "$ref": format!("#/$defs/{}", id(component)) },
    })
}

/// The paths that mean one of the built-in components with these names: the plain name, or any path into a package that
/// ends with it. A name that has its package before it is meant by paths into that package only.
fn builtin_pattern<'a>(spellings: impl IntoIterator<Item = &'a str>, elsewhere: &[&str], packages: &[&str]) -> String {
    let (with_package, plain): (Vec<&str>, Vec<&str>) = spellings.into_iter().partition(|name| name.contains('.'));
    let mut alternatives = Vec::new();
    if !plain.is_empty() {
        let others: Vec<String> = elsewhere.iter().map(|name| within(name)).collect();
        let not = if others.is_empty() { String::new() } else { format!("(?!({})$)", others.join("|")) };
        alternatives.push(format!(r"{not}(({})(\.\w+)*\.)?({})", packages.join("|"), plain.join("|")));
    }
    alternatives.extend(with_package.iter().map(|name| within(name)));
    format!("^({})$", alternatives.join("|"))
}

/// `monai.optimizers.LinearLR`: in that package or in a module of it.
fn within(name: &str) -> String {
    let (home, name) = name.rsplit_once('.').unwrap_or_default();
    format!(r"{}(\.\w+)*\.{name}", home.replace('.', r"\."))
}

/// As [`builtin_pattern`] for one component, without the paths that mean another one.
fn own_pattern(component: &Named, all: &[&Named], packages: &[&str]) -> String {
    let mut elsewhere = BTreeSet::new();
    for other in all.iter().filter(|other| other.name != component.name) {
        for spelling in other.spellings() {
            let last = spelling.rsplit_once('.').map(|(_, last)| last);
            if last.is_some_and(|last| component.spellings().any(|own| own == last)) {
                elsewhere.insert(spelling);
            }
        }
    }
    let elsewhere: Vec<&str> = elsewhere.into_iter().collect();
    builtin_pattern(component.spellings(), &elsewhere, packages)
}
