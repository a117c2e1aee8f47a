//! Compressed streams that want too much, or are not what they seem (row U11 of the threat table).

use std::io::{self, Read as _, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::decoder;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    decoder(bytes)?.read_to_end(&mut all)?;
    Ok(all)
}

#[test]
fn u11_a_million_empty_members_take_neither_stack_nor_memory() {
    let empty = gzip(b"");
    let mut many = empty.repeat(1_000_000);
    many.extend(gzip(b"end"));
    assert_eq!(read(&many).unwrap(), b"end");
}

#[test]
fn u11_what_follows_a_stream_and_is_none_is_an_error() {
    for (form, stream) in [
        ("gzip", gzip(b"content")),
        ("zstd", zstd::encode_all(&b"content"[..], 3).unwrap()),
    ] {
        let with_garbage = [stream.as_slice(), b"garbage"].concat();
        assert!(read(&with_garbage).is_err(), "{form}");
        for end in 1..stream.len() {
            assert!(
                read(&stream[..end]).is_err_and(|e| e.kind() != io::ErrorKind::OutOfMemory) || end < 4,
                "{form} {end}"
            );
        }
    }
}

#[test]
fn u11_u19_a_flipped_bit_in_a_checksum_is_an_error() {
    let stream = gzip(b"content");
    for at in stream.len() - 8..stream.len() {
        let mut flipped = stream.clone();
        flipped[at] ^= 1;
        assert!(read(&flipped).is_err(), "{at}");
    }
}

#[test]
fn u11_skippable_frames_without_end_are_skipped_in_constant_memory() {
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18][..], &1000_u32.to_le_bytes(), &[7; 1000]].concat();
    let mut flood = skippable.repeat(20_000);
    flood.extend(zstd::encode_all(&b"end"[..], 3).unwrap());
    assert_eq!(read(&flood).unwrap(), b"end");
}

#[test]
fn u11_a_bomb_is_read_piece_by_piece() {
    // 64 MiB of zeros in 64 KiB: whoever reads decides how much is enough.
    let bomb = gzip(&vec![0; 64 << 20]);
    assert!(bomb.len() < 100 << 10);
    let mut taken = Vec::new();
    decoder(bomb.as_slice())
        .unwrap()
        .take(1000)
        .read_to_end(&mut taken)
        .unwrap();
    assert_eq!(taken.len(), 1000);
}
