//! Time as data: what the clocks said, the hybrid logical clock, and the business date.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, NaiveDate};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ts_rs::TS;

/// What the device's clocks said at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Wall clock, milliseconds since 1970 UTC. Recorded, never trusted.
    pub wall_ms: i64,
    /// Which boot of the machine this is, and milliseconds since it.
    pub boot: Boot,
    /// Local time minus UTC, minutes; only for what a receipt shows and for the default business date.
    pub utc_offset_min: i32,
}

/// A boot of the machine and the time since it: a clock that nobody can set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// Random id of the boot (first 53 bits of the kernel's boot id).
    pub id: u64,
    /// Milliseconds since that boot.
    pub ms: u64,
}

impl Now {
    /// Calendar date of the wall clock in local time; 1970-01-01 where the clock is out of range.
    pub fn local_date(&self) -> BusinessDate {
        let local_ms = self
            .wall_ms
            .saturating_add(i64::from(self.utc_offset_min) * 60_000);
        let date = chrono::DateTime::from_timestamp_millis(local_ms)
            .map_or(NaiveDate::default(), |t| t.date_naive());
        BusinessDate(date)
    }

    /// Wall clock in local time as `2026-11-22 14:05`.
    pub fn local_minute(&self) -> String {
        local_minute(self.wall_ms, self.utc_offset_min)
    }
}

/// `wall_ms` shifted by `utc_offset_min`, as `2026-11-22 14:05`.
pub fn local_minute(wall_ms: i64, utc_offset_min: i32) -> String {
    let local_ms = wall_ms.saturating_add(i64::from(utc_offset_min) * 60_000);
    chrono::DateTime::from_timestamp_millis(local_ms)
        .unwrap_or_default()
        .format("%Y-%m-%d %H:%M")
        .to_string()
}

/// A hybrid logical clock reading: 48 bits of milliseconds, 16 bits of counter.
/// Written as 16 hexadecimal digits, so that text order is time order.
///
/// # Source
/// Kulkarni et al., "Logical Physical Clocks", 2014.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Hlc(pub u64);

impl Hlc {
    /// The next reading on this device: after `self` and not before the wall clock.
    /// A wall clock before 1970 or beyond the 48 bits leaves only the counter to move.
    #[must_use]
    pub fn tick(self, wall_ms: i64) -> Hlc {
        let wall = u64::try_from(wall_ms).unwrap_or(0).min((1 << 48) - 1) << 16;
        Hlc(wall.max(self.0.saturating_add(1)))
    }

    /// Takes a reading of another device into account, but never more than a minute ahead of the wall
    /// clock, so that one device at 2099 does not drag the chain along.
    #[must_use]
    pub fn observe(self, other: Hlc, wall_ms: i64) -> Hlc {
        let limit = u64::try_from(wall_ms.saturating_add(60_000))
            .unwrap_or(0)
            .min((1 << 48) - 1)
            << 16;
        if other.0 > limit {
            self
        } else {
            Hlc(self.0.max(other.0))
        }
    }

    /// The millisecond part.
    pub const fn ms(self) -> u64 {
        self.0 >> 16
    }
}

impl fmt::Display for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for Hlc {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hlc {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let canonical = text.len() == 16
            && text
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !canonical {
            return Err(serde::de::Error::custom("not a clock reading"));
        }
        u64::from_str_radix(&text, 16)
            .map(Hlc)
            .map_err(serde::de::Error::custom)
    }
}

/// The trading day of a shift. It comes from the opening of the shift, not from the clock at midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, TS)]
#[serde(transparent)]
#[ts(type = "string")]
pub struct BusinessDate(pub NaiveDate);

impl BusinessDate {
    /// The calendar year, which is the fiscal year in both countries.
    pub fn fiscal_year(&self) -> i32 {
        self.0.year()
    }
}

impl fmt::Display for BusinessDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m-%d"))
    }
}

impl FromStr for BusinessDate {
    type Err = chrono::ParseError;
    fn from_str(text: &str) -> Result<Self, chrono::ParseError> {
        NaiveDate::parse_from_str(text, "%Y-%m-%d").map(BusinessDate)
    }
}

impl JsonSchema for BusinessDate {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "BusinessDate".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_steps_back() {
        let mut clock = Hlc::default();
        for wall in [1_000, 999, -5, 1_000, 4_102_444_800_000, 0, i64::MAX] {
            let next = clock.tick(wall);
            assert!(next > clock, "at {wall}");
            clock = next;
        }
    }

    #[test]
    fn a_peer_far_ahead_is_not_followed() {
        let here = Hlc::default().tick(1_700_000_000_000);
        assert_eq!(
            here.observe(Hlc::default().tick(4_000_000_000_000), 1_700_000_000_000),
            here
        );
        let near = Hlc::default().tick(1_700_000_030_000);
        assert_eq!(here.observe(near, 1_700_000_000_000), near);
    }

    #[test]
    fn local_date_follows_the_offset() {
        let now = Now {
            wall_ms: 1_795_390_200_000,
            boot: Boot { id: 1, ms: 1 },
            utc_offset_min: 60,
        };
        assert_eq!(now.local_minute(), "2026-11-23 00:30");
        assert_eq!(now.local_date().to_string(), "2026-11-23");
    }
}
