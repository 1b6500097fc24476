//! Every published expression, and what is refused.

use super::*;

fn keys(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|&key| key.to_owned()).collect()
}

#[test]
fn every_published_form_is_read() {
    let key = |key: &str| Expression::Key { key: key.into() };
    let pair = |a: &str, b: &str| Expression::Keys { keys: keys(&[a, b]) };
    let from_engine = |names: &[&str], first| Expression::FromEngine { keys: keys(names), first };
    // numbers as in the census, §2.5
    let cases = [
        ("lambda x: None", Expression::Nothing), // 1
        ("#monai.handlers.from_engine(['pred', 'label'])", from_engine(&["pred", "label"], false)), // 2
        ("lambda x: (x['pred'], x['label'])", pair("pred", "label")), // 3
        ("#monai.handlers.from_engine(['loss'], first=True)", from_engine(&["loss"], true)), // 4
        ("lambda x: x['loss']", key("loss")),    // 5
        ("#@model.parameters()", Expression::Parameters { object: "model".into() }), // 6
        ("lambda x: x['image_meta_dict']", key("image_meta_dict")), // 7
        ("#monai.handlers.from_engine(['image_meta_dict'])", from_engine(&["image_meta_dict"], false)), // 8
        (
            "lambda engine: print(f'iter: {engine.state.iteration}/{engine.state.epoch_length}') if engine.state.iteration % 10 == 0 else None",
            Expression::PrintEvery { interval: 10, image_name: false },
        ), // 9
        (
            "lambda engine: print(f'image: \"{engine.state.batch[\"name\"][0]}\", iter: {engine.state.iteration}/{engine.state.epoch_length}') if engine.state.iteration % 100 == 0 else None",
            Expression::PrintEvery { interval: 100, image_name: true },
        ), // 10
        (
            "lambda engine: print(f'image: \"{engine.state.batch[\"name\"][0]}\", iter: {engine.state.iteration}/{engine.state.epoch_length}')",
            Expression::PrintEvery { interval: 1, image_name: true },
        ), // 11
        ("lambda x: x['pred']", key("pred")),    // 12
        ("lambda x: x['pred_tc']", key("pred_tc")), // 13
        ("lambda x: x['pred_wt']", key("pred_wt")), // 14
        ("lambda x: x['pred_et']", key("pred_et")), // 15
        ("lambda x: (x['pred_tc'], x['label_tc'])", pair("pred_tc", "label_tc")), // 16
        ("lambda x: (x['pred_wt'], x['label_wt'])", pair("pred_wt", "label_wt")), // 17
        ("lambda x: (x['pred_et'], x['label_et'])", pair("pred_et", "label_et")), // 18
        ("lambda x: x[0]['loss']", Expression::FirstItemKey { key: "loss".into() }), // migration guide
        (
            "lambda x: ([i['pred'] for i in x], [i['label'] for i in x])",
            Expression::EachItemKeys { keys: keys(&["pred", "label"]) },
        ), // migration guide
    ];
    for (text, expected) in cases {
        assert!(is_expression(text), "{text}");
        assert_eq!(parse(text), Ok(expected), "{text}");
    }
}

#[test]
fn spacing_and_quotes_do_not_matter() {
    let pred_label = Expression::FromEngine { keys: keys(&["pred", "label"]), first: false };
    for text in [
        "#monai.handlers.from_engine([\"pred\",\"label\"])",
        "# monai . handlers . from_engine( [ 'pred' , 'label' ] )",
        "#from_engine(('pred', 'label'))",
        "#monai.handlers.from_engine(keys=['pred', 'label'], first=False)",
        "#monai.handlers.utils.from_engine(['pred', 'label',],)",
        "  #monai.handlers.from_engine(['pred', 'label'], False)",
    ] {
        assert_eq!(parse(text), Ok(pred_label.clone()), "{text}");
    }
    for text in ["lambda y:y[\"loss\"]", "lambda  batch :  batch[ 'loss' ]"] {
        assert_eq!(parse(text), Ok(Expression::Key { key: "loss".into() }), "{text}");
    }
    assert_eq!(parse("#@net.parameters( )"), Ok(Expression::Parameters { object: "net".into() }));
    assert_eq!(
        parse("lambda e: print(f\"iter: {e.state.iteration}\") if e.state.iteration%5==0 else None"),
        Ok(Expression::PrintEvery { interval: 5, image_name: false })
    );
}

#[test]
fn other_code_is_refused() {
    for text in [
        "#os.system('rm -rf /')",
        "#@model.parameters",
        "#@model.parameters() + 1",
        "#@model.children()",
        "lambda x: x['a'] + x['b']",
        "lambda x: y['a']",
        "lambda x: (x['a'],)",
        "lambda x: x[1]['a']",
        "lambda x: x['unclosed",
        "lambda e: print(f'{e.state.output}')",
        "lambda e: print(f'{e.state.iteration}') if e.state.iteration % 0 == 0 else None",
        "lambda x: ([i['pred'] for i in y], [i['label'] for i in x])",
        "#fff",
        "#",
        "lambda x:",
    ] {
        assert!(is_expression(text), "{text}");
        assert_eq!(parse(text), Err(Unsupported { replacement: None }), "{text}");
    }
    for text in ["lambda", "lambdanet", "a # b", "", "lambda_value: 1"] {
        assert!(!is_expression(text), "{text}");
    }
}

#[test]
fn the_two_that_import_monai_have_a_replacement() {
    let discrete =
        "__import__('monai').transforms.AsDiscrete(threshold_values=True)(x['pred_inverted'][0][None].detach().cpu())";
    let refused = |text: &str| parse(text).expect_err("needs Python").replacement.expect("has a replacement");
    let single = refused(&format!("lambda x: {discrete}"));
    assert!(single.contains("AsDiscreted") && single.contains("from_engine(['pred_inverted'])"), "{single}");
    let pair = refused(&format!("lambda x: ({discrete}, x['label'].detach().cpu())"));
    assert!(pair.contains("from_engine(['pred_inverted', 'label'])"), "{pair}");
    assert!(refused("#@model").contains("\"@model\""));
}

/// Every expression string of the published components, where they are on this machine.
#[test]
fn the_census_holds_no_other_expression() {
    let workspace = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let shared = std::env::var_os("MMAR_SHARED").map_or_else(|| workspace.join("../shared"), std::path::PathBuf::from);
    let Ok(text) = std::fs::read_to_string(shared.join("clara/components.json")) else {
        eprintln!("left out: the census of published components is not on this machine");
        return;
    };
    let components: Vec<Json> = serde_json::from_str(&text).expect("JSON");
    let mut read = 0;
    for component in &components {
        let values = component["args"]
            .as_object()
            .into_iter()
            .flat_map(|args| args.values())
            .flat_map(|values| values.as_array().into_iter().flatten());
        for value in values.filter_map(Json::as_str) {
            let Ok(Json::String(text)) = serde_json::from_str(value) else { continue };
            if !is_expression(&text) {
                continue;
            }
            read += 1;
            match parse(&text) {
                Ok(_) => {}
                Err(unsupported) => assert!(unsupported.replacement.is_some(), "{text}"),
            }
        }
    }
    assert!(read >= 20, "only {read} expressions were found");
}

#[test]
fn the_json_is_what_components_read() {
    let json = Expression::FromEngine { keys: keys(&["loss"]), first: true }.to_json();
    assert_eq!(json.to_string(), r#"{"$expression":{"form":"from_engine","keys":["loss"],"first":true}}"#);
    assert_eq!(Expression::Nothing.to_json().to_string(), r#"{"$expression":{"form":"nothing"}}"#);
}
