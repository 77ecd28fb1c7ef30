//! `hanout-app`: the till in a window.

// The reason why there is no till goes to standard error: that is the contract of this program.
#![allow(clippy::print_stderr)]
#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]

use std::process::ExitCode;

fn main() -> ExitCode {
    match hanout_app::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hanout-app: {error}");
            ExitCode::FAILURE
        }
    }
}
