//! Components whose description is wrong, or not kept to.

use std::borrow::Cow;

use byoc::{Component, Loss, Registration, Result};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tch::{Kind, Tensor};

use super::{finds, verdict};
use crate::verdict::Outcome::{Failed, Skipped, Success, Warning};

/// Arguments whose schema is written by hand, and which take everything.
macro_rules! args {
    ($name:ident, $schema:tt) => {
        struct $name;

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Json::deserialize(deserializer).map(|_| Self)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

args!(NoSchema, { "type": "objekt" });
args!(NotAnObject, { "type": "array", "description": "A list" });
args!(Silent, { "type": "object", "properties": { "a": { "type": "number" } }, "additionalProperties": false });
args!(HalfSilent, {
    "type": "object", "description": "Something", "additionalProperties": false,
    "properties": { "a": { "type": "number" }, "b": { "type": "number", "description": "A number" } },
});
args!(WrongDefault, {
    "type": "object", "description": "Something", "additionalProperties": false,
    "properties": { "a": { "type": "number", "minimum": 1, "default": 0, "description": "A number" } },
});
args!(Open, { "type": "object", "description": "Something", "additionalProperties": true });

/// A loss that takes its arguments and forgets them.
struct Forgets<A>(std::marker::PhantomData<A>);

impl<A: serde::de::DeserializeOwned + JsonSchema + 'static> Component for Forgets<A> {
    type Args = A;

    fn new(_: A) -> Result<Self> {
        Ok(Self(std::marker::PhantomData))
    }
}

impl<A: Send> Loss for Forgets<A> {
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        Ok(input.f_sub(target)?.f_square()?.f_mean(Kind::Float)?)
    }
}

fn of<A: serde::de::DeserializeOwned + JsonSchema + Send + 'static>(name: &'static str) -> Registration {
    Registration::loss::<Forgets<A>>(name, &[])
}

/// A loss that needs more than its schema can say.
struct Picky;

/// Two numbers, the second one larger.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PickyArgs {
    /// The smaller one.
    low: f64,
    /// The larger one.
    high: f64,
}

impl Component for Picky {
    type Args = PickyArgs;

    fn new(args: PickyArgs) -> Result<Self> {
        byoc::ensure!(args.low < args.high, "`low` must be less than `high`");
        Ok(Self)
    }
}

impl Loss for Picky {
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        Ok(input.f_sub(target)?.f_square()?.f_mean(Kind::Float)?)
    }
}

#[test]
fn schemas_that_are_none_are_found() {
    finds("schema", &of::<NoSchema>("NoSchema"), Failed, "no JSON Schema");
    finds("schema", &of::<NotAnObject>("NotAnObject"), Failed, "not an object");
    finds("schema", &of::<Silent>("Silent"), Success, "1 arguments");
}

#[test]
fn what_is_not_documented_is_found() {
    finds("documented", &of::<Silent>("Silent"), Warning, "no summary");
    finds("documented", &of::<HalfSilent>("HalfSilent"), Warning, "nothing is said about `a`");
}

#[test]
fn what_the_description_promises_is_tried() {
    finds("defaults", &of::<WrongDefault>("WrongDefault"), Failed, "the default of `a` is 0");
    finds("unknown-argument", &of::<HalfSilent>("HalfSilent"), Failed, "`no_such_argument`");
    finds("unknown-argument", &of::<Open>("Open"), Skipped, "of any name");
    finds("wrong-type", &of::<HalfSilent>("HalfSilent"), Failed, "for `a`, which its schema refuses");
}

#[test]
fn arguments_that_nobody_can_guess_are_asked_for() {
    let picky = Registration::loss::<Picky>("Picky", &[]);
    finds("made", &picky, Skipped, "give some with `--args FILE`");
    finds("loss-forward", &picky, Skipped, "`low` must be less than `high`");
    assert_eq!(verdict("schema", &picky).outcome, Success);

    let given = |args: Json| crate::Given { args: args.as_object().cloned(), ..crate::Given::default() };
    let try_with = |args: Json| {
        let specimen = crate::specimen::Specimen::new(picky.descriptor(), picky.constructor(), given(args), 0);
        crate::suite::find("made").unwrap().on_component(&specimen)
    };
    assert_eq!(try_with(json!({ "low": 1.0, "high": 2.0 })).outcome, Success);
    assert_eq!(try_with(json!({ "low": 2.0, "high": 1.0 })).outcome, Failed);
    let refused = try_with(json!({ "low": "1", "high": 2.0 }));
    assert!(refused.detail.contains("do not satisfy the schema"), "{}", refused.detail);
}
