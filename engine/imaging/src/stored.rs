//! Numbers as files store them, converted a row at a time: loops that the compiler turns into vector instructions.

use crate::nifti::Voxel;

/// A number type of a file.
pub(crate) trait Stored: Copy {
    /// Bytes of one number.
    const SIZE: usize;

    /// From its bytes.
    fn read(bytes: &[u8], big_endian: bool) -> Self;

    /// Converted without scaling.
    fn convert<T: Voxel>(self) -> T;

    /// As a float, to be scaled.
    fn as_f64(self) -> f64;
}

/// Fills a row from the bytes that begin it; there are at least as many as it takes.
#[inline]
pub(crate) fn fill_row<S: Stored, T>(bytes: &[u8], big_endian: bool, row: &mut [T], convert: impl Fn(S) -> T) {
    let numbers = row.iter_mut().zip(bytes.chunks_exact(S::SIZE));
    // one loop for each order, not a question for each number
    if big_endian {
        numbers.for_each(|(value, bytes)| *value = convert(S::read(bytes, true)));
    } else {
        numbers.for_each(|(value, bytes)| *value = convert(S::read(bytes, false)));
    }
}

macro_rules! stored {
    ($($type:ty: $from:ident($wide:ty)),*) => {
        $(impl Stored for $type {
            const SIZE: usize = size_of::<$type>();

            #[inline(always)]
            fn read(bytes: &[u8], big_endian: bool) -> Self {
                let mut own = [0; size_of::<$type>()];
                own.copy_from_slice(bytes);
                if big_endian { Self::from_be_bytes(own) } else { Self::from_le_bytes(own) }
            }

            #[inline(always)]
            fn convert<T: Voxel>(self) -> T {
                T::$from(self as $wide)
            }

            #[inline(always)]
            fn as_f64(self) -> f64 {
                self as f64
            }
        })*
    };
}

stored! {
    u8: from_i32(i32), i8: from_i32(i32), u16: from_i32(i32), i16: from_i32(i32), i32: from_i32(i32),
    u32: from_i64(i64), i64: from_i64(i64), u64: from_f64(f64), f32: from_f64(f64), f64: from_f64(f64)
}

#[cfg(test)]
mod tests {
    use super::Stored as _;
    use super::fill_row;

    #[test]
    fn rows_are_read_in_either_order() {
        let mut row = [0f32; 3];
        fill_row(&[1, 0, 0xFF, 0xFF, 0, 2, 9, 9], false, &mut row, i16::convert);
        assert_eq!(row, [1.0, -1.0, 512.0]);
        fill_row(&[1, 0, 0xFF, 0xFF, 0, 2], true, &mut row, |value: i16| (value.as_f64() * 0.5) as f32);
        assert_eq!(row, [128.0, -0.5, 1.0]);
    }
}
