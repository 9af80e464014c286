//! Inputs made of others: bytes changed, parts taken out, put twice or taken from another input, and
//! words of a dictionary put in.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// The longest input that is made, in bytes.
const LONGEST: usize = 8 * 1024;

/// Bytes that mean something to one parser or another.
const TELLING: &[u8] = b"\0\t\n \"#$%&'()*+,-./0129:;<=>?@AZ[\\]^_`az{|}~\x7f\x80\xc3\xff";

/// Makes inputs.
pub struct Mutator<'a> {
    random: SmallRng,
    corpus: &'a [Vec<u8>],
    words: &'a [Vec<u8>],
}

impl<'a> Mutator<'a> {
    /// The same seed makes the same inputs.
    pub fn new(seed: u64, corpus: &'a [Vec<u8>], words: &'a [Vec<u8>]) -> Self {
        Self { random: SmallRng::seed_from_u64(seed), corpus, words }
    }

    /// The next input.
    pub fn mutation(&mut self) -> Vec<u8> {
        let mut input = self.any(self.corpus).to_vec();
        // Most inputs are close to what is valid, some are far from it.
        let changes = 1 << self.random.random_range(0..5);
        for _ in 0..self.random.random_range(1..=changes) {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let (start, end) = self.part(input.len());
        match self.random.random_range(0..8) {
            0 => {
                if let Some(byte) = input.get_mut(start) {
                    *byte ^= 1 << self.random.random_range(0..8);
                }
            }
            1 => {
                let byte = TELLING[self.random.random_range(0..TELLING.len())];
                input.insert(start, byte);
            }
            2 => {
                if let Some(byte) = input.get_mut(start) {
                    *byte = TELLING[self.random.random_range(0..TELLING.len())];
                }
            }
            3 => input.drain(start..end).for_each(drop),
            4 => {
                let part = input[start..end].to_vec();
                let (at, _) = self.part(input.len());
                input.splice(at..at, part).for_each(drop);
            }
            5 => {
                let other = self.any(self.corpus);
                let (from, to) = self.part(other.len());
                input.splice(start..end, other[from..to].iter().copied()).for_each(drop);
            }
            _ if self.words.is_empty() => input.truncate(end),
            way => {
                let end = if way == 6 { start } else { end };
                let word = self.any(self.words);
                input.splice(start..end, word.iter().copied()).for_each(drop);
            }
        }
    }

    fn any(&mut self, inputs: &'a [Vec<u8>]) -> &'a [u8] {
        &inputs[self.random.random_range(0..inputs.len())]
    }

    /// The bounds of a part, which is mostly a short one.
    fn part(&mut self, length: usize) -> (usize, usize) {
        let start = self.random.random_range(0..=length);
        let most = if self.random.random_bool(0.8) { 16 } else { length };
        let end = start + self.random.random_range(0..=most.min(length - start));
        (start, end)
    }
}
