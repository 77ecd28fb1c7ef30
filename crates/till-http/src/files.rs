//! The built screens as files.

use std::path::{Component, Path};

/// Page that `/` shows.
const START_PAGE: &str = "till.html";

/// A file and what it is.
#[derive(Debug, PartialEq, Eq)]
pub struct Served {
    /// Content.
    pub bytes: Vec<u8>,
    /// Media type.
    pub kind: &'static str,
}

/// Reads the file behind the URL path `path`; none when there is none, when it lies outside `root`, or when it
/// is of no kind that a screen is made of.
pub fn read(root: &Path, path: &str) -> Option<Served> {
    let relative = match path.trim_start_matches('/') {
        "" => START_PAGE,
        other => other,
    };
    let kind = media_type(relative)?;
    let plain = Path::new(relative)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if !plain || relative.contains(['%', '\\', '\0']) {
        return None;
    }
    let root = root.canonicalize().ok()?;
    // A link inside the folder could lead out of it.
    let file = root.join(relative).canonicalize().ok()?;
    if !file.starts_with(&root) || !file.is_file() {
        return None;
    }
    std::fs::read(file).ok().map(|bytes| Served { bytes, kind })
}

fn media_type(path: &str) -> Option<&'static str> {
    let (_, extension) = path.rsplit_once('.')?;
    Some(match extension {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "webmanifest" => "application/json",
        "woff2" => "font/woff2",
        "ttf" => "font/ttf",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "txt" => "text/plain; charset=utf-8",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_the_folder_is_served() {
        let folder = tempfile::tempdir().expect("folder");
        let root = folder.path().join("ui");
        std::fs::create_dir_all(root.join("assets")).expect("folders");
        std::fs::write(root.join("till.html"), "page").expect("page");
        std::fs::write(root.join("assets/app.js"), "script").expect("script");
        std::fs::write(root.join("ledger.db"), "no screen").expect("file");
        std::fs::write(folder.path().join("secret.txt"), "secret").expect("secret");
        #[cfg(unix)]
        std::os::unix::fs::symlink(folder.path().join("secret.txt"), root.join("link.txt"))
            .expect("link");
        let text =
            |path: &str| read(&root, path).map(|file| String::from_utf8(file.bytes).expect("text"));
        assert_eq!(text("/").as_deref(), Some("page"));
        assert_eq!(text("/till.html").as_deref(), Some("page"));
        assert_eq!(text("/assets/app.js").as_deref(), Some("script"));
        for path in [
            "/../secret.txt",
            "/assets/../../secret.txt",
            "/%2e%2e/secret.txt",
            "/link.txt",
            "//etc/passwd.txt",
            "/assets",
            "/ledger.db",
            "/missing.js",
            "/till.html\0.txt",
        ] {
            assert_eq!(text(path), None, "{path}");
        }
    }
}
