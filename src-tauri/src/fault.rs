//! The page that stands in for the till when its data cannot be opened.
//!
//! It shows every language at once: the chosen one is kept in the very folder that cannot be read. It has no
//! script and its window has no capability.

use std::collections::BTreeMap;
use std::error::Error;

use tauri::http::{Response, header};
use tauri::{AppHandle, Manager as _};
use till_runtime::{StartError, StartProblem};

/// Scheme of the page's address.
pub(crate) const SCHEME: &str = "hanout-fault";

/// What the page may do: show itself.
const CSP: &str = "default-src 'none'; style-src 'unsafe-inline'; font-src 'self'; base-uri 'none'; form-action 'none'";
const STYLE: &str = include_str!("fault.css");

/// Why there is no till, in words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    key: &'static str,
    /// The chain of causes, for whoever helps.
    cause: String,
}

impl Fault {
    /// The till cannot start, and nobody here can help it.
    pub fn other(error: &dyn Error) -> Fault {
        Fault {
            key: "other",
            cause: causes(error),
        }
    }

    /// The till ran and stopped by itself.
    pub fn stopped() -> Fault {
        Fault {
            key: "stopped",
            cause: String::new(),
        }
    }

    /// The chain of causes.
    pub fn cause(&self) -> &str {
        &self.cause
    }

    /// The words for a start that failed.
    pub fn of(error: &StartError) -> Fault {
        let key = match error.problem() {
            StartProblem::InUse => "in_use",
            StartProblem::Folder => "folder",
            StartProblem::Full => "full",
            StartProblem::NewerData => "newer",
            StartProblem::Key => "key",
            StartProblem::Damaged => "damaged",
            StartProblem::Other => return Fault::other(error),
        };
        Fault {
            key,
            cause: causes(error),
        }
    }

    /// The whole page.
    fn html(&self) -> String {
        let mut html = format!(
            "<!doctype html><html lang=\"fr\"><head><meta charset=\"utf-8\"><title>Hanout</title>\
             <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head>\
             <body data-fault=\"{}\"><main>",
            self.key
        );
        for (language, direction, source) in [
            ("fr", "ltr", include_str!("../../ui/i18n/fr/app.json")),
            ("ar", "rtl", include_str!("../../ui/i18n/ar/app.json")),
            ("en", "ltr", include_str!("../../ui/i18n/en/app.json")),
        ] {
            let texts: BTreeMap<&str, String> =
                serde_json::from_str(source).expect("tests read every catalogue");
            html.push_str(&format!(
                "<section lang=\"{language}\" dir=\"{direction}\"><h1>{}</h1><p>{}</p><p>{}</p></section>",
                texts["title"], texts[self.key], texts["kept"]
            ));
        }
        if !self.cause.is_empty() {
            html.push_str(&format!("<code>{}</code>", escape(&self.cause)));
        }
        html.push_str("</main></body></html>");
        html
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// Answers an address of the scheme: a font of the till's screens, else the fault that the app met.
pub(crate) fn page(app: &AppHandle, path: &str) -> Response<Vec<u8>> {
    let font = path
        .starts_with("/fonts/")
        .then(|| app.asset_resolver().get(path.to_owned()))
        .flatten();
    let (kind, body) = match (font, app.try_state::<Fault>()) {
        (Some(font), _) => ("font/woff2", font.bytes),
        (None, Some(fault)) => ("text/html; charset=utf-8", fault.html().into_bytes()),
        (None, None) => ("text/plain", Vec::new()),
    };
    Response::builder()
        .header(header::CONTENT_TYPE, kind)
        .header(header::CONTENT_SECURITY_POLICY, CSP)
        .body(body)
        .expect("the headers are constants")
}

#[cfg(test)]
mod tests {
    use super::*;
    use till_runtime::{Runtime, RuntimeOptions};

    #[test]
    fn every_fault_has_words_in_three_languages() {
        for key in [
            "in_use", "folder", "full", "newer", "key", "damaged", "other", "stopped",
        ] {
            let cause = "<script>alert(1)</script>".to_owned();
            let html = Fault { key, cause }.html();
            assert!(!html.contains("<script") && html.contains("&lt;script&gt;"));
            assert_eq!(html.matches("<section").count(), 3, "{key}");
            assert!(html.contains(&format!("data-fault=\"{key}\"")), "{html}");
        }
    }

    #[test]
    fn an_unusable_folder_and_a_till_in_use_are_told_apart() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "x").expect("a file");
        let blocked = Runtime::start(RuntimeOptions::new(file.join("till"), "0"))
            .expect_err("a file is no folder");
        let fault = Fault::of(&blocked);
        assert_eq!(fault.key, "folder");
        assert!(
            fault.cause().contains(": "),
            "the causes are chained: {}",
            fault.cause()
        );

        let options = RuntimeOptions::new(folder.path().join("till"), "0");
        let first = Runtime::start(options.clone()).expect("a till starts");
        let second = Runtime::start(options.clone()).expect_err("the till is in use");
        assert_eq!(Fault::of(&second).key, "in_use");
        first.shutdown();

        std::fs::write(options.data_dir.join("ledger.db"), vec![b'x'; 8192])
            .expect("a damaged ledger");
        let damaged = Runtime::start(options).expect_err("that is no ledger");
        assert_eq!(Fault::of(&damaged).key, "damaged");
    }
}
