//! Every code of a diagnostic has a snapshot: a config with that one fault, and what a user sees.

mod common;

use common::{Archive, CONFIG, TestCatalog, broken};
use mmar_config::{Code, Diagnostics, RenderOptions, check, load};

/// A config with one fault.
struct Case {
    code: Code,
    config: String,
    overrides: &'static [&'static str],
}

fn case(code: Code, replacements: &[(&str, &str)]) -> Case {
    Case { code, config: broken(replacements), overrides: &[] }
}

fn set(code: Code, overrides: &'static [&'static str]) -> Case {
    Case { code, config: CONFIG.to_owned(), overrides }
}

const VALIDATION_HANDLER: &str = r#"
      {"name": "ValidationHandler", "args": {"validator": "@evaluator", "epoch_level": true, "interval": "{num_interval_per_valid}"}},"#;

/// One case for each code; some codes say different things and have more.
fn cases() -> Vec<(&'static str, Case)> {
    let metrics_saver = |label: &str| {
        format!(
            r#""handlers": [{{"name": "MetricsSaver", "args": {{"save_dir": "eval", "metrics": ["{label}"]}}}}, {{"name": "StatsHandler", "rank": 0, "args": {{"output_transform": "lambda x: None"}}}}"#
        )
    };
    let validate_handlers = r#""handlers": [
      {"name": "StatsHandler", "rank": 0, "args": {"output_transform": "lambda x: None"}}"#;
    vec![
        (
            "invalid-json",
            case(Code::InvalidJson, &[("\"amp\": false,", "\"amp\": False, // no GPU"), ("[16, 32],", "[16, 32,],")]),
        ),
        (
            "invalid-json-unclosed",
            case(Code::InvalidJson, &[("\"name\": \"SimpleInferer\"}", "\"name\": \"SimpleInferer\"")]),
        ),
        ("duplicate-key", case(Code::DuplicateKey, &[("\"amp\": false,", "\"amp\": false,\n  \"epochs\": 3,")])),
        (
            "unexpected-type",
            case(
                Code::UnexpectedType,
                &[("\"inferer\": {\"name\": \"SimpleInferer\"}", "\"inferer\": \"SimpleInferer\"")],
            ),
        ),
        (
            "unexpected-type-variable",
            case(Code::UnexpectedType, &[("\"dont_load_ckpt_model\": true", "\"dont_load_ckpt_model\": \"True\"")]),
        ),
        (
            "unknown-key",
            case(Code::UnknownKey, &[("\"rank\": 0, \"args\": {\"tag_name\"", "\"rnk\": 0, \"args\": {\"tag_name\"")]),
        ),
        (
            "unknown-key-section",
            case(
                Code::UnknownKey,
                &[
                    ("\"lr_scheduler\": {", "\"lr_schedule\": {"),
                    (
                        "\n      {\"name\": \"LrScheduleHandler\", \"args\": {\"lr_scheduler\": \"@lr_scheduler\", \"print_lr\": true}},",
                        "",
                    ),
                ],
            ),
        ),
        (
            "missing-key",
            case(Code::MissingKey, &[("\"trainer\": {\n      \"name\": \"SupervisedTrainer\",", "\"trainer\": {")]),
        ),
        (
            "missing-key-section",
            case(
                Code::MissingKey,
                &[
                    ("    \"inferer\": {\"name\": \"SimpleInferer\"},\n", ""),
                    (
                        "    \"loss\": {\"name\": \"DiceLoss\", \"args\": {\"to_onehot_y\": true, \"softmax\": true, \"smooth_nr\": 1e-5}},\n",
                        "",
                    ),
                ],
            ),
        ),
        ("invalid-override", set(Code::InvalidOverride, &["epochs"])),
        ("unknown-override", set(Code::UnknownOverride, &["epoch=3"])),
        ("unknown-override-path", set(Code::UnknownOverride, &["train.optimiser.args.lr=1e-3"])),
        ("unknown-override-list", set(Code::UnknownOverride, &["train.pre_transforms.Spacing.args.pixdim=[2, 2, 2]"])),
        ("unresolved-variable", case(Code::UnresolvedVariable, &[("\"{DATA_ROOT}\"", "\"{DATA_ROT}/cases\"")])),
        (
            "variable-cycle",
            case(
                Code::VariableCycle,
                &[("\"learning_rate\": 2e-4", "\"learning_rate\": \"{base}\",\n  \"base\": \"{learning_rate}\"")],
            ),
        ),
        (
            "variable-in-text",
            case(
                Code::VariableInText,
                &[
                    ("\"epochs\": 2,", "\"epochs\": 2,\n  \"size\": [96, 96],"),
                    ("\"{MMAR_CKPT_DIR}\"", "\"models/{size}\""),
                ],
            ),
        ),
        ("unused-variable", case(Code::UnusedVariable, &[("\"use_gpu\": false", "\"use_gpus\": false")])),
        (
            "invalid-setting",
            case(
                Code::InvalidSetting,
                &[("\"amp\": false", "\"amp\": \"False\""), (", \"amp\": \"{amp}\"", ""), (", \"amp\": \"{amp}\"", "")],
            ),
        ),
        ("unknown-dialect", case(Code::UnknownDialect, &[("4.1.0", "3.1.0")])),
        (
            "not-a-training-config",
            Case {
                code: Code::NotATrainingConfig,
                config: "{\n  \"format_version\": 1,\n  \"servers\": []\n}\n".into(),
                overrides: &[],
            },
        ),
        ("unknown-reference", case(Code::UnknownReference, &[("\"@optimizer\"", "\"@optimiser\"")])),
        (
            "unknown-reference-missing",
            case(
                Code::UnknownReference,
                &[(
                    "    \"lr_scheduler\": {\"name\": \"StepLR\", \"args\": {\"optimizer\": \"@optimizer\", \"step_size\": 5000}},\n",
                    "",
                )],
            ),
        ),
        ("unknown-ref", case(Code::UnknownRef, &[("{\"ref\": \"Spacingd\"}", "{\"ref\": \"Spacing\"}")])),
        (
            "unsupported-expression",
            case(Code::UnsupportedExpression, &[("\"lambda x: None\"", "\"lambda x: x['pred'].mean()\"")]),
        ),
        (
            "unsupported-expression-replacement",
            case(
                Code::UnsupportedExpression,
                &[(
                    "\"lambda x: None\"",
                    "\"lambda x: __import__('monai').transforms.AsDiscrete(threshold_values=True)(x['pred_inverted'][0][None].detach().cpu())\"",
                )],
            ),
        ),
        (
            "unknown-component",
            case(Code::UnknownComponent, &[("\"name\": \"DiceLoss\"", "\"path\": \"BYOC.myLoss.MyDiceLos\"")]),
        ),
        (
            "unknown-component-builtin",
            case(
                Code::UnknownComponent,
                &[("\"name\": \"LoadImaged\"", "\"name\": \"LoadImages\""), ("{\"ref\": \"LoadImaged\"}, ", "")],
            ),
        ),
        (
            "unusable-component",
            case(Code::UnusableComponent, &[("\"name\": \"DiceLoss\"", "\"path\": \"BYOC.oldLoss.OldLoss\"")]),
        ),
        ("component-failed", set(Code::ComponentFailed, &[])),
        (
            "unknown-arg",
            case(Code::UnknownArg, &[("\"softmax\": true, \"smooth_nr\"", "\"softmx\": true, \"smooth_nr\"")]),
        ),
        ("missing-arg", case(Code::MissingArg, &[("\"keys\": \"image\", \"offsets\": 0.1", "\"keys\": \"image\"")])),
        ("invalid-arg", case(Code::InvalidArg, &[("\"smooth_nr\": 1e-5", "\"smooth_nr\": \"1e-5\"")])),
        ("invalid-arg-range", case(Code::InvalidArg, &[("\"prob\": 0.5", "\"prob\": 1.5")])),
        (
            "invalid-arg-element",
            case(Code::InvalidArg, &[("[\"bilinear\", \"nearest\"]", "[\"bilinear\", \"nearset\"]")]),
        ),
        (
            "invalid-arg-variable",
            Case {
                code: Code::InvalidArg,
                config: broken(&[("\"prob\": 0.5", "\"prob\": \"{p}\"")]),
                overrides: &["p=often"],
            },
        ),
        ("invalid-arg-override", set(Code::InvalidArg, &["train.loss.args.smooth_nr=-1"])),
        ("duplicate-arg", case(Code::DuplicateArg, &[("\"dimensions\": 3", "\"dimensions\": 3, \"spatial_dims\": 3")])),
        (
            "per-key-length",
            case(Code::PerKeyLength, &[("\"argmax\": [true, false]", "\"argmax\": [true, false, false]")]),
        ),
        (
            "no-model",
            case(
                Code::NoModel,
                &[
                    ("\"name\": \"UNet\",", "\"name\": \"UNet\", \"disabled\": \"{dont_load_ckpt_model}\","),
                    ("{\"model\": \"@model\", \"train_conf\": \"@conf\"}", "{\"train_conf\": \"@conf\"}"),
                    ("\"params\": \"#@model.parameters()\", ", ""),
                    ("\"network\": \"@model\", ", ""),
                ],
            ),
        ),
        (
            "missing-log-label",
            case(
                Code::MissingLogLabel,
                &[("\"name\": \"MeanDice\", \"log_label\": \"val_mean_dice\"", "\"name\": \"MeanDice\"")],
            ),
        ),
        (
            "duplicate-log-label",
            case(Code::DuplicateLogLabel, &[("\"log_label\": \"val_acc\"", "\"log_label\": \"val_mean_dice\"")]),
        ),
        (
            "several-key-metrics",
            case(
                Code::SeveralKeyMetrics,
                &[("\"log_label\": \"val_acc\"", "\"log_label\": \"val_acc\", \"is_key_metric\": true")],
            ),
        ),
        ("unknown-metric-label", case(Code::UnknownMetricLabel, &[(validate_handlers, &metrics_saver("mean_dice"))])),
        (
            "no-handlers",
            case(Code::NoHandlers, &[("    \"evaluator\": {\"name\"", "    \"_\": [],\n    \"evaluator\": {\"name\"")]),
        ),
        ("no-validation", case(Code::NoValidation, &[(VALIDATION_HANDLER, "")])),
    ]
}

fn report(case: &Case, archive: &Archive) -> Diagnostics {
    if case.code == Code::ComponentFailed {
        let plan = load(&archive.request(&[])).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
        let loss = plan.train.as_ref().and_then(|train| train.loss.as_ref()).expect("a loss");
        return plan.component_error(
            loss,
            "DiceLoss: `sigmoid` and `softmax` exclude each other",
            vec!["set at most one of them".into()],
        );
    }
    archive.load(case.overrides).map_or_else(|diagnostics| diagnostics, |plan| plan.warnings)
}

#[test]
fn every_code_has_a_snapshot() {
    let mut seen = std::collections::BTreeSet::new();
    for (name, mut case) in cases() {
        if case.code == Code::NoHandlers {
            // the handlers of `validate` go
            let validate = case.config.find("\"validate\"").expect("a validate section");
            let start = validate + case.config[validate..].find("    \"handlers\"").expect("handlers");
            let end = start + case.config[start..].find("    \"post_transforms\"").expect("post transforms");
            case.config.replace_range(start..end, "");
        }
        let archive = Archive::new(&case.config);
        let diagnostics = report(&case, &archive);
        assert!(
            diagnostics.iter().any(|diagnostic| diagnostic.code == case.code),
            "{name} reports {}:\n{diagnostics}",
            case.code
        );
        for diagnostic in &diagnostics {
            assert_eq!(diagnostic.code, case.code, "{name} reports something else, too:\n{diagnostics}");
        }
        seen.insert(case.code);
        let text = archive.anonymous(&diagnostics.render(&RenderOptions::default()));
        insta::assert_snapshot!(name, text);
    }
    // a file that is not there has no config to break
    let archive = Archive::new(CONFIG);
    let mut request = archive.request(&[]);
    request.config = "config_trian.json".into();
    let diagnostics = load(&request).expect_err("no such file");
    insta::assert_snapshot!("cannot-read", archive.anonymous(&diagnostics.to_string()));
    seen.insert(Code::CannotRead);

    let missing: Vec<&Code> = Code::ALL.iter().filter(|code| !seen.contains(code)).collect();
    assert!(missing.is_empty(), "no snapshot for {missing:?}");
}

#[test]
fn the_unbroken_config_is_clean() {
    let archive = Archive::new(CONFIG);
    let plan = archive.load(&[]).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    assert!(plan.warnings.is_empty(), "{}", plan.warnings);
    assert!(check(&plan, &TestCatalog).is_empty());
}

/// Twelve faults of every stage in one config.
const FAULTS: [(&str, &str, Code); 12] = [
    ("\"amp\": false,", "\"amp\": 1,", Code::InvalidSetting),
    ("\"name\": \"DiceLoss\"", "\"path\": \"BYOC.myLoss.MyDiceLos\"", Code::UnknownComponent),
    ("\"lr\": \"{learning_rate}\"", "\"lr\": \"{learning_rat}\"", Code::UnresolvedVariable),
    ("\"@optimizer\"", "\"@optimiser\"", Code::UnknownReference),
    ("\"in_channels\": 1", "\"in_chanels\": 1", Code::UnknownArg),
    ("[\"bilinear\", \"nearest\"]", "[\"bilinear\", \"nearset\"]", Code::InvalidArg),
    ("\"offsets\": 0.1", "\"offsets\": \"0.1\"", Code::InvalidArg),
    ("\"batch_size\": 2", "\"batch_size\": 0", Code::InvalidArg),
    ("\"rank\": 0, \"args\": {\"tag_name\"", "\"rnk\": 0, \"args\": {\"tag_name\"", Code::UnknownKey),
    ("\"argmax\": [true, false]", "\"argmax\": \"yes\"", Code::InvalidArg),
    ("{\"ref\": \"Spacingd\"}", "{\"ref\": \"Spacing\"}", Code::UnknownRef),
    ("\"lambda x: None\"", "\"lambda x: x.mean()\"", Code::UnsupportedExpression),
];

#[test]
fn twelve_faults_are_reported_at_once_each_at_its_line() {
    let mut config = CONFIG.to_owned();
    let mut expected = Vec::new();
    for (from, to, code) in FAULTS {
        let at = config.find(from).expect("the config has it");
        expected.push((config[..at].matches('\n').count() + 1, code));
        config.replace_range(at..at + from.len(), to);
    }
    let archive = Archive::new(&config);
    let diagnostics = archive.load(&[]).expect_err("twelve faults");
    let found: Vec<(usize, Code)> = diagnostics
        .iter()
        .map(|diagnostic| {
            let label = diagnostic.primary.as_ref().expect("a place");
            (diagnostics.sources().position(label.span).0, diagnostic.code)
        })
        .collect();
    assert_eq!(found, expected, "{diagnostics}");
    insta::assert_snapshot!("twelve-faults", archive.anonymous(&diagnostics.to_string()));
    insta::assert_snapshot!("twelve-faults-json", archive.anonymous(&format!("{:#}", diagnostics.to_json())));
}

#[test]
fn more_than_twenty_are_counted() {
    let arguments: Vec<String> = (0..30).map(|index| format!("\"nonsense_{index}\": 1")).collect();
    let archive = Archive::new(&broken(&[("\"smooth_nr\": 1e-5", &arguments.join(",\n      "))]));
    let diagnostics = archive.load(&[]).expect_err("thirty faults");
    assert_eq!(diagnostics.errors(), 30);
    let text = diagnostics.to_string();
    assert_eq!(text.matches("error[unknown-arg]").count(), 20);
    assert!(text.ends_with("…and 10 more\n"), "{text}");
    assert_eq!(diagnostics.to_json()["diagnostics"].as_array().map(Vec::len), Some(30), "a script gets them all");
}

#[test]
fn colour_is_by_choice() {
    let archive = Archive::new(&broken(&[("\"prob\": 0.5", "\"prob\": 1.5")]));
    let diagnostics = archive.load(&[]).expect_err("a fault");
    assert!(!diagnostics.to_string().contains('\u{1b}'));
    assert!(diagnostics.render(&RenderOptions { color: true, ..RenderOptions::default() }).contains('\u{1b}'));
}

#[test]
fn broken_text_is_reported_with_the_environment_and_overrides() {
    let archive = Archive::new(&broken(&[("\"amp\": false,", "\"amp\": false")]));
    archive.write("environment.json", "{\"DATA_ROOT\": }");
    let diagnostics = archive.load(&["=3"]).expect_err("three faulty sources");
    let codes: Vec<Code> = diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
    assert_eq!(codes, [Code::InvalidJson, Code::InvalidJson, Code::InvalidOverride], "{diagnostics}");
}
