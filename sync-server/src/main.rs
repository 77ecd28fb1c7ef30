//! `hanout-server`: sets up tenants, imports catalogues, and serves tills and head office.

mod cli;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let args = cli::Args::parse();
    match cli::run(args) {
        Ok(code) => code,
        Err(error) => {
            let mut text = error.to_string();
            for cause in error.chain().skip(1) {
                text.push_str(": ");
                text.push_str(&cause.to_string());
            }
            // Nowhere is left to say that standard error is closed.
            let _ = writeln!(io::stderr(), "error: {text}");
            ExitCode::FAILURE
        }
    }
}
