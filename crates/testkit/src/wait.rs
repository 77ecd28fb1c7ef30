//! Waiting for something that another process or thread does.

use std::time::{Duration, Instant};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Polls `condition` until it gives a value, and returns it. Only for what happens in another process or
/// thread; where time can be driven, drive it. The deadline is for a hanging test, never a measurement: make it
/// generous.
///
/// # Panics
/// When nothing came within `deadline`; the message names `what` was waited for.
pub fn wait_until<T>(
    deadline: Duration,
    what: &str,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(
            Instant::now() < end,
            "{what} did not happen within {deadline:?}"
        );
        std::thread::park_timeout(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_ends_the_wait() {
        let mut looks = 0;
        let value = wait_until(Duration::from_secs(60), "the third look", || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(value, 3);
    }

    #[test]
    #[should_panic(expected = "rain did not happen")]
    fn a_missed_deadline_names_what_was_waited_for() {
        wait_until(Duration::ZERO, "rain", || None::<()>);
    }
}
