//! The framing of event files: TensorFlow's records.
//!
//! A record is the length of its data (u64), the masked CRC-32C of those 8 bytes (u32), the data, and the masked
//! CRC-32C of the data (u32), all little-endian (TensorFlow, `core/lib/io/record_writer.h`).

/// One record with this data.
pub(crate) fn frame(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + 16);
    record.extend_from_slice(&length);
    record.extend_from_slice(&masked_crc(&length).to_le_bytes());
    record.extend_from_slice(data);
    record.extend_from_slice(&masked_crc(data).to_le_bytes());
    record
}

/// A CRC that may stand beside the data it was made of: rotated by 15 bits, and a constant added.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The data of each record of a file.
#[cfg(test)]
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let data = &bytes[12..12 + length];
        assert_eq!(bytes[..length + 16], frame(data), "the checksums must fit");
        all.push(data.to_vec());
        bytes = &bytes[length + 16..];
    }
    all
}

#[cfg(test)]
mod tests {
    use super::masked_crc;

    #[test]
    fn checksums_are_masked_as_tensorflow_does() {
        // CRC-32C of 32 zero bytes is 0x8a9136aa (RFC 3720, B.4)
        let crc = 0x8a91_36aa_u32;
        assert_eq!(masked_crc(&[0; 32]), crc.rotate_right(15).wrapping_add(0xa282_ead8));
    }
}
