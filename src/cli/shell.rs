//! `muster completions` and `muster man`: what the program says of itself, for shells and for `man`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use clap_complete::Shell;

use super::config::program;
use super::output;

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

#[derive(Debug, Args)]
pub struct ManArgs {
    /// Folder to write a page for each command into; without one, the page of muster is printed
    dir: Option<PathBuf>,
}

/// Prints a script that completes commands and options.
pub fn completions(args: &CompletionsArgs) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program(), "muster", &mut script);
    output::line(String::from_utf8_lossy(&script).trim_end());
}

/// Writes manual pages.
///
/// # Errors
/// A page cannot be written.
pub fn man(args: &ManArgs) -> anyhow::Result<()> {
    // 'help' has pages of its own otherwise, for each of the others once more.
    let command = program().disable_help_subcommand(true);
    if let Some(dir) = &args.dir {
        let failed = || format!("could not write the pages into {}", dir.display());
        std::fs::create_dir_all(dir).with_context(failed)?;
        return clap_mangen::generate_to(command, dir).with_context(failed);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    output::line(String::from_utf8_lossy(&page).trim_end());
    Ok(())
}
