//! The server's clock. Tests put their own in its place.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hub::{Boot, Now};

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Now + Send + Sync>;

/// The clock of the operating system. The boot is this process: a server's own events are few and its
/// wall clock is what tills compare with.
pub fn system_clock() -> Clock {
    let started = Instant::now();
    let wall = wall_ms();
    // 53 bits, so that every JSON reader sees the same number.
    let id = (wall.unsigned_abs() << 16 ^ u64::from(std::process::id())) & ((1 << 53) - 1);
    Arc::new(move || Now {
        wall_ms: wall_ms(),
        boot: Boot {
            id,
            ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        },
        utc_offset_min: 0,
    })
}

fn wall_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        })
}
