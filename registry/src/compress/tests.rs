//! Tests of compression: the same bytes whatever the writes and threads, read by gzip(1) and zstd(1).

use std::io::{self, Cursor, Read, Write};
use std::process::{Command, Stdio};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::content::{ContentError, ContentStore};
use crate::oci::{Descriptor, Digest, MediaType};

const ALL: [Compression; 6] = [
    Compression::None,
    Compression::Gzip { level: 0 },
    Compression::Gzip { level: 1 },
    Compression::GZIP,
    Compression::Gzip { level: 9 },
    Compression::ZSTD,
];

/// Bytes that are partly like a text, partly noise, and the same everywhere.
fn content(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::with_capacity(length + 64);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        match state % 4 {
            0 => bytes.extend_from_slice(&state.to_le_bytes()),
            1 => bytes.extend_from_slice(format!("/usr/share/doc/{}/copyright\n", state % 1000).as_bytes()),
            2 => bytes.extend_from_slice(&[0; 40]),
            _ => bytes.extend_from_slice(format!("mode={:o} ", state % 512).as_bytes()),
        }
    }
    bytes.truncate(length);
    bytes
}

fn compress(bytes: &[u8], compression: Compression, threads: usize, writes: &[usize]) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new(), compression, threads).unwrap();
    let mut rest = bytes;
    for write in writes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (now, later) = rest.split_at(rest.len().min(*write));
        encoder.write_all(now).unwrap();
        rest = later;
    }
    encoder.finish().unwrap()
}

fn decompress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    decoder(bytes)?.read_to_end(&mut out)?;
    Ok(out)
}

/// Runs a program of the system over `input`.
fn filter(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    assert!(output.status.success(), "{program}");
    output.stdout
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn the_bytes_depend_neither_on_write_sizes_nor_on_threads(
        length in prop_oneof![0..100usize, 0..3_000_000usize, 8_000_000..9_500_000usize],
        writes in proptest::collection::vec(prop_oneof![1..70usize, 500..5_000_000usize], 1..8),
        threads in 1..6usize,
    ) {
        let bytes = content(length);
        for compression in [Compression::Gzip { level: 1 }, Compression::GZIP, Compression::ZSTD] {
            let expected = compress(&bytes, compression, 1, &[usize::MAX]);
            let mut writes = writes.clone();
            // Tiny writes only would take minutes.
            writes.push(length / 7 + 1);
            prop_assert!(compress(&bytes, compression, threads, &writes) == expected, "{:?}", compression);
            prop_assert!(decompress(&expected).unwrap() == bytes, "{:?}", compression);
        }
    }
}

#[test]
fn blocks_that_end_at_every_edge_are_read_by_the_system_tools() {
    const MIB: usize = 1 << 20;
    for length in [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB, 4 * MIB, 4 * MIB + 1, 9 * MIB + 17] {
        let bytes = content(length);
        for compression in ALL {
            let (program, arguments) = match compression {
                Compression::None => continue,
                Compression::Gzip { .. } => ("gzip", ["-dc"]),
                Compression::Zstd { .. } => ("zstd", ["-dcq"]),
            };
            let compressed = compress(&bytes, compression, 3, &[usize::MAX]);
            assert!(
                filter(program, &arguments, &compressed) == bytes,
                "{compression:?} of {length} bytes"
            );
        }
    }
}

#[test]
fn gzip_is_one_member_without_name_or_time() {
    let compressed = compress(&content(3 << 20), Compression::GZIP, 2, &[usize::MAX]);
    assert_eq!(compressed[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
    let mut single = flate2::bufread::GzDecoder::new(&compressed[..]);
    io::copy(&mut single, &mut io::sink()).unwrap();
    assert!(single.into_inner().is_empty(), "nothing follows the first member");
}

#[test]
fn blocks_cost_next_to_nothing_in_size() {
    let bytes = content(12 << 20);
    let ours = compress(&bytes, Compression::GZIP, 1, &[usize::MAX]).len();
    let mut stream = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    stream.write_all(&bytes).unwrap();
    let unbroken = stream.finish().unwrap().len();
    assert!(ours < unbroken + unbroken / 200, "{ours} against {unbroken}");
}

#[test]
fn what_other_tools_compress_is_read_whatever_its_name_says() {
    let bytes = content(3_000_000);
    assert!(decompress(&filter("gzip", &["-c", "-9"], &bytes)).unwrap() == bytes);
    assert!(decompress(&filter("zstd", &["-cq", "-19", "--long=27"], &bytes)).unwrap() == bytes);
    assert!(decompress(&bytes).unwrap() == bytes);
    let (head, tail) = bytes.split_at(1_234_567);
    let members = [filter("gzip", &["-c"], head), filter("gzip", &["-c"], tail)].concat();
    assert!(decompress(&members).unwrap() == bytes, "several gzip members");
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, b'a', b'b', b'c'];
    let frames = [
        &skippable[..],
        &filter("zstd", &["-cq"], head),
        &skippable,
        &filter("zstd", &["-cq"], tail),
    ]
    .concat();
    assert!(decompress(&frames).unwrap() == bytes, "several zstd frames");
    for short in [&b""[..], b"x", b"\x1f\x8b", b"abc"] {
        assert_eq!(decompress(short).unwrap(), short, "too short to be compressed");
    }
}

#[test]
fn u11_a_stream_that_is_cut_or_damaged_is_an_error() {
    let bytes = content(2_500_000);
    for compression in [Compression::GZIP, Compression::ZSTD] {
        let whole = compress(&bytes, compression, 2, &[usize::MAX]);
        for length in [5, 11, whole.len() / 2, whole.len() - 9, whole.len() - 1] {
            assert!(decompress(&whole[..length]).is_err(), "{compression:?} cut at {length}");
        }
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 0x10;
        assert!(decompress(&damaged).is_err(), "{compression:?} damaged");
    }
}

#[test]
fn u11_a_zstd_frame_that_asks_for_too_much_memory_is_refused() {
    let greedy = filter("zstd", &["-cq", "--ultra", "-1", "--long=28"], &content(1000));
    let mut out = decoder(&greedy[..]).unwrap();
    assert!(io::copy(&mut out, &mut io::sink()).is_err());
}

#[test]
fn a_writer_that_fails_ends_the_stream_and_its_threads() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut encoder = Encoder::new(Full(100), Compression::GZIP, 2).unwrap();
    let error = io::copy(&mut io::repeat(7).take(64 << 20), &mut encoder).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}

#[test]
fn a_layer_is_named_by_both_of_its_digests() {
    let dir = TempDir::new().unwrap();
    let store = ContentStore::open(dir.path()).unwrap();
    let tar = content(5_000_000);
    for compression in ALL {
        let mut layer = LayerIngest::start(&store, compression, 2).unwrap();
        io::copy(&mut Cursor::new(&tar), &mut layer).unwrap();
        let blob = layer.commit().unwrap();
        assert_eq!((blob.diff_id.0, blob.uncompressed_size), (Digest::of(&tar), 5_000_000));
        let descriptor = Descriptor::new(MediaType::LAYER_GZIP, blob.digest, blob.size);
        let (read, diff_id) = read_layer(&store, &descriptor, |tar| -> Result<_, ContentError> {
            let mut read = vec![0; 1000];
            tar.read_exact(&mut read).unwrap();
            Ok(read)
        })
        .unwrap();
        assert!(read == tar[..1000] && diff_id == blob.diff_id, "{compression:?}");
    }
    drop(LayerIngest::start(&store, Compression::GZIP, 2).unwrap());
    assert_eq!(std::fs::read_dir(dir.path().join("ingest")).unwrap().count(), 0);
}

#[test]
fn damage_is_reported_even_if_the_consumer_fails_over_it() {
    let dir = TempDir::new().unwrap();
    let store = ContentStore::open(dir.path()).unwrap();
    let mut layer = LayerIngest::start(&store, Compression::GZIP, 1).unwrap();
    layer.write_all(&content(100_000)).unwrap();
    let blob = layer.commit().unwrap();
    let descriptor = Descriptor::new(MediaType::LAYER_GZIP, blob.digest, blob.size);
    let path = store.blob_path(blob.digest);
    let good = std::fs::read(&path).unwrap();
    let read = || {
        let consume = |tar: &mut dyn Read| -> Result<(), ContentError> {
            io::copy(tar, &mut io::sink()).map_err(ContentError::io("unpack", "/layer"))?;
            Err(ContentError::io("unpack", "/layer")(io::ErrorKind::StorageFull.into()))
        };
        read_layer(&store, &descriptor, consume).unwrap_err()
    };
    assert!(
        read().to_string().contains("cannot unpack"),
        "the consumer's own failure"
    );
    let middle = good.len() / 2;
    for wrong in [
        [&good[..middle], &[good[middle] ^ 1], &good[middle + 1..]].concat(),
        good[..middle].to_vec(),
        [&good[..], b"x"].concat(),
        b"no gzip at all".to_vec(),
    ] {
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, wrong).unwrap();
        let error = read();
        assert!(error.is_damage(), "{error}");
    }
}
