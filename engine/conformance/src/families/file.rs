//! The file as a whole: its header, how it loads, and what it calls its components.

use std::fs;
use std::path::Path;
use std::time::Duration;

use byoc::{Descriptor, Kind};
use mmar_loader::{Generation, Registry, SearchRoots};

use crate::arguments;
use crate::plugin::{Plugin, refused};
use crate::suite::{LOADS, Test};
use crate::verdict::{Found, Verdict};

pub(crate) const TESTS: &[Test] = &[
    Test::of_file(LOADS, "the file opens with every symbol resolved, lays out and describes itself", |plugin| {
        // the child tells the components along with this one, so it has a way of its own
        plugin.try_load().map(|_| Verdict::success("it loads")).map_err(|error| refused(&error))
    }),
    Test::of_file("header", "the file is a whole library with the header of one plugin", header),
    Test::of_file("versions", "ABI, libtorch, target and panic strategy are those of this engine", versions),
    Test::of_file("file-name", "the file is named after its module, as configs look for it", file_name),
    Test::of_file("names", "component names can stand in a config and are told apart easily", names),
    Test::of_file(
        "unknown-names",
        "a component that is not there is not found, nor one with something behind its name",
        unknown_names,
    ),
    Test::of_file("scan-time", "opening and describing takes less than 0.1 s", scan_time),
    Test::of_file(
        "description-stable",
        "another build of the same source describes the same, sorted by kind and name",
        description_stable,
    ),
    Test::of_file(
        "second-generation",
        "a rebuilt library works beside the first one, as a hot reload needs it",
        second_generation,
    ),
    super::global_state::TEST_OF_FILE,
];

fn header(plugin: &Plugin) -> Found {
    let inspection = plugin.inspect()?;
    let identity = &inspection.manifest.plugin;
    Ok(Verdict::success(format!("{} {} of crate `{}`", identity.module, identity.version, identity.name)))
}

fn versions(plugin: &Plugin) -> Found {
    let inspection = plugin.inspect()?;
    let warnings = inspection.check().map_err(|error| refused(&error))?;
    if warnings.is_empty() {
        let manifest = &inspection.manifest;
        return Ok(Verdict::success(format!(
            "ABI {}, libtorch {}, {}",
            manifest.abi, manifest.libtorch, manifest.target
        )));
    }
    Err(Verdict::warning(warnings.join("; "), "build it with `mmar plugin build`, which takes this engine's libtorch"))
}

fn file_name(plugin: &Plugin) -> Found {
    let module = plugin.inspect()?.manifest.plugin.module;
    let expected = library_name(&module);
    if plugin.file.file_name().is_some_and(|name| name == expected.as_str()) {
        return Ok(Verdict::success(expected));
    }
    Err(Verdict::warning(
        format!("a config that names `{module}` looks for `{expected}`"),
        "`mmar plugin install` gives it that name; or give the module the name of the crate",
    ))
}

fn names(plugin: &Plugin) -> Found {
    let generation = plugin.load()?;
    if generation.components.is_empty() {
        return Err(Verdict::failed(
            "it provides no component",
            "list the components in `export_plugin!`: `losses: [MyLoss]`",
        ));
    }
    let all = || generation.components.iter().map(|(it, _)| it);
    for descriptor in all() {
        for name in std::iter::once(&descriptor.name).chain(&descriptor.aliases) {
            if !mmar_loader::path::is_identifier(name) {
                return Err(Verdict::failed(
                    format!("the {} `{name}` cannot be named in a config", descriptor.kind),
                    "use letters, digits and `_` only, and no digit at the beginning",
                ));
            }
        }
    }
    let spellings: Vec<(&str, &str)> = all()
        .flat_map(|it| std::iter::once(&it.name).chain(&it.aliases).map(|name| (name.as_str(), it.name.as_str())))
        .collect();
    for (index, (name, component)) in spellings.iter().enumerate() {
        let twin =
            spellings[index + 1..].iter().find(|(other, of)| of != component && other.eq_ignore_ascii_case(name));
        if let Some((twin, _)) = twin {
            return Err(Verdict::warning(
                format!("`{name}` and `{twin}` differ in their case only, or in their kind"),
                "give one of them another name: a reader of the config cannot tell them apart",
            ));
        }
    }
    let list: Vec<String> = all().map(|it| format!("{} `{}`", it.kind, it.name)).collect();
    Ok(Verdict::success(list.join(", ")))
}

fn unknown_names(plugin: &Plugin) -> Found {
    let generation = plugin.load()?;
    let folder = Folder::with(plugin, &generation.module)?;
    let mut registry = Registry::with_roots(SearchRoots::new(folder.path(), None));
    let mut tried = 0;
    for (descriptor, _) in &generation.components {
        let Descriptor { kind, name, .. } = descriptor;
        let id = |name: &str| format!("{}.{name}", generation.module);
        registry.find(*kind, &id(name)).map_err(|error| {
            Verdict::failed(format!("`{}` is not found: {error}", id(name)), "list it in `export_plugin!`")
        })?;
        let known = |wrong: &str| generation.components.iter().any(|(it, _)| it.answers_to(wrong));
        let swapped: String = name
            .chars()
            .map(|c| if c.is_ascii_uppercase() { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() })
            .collect();
        let wrong = [format!("{name}2"), format!("{name} "), format!("{name}.{name}"), format!("x{name}"), swapped];
        for wrong in wrong.iter().filter(|wrong| !known(wrong)) {
            if registry.find(*kind, &id(wrong)).is_ok() {
                return Err(Verdict::failed(
                    format!("`{}` finds the {kind} `{name}`", id(wrong)),
                    "make the comparison of names exact",
                ));
            }
            tried += 1;
        }
        let other = if *kind == Kind::LOSS { Kind::METRIC } else { Kind::LOSS };
        let also = generation.components.iter().any(|(it, _)| it.kind == other && it.answers_to(name));
        if !also && registry.find(other, &id(name)).is_ok() {
            return Err(Verdict::failed(
                format!("`{name}` is found as a {other}, but is a {kind}"),
                "list it under its own kind only",
            ));
        }
    }
    Ok(Verdict::success(format!("{tried} wrong names are not found")))
}

fn scan_time(plugin: &Plugin) -> Found {
    // the first opening reads the file from the disk; the second one is the author's
    let (first, second) = two_generations(plugin)?;
    let taken = first.opened_in.min(second.opened_in);
    let shown = format!("{:.1} ms", taken.as_secs_f64() * 1e3);
    if taken <= Duration::from_millis(100) {
        return Ok(Verdict::success(shown));
    }
    let help = "do the work when a component is made, not in statics, constructors of the library or its description";
    if taken > Duration::from_secs(1) {
        return Err(Verdict::failed(format!("it takes {shown} to open"), help));
    }
    Err(Verdict::warning(format!("it takes {shown} to open"), help))
}

fn description_stable(plugin: &Plugin) -> Found {
    let (first, second) = two_generations(plugin)?;
    let described = |generation: &Generation| -> Vec<Descriptor> {
        generation.components.iter().map(|(descriptor, _)| descriptor.clone()).collect()
    };
    let (first, second) = (described(&first), described(&second));
    if let Some((a, b)) = first.iter().zip(&second).find(|(a, b)| a != b) {
        return Err(Verdict::failed(
            format!("`{}` is described in two ways: {} and {}", a.name, shortened(a), shortened(b)),
            "a description must not depend on the clock, the environment or the order of a hash map",
        ));
    }
    if !first.is_sorted_by_key(|it| (it.kind, it.name.clone())) {
        return Err(Verdict::failed("the components are not sorted by kind and name", "sort them in `describe`"));
    }
    Ok(Verdict::success(format!("{} descriptions are the same twice", first.len())))
}

fn second_generation(plugin: &Plugin) -> Found {
    let (first, second) = two_generations(plugin)?;
    if (first.number, second.number) != (1, 2) {
        return Err(Verdict::failed(
            format!("the generations have the numbers {} and {}", first.number, second.number),
            "this is a fault of the engine, please report it",
        ));
    }
    let mut made = 0;
    for (descriptor, _) in &first.components {
        let args = arguments::example(&descriptor.schema);
        // one object of each at the same time, the newer one gone first
        let make = |generation: &Generation| {
            let entry =
                generation.components.iter().find(|(it, _)| it.kind == descriptor.kind && it.name == descriptor.name);
            let (descriptor, constructor) = entry?;
            let given = crate::Given::default();
            let specimen = crate::specimen::Specimen::new(descriptor.clone(), constructor.clone(), given, plugin.seed);
            Some(specimen.make_with(&args))
        };
        match (make(&first), make(&second)) {
            (Some(Ok(older)), Some(Ok(newer))) => {
                drop(newer);
                drop(older);
                made += 1;
            }
            // it needs arguments that nobody guesses: in both alike
            (Some(Err(_)), Some(Err(_))) => {}
            _ => {
                return Err(Verdict::failed(
                    format!("`{}` can be made from one of two generations only", descriptor.name),
                    "do not keep what is there once for the process (files, ports, locks): both builds are loaded",
                ));
            }
        }
    }
    Ok(Verdict::success(format!("{made} of {} components made from both", first.components.len())))
}

/// The plugin, and a build of it that differs in bytes which mean nothing.
fn two_generations(plugin: &Plugin) -> Result<(std::sync::Arc<Generation>, std::sync::Arc<Generation>), Verdict> {
    let module = plugin.load()?.module.clone();
    let folder = Folder::with(plugin, &module)?;
    let file = folder.path().join(library_name(&module));
    let mut registry = Registry::with_roots(SearchRoots::default());
    let first = registry.load_file(&file).map_err(|error| refused(&error))?;
    let mut bytes = fs::read(&file).map_err(|error| unwritable(&error))?;
    bytes.extend_from_slice(b"another build");
    fs::write(&file, bytes).map_err(|error| unwritable(&error))?;
    let second = registry.load_file(&file).map_err(|error| refused(&error))?;
    Ok((first, second))
}

/// A temporary folder with a copy of the plugin under its module's name.
struct Folder(tempfile::TempDir);

impl Folder {
    fn with(plugin: &Plugin, module: &str) -> Result<Self, Verdict> {
        let folder = tempfile::tempdir().map_err(|error| unwritable(&error))?;
        fs::copy(&plugin.file, folder.path().join(library_name(module))).map_err(|error| unwritable(&error))?;
        Ok(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

fn unwritable(error: &std::io::Error) -> Verdict {
    Verdict::skipped(format!("no temporary copy of the plugin could be made: {error}"))
}

fn library_name(module: &str) -> String {
    format!("{}{module}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

fn shortened(descriptor: &Descriptor) -> String {
    let text = serde_json::to_string(descriptor).unwrap_or_default();
    match text.char_indices().nth(120) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}
