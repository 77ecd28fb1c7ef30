//! The one command, the one window, and the till behind them from start to end.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tauri::{AppHandle, Emitter as _, Manager as _, Url, WebviewUrl, WebviewWindowBuilder};
use till::door::{Answer, Command, RefusalCode};
use till_runtime::{CallError, Handle, Runtime};

use crate::RunError;
use crate::config::Config;
use crate::fault::{self, Fault};

/// Label of the till's window in the configuration; its capability goes by it.
const TILL: &str = "till";
/// Label of the window that says why there is no till; it has no capability.
const FAULT: &str = "fault";
/// Name of the events that say that something changed.
const CHANGED: &str = "till-event";

/// What lives as long as the app.
#[derive(Debug, Default)]
pub(crate) struct Shell {
    /// None before the start, after the end, and where the till could not start.
    till: Mutex<Option<Runtime>>,
    error: Mutex<Option<RunError>>,
}

impl Shell {
    fn handle(&self) -> Option<Handle> {
        lock(&self.till).as_ref().map(Runtime::handle)
    }

    /// Answers what was asked before and closes the till's files.
    pub fn shut_down(&self) {
        let till = lock(&self.till).take();
        if let Some(till) = till {
            till.shutdown();
        }
    }

    /// How the app ended.
    pub fn ended(&self) -> Result<(), RunError> {
        lock(&self.error).take().map_or(Ok(()), Err)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers the text of a request with the text of an answer.
#[tauri::command]
pub(crate) async fn call(
    request: String,
    shell: tauri::State<'_, Arc<Shell>>,
) -> Result<String, String> {
    let stopped = || CallError::Stopped.to_string();
    let handle = shell.handle().ok_or_else(stopped)?;
    // The till answers in its turn; no thread of the window waits for it.
    let answer = tauri::async_runtime::spawn_blocking(move || handle.call(&request)).await;
    answer
        .map_err(|_| stopped())?
        .map_err(|error| error.to_string())
}

/// Starts the till and opens its window, or the window that says why not.
pub(crate) fn open(app: &AppHandle) {
    #[cfg(all(unix, not(mobile)))]
    end_at_signals(app.clone());
    match start(app) {
        Ok(()) => open_till(app),
        Err(fault) => {
            let error = RunError::Start(fault.cause().to_owned());
            give_up(app, fault, error);
        }
    }
}

fn open_till(app: &AppHandle) {
    let windows = &app.config().app.windows;
    let opened = windows
        .iter()
        .find(|window| window.label == TILL)
        .ok_or(tauri::Error::WindowNotFound)
        .and_then(|window| WebviewWindowBuilder::from_config(app, window))
        .and_then(|builder| builder.on_navigation(is_ours).build());
    match opened {
        Ok(_) => tracing::info!("the window is open"),
        Err(error) => end(app, error.into()),
    }
}

/// The window shows the app's own pages and never a stranger's.
fn is_ours(url: &Url) -> bool {
    url.scheme() == "tauri" || url.host_str() == Some("tauri.localhost")
}

fn start(app: &AppHandle) -> Result<(), Fault> {
    let variable = |name: &str| std::env::var_os(name);
    // Where the platform knows no folder for us, the environment may name one.
    let platform = app.path().app_data_dir().unwrap_or_else(|_| PathBuf::new());
    let Config { runtime, enrol } = Config::new(platform, variable);
    let till = Runtime::start(runtime).map_err(|error| Fault::of(&error))?;
    let handle = till.handle();
    *lock(&app.state::<Arc<Shell>>().till) = Some(till);
    if let Some((server, code)) = enrol {
        self::enrol(&handle, server, code);
    }
    forward_changes(app.clone(), &handle).map_err(|error| Fault::other(&error))
}

/// A refusal is not the end: the window asks for address and code.
fn enrol(handle: &Handle, server: String, code: String) {
    match handle.command(Command::Enrol { server, code }) {
        Ok(Answer::Ok(_)) => {}
        Ok(Answer::Refused(refusal)) if refusal.code == RefusalCode::AlreadyEnrolled => {}
        Ok(Answer::Refused(refusal)) => {
            tracing::error!(refusal.code = ?refusal.code, "the enrolment was refused");
        }
        Err(error) => tracing::error!(cause = %error, "the enrolment was not asked for"),
    }
}

/// Passes changes on to the window; when the till hangs up while it is still wanted, says so.
fn forward_changes(app: AppHandle, handle: &Handle) -> std::io::Result<()> {
    let changes = handle.subscribe();
    let forward = move || {
        while let Ok(change) = changes.recv() {
            if let Err(error) = app.emit_to(TILL, CHANGED, change) {
                tracing::debug!(cause = %error, "the window missed a change");
            }
        }
        if app.state::<Arc<Shell>>().handle().is_some() {
            give_up(&app, Fault::stopped(), RunError::Stopped);
        }
    };
    std::thread::Builder::new()
        .name("till-changes".to_owned())
        .spawn(forward)
        .map(|_| ())
}

/// Shows why there is no till, in place of it. Closing that window ends the app.
fn give_up(app: &AppHandle, fault: Fault, error: RunError) {
    tracing::error!(cause = %error, "there is no till");
    app.manage(fault);
    let page = Url::parse(&format!("{}://localhost/", fault::SCHEME)).expect("a constant address");
    let window = WebviewWindowBuilder::new(app, FAULT, WebviewUrl::CustomProtocol(page));
    #[cfg(desktop)]
    let window = window.title("Hanout").inner_size(760.0, 680.0);
    match window.build() {
        Ok(_) => *lock(&app.state::<Arc<Shell>>().error) = Some(error),
        Err(error) => return end(app, error.into()),
    }
    #[cfg(desktop)]
    if let Some(window) = app.get_webview_window(TILL)
        && let Err(error) = window.destroy()
    {
        tracing::error!(cause = %error, "the window of the till cannot be closed");
    }
}

fn end(app: &AppHandle, error: RunError) {
    *lock(&app.state::<Arc<Shell>>().error) = Some(error);
    app.exit(1);
}

/// Whoever started the app from a terminal or a script ends it as if the window were closed.
#[cfg(all(unix, not(mobile)))]
fn end_at_signals(app: AppHandle) {
    use tokio::signal::unix::{SignalKind, signal};
    // Before the till starts: from then on there is something to close.
    let signals = tauri::async_runtime::block_on(async {
        let interrupt = signal(SignalKind::interrupt())?;
        std::io::Result::Ok((interrupt, signal(SignalKind::terminate())?))
    });
    let (mut interrupt, mut terminate) = match signals {
        Ok(signals) => signals,
        Err(error) => return tracing::warn!(cause = %error, "signals are not waited for"),
    };
    tauri::async_runtime::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        app.exit(0);
    });
}
