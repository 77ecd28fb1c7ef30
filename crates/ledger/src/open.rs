//! Creating and opening the file: settings, migrations, refusals.

/// Lowest SQLite version accepted: earlier ones have the WAL-reset fault.
pub const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// When a commit is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// When COMMIT returns, also through a power cut.
    #[default]
    Full,
    /// When the operating system writes it. Only for tests.
    Relaxed,
}

/// How to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenOptions {
    /// When a commit is safe.
    pub durability: Durability,
    /// Ceiling of the file in pages of 4 KiB, to act out a full disk.
    pub pages_max: Option<u32>,
}
