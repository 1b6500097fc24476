//! NIfTI files written and read back, damaged ones, and headers that say little.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::Path;

use mmar_imaging::affine::{IDENTITY, close};
use mmar_imaging::nifti::{Reader, write};

const OBLIQUE: mmar_imaging::Affine =
    [[0.9, -0.2, 0.1, -50.], [0.3, 1.1, -0.4, 20.], [-0.1, 0.5, -2.4, 7.], [0., 0., 0., 1.]];

fn read(path: &Path) -> (Vec<usize>, mmar_imaging::Affine, Vec<f32>) {
    let mut reader = Reader::new();
    let nifti = reader.read(path).unwrap();
    let mut voxels = vec![0f32; nifti.header.voxels()];
    nifti.fill(&mut voxels);
    (nifti.header.shape.clone(), nifti.affine, voxels)
}

fn error(path: &Path) -> String {
    Reader::new().read(path).unwrap_err().to_string().replace(&path.display().to_string(), "FILE")
}

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    for (name, shape) in [
        ("volume.nii.gz", vec![5, 4, 3]),
        ("plain.nii", vec![5, 4, 3]),
        ("channels.nii.gz", vec![5, 4, 3, 2]),
        ("flat.nii.gz", vec![6, 7]),
        // too long for NIfTI-1
        ("long.nii.gz", vec![40_000, 2]),
    ] {
        let path = folder.path().join(name);
        let n = shape.iter().product::<usize>();
        let voxels: Vec<i16> = (0..n).map(|i| (i as i16).wrapping_mul(7)).collect();
        write(&path, &shape, &OBLIQUE, &voxels).unwrap();
        let (read_shape, affine, read_voxels) = read(&path);
        assert_eq!(read_shape, shape, "{name}");
        assert!(close(&affine, &OBLIQUE, 1e-5), "{name}: {affine:?}");
        assert!(read_voxels.iter().zip(&voxels).all(|(a, b)| *a == f32::from(*b)), "{name}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 5, "nothing but the files themselves is left");
}

/// A plain file with 24 voxels of `int16`, to be tampered with.
fn plain(path: &Path) -> Vec<u8> {
    write(path, &[4, 3, 2], &[[2., 0., 0., 1.], [0., 3., 0., 2.], [0., 0., 4., 3.], [0., 0., 0., 1.]], &[5i16; 24])
        .unwrap();
    std::fs::read(path).unwrap()
}

#[test]
fn scaling_and_affines_follow_nibabel() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.nii");
    let bytes = plain(&path);
    let with = |changes: &[(usize, &[u8])]| {
        let mut bytes = bytes.clone();
        for (at, new) in changes {
            bytes[*at..at + new.len()].copy_from_slice(new);
        }
        std::fs::write(&path, bytes).unwrap();
        read(&path)
    };
    // slope 0 and NaN: no scaling, the intercept is ignored, too
    for slope in [0f32, f32::NAN] {
        assert_eq!(with(&[(112, &slope.to_le_bytes()), (116, &9f32.to_le_bytes())]).2[0], 5.0);
    }
    assert_eq!(with(&[(112, &0.5f32.to_le_bytes()), (116, &(-3f32).to_le_bytes())]).2[0], -0.5);
    // without an sform the qform says the same
    let (_, qform, _) = with(&[(254, &[0, 0])]);
    assert!(
        close(&qform, &[[2., 0., 0., 1.], [0., 3., 0., 2.], [0., 0., 4., 3.], [0., 0., 0., 1.]], 1e-5),
        "{qform:?}"
    );
    // without either, voxel sizes, the first axis to the left, the origin in the middle
    let (_, base, _) = with(&[(252, &[0, 0, 0, 0])]);
    assert_eq!(base, [[-2., 0., 0., 3.], [0., 3., 0., -3.], [0., 0., 4., -2.], [0., 0., 0., 1.]]);
    // an sform that contradicts the voxel sizes gives way to the qform
    let (_, corrected, _) = with(&[(280, &9f32.to_le_bytes())]);
    assert_eq!(corrected[0][0], 2.0);
}

#[test]
fn damaged_files_say_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.nii");
    let bytes = plain(&path);
    let cases: [(&[u8], &str); 4] = [
        (b"", "cannot read `FILE`: it is empty"),
        (&bytes[..100], "cannot read `FILE`: it ends after 100 of the 348 bytes of its header"),
        (
            &bytes[..380],
            "cannot read `FILE`: the file ends early: 48 bytes of voxels ([4, 3, 2] int16) are announced, 28 are there",
        ),
        (
            b"\x89PNG and so on",
            "cannot read `FILE`: it is not NIfTI: it starts with 1196314761, not with the header size 348 or 540",
        ),
    ];
    for (content, expected) in cases {
        std::fs::write(&path, content).unwrap();
        assert_eq!(error(&path), expected);
    }
    let mut colours = bytes.clone();
    colours[70] = 128;
    colours[71] = 0;
    std::fs::write(&path, &colours).unwrap();
    assert!(error(&path).contains("its voxels are colours (`RGB24`), datatype 128"), "{}", error(&path));
    assert_eq!(error(&folder.path().join("missing.nii")), "cannot read `FILE`: there is no such file");
}

#[test]
fn damaged_gzip_files_say_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.nii.gz");
    // hard to compress, so that most of the file is data
    let voxels: Vec<u32> = (0..20_000u32).map(|i| i.wrapping_mul(2_654_435_761)).collect();
    write(&path, &[100, 20, 10], &IDENTITY, &voxels).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for length in [20, whole.len() / 2, whole.len() - 4] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let message = error(&path);
        assert!(message.starts_with("cannot read `FILE`: the gzip stream ends early"), "{length}: {message}");
    }
    let mut flipped = whole.clone();
    for byte in &mut flipped[5_000..5_050] {
        *byte ^= 0xFF;
    }
    std::fs::write(&path, &flipped).unwrap();
    assert!(error(&path).starts_with("cannot read `FILE`: the gzip stream is damaged"), "{}", error(&path));
    // two members one after the other are one file
    std::fs::write(&path, &whole).unwrap();
    let bytes = {
        let mut out = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(whole.as_slice()), &mut out).unwrap();
        out
    };
    let member = |part: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, part).unwrap();
        encoder.finish().unwrap()
    };
    std::fs::write(&path, [member(&bytes[..1000]), member(&bytes[1000..])].concat()).unwrap();
    assert_eq!(read(&path).2[1], voxels[1] as f32);
}

#[test]
fn a_failed_write_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.nii");
    let bytes = plain(&path);
    assert!(write(&path, &[4, 3], &IDENTITY, &[0u8; 5]).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}
