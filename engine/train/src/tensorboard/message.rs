//! The `Event` message of TensorFlow's `event.proto`, as far as scalars need it.
//!
//! `Event { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5; }`
//! `Summary { repeated Value value = 1; }`, `Value { string tag = 1; float simple_value = 2; }`

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// The first event of a file.
pub(crate) fn file_version(wall_time: f64) -> Vec<u8> {
    let mut event = start(wall_time);
    bytes(&mut event, 3, b"brain.Event:2");
    event
}

/// One value of one tag.
pub(crate) fn scalar(wall_time: f64, step: u64, tag: &str, value: f32) -> Vec<u8> {
    let mut point = Vec::new();
    bytes(&mut point, 1, tag.as_bytes());
    key(&mut point, 2, FIXED32);
    point.extend_from_slice(&value.to_le_bytes());
    let mut summary = Vec::new();
    bytes(&mut summary, 1, &point);
    let mut event = start(wall_time);
    key(&mut event, 2, VARINT);
    varint(&mut event, step);
    bytes(&mut event, 5, &summary);
    event
}

fn start(wall_time: f64) -> Vec<u8> {
    let mut event = Vec::new();
    key(&mut event, 1, FIXED64);
    event.extend_from_slice(&wall_time.to_le_bytes());
    event
}

fn bytes(message: &mut Vec<u8>, field: u64, value: &[u8]) {
    key(message, field, BYTES);
    varint(message, value.len() as u64);
    message.extend_from_slice(value);
}

fn key(message: &mut Vec<u8>, field: u64, wire_type: u64) {
    varint(message, field << 3 | wire_type);
}

fn varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::{scalar, varint};

    #[test]
    fn varints_hold_seven_bits_a_byte() {
        let mut encoded = Vec::new();
        for value in [0, 127, 128, 300] {
            varint(&mut encoded, value);
        }
        assert_eq!(encoded, [0, 127, 0x80, 1, 0xac, 2]);
    }

    #[test]
    fn a_scalar_is_encoded_as_protobuf_says() {
        // protoc --encode of the same message, wall_time 0
        let expected: &[u8] = &[9, 0, 0, 0, 0, 0, 0, 0, 0, 16, 3, 42, 10, 10, 8, 10, 1, b'a', 21, 0, 0, 128, 63];
        assert_eq!(scalar(0.0, 3, "a", 1.0), expected);
    }
}
