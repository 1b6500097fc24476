//! `mmar completions`

use clap::Args;
use clap_complete::Shell;

use crate::arguments;
use crate::exit::Exit;
use crate::printer::Printer;

/// What to do with the script.
const USAGE: &str = "\
Where it goes:
  bash        mmar completions bash > ~/.local/share/bash-completion/completions/mmar
  zsh         mmar completions zsh > FOLDER/_mmar, a folder in $fpath
  fish        mmar completions fish > ~/.config/fish/completions/mmar.fish
  elvish      mmar completions elvish >> ~/.config/elvish/rc.elv
  powershell  mmar completions powershell >> $PROFILE";

/// Arguments of `mmar completions`.
#[derive(Debug, Args)]
#[command(after_help = USAGE)]
pub(crate) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script for a shell.
pub(crate) fn run(arguments: &Arguments, printer: &mut Printer) -> Result<(), Exit> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut arguments::definition(), "mmar", &mut script);
    printer.result(String::from_utf8_lossy(&script).trim_end())
}
