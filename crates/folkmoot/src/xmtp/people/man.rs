//! `folkmoot man`: the manual, one page for each command.

use std::{fs, io::Write, path::PathBuf};

use anyhow::Context as _;
use clap::{Args, Command};

/// Print the manual page, or write the pages of all commands
#[derive(Args, Debug)]
pub(crate) struct ManCommand {
    /// Where to write the pages of all commands
    #[arg(short, long, value_name = "DIRECTORY")]
    output: Option<PathBuf>,
}

impl ManCommand {
    /// Writes the page of `program` to `out`, or all pages to the directory.
    pub(crate) fn run(self, program: Command, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
        let Some(directory) = self.output else {
            let mut page = Vec::new();
            clap_mangen::Man::new(program).render(&mut page)?;
            out.write_all(&page)?;
            return Ok(());
        };
        fs::create_dir_all(&directory).with_context(|| format!("make {}", directory.display()))?;
        clap_mangen::generate_to(program, &directory)
            .with_context(|| format!("write to {}", directory.display()))?;
        let count = fs::read_dir(&directory)?.count();
        writeln!(out, "{count} pages are in {}", directory.display())?;
        Ok(())
    }
}
