//! Writes a checkpoint beside its place and renames it into it.

#![expect(unsafe_code, reason = "calls the shim, which calls back with the file's bytes")]

use std::ffi::c_void;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::ptr;

use byoc::{StateKey, StateTree};
use mmar_files::Beside;

use super::error::CheckpointError;
use crate::sys;

pub(super) fn write(path: &Path, tree: &StateTree) -> Result<(), CheckpointError> {
    let refused = |source| CheckpointError::Tree { path: path.to_path_buf(), source };
    let failed = |source| CheckpointError::Write { path: path.to_path_buf(), source };
    let tree = Tree::of(tree).map_err(refused)?;
    // dropped on any error below, which removes it
    let beside = Beside::new(path).map_err(failed)?;
    let mut sink = Sink { file: BufWriter::with_capacity(1 << 20, beside.file()), error: None };
    let written = tree.write_into(&mut sink);
    sink.finish().map_err(failed)?;
    written.map_err(refused)?;
    beside.finish().map_err(failed)
}

/// Takes the file's bytes and keeps the first error; after it, everything is thrown away.
struct Sink<'a> {
    file: BufWriter<&'a File>,
    error: Option<io::Error>,
}

impl Sink<'_> {
    fn finish(mut self) -> io::Result<()> {
        match self.error {
            Some(error) => Err(error),
            None => self.file.flush(),
        }
    }
}

extern "C" fn sink(context: *mut c_void, bytes: *const c_void, size: usize) {
    // SAFETY: the context that `write_into` gave, which nobody else uses for the time of that call
    let sink = unsafe { &mut *context.cast::<Sink<'_>>() };
    if sink.error.is_some() || size == 0 {
        return;
    }
    // SAFETY: the shim's writer hands over `size` bytes
    let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), size) };
    sink.error = sink.file.write_all(bytes).err();
}

/// A tree as libtorch sees it.
struct Tree(*mut sys::CTree);

impl Tree {
    fn of(tree: &StateTree) -> byoc::Result<Self> {
        let mut new = Self(ptr::null_mut());
        // SAFETY: the pointer is valid for the time of the call
        unsafe { sys::mmar_torch_tree_new(&raw mut new.0) }.check()?;
        new.push(tree)?;
        Ok(new)
    }

    fn push(&mut self, tree: &StateTree) -> byoc::Result<()> {
        match tree {
            // SAFETY: the tree lives
            StateTree::None => unsafe { sys::mmar_torch_tree_none(self.0) }.check(),
            // SAFETY: the tree lives
            StateTree::Bool(value) => unsafe { sys::mmar_torch_tree_bool(self.0, *value) }.check(),
            StateTree::Int(value) => self.push_int(*value),
            // SAFETY: the tree lives
            StateTree::Float(value) => unsafe { sys::mmar_torch_tree_float(self.0, *value) }.check(),
            StateTree::Str(value) => self.push_str(value),
            // SAFETY: the tree and the tensor live
            StateTree::Tensor(tensor) => unsafe { sys::mmar_torch_tree_tensor(self.0, sys::pointer(tensor)) }.check(),
            StateTree::List(values) => {
                values.iter().try_for_each(|value| self.push(value))?;
                // SAFETY: as many values are on the tree's stack
                unsafe { sys::mmar_torch_tree_list(self.0, values.len()) }.check()
            }
            StateTree::Dict(entries) => {
                for (key, value) in entries {
                    match key {
                        StateKey::Str(key) => self.push_str(key)?,
                        StateKey::Int(key) => self.push_int(*key)?,
                    }
                    self.push(value)?;
                }
                // SAFETY: as many pairs are on the tree's stack
                unsafe { sys::mmar_torch_tree_dict(self.0, entries.len()) }.check()
            }
        }
    }

    fn push_int(&mut self, value: i64) -> byoc::Result<()> {
        // SAFETY: the tree lives
        unsafe { sys::mmar_torch_tree_int(self.0, value) }.check()
    }

    fn push_str(&mut self, value: &str) -> byoc::Result<()> {
        // SAFETY: the tree lives, and so do the text's bytes
        unsafe { sys::mmar_torch_tree_str(self.0, value.as_ptr().cast(), value.len()) }.check()
    }

    fn write_into(&self, target: &mut Sink<'_>) -> byoc::Result<()> {
        // SAFETY: `sink` gets the context back for the time of the call, during which nothing else uses it
        unsafe { sys::mmar_torch_tree_write(self.0, sink, ptr::from_mut(target).cast()) }.check()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // SAFETY: from `mmar_torch_tree_new`, or null, which is left alone
        unsafe { sys::mmar_torch_tree_free(self.0) };
    }
}
