//! The voxel types of NIfTI files and the conversion into ours.

/// The type of the stored voxels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Datatype {
    /// `uint8`
    U8,
    /// `int8`
    I8,
    /// `int16`
    I16,
    /// `uint16`
    U16,
    /// `int32`
    I32,
    /// `uint32`
    U32,
    /// `int64`
    I64,
    /// `uint64`
    U64,
    /// `float32`
    F32,
    /// `float64`
    F64,
}

impl Datatype {
    /// The type of a header's code, or the reason why it cannot be read.
    pub(super) fn from_code(code: i16) -> Result<Self, String> {
        Ok(match code {
            2 => Self::U8,
            256 => Self::I8,
            4 => Self::I16,
            512 => Self::U16,
            8 => Self::I32,
            768 => Self::U32,
            1024 => Self::I64,
            1280 => Self::U64,
            16 => Self::F32,
            64 => Self::F64,
            other => {
                let name = match other {
                    1 => "1-bit voxels",
                    32 => "complex numbers (`complex64`)",
                    128 => "colours (`RGB24`)",
                    2304 => "colours (`RGBA32`)",
                    1536 => "`float128`",
                    1792 | 2048 => "complex numbers",
                    _ => "an unknown type",
                };
                return Err(format!(
                    "its voxels are {name}, datatype {other}; integers of 8 to 64 bits, `float32` and `float64` can be read"
                ));
            }
        })
    }

    /// The code in a header.
    pub fn code(self) -> i16 {
        match self {
            Self::U8 => 2,
            Self::I8 => 256,
            Self::I16 => 4,
            Self::U16 => 512,
            Self::I32 => 8,
            Self::U32 => 768,
            Self::I64 => 1024,
            Self::U64 => 1280,
            Self::F32 => 16,
            Self::F64 => 64,
        }
    }

    /// Bytes per voxel.
    pub fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }

    /// numpy's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::U8 => "uint8",
            Self::I8 => "int8",
            Self::I16 => "int16",
            Self::U16 => "uint16",
            Self::I32 => "int32",
            Self::U32 => "uint32",
            Self::I64 => "int64",
            Self::U64 => "uint64",
            Self::F32 => "float32",
            Self::F64 => "float64",
        }
    }
}

/// A type that voxels can be converted into: numbers are cut as numpy's `astype` cuts them, but saturate.
pub trait Voxel: Copy + Default + Send + Sync + 'static {
    /// From an integer.
    fn from_i32(value: i32) -> Self;
    /// From an integer.
    fn from_i64(value: i64) -> Self;
    /// From a float.
    fn from_f64(value: f64) -> Self;
}

macro_rules! voxel {
    ($($type:ty)*) => {
        $(impl Voxel for $type {
            #[inline]
            fn from_i32(value: i32) -> Self {
                value as Self
            }

            #[inline]
            fn from_i64(value: i64) -> Self {
                value as Self
            }

            #[inline]
            fn from_f64(value: f64) -> Self {
                value as Self
            }
        })*
    };
}

voxel! { u8 i8 i16 i32 i64 f32 f64 }
