//! When to try again: exponential backoff with full jitter, and a poll interval that tills do not share.

/// First step of the backoff.
pub const BACKOFF_MS_MIN: u64 = 1_000;
/// Longest step of the backoff.
pub const BACKOFF_MS_MAX: u64 = 300_000;
/// Longest wait a server may ask for.
pub const WAIT_MS_MAX: u64 = 600_000;
/// Shortest pause after a failure, so that a jitter of zero does not spin.
const PAUSE_MS_MIN: u64 = 100;

/// Seeded randomness for waiting times; good enough to spread tills, unfit for anything secret.
#[derive(Debug, Clone)]
pub struct Pace {
    state: u64,
}

impl Pace {
    /// Starts from `seed`.
    pub const fn new(seed: u64) -> Pace {
        Pace { state: seed }
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Milliseconds to wait after the `failures`-th failure in a row (1 for the first): anywhere between
    /// almost nothing and a bound that doubles from 1 s to 5 min.
    pub fn backoff_ms(&mut self, failures: u32) -> u64 {
        let bound = BACKOFF_MS_MIN
            .saturating_mul(1 << failures.saturating_sub(1).min(16))
            .min(BACKOFF_MS_MAX);
        PAUSE_MS_MIN + self.next() % (bound - PAUSE_MS_MIN + 1)
    }

    /// `interval_ms` give or take a fifth.
    pub fn spread_ms(&mut self, interval_ms: u64) -> u64 {
        let fifth = interval_ms / 5;
        interval_ms - fifth + self.next() % (2 * fifth + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_stays_within_its_bound_and_uses_all_of_it() {
        let mut pace = Pace::new(7);
        for (failures, bound) in [
            (1, 1_000),
            (2, 2_000),
            (5, 16_000),
            (9, 256_000),
            (10, 300_000),
            (4_000, 300_000),
        ] {
            let waits: Vec<u64> = (0..200).map(|_| pace.backoff_ms(failures)).collect();
            assert!(
                waits
                    .iter()
                    .all(|wait| (PAUSE_MS_MIN..=bound).contains(wait)),
                "{failures}"
            );
            assert!(waits.iter().any(|wait| *wait > bound / 2), "{failures}");
            assert!(waits.iter().any(|wait| *wait < bound / 2), "{failures}");
        }
    }

    #[test]
    fn two_tills_do_not_poll_in_step() {
        let (mut a, mut b) = (Pace::new(1), Pace::new(2));
        let of = |pace: &mut Pace| (0..8).map(|_| pace.spread_ms(15_000)).collect::<Vec<_>>();
        let (a, b) = (of(&mut a), of(&mut b));
        assert_ne!(a, b);
        assert!(
            a.iter()
                .chain(&b)
                .all(|wait| (12_000..=18_000).contains(wait))
        );
    }
}
