//! Every code that can stand in `error[…]`, with what it means and what to do.

use mmar_config::Code;
use mmar_loader::LoadCode;

/// The codes of the commands themselves.
const COMMANDS: [(&str, &str); 26] = [
    (
        "no-such-file",
        "Something that was named on the command line is not there. Paths are relative to the current folder; `-m` names an \
         archive, which is a folder.",
    ),
    (
        "no-such-value",
        "`mmar show --at` names a part of the config by a JSON pointer, `/train/loss/args`, and the config has none there. \
         Elements of lists are counted from 0: `/train/pre_transforms/0`.",
    ),
    ("unknown-kind", "Components have kinds, such as `loss` or `transform`, and this is none. The message lists them."),
    (
        "nothing-to-explain",
        "`mmar explain` takes the name or path of a component, or the code of an error or a warning, and this is neither. \
         Components of plugins are known only with `-m MMAR`.",
    ),
    ("output", "The result could not be written to standard output: mostly a full disk behind a redirection."),
    (
        "signals",
        "The engine could not arrange to be told of Ctrl-C, so that it could not finish a step in an orderly way.",
    ),
    (
        "invalid-arguments",
        "The file that `--args` names is not what `mmar plugin check` takes: `{\"args\": {…}, \"shapes\": {\"input\": [2, 1, 8, 8]}}`, \
         or that under the name of each component.",
    ),
    ("invalid-time", "`--time-limit` takes seconds: a number that is not negative, such as `0.5` or `60`."),
    (
        "no-such-test",
        "`--filter` and `--kind` leave no test over. `mmar plugin check --list` lists the tests; a filter is a part of \
         `COMPONENT/TEST`.",
    ),
    (
        "check-failed",
        "A test of a plugin could not be started at all. That says nothing about the plugin; the message has the reason.",
    ),
    (
        "build-failed",
        "cargo could not build the plugin; what it said stands above. If it is the linker that does not find libtorch: \
         `mmar plugin build` sets it, a `.cargo/config.toml` of the plugin's own may stand in the way.",
    ),
    (
        "cannot-watch",
        "The folder that `--source` names cannot be followed: mostly because too many files are being watched on this \
         machine (`fs.inotify.max_user_watches`). Without `--source` the plugin can still be built by hand while the run \
         goes on.",
    ),
    ("tests-failed", "The plugin was built, and its own tests (`cargo test`) fail; what they said stands above."),
    (
        "no-such-crate",
        "A folder was named as a crate, and has no Cargo.toml; or the crate `byoc` is not where it was said to be.",
    ),
    (
        "no-libtorch-headers",
        "Plugins are built against the headers of the engine's own libtorch, and they are not beside it. A checkout has them \
         after `cargo xtask setup`; `LIBTORCH` may name another copy of the same version.",
    ),
    (
        "no-cache-folder",
        "There is no folder in which plugins can be built. `MMAR_CACHE_DIR` names one; else it is made in `~/.cache/mmar`.",
    ),
    (
        "invalid-name",
        "The name cannot be one of a crate or of a component. Crates have letters, digits, `-` and `_`; components, which a \
         config names, letters, digits and `_`. Neither begins with a digit.",
    ),
    ("exists", "There is something of that name already, and `mmar plugin new` changes no files that it did not make."),
    ("not-written", "The files of the new plugin could not be written: mostly permissions or a full disk."),
    ("template-broken", "The template that is built into this engine cannot be read: a bug of mmar, please report it."),
    (
        "data-exists",
        "The folder for the synthetic data set has files in it. Nothing is written over: name a new folder.",
    ),
    ("too-few-cases", "A data set needs at least one case for training and one for validation."),
    ("demo-data", "The synthetic data set could not be written: mostly permissions or a full disk."),
    (
        "plot",
        "A picture could not be drawn or written. The message says which file could not be read, or where it could not go.",
    ),
    (
        "data-list",
        "The data list cannot be read, or has no list under that key. It is JSON, as the Medical Segmentation Decathlon has \
         it: `{\"validation\": [{\"image\": \"…\", \"label\": \"…\"}]}`.",
    ),
    (
        "no-predictions",
        "No segmentation in that folder belongs to a case of the data list. `SaveImaged` writes one for each image, under the \
         image's name, into the folder that `MMAR_EVAL_OUTPUT_PATH` names.",
    ),
];

/// Every code with its explanation, of configs first.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    let of_configs = Code::ALL.iter().map(|code| (code.as_str(), code.explanation()));
    let of_plugins = LoadCode::ALL.iter().map(|code| (code.name(), code.explanation()));
    of_configs.chain(mmar_train::FAILURES).chain(of_plugins).chain(COMMANDS)
}

/// What a code means.
pub(crate) fn explanation(code: &str) -> Option<&'static str> {
    all().find(|(known, _)| *known == code).map(|(_, explanation)| explanation)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Adds the texts that stand as the first argument of what makes an error, in every source file below a folder.
    fn collect(folder: &Path, codes: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                collect(&path, codes);
                continue;
            }
            let text = fs::read_to_string(&path).expect("readable");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for maker in ["Failure::new(", "Failure::usage(", "Exit::failed(", "Exit::usage(", "Self::new(\""] {
                for call in code.split(maker).skip(1) {
                    let call =
                        if maker.ends_with('"') { call } else { call.trim_start().strip_prefix('"').unwrap_or("") };
                    codes.extend(call.split_once('"').map(|(code, _)| code.to_owned()));
                }
            }
        }
    }

    #[test]
    fn every_code_that_can_be_printed_is_explained() {
        let engine = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut printed = BTreeSet::new();
        for crate_ in ["cli", "train"] {
            collect(&engine.join(crate_).join("src"), &mut printed);
        }
        printed.extend((0..100).map(|code| byoc::ErrorCode(code).name().to_owned()));
        assert!(printed.len() > 40 && printed.contains("no-gpu") && printed.contains("interrupted"), "{printed:?}");
        for code in &printed {
            assert!(explanation(code).is_some(), "`{code}` needs an explanation");
        }
        let never: Vec<&str> = mmar_train::FAILURES
            .into_iter()
            .chain(COMMANDS)
            .map(|(code, _)| code)
            .filter(|code| !printed.contains(*code))
            .collect();
        assert_eq!(never, [""; 0], "explained, but never printed");
    }

    #[test]
    fn explanations_are_paragraphs() {
        let mut seen = BTreeSet::new();
        for (code, explanation) in all() {
            assert!(seen.insert(code), "{code} twice");
            assert!(code.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{code}");
            assert!(explanation.len() > 60 && explanation.ends_with('.') && !explanation.contains("  "), "{code}");
        }
    }
}
