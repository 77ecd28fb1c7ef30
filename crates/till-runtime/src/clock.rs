//! What the machine's clocks say, and randomness from the operating system: the only place that asks.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use domain::entropy::Entropy;
use domain::time::{Boot, Now};
use till::Context;

/// Local time minus UTC where no store says otherwise: both countries keep UTC+1.
const UTC_OFFSET_MIN: i32 = 60;

/// The operating system gives no randomness; without it ids would collide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no randomness")]
pub struct NoEntropy;

/// The machine's clocks.
#[derive(Debug, Clone)]
pub struct Clock {
    boot_id: u64,
    started: Instant,
    /// Whether the kernel tells the time since boot; otherwise it is counted from the program's start.
    kernel: bool,
}

impl Clock {
    /// Finds out which boot this is.
    ///
    /// # Errors
    /// [`NoEntropy`].
    pub fn new() -> Result<Clock, NoEntropy> {
        let known = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .ok()
            .and_then(|text| first_53_bits(&text));
        Ok(match (known, uptime_ms()) {
            (Some(boot_id), Some(_)) => Clock {
                boot_id,
                started: Instant::now(),
                kernel: true,
            },
            _ => {
                // Each run of the program then counts as a boot of its own: jumps within a run are still seen.
                let seed = random_bytes()?;
                let mut head = [0; 8];
                head.copy_from_slice(&seed[..8]);
                Clock {
                    boot_id: u64::from_be_bytes(head) >> 11,
                    started: Instant::now(),
                    kernel: false,
                }
            }
        })
    }

    /// What the clocks say now.
    pub fn now(&self) -> Now {
        let since_start = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let ms = if self.kernel {
            uptime_ms().unwrap_or(since_start)
        } else {
            since_start
        };
        Now {
            wall_ms: wall_ms(),
            boot: Boot {
                id: self.boot_id,
                ms,
            },
            utc_offset_min: UTC_OFFSET_MIN,
        }
    }

    /// What one command needs from outside.
    ///
    /// # Errors
    /// [`NoEntropy`].
    pub fn context(&self) -> Result<Context, NoEntropy> {
        Ok(Context {
            now: self.now(),
            entropy: Entropy::new(random_bytes()?),
        })
    }
}

/// 32 bytes nobody can guess.
///
/// # Errors
/// [`NoEntropy`].
pub fn random_bytes() -> Result<[u8; 32], NoEntropy> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| NoEntropy)?;
    Ok(bytes)
}

fn wall_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    }
}

fn first_53_bits(boot_id: &str) -> Option<u64> {
    let digits: String = boot_id
        .trim()
        .chars()
        .filter(|c| *c != '-')
        .take(16)
        .collect();
    if digits.len() != 16 {
        return None;
    }
    u64::from_str_radix(&digits, 16).ok().map(|head| head >> 11)
}

/// Milliseconds since boot, sleep included, in steps of ten.
fn uptime_ms() -> Option<u64> {
    parse_uptime(&std::fs::read_to_string("/proc/uptime").ok()?)
}

/// Reads `12345.67 54321.00`: seconds with two decimals, taken apart as integers.
fn parse_uptime(text: &str) -> Option<u64> {
    let (seconds, rest) = text.split_once('.')?;
    let hundredths: String = rest.chars().take(2).collect();
    let (seconds, hundredths) = (
        seconds.parse::<u64>().ok()?,
        hundredths.parse::<u64>().ok()?,
    );
    seconds.checked_mul(1_000)?.checked_add(hundredths * 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_texts_are_read() {
        assert_eq!(parse_uptime("12345.67 54321.00\n"), Some(12_345_670));
        assert_eq!(parse_uptime("0.05 0.01"), Some(50));
        assert_eq!(parse_uptime("soon"), None);
        assert_eq!(
            first_53_bits("ffffffff-ffff-ffff-ffff-ffffffffffff\n"),
            Some((1 << 53) - 1)
        );
        assert_eq!(first_53_bits("short"), None);
    }

    #[test]
    fn the_boot_stays_and_its_time_does_not_go_back() {
        let clock = Clock::new().expect("clock");
        let (first, second) = (clock.now(), clock.now());
        assert_eq!(first.boot.id, second.boot.id);
        assert!(second.boot.ms >= first.boot.ms);
        assert!(first.wall_ms > 1_700_000_000_000);
    }

    #[test]
    fn no_two_commands_share_their_randomness() {
        assert_ne!(
            random_bytes().expect("bytes"),
            random_bytes().expect("bytes")
        );
    }
}
