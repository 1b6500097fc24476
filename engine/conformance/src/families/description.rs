//! What a component says about itself, and whether it keeps to it.

use byoc::ErrorCode;
use serde_json::{Map, Value as Json, json};

use crate::arguments;
use crate::specimen::Specimen;
use crate::suite::Test;
use crate::verdict::{Found, Verdict, said};

pub(crate) const TESTS: &[Test] = &[
    Test::of_component("schema", "the schema of the arguments is a JSON Schema of an object", &[], schema),
    Test::of_component("documented", "the component and each argument say what they are", &[], documented),
    Test::of_component("defaults", "every default satisfies its own schema", &[], defaults),
    Test::of_component("made", "it can be made with arguments that satisfy the schema", &[], made),
    Test::of_component("unknown-argument", "an argument that does not exist is refused", &[], unknown_argument),
    Test::of_component("wrong-type", "an argument of another type is refused", &[], wrong_type),
];

/// The arguments that the schema declares.
fn properties(specimen: &Specimen) -> Option<&Map<String, Json>> {
    specimen.descriptor.schema.get("properties").and_then(Json::as_object)
}

fn schema(specimen: &Specimen) -> Found {
    let schema = &specimen.descriptor.schema;
    if let Err(error) = jsonschema::meta::validate(schema) {
        return Err(Verdict::failed(
            format!("it is no JSON Schema: {error} (at `{}`)", error.instance_path()),
            "derive `JsonSchema` for the arguments; what `#[schemars(extend(…))]` adds must be JSON Schema, too",
        ));
    }
    if schema.get("type").is_some_and(|kind| kind != "object") {
        return Err(Verdict::failed(
            format!("the arguments are `{}`, not an object", schema["type"]),
            "make `Args` a struct with named fields",
        ));
    }
    jsonschema::validator_for(schema).map_err(|error| {
        Verdict::failed(format!("the schema cannot be used: {error}"), "take out what refers to another document")
    })?;
    Ok(Verdict::success(match properties(specimen).map_or(0, Map::len) {
        0 => "no arguments".to_owned(),
        count => format!("{count} arguments"),
    }))
}

fn documented(specimen: &Specimen) -> Found {
    if specimen.descriptor.summary.trim().is_empty() {
        return Err(Verdict::warning(
            "it has no summary: `mmar components` shows its name only",
            "write a doc comment (`///`) on the struct of its arguments",
        ));
    }
    let silent: Vec<String> = properties(specimen)
        .into_iter()
        .flatten()
        .filter(|(_, property)| property.get("description").is_none_or(|text| text == ""))
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    if silent.is_empty() {
        return Ok(Verdict::success(specimen.descriptor.summary.clone()));
    }
    Err(Verdict::warning(
        format!("nothing is said about {}", silent.join(", ")),
        "write a doc comment (`///`) on each field of the arguments",
    ))
}

fn defaults(specimen: &Specimen) -> Found {
    let mut count = 0;
    for (name, property) in properties(specimen).into_iter().flatten() {
        let Some(default) = property.get("default") else { continue };
        let validator = jsonschema::validator_for(property).map_err(|error| {
            Verdict::failed(format!("the schema of `{name}` cannot be used: {error}"), "see the test `schema`")
        })?;
        if let Err(error) = validator.validate(default) {
            return Err(Verdict::failed(
                format!("the default of `{name}` is {default}, which its own schema refuses: {error}"),
                "make the default fit the type and the range of the field",
            ));
        }
        count += 1;
    }
    Ok(Verdict::success(format!("{count} defaults")))
}

fn made(specimen: &Specimen) -> Found {
    let args = specimen.args();
    let schema = &specimen.descriptor.schema;
    if let Some(given) = &specimen.given.args
        && let Some(error) = refused_by_schema(schema, given)
    {
        return Err(Verdict::failed(
            format!("the arguments that were given do not satisfy the schema: {error}"),
            "give arguments that it takes",
        ));
    }
    match specimen.make_with(&args) {
        Ok(_) => Ok(Verdict::success(format!("with `{args}`"))),
        Err(error) if error.code() == ErrorCode::PANICKED => Err(Verdict::failed(
            format!("it panics when it is made with `{args}`: {}", said(&error)),
            "return an error that says what is wrong with the arguments: `byoc::ensure!`, `byoc::bail!` and `?`",
        )),
        Err(_) => specimen.make().map(|_| Verdict::success("at the second attempt")),
    }
}

/// Why the schema refuses arguments; other spellings of an argument are replaced first.
fn refused_by_schema(schema: &Json, args: &Map<String, Json>) -> Option<String> {
    let mut renamed = args.clone();
    for (name, property) in schema.get("properties").and_then(Json::as_object).into_iter().flatten() {
        let aliases = property.get("x-aliases").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
        for alias in aliases {
            if let Some(value) = renamed.remove(alias) {
                renamed.insert(name.clone(), value);
            }
        }
    }
    let validator = jsonschema::validator_for(schema).ok()?;
    let args = Json::Object(renamed);
    validator.validate(&args).err().map(|error| error.to_string())
}

fn unknown_argument(specimen: &Specimen) -> Found {
    const NAME: &str = "no_such_argument";
    specimen.make()?;
    if specimen.descriptor.schema.get("additionalProperties").is_some_and(|it| it == true || it.is_object()) {
        return Ok(Verdict::skipped("it takes arguments of any name, and says so"));
    }
    let mut args = specimen.args();
    if let Some(args) = args.as_object_mut() {
        args.insert(NAME.to_owned(), json!(1));
    }
    if specimen.make_with(&args).is_ok() {
        return Err(Verdict::failed(
            format!("it takes an argument `{NAME}`: a misspelt argument would be passed over in silence"),
            "put `#[serde(deny_unknown_fields)]` on the struct of its arguments",
        ));
    }
    if specimen.descriptor.schema.get("additionalProperties").is_none() {
        return Err(Verdict::warning(
            "the schema does not say that other arguments are refused",
            "put `#[serde(deny_unknown_fields)]` on the struct of its arguments, so that the config check knows it",
        ));
    }
    Ok(Verdict::success("refused"))
}

fn wrong_type(specimen: &Specimen) -> Found {
    specimen.make()?;
    let mut count = 0;
    for (name, property) in properties(specimen).into_iter().flatten() {
        let Some(wrong) = arguments::of_wrong_type(property) else { continue };
        let mut args = specimen.args();
        if let Some(args) = args.as_object_mut() {
            args.insert(name.clone(), wrong.clone());
        }
        match specimen.make_with(&args) {
            Ok(_) => {
                return Err(Verdict::failed(
                    format!("it takes {wrong} for `{name}`, which its schema refuses"),
                    "make the type of the field and its schema say the same",
                ));
            }
            Err(error) if error.code() == ErrorCode::PANICKED => {
                return Err(Verdict::failed(
                    format!("{wrong} for `{name}` makes it panic: {}", said(&error)),
                    "let serde parse the arguments, and return an error for what it cannot check",
                ));
            }
            Err(_) => count += 1,
        }
    }
    Ok(Verdict::success(format!("{count} arguments refuse another type")))
}
