//! Pictures of pages in few colours: a PNG with a palette has a third of the bytes.

use flate2::{Compression, Crc, read::ZlibDecoder, write::ZlibEncoder};
use std::{
    collections::HashMap,
    io::{Read, Write},
};

/// Colours of a picture. Flat areas have few, and the edges of letters stand between two of them.
const COLOURS: usize = 128;
const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// The length and the name before the data of a chunk, the checksum after it.
const FRAME: usize = 12;

/// The same picture with at most [`COLOURS`] colours, the most frequent ones; every other becomes the
/// one that is nearest.
pub fn with_palette(png: &[u8]) -> Vec<u8> {
    let picture = Picture::of(png);
    let mut many: HashMap<[u8; 3], usize> = HashMap::new();
    for pixel in &picture.pixels {
        *many.entry(*pixel).or_default() += 1;
    }
    let mut colours: Vec<([u8; 3], usize)> = many.into_iter().collect();
    colours.sort_unstable_by_key(|(colour, many)| (std::cmp::Reverse(*many), *colour));
    let palette: Vec<[u8; 3]> = colours.iter().take(COLOURS).map(|(colour, _)| *colour).collect();
    let nearest = |colour: &[u8; 3]| {
        let far = |other: &[u8; 3]| {
            colour.iter().zip(other).map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum::<u32>()
        };
        let nearest = palette.iter().enumerate().min_by_key(|(_, other)| far(other)).unwrap();
        u8::try_from(nearest.0).unwrap()
    };
    let places: HashMap<[u8; 3], u8> = colours.iter().map(|(colour, _)| (*colour, nearest(colour))).collect();
    let mut lines = Vec::new();
    for line in picture.pixels.chunks(picture.width) {
        lines.push(0); // no filter
        lines.extend(line.iter().map(|pixel| places[pixel]));
    }
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
    packed.write_all(&lines).unwrap();
    let size = |number: usize| u32::try_from(number).unwrap().to_be_bytes();
    let height = picture.pixels.len() / picture.width;
    let head = [&size(picture.width)[..], &size(height), &[8, 3, 0, 0, 0]].concat();
    let mut written = SIGNATURE.to_vec();
    chunk(&mut written, b"IHDR", &head);
    chunk(&mut written, b"PLTE", &palette.concat());
    chunk(&mut written, b"IDAT", &packed.finish().unwrap());
    chunk(&mut written, b"IEND", &[]);
    written
}

fn chunk(written: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
    let mut sum = Crc::new();
    sum.update(name);
    sum.update(data);
    written.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
    written.extend(name);
    written.extend(data);
    written.extend(sum.sum().to_be_bytes());
}

/// A picture without its transparency, which a page has none of.
struct Picture {
    width: usize,
    pixels: Vec<[u8; 3]>,
}

impl Picture {
    /// Reads what a browser writes: eight bits a colour, not interlaced.
    fn of(png: &[u8]) -> Self {
        let mut rest = png.strip_prefix(SIGNATURE).expect("a PNG");
        let (mut head, mut packed) = (&[][..], Vec::new());
        while rest.len() >= FRAME {
            let length = usize::try_from(number(rest)).unwrap();
            let data = &rest[8..8 + length];
            match &rest[4..8] {
                b"IHDR" => head = data,
                b"IDAT" => packed.extend(data),
                _ => {}
            }
            rest = &rest[FRAME + length..];
        }
        let width = usize::try_from(number(head)).unwrap();
        let bytes = match &head[8..] {
            [8, 2, 0, 0, 0] => 3,
            [8, 6, 0, 0, 0] => 4,
            other => panic!("another kind of PNG: {other:?}"),
        };
        let mut lines = Vec::new();
        ZlibDecoder::new(&packed[..]).read_to_end(&mut lines).unwrap();
        let mut pixels = Vec::new();
        let mut above = vec![0; width * bytes];
        for line in lines.chunks_exact_mut(width * bytes + 1) {
            let (filter, line) = line.split_first_mut().unwrap();
            unfilter(*filter, line, &above, bytes);
            pixels.extend(line.chunks_exact(bytes).map(|pixel| [pixel[0], pixel[1], pixel[2]]));
            above.copy_from_slice(line);
        }
        Self { width, pixels }
    }
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap())
}

/// Takes a line's filter away: each byte is a difference to the bytes left, above, and left above.
fn unfilter(filter: u8, line: &mut [u8], above: &[u8], bytes: usize) {
    for at in 0..line.len() {
        let left = if at < bytes { 0 } else { line[at - bytes] };
        let corner = if at < bytes { 0 } else { above[at - bytes] };
        let up = above[at];
        let expected = match filter {
            0 => 0,
            1 => left,
            2 => up,
            3 => u8::midpoint(left, up),
            _ => {
                let guess = i16::from(left) + i16::from(up) - i16::from(corner);
                let far = |one: &u8| guess.abs_diff(i16::from(*one));
                [left, up, corner].into_iter().min_by_key(far).unwrap()
            }
        };
        line[at] = line[at].wrapping_add(expected);
    }
}
