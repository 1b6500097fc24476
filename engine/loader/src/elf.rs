//! Checks of an ELF file's bytes, before anything maps them.
//!
//! A library that was cut off must never reach the dynamic linker: it maps what the tables promise, and the first touch
//! of a page behind the end of the file is a SIGBUS, not an error.

use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, Object, ObjectSection, elf};

/// Why bytes are no library that this process could open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Not an ELF file.
    NotElf,
    /// The file's own tables reach beyond its end.
    Incomplete { needed: u64, found: u64 },
    /// An ELF file, but no shared library.
    NotShared,
    /// A library for this machine.
    OtherMachine(String),
    /// The tables contradict each other.
    Malformed(String),
}

type Header = elf::FileHeader64<Endianness>;

/// Checks that the bytes are a whole shared library for this machine.
pub(crate) fn check(bytes: &[u8]) -> Result<(), Flaw> {
    if !bytes.starts_with(&elf::ELFMAG) {
        return Err(Flaw::NotElf);
    }
    let found = bytes.len() as u64;
    let size = size_of::<Header>() as u64;
    if found < size {
        return Err(Flaw::Incomplete { needed: size, found });
    }
    let class = bytes[4];
    if class != elf::ELFCLASS64 {
        return Err(Flaw::OtherMachine("32 bits".to_owned()));
    }
    let header = Header::parse(bytes).map_err(malformed)?;
    let endian = header.endian().map_err(malformed)?;
    let machine = header.e_machine(endian);
    if machine != HOST_MACHINE || endian != Endianness::Little {
        return Err(Flaw::OtherMachine(machine_name(machine)));
    }
    if header.e_type(endian) != elf::ET_DYN {
        return Err(Flaw::NotShared);
    }
    // the section table is the last thing a linker writes: a cut anywhere puts its end outside the file
    let sections = u64::from(header.e_shnum(endian)) * u64::from(header.e_shentsize(endian));
    let mut needed = header.e_shoff(endian).saturating_add(sections);
    let segments = u64::from(header.e_phnum(endian)) * u64::from(header.e_phentsize(endian));
    needed = needed.max(header.e_phoff(endian).saturating_add(segments));
    if needed > found {
        return Err(Flaw::Incomplete { needed, found });
    }
    for segment in header.program_headers(endian, bytes).map_err(malformed)? {
        let end = segment.p_offset(endian).saturating_add(segment.p_filesz(endian));
        needed = needed.max(end);
    }
    if needed > found { Err(Flaw::Incomplete { needed, found }) } else { Ok(()) }
}

/// The bytes of a section, if there is one of this name.
pub(crate) fn section<'a>(bytes: &'a [u8], name: &str) -> Result<Option<&'a [u8]>, Flaw> {
    let file = object::read::elf::ElfFile64::<Endianness>::parse(bytes).map_err(malformed)?;
    file.section_by_name(name).map(|section| section.data().map_err(malformed)).transpose()
}

fn malformed(error: object::Error) -> Flaw {
    Flaw::Malformed(error.to_string())
}

#[cfg(target_arch = "x86_64")]
const HOST_MACHINE: u16 = elf::EM_X86_64;
#[cfg(target_arch = "aarch64")]
const HOST_MACHINE: u16 = elf::EM_AARCH64;

fn machine_name(machine: u16) -> String {
    match machine {
        elf::EM_X86_64 => "x86_64".to_owned(),
        elf::EM_AARCH64 => "aarch64".to_owned(),
        elf::EM_ARM => "arm".to_owned(),
        elf::EM_RISCV => "riscv64".to_owned(),
        elf::EM_PPC64 => "powerpc64".to_owned(),
        other => format!("machine number {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Flaw, check, section};

    #[test]
    fn this_test_is_whole_and_any_cut_of_it_is_not() {
        let bytes = std::fs::read(std::env::current_exe().expect("a path")).expect("readable");
        assert_eq!(check(&bytes), Ok(()));
        assert!(section(&bytes, ".text").expect("parsed").is_some());
        assert_eq!(section(&bytes, ".byoc_nothing").expect("parsed"), None);
        for length in [4, 63, 64, 1000, bytes.len() / 2, bytes.len() * 9 / 10, bytes.len() - 1] {
            assert!(matches!(check(&bytes[..length]), Err(Flaw::Incomplete { .. })), "{length}");
        }
        assert_eq!(check(b"#!/bin/sh"), Err(Flaw::NotElf));
        let mut other = bytes;
        other[18] = 183;
        assert_eq!(check(&other), Err(Flaw::OtherMachine("aarch64".into())));
    }
}
