//! The program: reads the command line and runs the command.

use std::process::ExitCode;

/// Gives memory back to the system once it is not needed, whichever thread needed it: a server that
/// now and then takes in large bodies would else look as if it leaked.
#[cfg(unix)]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    muster::cli::main(std::env::args_os())
}
