//! `hanout-till`: a till without a window.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use till_http::serve::{ServeOptions, run};
use till_runtime::{BusinessDate, Range, RuntimeOptions};

/// A till without a window: the same door as the desktop app, over HTTP on this machine.
#[derive(Parser)]
#[command(name = "hanout-till", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run a till and answer calls on this machine until Ctrl-C or SIGTERM.
    ///
    /// Prints one line of JSON with `url` and `token`. `POST /api/call` with `Authorization: Bearer TOKEN` and
    /// `{"id": uuid, "command": {"type": ...}}` answers `{"ok": ...}` or `{"refused": {"code", "params"}}`;
    /// `GET /api/schema` lists all commands, `GET /api/events` is a stream of changes.
    Serve(Serve),
    /// Recompute everything in a till's ledger from its stored bytes; works beside a running `serve`, on copies
    /// and on media that cannot be written. Or check a fiscal archive with nothing but its file.
    ///
    /// Exits with 0 when all is well and 1 when something is wrong or cannot be read.
    Verify(Verify),
    /// Copy a till's ledger; works beside a running `serve`.
    ///
    /// The copy is checked by opening it, and is encrypted with the same key as the ledger. Exits with 0 when it
    /// is made and 1 when it cannot be.
    Backup(Backup),
    /// Put a copy in the place of a till's ledger. The till must not run.
    ///
    /// The ledger that stands there is kept under another name. Refuses a damaged file and one of another device.
    /// The next start goes on in a new stream, with receipt numbers of a new series. Exits with 0 when it is done
    /// and 1 when it is refused.
    Restore(Restore),
    /// Take over what the file of an earlier stream holds and the till's ledger does not: a file kept in `streams`, one
    /// that a restored copy took the place of, or one salvaged from a device that broke. The till must not run.
    ///
    /// The file is only read. A damaged one gives what can be read and proven of it. Doing it again finds nothing.
    /// Exits with 0 when it is done and 1 when it is refused.
    Recover(Recover),
    /// Write the fiscal archive: the journal, tables for bookkeepers, public keys and a list of hashes in one file
    /// that `verify` checks without a database; works beside a running `serve`.
    ///
    /// Nothing is overwritten. Exits with 0 when it is written and 1 when it cannot be.
    Export(Export),
    /// Write the picture of a print job.
    Render(Render),
}

#[derive(Args)]
struct Serve {
    /// Folder for copies of the ledger [default: `backups` in the data folder].
    #[arg(long, value_name = "DIR")]
    backups: Option<PathBuf>,
    /// Folder with the till's files; made when missing.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Loopback address and port; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = loopback)]
    listen: SocketAddr,
    /// Server to enrol with; ignored by a device that is a till already.
    #[arg(long, value_name = "URL", requires = "code")]
    server: Option<String>,
    /// One-time code from head office.
    #[arg(long, value_name = "CODE", requires = "server")]
    code: Option<String>,
    /// Folder with the built screens, shown at `/`.
    #[arg(long, value_name = "DIR")]
    ui: Option<PathBuf>,
    /// Folder for pictures of receipts [default: `receipts` in the data folder].
    #[arg(long, value_name = "DIR")]
    receipts: Option<PathBuf>,
    /// Folder with further printer profiles.
    #[arg(long, value_name = "DIR")]
    profiles: Option<PathBuf>,
}

#[derive(Args)]
struct Backup {
    /// Folder with the till's files.
    #[arg(value_name = "DIR")]
    data: PathBuf,
    /// File to make; nothing is ever overwritten [default: a name of its time in `backups` in the data folder].
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Restore {
    /// Folder with the till's files.
    #[arg(value_name = "DIR")]
    data: PathBuf,
    /// Copy to restore; it stays where it is.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Recover {
    /// Folder with the till's files.
    #[arg(value_name = "DIR")]
    data: PathBuf,
    /// File to take over, or the name of one in `streams` of the data folder; it stays as it is.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Verify {
    /// Folder with the till's files, or a file: the ledger, a copy of it, or a fiscal
    /// archive.
    #[arg(value_name = "DIR|FILE")]
    data: PathBuf,
    /// Print the whole report as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Export {
    /// Folder with the till's files.
    #[arg(value_name = "DIR")]
    data: PathBuf,
    /// File to write [default: a new one under `archives` in the data folder].
    #[arg(long, value_name = "FILE.zip")]
    to: Option<PathBuf>,
    /// First trading day in the tables [default: the first].
    #[arg(long, value_name = "DATE")]
    from: Option<BusinessDate>,
    /// Last trading day in the archive [default: the last].
    #[arg(long, value_name = "DATE")]
    until: Option<BusinessDate>,
    /// One year, from its first day to its last.
    #[arg(long, value_name = "YEAR", conflicts_with_all = ["from", "until"], value_parser = clap::value_parser!(u16).range(1970..=9999))]
    year: Option<u16>,
    /// Enclose the reports as they were issued; the names of staff are printed on them.
    #[arg(long)]
    papers: bool,
    /// Print what was written as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Render {
    /// Id of the print job.
    #[arg(value_name = "JOB", value_parser = job_id)]
    job: till_runtime::JobId,
    /// Folder with the till's files.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// File to write; replaced when it exists.
    #[arg(long, value_name = "FILE")]
    png: PathBuf,
    /// Printer profile, for the width of the paper.
    #[arg(long, value_name = "ID", default_value = "generic-58")]
    profile: String,
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "not an address like 127.0.0.1:0".to_owned())?;
    if !address.ip().is_loopback() {
        return Err("only loopback addresses: whoever reaches the door holds the till".to_owned());
    }
    Ok(address)
}

fn job_id(text: &str) -> Result<till_runtime::JobId, String> {
    text.parse()
        .map_err(|_| "not the id of a print job".to_owned())
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr();
    let done = match cli.command {
        Task::Serve(options) => serve(options).map(|()| ExitCode::SUCCESS),
        Task::Verify(options) => verify(&options.data, options.json),
        Task::Backup(options) => backup(&options).map(|()| ExitCode::SUCCESS),
        Task::Restore(options) => restore(&options).map(|()| ExitCode::SUCCESS),
        Task::Recover(options) => recover(&options).map(|()| ExitCode::SUCCESS),
        Task::Export(options) => export(options).map(|()| ExitCode::SUCCESS),
        Task::Render(options) => render(&options).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        // Nowhere is left to say that standard error is closed.
        let _ = writeln!(std::io::stderr(), "hanout-till: {error:#}");
        ExitCode::FAILURE
    })
}

fn log_to_stderr() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("HANOUT_LOG").unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt()
        // A closed pipe must not bring a thread down: the fallback would print, and panic.
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}

fn serve(options: Serve) -> anyhow::Result<()> {
    let runtime = RuntimeOptions {
        receipts_dir: options.receipts,
        profiles_dir: options.profiles,
        backup_dir: options.backups,
        witness_dir: till_runtime::witness_dir(|name| std::env::var_os(name)),
        ..RuntimeOptions::new(options.data, env!("CARGO_PKG_VERSION"))
    };
    let enrol = options.server.zip(options.code);
    let options = ServeOptions {
        runtime,
        listen: options.listen,
        enrol,
        ui_dir: options.ui,
    };
    let executor = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start")?;
    executor.block_on(run(options, |announcement| {
        let line = serde_json::to_string(announcement).expect("an announcement is two texts");
        let mut out = std::io::stdout().lock();
        // A reader at the end of a pipe waits for this line; without one the till works all the same.
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }))
}

fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("cannot write the report")
}

/// Whether a file is to be taken for an archive: by its name, or its first bytes.
fn is_archive(path: &Path) -> bool {
    let named = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("zip"));
    let mut start = [0; 2];
    let read = |start: &mut [u8; 2]| std::fs::File::open(path)?.read_exact(start);
    path.is_file() && (named || read(&mut start).is_ok() && start == *b"PK")
}

fn verify_archive(path: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let report = till_runtime::verify_archive(path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let mut text = String::new();
    if json {
        text = serde_json::to_string(&report).context("cannot write the report")?;
        text.push('\n');
    } else {
        match &report.first_bad {
            Some(bad) => {
                let line = bad.line.map(|line| format!(" line {line}"));
                let place = format!("{}{}", bad.entry, line.unwrap_or_default());
                text.push_str(&format!("bad: {}: {}\n", place.trim(), bad.what));
            }
            None => text.push_str("ok\n"),
        }
        for stream in &report.streams {
            text.push_str(&format!(
                "stream {}: {} events, head {}{}\n",
                stream.stream,
                stream.events,
                stream.hash,
                if stream.complete { "" } else { ", incomplete" }
            ));
        }
    }
    print(&text)?;
    Ok(if report.ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn export(options: Export) -> anyhow::Result<()> {
    let range = match options.year {
        Some(year) => {
            let day = |day: &str| format!("{year:04}-{day}").parse::<BusinessDate>();
            Range {
                from: Some(day("01-01").context("no such year")?),
                until: Some(day("12-31").context("no such year")?),
            }
        }
        None => Range {
            from: options.from,
            until: options.until,
        },
    };
    let made = till_runtime::archive(&options.data, options.to.as_deref(), range, options.papers)?;
    let path = made.path.display();
    let text = if options.json {
        let told = serde_json::json!({
            "path": path.to_string(),
            "bytes": made.bytes,
            "events": made.events,
            "unreadable": made.unreadable,
        });
        format!("{told}\n")
    } else {
        let mut text = format!("{path}: {} events, {} bytes\n", made.events, made.bytes);
        for name in &made.unreadable {
            text.push_str(&format!("not in it, because it cannot be opened: {name}\n"));
        }
        text
    };
    print(&text)
}

fn verify(data: &Path, json: bool) -> anyhow::Result<ExitCode> {
    if is_archive(data) {
        return verify_archive(data, json);
    }
    let report = till_runtime::verify(data)?;
    let mut text = String::new();
    if json {
        text = serde_json::to_string(&report).context("cannot write the report")?;
        text.push('\n');
    } else {
        match &report.first_bad {
            Some(bad) => text.push_str(&format!("bad: {} {}: {}\n", bad.table, bad.key, bad.what)),
            None => text.push_str("ok\n"),
        }
        let signed = report.signatures;
        text.push_str(&format!(
            "signed: {} heads, {} receipts; {} closings wait for a signature\n",
            signed.heads, signed.receipts, signed.closings_unsigned
        ));
        for (stream, head) in &report.streams {
            let line = format!("stream {stream}: {} events, head {}\n", head.seq, head.hash);
            text.push_str(&line);
        }
    }
    print(&text)?;
    Ok(if report.ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn wall() -> anyhow::Result<i64> {
    Ok(till_runtime::clock::Clock::new()
        .context("no clock")?
        .now()
        .wall_ms)
}

fn say(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}").context("cannot write the outcome")
}

fn backup(options: &Backup) -> anyhow::Result<()> {
    let made = till_runtime::backup(&options.data, options.to.as_deref(), wall()?)?;
    if options.json {
        return say(&serde_json::json!({ "file": made }).to_string());
    }
    say(&made.display().to_string())
}

fn restore(options: &Restore) -> anyhow::Result<()> {
    let done = till_runtime::restore(&options.data, &options.file, wall()?)?;
    if options.json {
        let outcome = serde_json::json!({ "events": done.seq, "set_aside": done.set_aside });
        return say(&outcome.to_string());
    }
    say(&format!("restored up to event {}", done.seq))?;
    match done.set_aside {
        Some(aside) => say(&format!("kept: {}", aside.display())),
        None => Ok(()),
    }
}

fn recover(options: &Recover) -> anyhow::Result<()> {
    let witness = till_runtime::witness_dir(|name| std::env::var_os(name));
    let done = till_runtime::recover(
        &options.data,
        &options.file,
        witness.as_deref(),
        env!("CARGO_PKG_VERSION"),
    )?;
    if options.json {
        let outcome = serde_json::json!({
            "stream": done.stream,
            "events": done.adopted,
            "receipts": done.receipts,
            "known": done.known,
            "refused": done.refused,
            "supplements": done.supplements,
        });
        return say(&outcome.to_string());
    }
    say(&format!(
        "taken over: {} events, {} receipts\nknown already: {} events\nnot readable or contradicting: {} events\nsupplements to closings: {}",
        done.adopted, done.receipts, done.known, done.refused, done.supplements
    ))
}

fn render(options: &Render) -> anyhow::Result<()> {
    let png = till_runtime::render(&options.data, options.job, &options.profile)?;
    std::fs::write(&options.png, png)
        .with_context(|| format!("cannot write {}", options.png.display()))
}
