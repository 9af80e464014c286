//! The program: reads the command line and runs the command.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    muster::cli::main(muster::cli::Cli::parse())
}
