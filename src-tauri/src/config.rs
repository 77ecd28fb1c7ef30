//! What the app is told from outside: the environment, and the platform's folders where it is silent.

use std::ffi::OsString;
use std::path::PathBuf;

use till_runtime::RuntimeOptions;

/// How this app runs.
#[derive(Debug)]
pub(crate) struct Config {
    /// The till behind the window.
    pub runtime: RuntimeOptions,
    /// Enrol with this server and one-time code, unless the device is a till already.
    pub enrol: Option<(String, String)>,
}

impl Config {
    /// Reads `HANOUT_DATA_DIR` (else `data_dir` of the platform), `HANOUT_RECEIPTS_DIR`, `HANOUT_WITNESS_DIR`, and
    /// `HANOUT_SERVER` with `HANOUT_CODE`. Empty values count as absent.
    pub fn new(data_dir: PathBuf, variable: impl Fn(&str) -> Option<OsString>) -> Config {
        let value = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| value(name).and_then(|value| value.into_string().ok());
        let data_dir = value("HANOUT_DATA_DIR").map_or(data_dir, PathBuf::from);
        let mut runtime = RuntimeOptions::new(data_dir, env!("CARGO_PKG_VERSION"));
        // Where the platform names no folder for state, the app has one of its own beside its data.
        let beside = || Some(runtime.data_dir.parent()?.join("witness"));
        runtime.witness_dir = till_runtime::witness_dir(&variable).or_else(beside);
        runtime.receipts_dir = value("HANOUT_RECEIPTS_DIR").map(PathBuf::from);
        Config {
            runtime,
            enrol: text("HANOUT_SERVER").zip(text("HANOUT_CODE")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(variables: &[(&str, &str)]) -> Config {
        Config::new(PathBuf::from("/platform"), |name| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_environment_goes_before_the_platform() {
        let plain = config(&[("HANOUT_DATA_DIR", "")]);
        assert_eq!(plain.runtime.data_dir, PathBuf::from("/platform"));
        assert_eq!(plain.runtime.receipts_dir, None);
        let told = config(&[
            ("HANOUT_DATA_DIR", "/told"),
            ("HANOUT_RECEIPTS_DIR", "/paper"),
        ]);
        assert_eq!(told.runtime.data_dir, PathBuf::from("/told"));
        assert_eq!(told.runtime.receipts_dir, Some(PathBuf::from("/paper")));
    }

    #[test]
    fn enrolment_needs_server_and_code() {
        assert_eq!(config(&[("HANOUT_SERVER", "s")]).enrol, None);
        assert_eq!(
            config(&[("HANOUT_SERVER", "s"), ("HANOUT_CODE", "")]).enrol,
            None
        );
        assert_eq!(
            config(&[("HANOUT_SERVER", "s"), ("HANOUT_CODE", "c")]).enrol,
            Some(("s".to_owned(), "c".to_owned()))
        );
    }
}
