//! Randomness that was drawn elsewhere and is spent here, so that a command replayed makes the same ids.

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::ids::StreamId;

/// A reproducible stream of random bytes made from one 32-byte seed.
///
/// # Source
/// SHA-256 in counter mode over the seed; the seed comes from the operating system.
#[derive(Debug, Clone)]
pub struct Entropy {
    seed: [u8; 32],
    counter: u64,
}

impl Entropy {
    /// Starts a stream at its first byte.
    pub const fn new(seed: [u8; 32]) -> Entropy {
        Entropy { seed, counter: 0 }
    }

    /// The next 32 bytes.
    pub fn next_bytes(&mut self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(b"hanout-entropy-1\0");
        hasher.update(self.seed);
        hasher.update(self.counter.to_be_bytes());
        self.counter += 1;
        hasher.finalize().into()
    }

    /// A version 7 UUID stamped with `wall_ms` (milliseconds since 1970; earlier counts as 1970).
    pub fn next_uuid(&mut self, wall_ms: i64) -> Uuid {
        let bytes = self.next_bytes();
        let mut random = [0; 10];
        random.copy_from_slice(&bytes[..10]);
        uuid::Builder::from_unix_timestamp_millis(u64::try_from(wall_ms).unwrap_or(0), &random)
            .into_uuid()
    }

    /// A new stream id.
    pub fn next_stream_id(&mut self) -> StreamId {
        let bytes = self.next_bytes();
        let mut id = [0; 16];
        id.copy_from_slice(&bytes[..16]);
        StreamId(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_makes_one_sequence() {
        let draw = |seed: u8| {
            let mut entropy = Entropy::new([seed; 32]);
            (
                entropy.next_uuid(1_700_000_000_000),
                entropy.next_uuid(1_700_000_000_000),
                entropy.next_stream_id(),
            )
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let (first, second, _) = draw(1);
        assert_ne!(first, second);
        assert_eq!(first.get_version_num(), 7);
    }
}
