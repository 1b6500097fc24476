//! `mmar explain`.

use serde_json::Value as Json;

use crate::support::{Archive, run};

#[test]
fn a_component_is_explained_by_any_of_its_names() {
    let page = run(&["explain", "DiceLoss"]).success().stdout;
    for part in [
        "DiceLoss (loss, built in)",
        "MONAI `DiceLoss`",
        "{\"name\": \"DiceLoss\"}",
        "include_background: `true` or `false`; default true",
        "smooth_nr: a number; default 1e-5",
        "Added to the numerator.",
    ] {
        assert!(page.contains(part), "{part}:\n{page}");
    }
    assert_eq!(run(&["explain", "monai.losses.dice.DiceLoss"]).success().stdout, page);
    let transform = run(&["explain", "SpacingD"]).success().stdout;
    assert!(transform.starts_with("Spacingd (transform, built in)"), "{transform}");
    assert!(transform.contains("\"args\": {\"keys\": …, \"pixdim\": …}"), "{transform}");
    assert!(transform.contains("also named SpacingD, SpacingDict"), "{transform}");
    let json: Json = serde_json::from_str(&run(&["explain", "DiceLoss", "--json"]).success().stdout).expect("JSON");
    assert_eq!(json["components"][0]["args"]["properties"]["smooth_nr"]["default"], 1e-5, "{json:#}");
}

#[test]
fn a_plugins_component_is_explained_with_its_archive() {
    let archive = Archive::new();
    archive.install(&["myLoss"], "BYOC");
    let root = archive.path("").display().to_string();
    let page = run(&["explain", "BYOC.myLoss.MyDiceLoss", "-m", &root]).success().stdout;
    assert!(page.contains("MyDiceLoss (loss, plugin `myLoss`"), "{page}");
    assert!(page.contains("{\"path\": \"BYOC.myLoss.MyDiceLoss\"}"), "{page}");
    assert_eq!(run(&["explain", "MyDiceLoss", "-m", &root]).success().stdout, page);
    run(&["explain", "BYOC.myLoss.MyDiceLoss"]).failure(2, &["nothing-to-explain", "-m MMAR"]);
    run(&["explain", "BYOC.myLoss.MyDiceLos", "-m", &root]).failure(2, &["did you mean `BYOC.myLoss.MyDiceLoss`?"]);
}

#[test]
fn codes_are_explained_wherever_they_come_from() {
    for (code, part) in [
        ("unknown-component", "`mmar components` lists"),
        ("plugin-wrong-libtorch", "exactly the same one"),
        ("non-finite-loss", "learning rate"),
        ("component-panicked", "the place in its source"),
        ("no-such-test", "--list"),
    ] {
        let text = run(&["explain", code]).success().stdout;
        assert!(text.starts_with(&format!("{code}\n\n")) && text.contains(part), "{text}");
    }
    run(&["explain", "unknwon-component"]).failure(2, &["did you mean `unknown-component`?"]);
    run(&["explain", "xyzzy"]).failure(2, &["`mmar components` lists"]);
}
