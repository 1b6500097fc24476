//! The check of arguments agrees with serde: what the check accepts can be read, what it refuses cannot.
//!
//! The structs are written as components write theirs, so that every shape of schema that `schemars` makes of them occurs.

mod common;

use std::collections::BTreeMap;

use common::{Archive, TestCatalog, broken};
use mmar_config::{Catalog, ComponentId, Found, Lookup, Named, load_checked};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
#[expect(dead_code, reason = "only read")]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Reduction {
    /// The mean of all.
    Mean,
    /// The sum.
    Sum,
    None,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
#[expect(dead_code, reason = "only read")]
enum Norm {
    Name(String),
    WithArgs(String, BTreeMap<String, Json>),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only read")]
struct Inner {
    width: u32,
    #[serde(default)]
    height: Option<f64>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only read")]
struct Args {
    /// Needed.
    count: u32,
    #[serde(default)]
    flag: bool,
    #[serde(default)]
    optional: Option<f64>,
    #[serde(default)]
    signed: i64,
    #[serde(default)]
    keys: Option<OneOrMany<String>>,
    #[serde(default)]
    sizes: Option<OneOrMany<i64>>,
    #[serde(default)]
    pair: Option<(u32, f64)>,
    #[serde(default)]
    fixed: Option<[f64; 3]>,
    #[serde(default)]
    reduction: Option<Reduction>,
    #[serde(default)]
    norm: Option<Norm>,
    #[serde(default)]
    inner: Option<Inner>,
    #[serde(default)]
    many: Vec<Inner>,
    #[serde(default)]
    map: BTreeMap<String, u32>,
    #[serde(default)]
    anything: Json,
}

/// The test catalog, with one more loss.
struct Extended;

impl Catalog for Extended {
    fn find(&self, kind: &str, id: &ComponentId) -> Lookup {
        if id.lookup() != "Shapes" {
            return TestCatalog.find(kind, id);
        }
        Lookup::Found(Found { name: "Shapes".into(), provider: None, schema: schema() })
    }
}

fn schema() -> Json {
    let settings =
        schemars::generate::SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<Args>().to_value()
}

/// The loss of these arguments, as an editor's schema knows it.
fn named() -> Named {
    Named {
        kind: "loss".into(),
        name: "Shapes".into(),
        aliases: Vec::new(),
        paths: Vec::new(),
        summary: String::new(),
        schema: schema(),
    }
}

#[test]
fn the_check_an_editor_and_serde_agree() {
    let cases = [
        json!({"count": 1}),
        json!({}),
        json!({"count": -1}),
        json!({"count": 1.5}),
        json!({"count": 2.0}),
        json!({"count": "1"}),
        json!({"count": null}),
        json!({"count": 1, "flag": true}),
        json!({"count": 1, "flag": "true"}),
        json!({"count": 1, "flag": 1}),
        json!({"count": 1, "optional": null}),
        json!({"count": 1, "optional": 3}),
        json!({"count": 1, "optional": "3"}),
        json!({"count": 1, "signed": -3}),
        json!({"count": 1, "signed": 1e3}),
        json!({"count": 1, "keys": "image"}),
        json!({"count": 1, "keys": ["image", "label"]}),
        json!({"count": 1, "keys": ["image", 1]}),
        json!({"count": 1, "keys": []}),
        json!({"count": 1, "sizes": 3}),
        json!({"count": 1, "sizes": [3, -1]}),
        json!({"count": 1, "sizes": [3, 0.5]}),
        json!({"count": 1, "pair": [1, 0.5]}),
        json!({"count": 1, "pair": [0.5, 1]}),
        json!({"count": 1, "pair": [1]}),
        json!({"count": 1, "pair": [1, 2, 3]}),
        json!({"count": 1, "fixed": [1, 2, 3]}),
        json!({"count": 1, "fixed": [1, 2]}),
        json!({"count": 1, "reduction": "mean"}),
        json!({"count": 1, "reduction": "none"}),
        json!({"count": 1, "reduction": "Mean"}),
        json!({"count": 1, "reduction": 1}),
        json!({"count": 1, "norm": "batch"}),
        json!({"count": 1, "norm": ["instance", {"affine": true}]}),
        json!({"count": 1, "norm": ["instance"]}),
        json!({"count": 1, "inner": {"width": 3}}),
        json!({"count": 1, "inner": {"width": 3, "height": 0.5}}),
        json!({"count": 1, "inner": {"height": 0.5}}),
        json!({"count": 1, "inner": {"width": 3, "depth": 1}}),
        json!({"count": 1, "inner": []}),
        json!({"count": 1, "many": [{"width": 3}, {"width": 4}]}),
        json!({"count": 1, "many": [{"width": 3}, {"wdth": 4}]}),
        json!({"count": 1, "map": {"a": 1}}),
        json!({"count": 1, "map": {"a": "1"}}),
        json!({"count": 1, "anything": {"a": ["b", null]}}),
        json!({"count": 1, "cuont": 2}),
    ];
    let editor = common::editor(vec![named()]);
    let mut refused = 0;
    for args in cases {
        let config = broken(&[(
            r#"{"name": "DiceLoss", "args": {"to_onehot_y": true, "softmax": true, "smooth_nr": 1e-5}}"#,
            &json!({"name": "Shapes", "args": args}).to_string(),
        )]);
        let archive = Archive::new(&config);
        let checked = load_checked(&archive.request(&[]), &Extended);
        let read = serde_json::from_value::<Args>(args.clone());
        let in_editor = editor.is_valid(&serde_json::from_str(&config).expect("JSON"));
        // JSON Schema makes no difference between 2 and 2.0
        let is_whole = args["count"] == 2.0 || args["signed"] == 1e3;
        assert!(in_editor == read.is_ok() || is_whole, "{args}: an editor says {in_editor}");
        match (&checked, &read) {
            (Ok(_), Ok(_)) => {}
            (Err(diagnostics), Err(_)) => {
                refused += 1;
                assert_eq!(diagnostics.len(), 1, "{args}: one fault, one error\n{diagnostics}");
            }
            (Ok(_), Err(error)) => panic!("{args} is accepted, but cannot be read: {error}"),
            (Err(diagnostics), Ok(_)) => panic!("{args} can be read, but is refused:\n{diagnostics}"),
        }
    }
    assert!(refused > 15, "{refused}");
}
