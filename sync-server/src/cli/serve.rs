//! `serve` and `demo`.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;
use sync_server::demo::{self, Demo};
use sync_server::{Running, ServerConfig};

use super::Context;

#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// Address to listen on; put a TLS proxy in front of anything but this machine.
    #[arg(long, env = "HANOUT_LISTEN", default_value = "127.0.0.1:8710")]
    listen: SocketAddr,
    /// Folder with the built office pages.
    #[arg(long, env = "HANOUT_UI_DIR")]
    ui: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, env = "HANOUT_LISTEN", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Folder with the built office pages.
    #[arg(long, env = "HANOUT_UI_DIR")]
    ui: Option<PathBuf>,
}

pub(super) fn serve(context: &Context, args: &ServeArgs) -> anyhow::Result<ExitCode> {
    log_to_stderr();
    let server = start(context, args.listen, args.ui.clone())?;
    let line = if context.json {
        json!({ "ok": true, "server_url": server.url(), "office_url": office_url(&server) })
            .to_string()
    } else {
        format!(
            "serving on {}, office pages at {}",
            server.url(),
            office_url(&server)
        )
    };
    say(&line)?;
    wait_for_signal()?;
    server.stop();
    Ok(ExitCode::SUCCESS)
}

pub(super) fn demo(context: &Context, args: &DemoArgs) -> anyhow::Result<ExitCode> {
    log_to_stderr();
    let file = context.data_path.join("demo.json");
    let made = demo::prepare(&context.data, known_password(&file), &context.now)?;
    let server = start(context, args.listen, args.ui.clone())?;
    let mut info = serde_json::to_value(&made)?;
    info["server_url"] = server.url().into();
    info["office_url"] = office_url(&server).into();
    write_private(&file, &format!("{info:#}\n"))
        .with_context(|| format!("writing {}", file.display()))?;
    if context.json {
        say(&info.to_string())?;
    } else {
        say(&summary(&made, &server))?;
    }
    wait_for_signal()?;
    server.stop();
    Ok(ExitCode::SUCCESS)
}

fn start(
    context: &Context,
    listen: SocketAddr,
    ui_dir: Option<PathBuf>,
) -> anyhow::Result<Running> {
    let config = ServerConfig {
        ui_dir,
        secure_cookies: !listen.ip().is_loopback(),
        ..ServerConfig::new(&context.data_path)
    };
    Ok(Running::start_on(listen, config)?)
}

fn office_url(server: &Running) -> String {
    format!("{}/office/", server.url())
}

/// The password that an earlier run wrote down; the tenant's file knows only its verifier.
fn known_password(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let info: serde_json::Value = serde_json::from_str(&text).ok()?;
    Some(info.get("password")?.as_str()?.to_owned())
}

/// The file holds a password: only its owner may read it.
fn write_private(file: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(file)?.write_all(text.as_bytes())
}

fn summary(made: &Demo, server: &Running) -> String {
    let mut text = format!(
        "{}\n\n  server       {}\n  head office  {}\n               {} / {}\n\n",
        made.chain,
        server.url(),
        office_url(server),
        made.admin,
        made.password
            .as_deref()
            .unwrap_or("(the password of the first run)"),
    );
    for user in &made.users {
        let role = format!("{:?}", user.role).to_lowercase();
        text.push_str(&format!(
            "  {:2}  {:8} {:8} PIN {}\n",
            user.store.as_str(),
            user.name,
            role,
            user.pin
        ));
    }
    text.push('\n');
    for code in &made.codes {
        text.push_str(&format!(
            "  till {}-{}  enrol within 10 minutes with {}\n",
            code.store, code.till, code.code
        ));
    }
    text.push_str("\nStop with Ctrl-C; the data is kept.\n");
    text
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .context("writing to standard output")
}

fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("HANOUT_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        // A closed pipe must not bring a thread down: the fallback would print, and panic.
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
}

/// Returns at SIGINT or SIGTERM.
fn wait_for_signal() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("waiting for a signal")?;
    runtime.block_on(async {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let mut terminate = signal(SignalKind::terminate()).context("waiting for a signal")?;
            tokio::select! {
                done = tokio::signal::ctrl_c() => done.context("waiting for a signal"),
                _ = terminate.recv() => Ok(()),
            }
        }
        #[cfg(not(unix))]
        tokio::signal::ctrl_c()
            .await
            .context("waiting for a signal")
    })
}
