//! Help, usage, and the commands that only look.

use crate::support::{Archive, mmar, run, shared};

#[test]
fn help_of_every_command() {
    let commands: [&[&str]; 21] = [
        &[],
        &["train"],
        &["evaluate"],
        &["check"],
        &["show"],
        &["components"],
        &["explain"],
        &["schema"],
        &["completions"],
        &["verify"],
        &["plugin"],
        &["plugin", "inspect"],
        &["plugin", "list"],
        &["plugin", "install"],
        &["plugin", "new"],
        &["plugin", "build"],
        &["plugin", "check"],
        &["plot"],
        &["plot", "slices"],
        &["demo-data"],
        &["doctor"],
    ];
    for command in commands {
        let mut arguments = command.to_vec();
        arguments.push("--help");
        let help = run(&arguments).success();
        let name = if command.is_empty() { "mmar".to_owned() } else { command.join("-") };
        insta::assert_snapshot!(format!("help-{name}"), help.stdout);
    }
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_missing() {
    for (arguments, part) in [
        (&["train", "-m", "."][..], "--config"),
        (&["trian"], "train"),
        (&["plugin", "install"], "<FILE|CRATE>"),
        (&["components", "lottery"], "`loss`"),
        (&["verify", "no/such/folder"], "no/such/folder"),
        (&["plugin", "list", "-m", "no/such/archive"], "no/such/archive"),
        (&["plugin", "inspect", "no/such/file.so"], "no/such/file.so"),
        (&["plot", "slices", "--data-list", "no.json", "--predictions", ".", "-o", "a.png"], "no.json"),
    ] {
        let finished = run(arguments);
        assert_eq!(finished.code, Some(2), "{arguments:?}: {}", finished.stderr);
        assert!(finished.stderr.contains(part), "{arguments:?}: {}", finished.stderr);
        assert!(finished.stdout.is_empty(), "{arguments:?}: {}", finished.stdout);
    }
}

#[test]
fn claras_command_line_is_taken() {
    let archive = Archive::new();
    let mut command = archive.command("check", "config/config_validation.json", &["print_conf=True", "0"]);
    let output = command.arg("-e").arg("config/environment.json").output().expect("the engine starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("warning: the argument `0` is passed over"), "{stderr}");
}

#[test]
fn show_tells_where_a_value_comes_from() {
    let archive = Archive::new();
    let shown = archive.command("show", "config_train.json", &["epochs=7"]).output().expect("the engine starts");
    let text = String::from_utf8_lossy(&shown.stdout);
    let line = |part: &str| {
        text.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}: {text}")).to_owned()
    };
    assert!(line("\"max_epochs\"").contains("--set epochs"), "{}", line("\"max_epochs\""));
    assert!(line("\"max_epochs\"").contains('7'), "{}", line("\"max_epochs\""));
    assert!(line("\"log_dir\"").contains("environment.json:"), "{}", line("\"log_dir\""));
    assert!(line("\"step_size\"").contains("config_train.json:"), "{}", line("\"step_size\""));
}

#[test]
fn components_are_listed_with_their_schemas() {
    let json = run(&["components", "loss", "--json"]).success().stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["schema"], 1);
    let components = json["components"].as_array().expect("a list");
    let dice = components.iter().find(|it| it["name"] == "DiceLoss").expect("DiceLoss is built in");
    assert_eq!(dice["kind"], "loss");
    assert_eq!(dice["args"]["properties"]["softmax"]["type"], "boolean", "{dice:#}");
    assert!(components.iter().all(|it| it["kind"] == "loss"));
}

#[test]
fn doctor_finds_libtorch_and_runs_from_anywhere() {
    let elsewhere = tempfile::tempdir().expect("a folder");
    let output = mmar().arg("doctor").current_dir(elsewhere.path()).env_clear().output().expect("the engine starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("libtorch        2.11.0"), "{text}");
}

#[test]
fn completions_know_every_command_and_are_taken_by_bash() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = run(&["completions", shell]).success().stdout;
        for word in ["explain", "plugin", "require-gpu"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        assert!(!script.contains("__probe"), "{shell}: a command that is not for people");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mmar.bash");
    std::fs::write(&file, run(&["completions", "bash"]).success().stdout).expect("written");
    let script = "source \"$0\" && COMP_WORDS=(mmar pl) COMP_CWORD=1 && _mmar mmar pl mmar && echo \"${COMPREPLY[@]}\"";
    let output = std::process::Command::new("bash").arg("-c").arg(script).arg(&file).output().expect("bash starts");
    let words = String::from_utf8_lossy(&output.stdout);
    assert_eq!(words.trim(), "plugin plot", "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(run(&["completions", "cmd"]).code, Some(2));
}

#[test]
fn a_published_config_checks_well() {
    let Some(shared) = shared() else { return };
    let config = shared.join("clara/getting-started/config/config_train_Unet.json");
    let environment = shared.join("clara/getting-started/config/environment.json");
    let archive = Archive::new();
    let (config, environment) = (config.display().to_string(), environment.display().to_string());
    let folder = archive.path("").display().to_string();
    let json = run(&["check", "-m", &folder, "-c", &config, "-e", &environment, "--format", "json"]).success().stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["errors"], 0, "{json:#}");
}
