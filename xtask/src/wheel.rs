//! Unpacks parts of a wheel, which is a zip file.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use zip::ZipArchive;

/// Writes the members that `place` gives a path for.
pub(crate) fn unpack(wheel: &Path, place: impl Fn(&str) -> Option<PathBuf>) -> Result<()> {
    let file = File::open(wheel).with_context(|| format!("cannot open `{}`", wheel.display()))?;
    let mut archive =
        ZipArchive::new(BufReader::new(file)).with_context(|| format!("`{}` is not a wheel", wheel.display()))?;
    for index in 0..archive.len() {
        let mut member = archive.by_index(index)?;
        // `enclosed_name` refuses names that lead out of the folder.
        if member.is_dir() || member.enclosed_name().is_none() {
            continue;
        }
        let Some(path) = place(member.name()) else { continue };
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut out = File::create(&path).with_context(|| format!("cannot write `{}`", path.display()))?;
        io::copy(&mut member, &mut out).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    #[test]
    fn unpacks_what_has_a_place_and_nothing_outside() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("a.whl");
        let mut writer = ZipWriter::new(File::create(&wheel).unwrap());
        for name in ["torch/lib/a.so", "torch/b.py", "../evil/lib/a.so"] {
            writer.start_file(name, SimpleFileOptions::default()).unwrap();
            writer.write_all(name.as_bytes()).unwrap();
        }
        writer.finish().unwrap();

        let out = folder.path().join("out");
        unpack(&wheel, |name| name.ends_with("a.so").then(|| out.join("lib").join(name.replace('/', "_")))).unwrap();
        let mut names: Vec<_> = out.join("lib").read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["torch_lib_a.so"]);
        assert_eq!(fs::read_to_string(out.join("lib/torch_lib_a.so")).unwrap(), "torch/lib/a.so");
    }
}
