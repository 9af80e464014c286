//! Random numbers as the RSA library takes them, which wants those of an older version.

use rsa::rand_core::{CryptoRng, Error, RngCore};

/// The generator of the thread.
pub struct Random;

impl RngCore for Random {
    fn next_u32(&mut self) -> u32 {
        rand::random()
    }

    fn next_u64(&mut self) -> u64 {
        rand::random()
    }

    fn fill_bytes(&mut self, place: &mut [u8]) {
        rand::fill(place);
    }

    fn try_fill_bytes(&mut self, place: &mut [u8]) -> Result<(), Error> {
        rand::fill(place);
        Ok(())
    }
}

impl CryptoRng for Random {}
