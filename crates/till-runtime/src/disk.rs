//! The disk under the data folder: how much room it has, and the space kept back for closing a day on a full one.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use till::ROOM_NONE;

/// Name of the space that is kept back, in the data folder.
const RESERVE_FILE: &str = "reserve";
/// Its size in bytes: many times what closing a day writes.
pub(crate) const RESERVE: u64 = 8 << 20;

/// What can be seen of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiskSeen {
    /// Bytes that may still be written; none where nobody can tell.
    pub free_bytes: Option<u64>,
    /// The folder is gone, or mounted for reading.
    pub read_only: bool,
}

/// Where the runtime asks about its disk.
pub trait Disk: std::fmt::Debug + Send + Sync {
    /// Looks at the disk that `folder` is on.
    fn look(&self, folder: &Path) -> DiskSeen;
}

/// The real disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    #[cfg(unix)]
    fn look(&self, folder: &Path) -> DiskSeen {
        match rustix::fs::statvfs(folder) {
            Ok(seen) => DiskSeen {
                free_bytes: Some(seen.f_bavail.saturating_mul(seen.f_frsize)),
                read_only: seen.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
            },
            Err(error) => {
                tracing::error!(cause = %error, "the data folder is out of reach");
                DiskSeen {
                    free_bytes: None,
                    read_only: true,
                }
            }
        }
    }

    #[cfg(not(unix))]
    fn look(&self, folder: &Path) -> DiskSeen {
        DiskSeen {
            free_bytes: None,
            read_only: !folder.is_dir(),
        }
    }
}

/// The space kept back. While it has been given up no sale begins; it is made again when there is room.
#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
    held: bool,
    given_up: bool,
}

impl Reserve {
    pub fn new(folder: &Path) -> Reserve {
        let path = folder.join(RESERVE_FILE);
        let held = fs::metadata(&path).is_ok_and(|seen| seen.len() >= RESERVE);
        Reserve {
            path,
            held,
            given_up: false,
        }
    }

    /// Whether there is nothing left to give up.
    pub const fn is_used(&self) -> bool {
        !self.held
    }

    /// Makes room for closing the day.
    pub fn give_up(&mut self) {
        self.given_up = true;
        if !self.held {
            return;
        }
        match fs::remove_file(&self.path) {
            Ok(()) => {
                self.held = false;
                tracing::warn!("the disk is full: the space kept for closing the day is given up");
            }
            Err(error) => tracing::error!(cause = %error, "the space kept back cannot be freed"),
        }
    }

    /// Gives the space up where there is too little room, and makes it where there is enough.
    pub fn follow(&mut self, seen: DiskSeen) {
        if seen.read_only {
            return;
        }
        match seen.free_bytes {
            Some(free) if self.held && free < ROOM_NONE => self.give_up(),
            _ if self.held => {}
            Some(free) => {
                // What was given up once must not come and go with every receipt.
                let spare = if self.given_up { 2 * RESERVE } else { 0 };
                if free >= ROOM_NONE + RESERVE + spare {
                    self.make();
                }
            }
            None => self.make(),
        }
    }

    fn make(&mut self) {
        let draft = self.path.with_extension("new");
        let made = write_reserve(&draft).and_then(|()| fs::rename(&draft, &self.path));
        match made {
            Ok(()) => {
                self.held = true;
                self.given_up = false;
            }
            Err(error) => {
                tracing::warn!(cause = %error, "no space can be kept back for closing the day");
                // Half of it would only take the room away.
                let _ = fs::remove_file(&draft);
            }
        }
    }
}

/// Fills a file with what no file system can leave out or shrink.
fn write_reserve(path: &Path) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut block = Vec::with_capacity(1 << 16);
    for _ in 0..RESERVE >> 16 {
        block.clear();
        while block.len() < 1 << 16 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            block.extend_from_slice(&state.to_le_bytes());
        }
        file.write_all(&block)?;
    }
    // Some file systems find out only now that there is no room.
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn free(bytes: u64) -> DiskSeen {
        DiskSeen {
            free_bytes: Some(bytes),
            read_only: false,
        }
    }

    #[test]
    fn the_space_is_kept_given_up_and_made_again_when_there_is_room_to_spare() {
        let folder = tempfile::tempdir().expect("folder");
        let size = || fs::metadata(folder.path().join(RESERVE_FILE)).map(|seen| seen.len());
        let mut reserve = Reserve::new(folder.path());
        reserve.follow(free(ROOM_NONE + RESERVE - 1));
        assert!(reserve.is_used() && size().is_err(), "too little room");
        reserve.follow(free(ROOM_NONE + RESERVE));
        assert!(!reserve.is_used());
        assert_eq!(size().expect("kept"), RESERVE);
        assert!(!Reserve::new(folder.path()).is_used(), "also after a start");
        reserve.follow(free(ROOM_NONE));
        assert!(!reserve.is_used());
        reserve.follow(free(ROOM_NONE - 1));
        assert!(reserve.is_used() && size().is_err());
        reserve.follow(free(ROOM_NONE + RESERVE));
        assert!(reserve.is_used(), "only its own room has come back");
        reserve.follow(free(ROOM_NONE + 3 * RESERVE));
        assert!(!reserve.is_used());
        // A write that failed says more than any figure.
        reserve.give_up();
        assert!(reserve.is_used() && size().is_err());
    }

    #[test]
    fn the_real_disk_tells_its_room_and_a_folder_that_is_gone() {
        let folder = tempfile::tempdir().expect("folder");
        let seen = SystemDisk.look(folder.path());
        assert!(!seen.read_only);
        assert!(cfg!(not(unix)) || seen.free_bytes.is_some_and(|free| free > 0));
        let gone = folder.path().join("gone");
        assert!(SystemDisk.look(&gone).read_only);
    }
}
