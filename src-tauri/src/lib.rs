//! The window around a till: one command over its door, its changes as events, and a page that says why there
//! is no till.
//!
//! Knows no business rule and no SQL: texts of requests go to [`till_runtime::Handle`], texts of answers come
//! back. Start at [`run`].

mod shell;
mod config;
mod fault;

use std::io::IsTerminal as _;
use std::sync::Arc;

use tauri::{Manager as _, RunEvent};

use crate::shell::Shell;

/// Why the app ended without its window being closed on a running till.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no screen, or none that answers.
    #[error("there is no display to open a window on; hanout-till serve runs a till without one")]
    NoDisplay,
    /// The window cannot be made.
    #[error("the window cannot be opened: {0}")]
    Window(#[from] tauri::Error),
    /// The till cannot start, for this chain of causes; a window said so.
    #[error("{0}")]
    Start(String),
    /// The till stopped by itself; a window said so.
    #[error("the till stopped by itself, see the log")]
    Stopped,
}

/// Opens the window and answers when it was closed.
///
/// # Errors
/// [`RunError`].
pub fn run() -> Result<(), RunError> {
    log_to_stderr();
    // Tauri panics where there is no display.
    #[cfg(target_os = "linux")]
    gtk::init().map_err(|_| RunError::NoDisplay)?;
    let shell = Arc::new(Shell::default());
    let app = tauri::Builder::default()
        .manage(shell.clone())
        .invoke_handler(tauri::generate_handler![shell::call])
        .register_uri_scheme_protocol(fault::SCHEME, |context, request| {
            fault::page(context.app_handle(), request.uri().path())
        })
        .setup(|app| {
            // An error from here would be a panic of the framework: everything is handled inside.
            shell::open(app.handle());
            Ok(())
        })
        .build(context())?;
    app.run_return(|app, event| {
        if matches!(event, RunEvent::Exit) {
            app.state::<Arc<Shell>>().shut_down();
        }
    });
    shell.ended()
}

/// Configuration, capabilities and screens, packed at build time.
// The macro's own code ends the process on platforms that are not ours.
#[allow(clippy::disallowed_methods)]
fn context() -> tauri::Context {
    tauri::generate_context!()
}

fn log_to_stderr() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("HANOUT_LOG").unwrap_or_else(|_| EnvFilter::new("error"));
    let log = tracing_subscriber::fmt()
        // A closed pipe must not bring a thread down: the fallback would print, and panic.
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // Fails where a host program logs already.
    let _ = log.try_init();
}

/// Where a handheld starts the app.
#[cfg(mobile)]
mod handheld {
    // The binding to the Java side is made of exported names.
    #![allow(unsafe_code)]

    #[tauri::mobile_entry_point]
    fn start() {
        if let Err(error) = crate::run() {
            tracing::error!(%error, "ended");
        }
    }
}
