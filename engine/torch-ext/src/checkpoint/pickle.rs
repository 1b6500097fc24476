//! A small pickle machine.
//!
//! A Python pickle is a program that may call anything. This machine runs those that `torch.save` writes: it builds
//! plain containers, and knows the few names of [`Global::find`]; any other name ends the load before anything is
//! called. Values live in pools and refer to each other by index, so that neither cycles nor deep nesting can hurt.
//!
//! The opcodes are those of Python's `pickletools`, protocols 0 to 5, as far as plain data needs them.

use std::collections::HashMap;
use std::rc::Rc;

use tch::{Kind, Tensor};

use super::error::Problem;

/// Where the machine gets the bytes of a storage from.
pub(super) trait Storages {
    /// The bytes under this key, as a `Uint8` tensor of its own.
    fn storage(&mut self, key: &str) -> Result<Tensor, Problem>;
}

/// A value on the machine's stack.
#[derive(Debug, Clone)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Rc<str>),
    /// a list, tuple or set: index into [`Pools::lists`]
    List(usize),
    /// index into [`Pools::dicts`]
    Dict(usize),
    /// index into [`Pools::tensors`]
    Tensor(usize),
    Global(Global),
    /// index into [`Pools::storages`]
    Storage(usize),
}

/// What the values refer to, and the value that the pickle is.
#[derive(Debug, Default)]
pub(super) struct Pools {
    pub(super) lists: Vec<Vec<Value>>,
    pub(super) dicts: Vec<Vec<(Value, Value)>>,
    pub(super) tensors: Vec<Tensor>,
    /// bytes and element type
    storages: Vec<(Tensor, Kind)>,
    pub(super) root: Option<Value>,
}

/// The names that a pickle may use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Global {
    OrderedDict,
    /// also `_rebuild_tensor`: the first four arguments are the same
    RebuildTensor,
    /// also `_rebuild_parameter_with_state`: the first argument is the tensor
    RebuildParameter,
    Size,
    Set,
    Device,
    StorageType(Kind),
}

impl Global {
    fn find(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Self::RebuildParameter,
            ("torch", "Size") => Self::Size,
            ("torch", "device") => Self::Device,
            ("builtins" | "__builtin__", "set" | "frozenset") => Self::Set,
            ("torch", name) => Self::StorageType(match name {
                "ByteStorage" => Kind::Uint8,
                "CharStorage" => Kind::Int8,
                "ShortStorage" => Kind::Int16,
                "IntStorage" => Kind::Int,
                "LongStorage" => Kind::Int64,
                "HalfStorage" => Kind::Half,
                "FloatStorage" => Kind::Float,
                "DoubleStorage" => Kind::Double,
                "BFloat16Storage" => Kind::BFloat16,
                "BoolStorage" => Kind::Bool,
                "ComplexFloatStorage" => Kind::ComplexFloat,
                "ComplexDoubleStorage" => Kind::ComplexDouble,
                _ => return None,
            }),
            _ => return None,
        })
    }
}

/// `torch.float32` and the like, which a pickle names as globals: kept as text.
const DTYPES: [&str; 12] = [
    "float32",
    "float64",
    "float16",
    "bfloat16",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "bool",
    "complex64",
    "complex128",
];

/// Runs a pickle.
pub(super) fn load(pickle: &[u8], storages: &mut dyn Storages) -> Result<Pools, Problem> {
    Machine {
        input: pickle,
        at: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        pools: Pools::default(),
        keys: HashMap::new(),
        storages,
    }
    .run()
}

struct Machine<'a> {
    input: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<u64, Value>,
    pools: Pools,
    /// storages by their key in the archive
    keys: HashMap<Rc<str>, usize>,
    storages: &'a mut dyn Storages,
}

impl Machine<'_> {
    fn run(mut self) -> Result<Pools, Problem> {
        loop {
            let opcode = self.take(1)?[0];
            if opcode == b'.' {
                self.pools.root = Some(self.pop()?);
                return Ok(self.pools);
            }
            self.step(opcode)?;
        }
    }

    fn step(&mut self, opcode: u8) -> Result<(), Problem> {
        match opcode {
            // PROTO, FRAME
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),

            // plain values: None, bools, ints, floats
            b'N' => self.stack.push(Value::None),
            0x88 => self.stack.push(Value::Bool(true)),
            0x89 => self.stack.push(Value::Bool(false)),
            b'J' => {
                let value = self.little_endian(4)? as u32 as i32;
                self.stack.push(Value::Int(value.into()));
            }
            b'K' => self.push_unsigned(1)?,
            b'M' => self.push_unsigned(2)?,
            0x8a => {
                let length = self.little_endian(1)?;
                self.push_long(length)?;
            }
            0x8b => {
                let length = self.little_endian(4)?;
                self.push_long(length)?;
            }
            b'I' | b'L' => self.push_text_int()?,
            b'G' => {
                let bytes = self.take(8)?.try_into().map_err(|_| cut_off())?;
                self.stack.push(Value::Float(f64::from_be_bytes(bytes)));
            }
            b'F' => {
                let value = self
                    .line()?
                    .parse()
                    .map_err(|_| Problem::Damaged("a float in the pickle is not one".to_owned()))?;
                self.stack.push(Value::Float(value));
            }

            // strings: BINUNICODE, SHORT_BINUNICODE, BINUNICODE8, and Python 2's BINSTRING, SHORT_BINSTRING
            b'X' | b'T' => self.push_string(4)?,
            0x8c | b'U' => self.push_string(1)?,
            0x8d => self.push_string(8)?,
            // BINBYTES, SHORT_BINBYTES, BINBYTES8, BYTEARRAY8
            b'B' | b'C' | 0x8e | 0x96 => {
                return Err(Problem::Unsupported("raw bytes, which no weights need".to_owned()));
            }

            // containers
            b'(' => self.marks.push(self.stack.len()),
            b'}' => self.push_dict(Vec::new()),
            b']' | b')' | 0x8f => self.push_list(Vec::new()),
            // TUPLE, LIST, FROZENSET
            b't' | b'l' | 0x91 => {
                let values = self.pop_to_mark()?;
                self.push_list(values);
            }
            b'd' => {
                let entries = pairs(self.pop_to_mark()?)?;
                self.push_dict(entries);
            }
            0x85..=0x87 => {
                let length = usize::from(opcode - 0x84);
                let start = self
                    .stack
                    .len()
                    .checked_sub(length)
                    .filter(|start| self.marks.last() <= Some(start))
                    .ok_or_else(underflow)?;
                let values = self.stack.split_off(start);
                self.push_list(values);
            }
            b'a' => {
                let value = self.pop()?;
                self.top_list()?.push(value);
            }
            // APPENDS, ADDITEMS
            b'e' | 0x90 => {
                let values = self.pop_to_mark()?;
                self.top_list()?.extend(values);
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.top_dict()?.push((key, value));
            }
            b'u' => {
                let entries = pairs(self.pop_to_mark()?)?;
                self.top_dict()?.extend(entries);
            }

            // stack and memo
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?),
            b'2' => {
                let top = self.stack.last().cloned().ok_or_else(underflow)?;
                self.stack.push(top);
            }
            b'q' => {
                let index = self.little_endian(1)?;
                self.memoize(index)?;
            }
            b'r' => {
                let index = self.little_endian(4)?;
                self.memoize(index)?;
            }
            0x94 => self.memoize(self.memo.len() as u64)?,
            b'h' => {
                let index = self.little_endian(1)?;
                self.recall(index)?;
            }
            b'j' => {
                let index = self.little_endian(4)?;
                self.recall(index)?;
            }

            // names and what is done with them
            b'c' => {
                let module = self.line()?.to_owned();
                let name = self.line()?.to_owned();
                self.push_global(&module, &name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (&module, &name) {
                    (Value::Str(module), Value::Str(name)) => self.push_global(module, name)?,
                    _ => return Err(Problem::Damaged("a name in the pickle is not a text".to_owned())),
                }
            }
            b'R' => {
                let arguments = self.pop()?;
                let function = self.pop()?;
                let value = self.call(&function, &arguments)?;
                self.stack.push(value);
            }
            // BUILD: attributes of an object. Only an OrderedDict has some here (`_metadata`, versions of modules)
            b'b' => {
                drop(self.pop()?);
                if !matches!(self.stack.last(), Some(Value::Dict(_))) {
                    return Err(Problem::Unsupported("an object with attributes, which no weights need".to_owned()));
                }
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = self.load_storage(&id)?;
                self.stack.push(Value::Storage(storage));
            }
            other => {
                let shown =
                    if other.is_ascii_graphic() { format!("`{}`", other as char) } else { format!("{other:#04x}") };
                return Err(Problem::Unsupported(format!("the pickle instruction {shown}, which no weights need")));
            }
        }
        Ok(())
    }

    fn call(&mut self, function: &Value, arguments: &Value) -> Result<Value, Problem> {
        let (Value::Global(global), Value::List(arguments)) = (function, arguments) else {
            return Err(Problem::Damaged("the pickle calls something that is not a function".to_owned()));
        };
        let arguments = self.pools.lists[*arguments].clone();
        match (global, &arguments[..]) {
            (Global::OrderedDict, []) => {
                self.pools.dicts.push(Vec::new());
                Ok(Value::Dict(self.pools.dicts.len() - 1))
            }
            // OrderedDict([(key, value), …]), as Python 2 wrote it
            (Global::OrderedDict, [Value::List(items)]) => {
                let mut entries = Vec::new();
                for item in &self.pools.lists[*items] {
                    match item {
                        Value::List(pair) if self.pools.lists[*pair].len() == 2 => {
                            entries.push((self.pools.lists[*pair][0].clone(), self.pools.lists[*pair][1].clone()));
                        }
                        _ => return Err(wrong_call("OrderedDict")),
                    }
                }
                self.pools.dicts.push(entries);
                Ok(Value::Dict(self.pools.dicts.len() - 1))
            }
            (
                Global::RebuildTensor,
                [Value::Storage(storage), Value::Int(offset), Value::List(size), Value::List(stride), ..],
            ) => {
                let (size, stride) = (self.integers(*size)?, self.integers(*stride)?);
                let (bytes, kind) = &self.pools.storages[*storage];
                let tensor = tensor_in(bytes, *kind, *offset, &size, &stride)?;
                self.pools.tensors.push(tensor);
                Ok(Value::Tensor(self.pools.tensors.len() - 1))
            }
            (Global::RebuildParameter, [tensor @ Value::Tensor(_), ..]) => Ok(tensor.clone()),
            (Global::Size | Global::Set, [list @ Value::List(_)]) => Ok(list.clone()),
            (Global::Device, [name @ Value::Str(_)]) => Ok(name.clone()),
            (Global::Device, [Value::Str(name), Value::Int(index)]) => Ok(Value::Str(format!("{name}:{index}").into())),
            (global, _) => Err(wrong_call(&format!("{global:?}"))),
        }
    }

    /// The index of the storage that a persistent id names: `("storage", type, key, location, numel)`.
    fn load_storage(&mut self, id: &Value) -> Result<usize, Problem> {
        let fields = match id {
            Value::List(fields) => &self.pools.lists[*fields][..],
            _ => &[],
        };
        let [Value::Str(tag), Value::Global(Global::StorageType(kind)), Value::Str(key), _, Value::Int(numel), ..] =
            fields
        else {
            return Err(Problem::Unsupported("a reference to something that is not a storage".to_owned()));
        };
        if &**tag != "storage" {
            return Err(Problem::Unsupported(format!("a reference to `{tag}`")));
        }
        let (kind, key, numel) = (*kind, Rc::clone(key), *numel);
        if let Some(&index) = self.keys.get(&key)
            && self.pools.storages[index].1 == kind
        {
            return Ok(index);
        }
        let bytes = match self.keys.get(&key) {
            // one storage looked at as two types
            Some(&index) => self.pools.storages[index].0.shallow_clone(),
            None => self.storages.storage(&key)?,
        };
        let expected = usize::try_from(numel).ok().and_then(|numel| numel.checked_mul(kind.elt_size_in_bytes()));
        if expected != Some(bytes.numel()) {
            let found = bytes.numel();
            return Err(Problem::Damaged(format!(
                "storage `{key}` should hold {numel} values of {kind:?}, it has {found} bytes"
            )));
        }
        self.pools.storages.push((bytes, kind));
        let index = self.pools.storages.len() - 1;
        self.keys.insert(key, index);
        Ok(index)
    }

    fn push_global(&mut self, module: &str, name: &str) -> Result<(), Problem> {
        let value = if module == "torch" && DTYPES.contains(&name) {
            Value::Str(format!("torch.{name}").into())
        } else {
            match Global::find(module, name) {
                Some(global) => Value::Global(global),
                None => return Err(Problem::Refused(format!("{module}.{name}"))),
            }
        };
        self.stack.push(value);
        Ok(())
    }

    fn integers(&self, list: usize) -> Result<Vec<i64>, Problem> {
        let values = self.pools.lists[list].iter().map(|value| match value {
            Value::Int(value) if *value >= 0 => Ok(*value),
            _ => Err(Problem::Damaged("a tensor's size or stride is not a positive integer".to_owned())),
        });
        values.collect()
    }

    fn push_unsigned(&mut self, size: usize) -> Result<(), Problem> {
        let value = self.little_endian(size)?;
        self.stack.push(Value::Int(value as i64));
        Ok(())
    }

    /// A two's complement integer of any length; what does not fit 64 bits becomes a float.
    fn push_long(&mut self, length: u64) -> Result<(), Problem> {
        let bytes = self.take(usize::try_from(length).map_err(|_| cut_off())?)?;
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let value = if bytes.len() <= 8 {
            let mut full = [if negative { 0xff } else { 0 }; 8];
            full[..bytes.len()].copy_from_slice(bytes);
            Value::Int(i64::from_le_bytes(full))
        } else {
            let magnitude = bytes.iter().rev().fold(0.0, |sum: f64, byte| sum * 256.0 + f64::from(*byte));
            let modulus = 256f64.powi(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
            Value::Float(if negative { magnitude - modulus } else { magnitude })
        };
        self.stack.push(value);
        Ok(())
    }

    /// Protocol 0: `I01` and `I00` are bools, a long ends in `L`.
    fn push_text_int(&mut self) -> Result<(), Problem> {
        let text = self.line()?;
        let value = match text {
            "01" => Value::Bool(true),
            "00" => Value::Bool(false),
            _ => match text.trim_end_matches('L').parse() {
                Ok(value) => Value::Int(value),
                Err(_) => return Err(Problem::Damaged(format!("the pickle's integer `{text}` is not one"))),
            },
        };
        self.stack.push(value);
        Ok(())
    }

    fn push_string(&mut self, length_size: usize) -> Result<(), Problem> {
        let length = usize::try_from(self.little_endian(length_size)?).map_err(|_| cut_off())?;
        let text = std::str::from_utf8(self.take(length)?)
            .map_err(|_| Problem::Damaged("a text in the pickle is not UTF-8".to_owned()))?;
        let value = Value::Str(text.into());
        self.stack.push(value);
        Ok(())
    }

    fn push_list(&mut self, values: Vec<Value>) {
        self.pools.lists.push(values);
        self.stack.push(Value::List(self.pools.lists.len() - 1));
    }

    fn push_dict(&mut self, entries: Vec<(Value, Value)>) {
        self.pools.dicts.push(entries);
        self.stack.push(Value::Dict(self.pools.dicts.len() - 1));
    }

    fn pop(&mut self) -> Result<Value, Problem> {
        if self.marks.last() == Some(&self.stack.len()) {
            return Err(underflow());
        }
        self.stack.pop().ok_or_else(underflow)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value>, Problem> {
        let mark = self.marks.pop().ok_or_else(underflow)?;
        Ok(self.stack.split_off(mark))
    }

    fn top_list(&mut self) -> Result<&mut Vec<Value>, Problem> {
        match self.stack.last() {
            Some(Value::List(index)) => Ok(&mut self.pools.lists[*index]),
            _ => Err(Problem::Damaged("the pickle appends to something that is not a list".to_owned())),
        }
    }

    fn top_dict(&mut self) -> Result<&mut Vec<(Value, Value)>, Problem> {
        match self.stack.last() {
            Some(Value::Dict(index)) => Ok(&mut self.pools.dicts[*index]),
            _ => Err(Problem::Damaged("the pickle sets an item of something that is not a dict".to_owned())),
        }
    }

    fn memoize(&mut self, index: u64) -> Result<(), Problem> {
        let value = self.stack.last().cloned().ok_or_else(underflow)?;
        self.memo.insert(index, value);
        Ok(())
    }

    fn recall(&mut self, index: u64) -> Result<(), Problem> {
        let value = self.memo.get(&index).cloned();
        self.stack.push(
            value.ok_or_else(|| {
                Problem::Damaged(format!("the pickle recalls value {index}, which it has not stored"))
            })?,
        );
        Ok(())
    }

    fn take(&mut self, count: usize) -> Result<&[u8], Problem> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.input.len()).ok_or_else(cut_off)?;
        let bytes = &self.input[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    fn little_endian(&mut self, size: usize) -> Result<u64, Problem> {
        Ok(self.take(size)?.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn line(&mut self) -> Result<&str, Problem> {
        let rest = &self.input[self.at..];
        let length = rest.iter().position(|byte| *byte == b'\n').ok_or_else(cut_off)?;
        self.at += length + 1;
        std::str::from_utf8(&rest[..length])
            .map_err(|_| Problem::Damaged("a text in the pickle is not UTF-8".to_owned()))
    }
}

/// A tensor that looks into a storage.
fn tensor_in(bytes: &Tensor, kind: Kind, offset: i64, size: &[i64], stride: &[i64]) -> Result<Tensor, Problem> {
    if size.len() != stride.len() || offset < 0 {
        return Err(Problem::Damaged("a tensor's size and stride do not belong together".to_owned()));
    }
    // the last value that it looks at must lie within; libtorch's own check would overflow on wild numbers
    let last = size
        .iter()
        .zip(stride)
        .try_fold(offset, |last, (size, stride)| last.checked_add(stride.checked_mul((size - 1).max(0))?));
    let numel = (bytes.numel() / kind.elt_size_in_bytes()) as i64;
    let is_empty = size.contains(&0);
    if !is_empty && last.is_none_or(|last| last >= numel) {
        return Err(Problem::Damaged(format!("a tensor of size {size:?} does not fit its storage of {numel} values")));
    }
    if is_empty {
        return Ok(Tensor::f_empty(size, (kind, tch::Device::Cpu))?);
    }
    Ok(tch::no_grad(|| bytes.f_view_dtype(kind)?.f_as_strided(size, stride, offset))?)
}

fn pairs(values: Vec<Value>) -> Result<Vec<(Value, Value)>, Problem> {
    if !values.len().is_multiple_of(2) {
        return Err(Problem::Damaged("a dict in the pickle has a key without a value".to_owned()));
    }
    let mut entries = Vec::with_capacity(values.len() / 2);
    let mut values = values.into_iter();
    while let (Some(key), Some(value)) = (values.next(), values.next()) {
        entries.push((key, value));
    }
    Ok(entries)
}

fn cut_off() -> Problem {
    Problem::Damaged("the pickle ends in the middle".to_owned())
}

fn underflow() -> Problem {
    Problem::Damaged("the pickle takes a value that is not there".to_owned())
}

fn wrong_call(function: &str) -> Problem {
    Problem::Damaged(format!("the pickle calls `{function}` with arguments that do not fit"))
}
