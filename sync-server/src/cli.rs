//! The command line. Every command answers in words, or as one line of JSON with `--json`.
//! Exit codes: 0 done, 1 refused or failed, 2 usage.

mod catalogue;
mod serve;
mod setup;
mod stock;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use domain::ids::TenantId;
use sync_server::{DataDir, system_clock};

/// Hanout's server: sync for tills, pages for head office.
#[derive(Debug, Parser)]
#[command(name = "hanout-server", version, max_term_width = 100)]
pub struct Args {
    /// Directory with one file per tenant.
    #[arg(
        long,
        global = true,
        env = "HANOUT_SERVER_DATA",
        default_value = "hanout-data",
        value_name = "DIR"
    )]
    data: PathBuf,
    /// Answer with one line of JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve tills and head office until interrupted.
    Serve(serve::ServeArgs),
    /// Tenants: chains of shops, each with its own file.
    #[command(subcommand)]
    Tenant(setup::TenantCommand),
    /// Stores, and locations without a store.
    #[command(subcommand)]
    Store(setup::StoreCommand),
    /// Tills' devices and their enrolment.
    #[command(subcommand)]
    Device(setup::DeviceCommand),
    /// Staff and administrators.
    #[command(subcommand)]
    User(setup::UserCommand),
    /// How stock is guarded, and who may sell what is strict.
    #[command(subcommand)]
    Stock(stock::StockCommand),
    /// Journals of tills.
    #[command(subcommand)]
    Stream(stock::StreamCommand),
    /// What was settled by itself and a person should look at.
    #[command(subcommand)]
    Incident(stock::IncidentCommand),
    /// Import a catalogue from CSV: ours, or Shopify's product export.
    Import(catalogue::ImportArgs),
    /// Check tenants' files against their own events.
    Verify(catalogue::VerifyArgs),
    /// Serve the demo chain Atlas Sport, making it on the first run.
    Demo(serve::DemoArgs),
}

/// What a command has to say.
struct Output {
    text: String,
    json: serde_json::Value,
    /// Exit code 0, otherwise 1.
    ok: bool,
}

impl Output {
    fn new(text: impl Into<String>, json: impl serde::Serialize) -> anyhow::Result<Output> {
        Ok(Output {
            text: text.into(),
            json: serde_json::to_value(json)?,
            ok: true,
        })
    }
}

struct Context {
    data: DataDir,
    data_path: PathBuf,
    json: bool,
    now: domain::time::Now,
}

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    // A mistyped path must not look like an empty, healthy chain.
    let makes = matches!(
        args.command,
        Command::Serve(_) | Command::Demo(_) | Command::Tenant(setup::TenantCommand::Create { .. })
    );
    let data = if makes {
        DataDir::open(&args.data)
    } else {
        DataDir::existing(&args.data)
    };
    let data = match data {
        Ok(data) => data,
        Err(error) if args.json => {
            let error = format!("{:#}", anyhow::Error::from(error));
            let error = serde_json::json!({ "ok": false, "error": error });
            writeln!(io::stdout(), "{error}")?;
            return Ok(ExitCode::FAILURE);
        }
        Err(error) => return Err(error.into()),
    };
    let context = Context {
        data,
        data_path: args.data,
        json: args.json,
        now: system_clock()(),
    };
    let output = match args.command {
        Command::Serve(args) => return serve::serve(&context, &args),
        Command::Demo(args) => return serve::demo(&context, &args),
        Command::Tenant(command) => setup::tenant(&context, command),
        Command::Store(command) => setup::store(&context, command),
        Command::Device(command) => setup::device(&context, command),
        Command::User(command) => setup::user(&context, command),
        Command::Stock(command) => stock::stock(&context, command),
        Command::Stream(command) => stock::stream(&context, command),
        Command::Incident(command) => stock::incident(&context, command),
        Command::Import(args) => catalogue::import(&context, &args),
        Command::Verify(args) => catalogue::verify(&context, &args),
    };
    let output = match output {
        Ok(output) => output,
        Err(error) if context.json => Output {
            text: String::new(),
            json: serde_json::json!({ "ok": false, "error": format!("{error:#}") }),
            ok: false,
        },
        Err(error) => return Err(error),
    };
    print(&context, &output)?;
    Ok(if output.ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn print(context: &Context, output: &Output) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if context.json {
        writeln!(out, "{}", output.json)
    } else {
        write!(out, "{}", output.text)
    }
    .and_then(|()| out.flush())
    .context("writing to standard output")
}

/// One line from standard input, for secrets that must not stand in a process list.
fn secret_from_stdin() -> anyhow::Result<String> {
    let mut line = String::new();
    io::stdin()
        .read_line(&mut line)
        .context("reading the secret")?;
    let secret = line.trim_end_matches(['\r', '\n']).to_owned();
    anyhow::ensure!(!secret.is_empty(), "no secret on standard input");
    Ok(secret)
}

/// `--tenant`, shared by all commands on one tenant.
#[derive(Debug, clap::Args)]
struct TenantArg {
    /// Tenant.
    #[arg(long, env = "HANOUT_TENANT")]
    tenant: TenantId,
}
