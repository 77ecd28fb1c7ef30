//! A printer that is a folder: each job becomes a PNG and the bytes a printer would have had.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use receipt::Profile;
use receipt::encode::drawer_kick;

use crate::port::{Cause, Outcome, Payload, PrinterPort, Readiness};

/// Writes jobs into a folder. A file is complete as soon as its name is there, and no job overwrites another's.
#[derive(Debug)]
pub struct FilePort {
    folder: PathBuf,
    profile: Profile,
}

/// Names tried for one job before giving up.
const NAMES_MAX: u32 = 1_000;

impl FilePort {
    /// A port into `folder`, which is made when the first job comes.
    pub const fn new(folder: PathBuf, profile: Profile) -> FilePort {
        FilePort { folder, profile }
    }

    /// Where the jobs go.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes the files of one job under the first free name; the PNG comes last, so its presence means all.
    fn write(&self, stem: &str, files: &[(&str, &[u8])]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        for number in 1..=NAMES_MAX {
            let stem = if number == 1 {
                stem.to_owned()
            } else {
                format!("{stem}-{number}")
            };
            let mut done = Vec::new();
            let mut taken = false;
            for (extension, content) in files {
                let path = self.folder.join(format!("{stem}.{extension}"));
                match create_whole(&path, content) {
                    Ok(()) => done.push(path),
                    Err(error) => {
                        for path in &done {
                            fs::remove_file(path)?;
                        }
                        if error.kind() != io::ErrorKind::AlreadyExists {
                            return Err(error);
                        }
                        taken = true;
                        break;
                    }
                }
            }
            if !taken {
                return sync_folder(&self.folder);
            }
        }
        Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "every name is taken",
        ))
    }
}

impl PrinterPort for FilePort {
    fn readiness(&mut self) -> Readiness {
        match fs::create_dir_all(&self.folder) {
            Ok(()) => Readiness::Ready,
            Err(_) => Readiness::Blocked(Cause::Disk),
        }
    }

    fn print(&mut self, job: &Payload<'_>) -> Outcome {
        let stem = format!("{}_{}", file_name(job.label), file_name(job.job));
        let png = job.bitmap.to_png();
        match self.write(&stem, &[("bin", job.bytes), ("png", &png)]) {
            Ok(()) => Outcome::Printed,
            Err(error) => {
                tracing::warn!(%error, "cannot write a print job");
                Outcome::NotStarted(Cause::Disk)
            }
        }
    }

    fn kick_drawer(&mut self) -> Outcome {
        let Some(bytes) = drawer_kick(&self.profile) else {
            return Outcome::NotStarted(Cause::NoDrawer);
        };
        match self.write("drawer", &[("bin", &bytes)]) {
            Ok(()) => Outcome::Printed,
            Err(_) => Outcome::NotStarted(Cause::Disk),
        }
    }
}

/// Makes `path` with `content`, whole or not at all.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] when the name is taken, or what the file system says.
fn create_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".part");
    let partial = PathBuf::from(partial);
    let mut file = File::create(&partial)?;
    file.write_all(content)?;
    file.sync_all()?;
    drop(file);
    let result = link_new(&partial, path);
    match fs::remove_file(&partial) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return result.and(Err(error)),
    }
    result
}

/// Gives `from` the name `to` unless that is taken. A link refuses a taken name in one step; where the file
/// system has no links (FAT, some Android storage), the name is reserved first and then replaced.
fn link_new(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Err(_) => {
            OpenOptions::new().write(true).create_new(true).open(to)?;
            fs::rename(from, to)
        }
    }
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// `text` as part of a file name: letters, digits, dash and underscore, at most 80 of them.
fn file_name(text: &str) -> String {
    let name: String = text
        .chars()
        .take(80)
        .map(|ch| {
            if ch.is_ascii_alphanumeric() || matches!(ch, '-' | '_') {
                ch
            } else {
                '-'
            }
        })
        .collect();
    if name.is_empty() {
        "job".to_owned()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use receipt::{Bitmap, Profiles};

    fn port(folder: &Path) -> FilePort {
        FilePort::new(
            folder.to_owned(),
            Profiles::built_in()
                .get("generic-58")
                .expect("built in")
                .clone(),
        )
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .expect("folder")
            .map(|entry| {
                entry
                    .expect("entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }

    #[test]
    fn each_job_has_its_own_complete_files() {
        let folder = tempfile::tempdir().expect("temp dir");
        let folder = folder.path().join("made/on/demand");
        let mut port = port(&folder);
        let bitmap = Bitmap::from_rows(384, vec![0xaa; 48 * 10]);
        let job = |bytes| Payload {
            job: "j1",
            label: "../LM/01",
            bitmap: &bitmap,
            bytes,
        };
        assert_eq!(port.print(&job(b"first")), Outcome::Printed);
        assert_eq!(port.print(&job(b"second")), Outcome::Printed);
        assert_eq!(port.kick_drawer(), Outcome::Printed);
        assert_eq!(port.kick_drawer(), Outcome::Printed);
        let stem = "---LM-01_j1";
        assert_eq!(
            names(&folder),
            [
                format!("{stem}-2.bin"),
                format!("{stem}-2.png"),
                format!("{stem}.bin"),
                format!("{stem}.png"),
                "drawer-2.bin".to_owned(),
                "drawer.bin".to_owned(),
            ]
        );
        assert_eq!(
            fs::read(folder.join(format!("{stem}.bin"))).expect("first"),
            b"first"
        );
        assert_eq!(
            fs::read(folder.join(format!("{stem}-2.bin"))).expect("second"),
            b"second"
        );
        let png = fs::read(folder.join(format!("{stem}.png"))).expect("png");
        assert_eq!(Bitmap::from_png(&png).expect("bitmap"), bitmap);
    }

    #[test]
    fn a_folder_that_cannot_be_written_has_not_started() {
        let folder = tempfile::tempdir().expect("temp dir");
        let file = folder.path().join("file");
        fs::write(&file, b"").expect("file");
        let mut port = port(&file.join("below"));
        assert_eq!(port.readiness(), Readiness::Blocked(Cause::Disk));
        let payload = Payload {
            job: "j",
            label: "l",
            bitmap: &Bitmap::new(384),
            bytes: b"x",
        };
        assert_eq!(port.print(&payload), Outcome::NotStarted(Cause::Disk));
    }
}
