//! Completion scripts and manual pages, from the same source as the command line itself.
//!
//! Every visible command has a page in section 1, and mount(8)'s helper one in section 8. The examples and notes of the help
//! texts stand in the pages as they are, line by line.

use super::args::{Cli, GenerateCommand};
use super::exit::{Code, Failure};
use super::options::table;
use super::output;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use std::io;

/// The meaning of exit codes, as the documents have it.
const EXIT_CODES: &str = include_str!("../../docs/exit-codes.md");

/// `walrusfs completions`
///
/// # Errors
/// None here: what cannot be written is told at the end.
pub fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut shown(Cli::command()), "walrusfs", &mut script);
    output::write(format_args!("{}", String::from_utf8_lossy(&script)));
    Ok(())
}

/// The command without what `--help` does not show: the generators would offer it.
fn shown(command: Command) -> Command {
    let bare = Command::new("walrusfs")
        .args(command.get_arguments().cloned())
        .subcommands(command.get_subcommands().filter(|sub| !sub.is_hide_set()).cloned());
    match (command.get_about(), command.get_version()) {
        (Some(about), Some(version)) => bare.about(about.clone()).version(version.to_owned()),
        _ => bare,
    }
}

/// `walrusfs generate`
///
/// # Errors
/// The folder cannot be written to.
pub fn run(command: &GenerateCommand) -> Result<(), Failure> {
    match command {
        GenerateCommand::Options => {
            output::line(table::markdown().trim_end());
            Ok(())
        }
        GenerateCommand::Completions { dir } => {
            let failed = |error| Failure::from_io(format!("cannot write to {}", dir.display()), error);
            std::fs::create_dir_all(dir).map_err(failed)?;
            for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
                clap_complete::generate_to(shell, &mut shown(Cli::command()), "walrusfs", dir).map_err(failed)?;
            }
            Ok(())
        }
        GenerateCommand::Man { dir } => {
            let failed = |error| Failure::from_io(format!("cannot write to {}", dir.display()), error);
            std::fs::create_dir_all(dir).map_err(failed)?;
            for (name, text) in pages()? {
                std::fs::write(dir.join(name), text).map_err(failed)?;
            }
            Ok(())
        }
    }
}

/// File names and contents of all pages.
fn pages() -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let failed = |error| Failure::new(Code::Failed, "a manual page cannot be written").caused_by(error);
    let mut root = Cli::command();
    root.build();
    let mut pages = Vec::new();
    page(&root, &mut pages).map_err(failed)?;
    pages.push(("mount.walrusfs.8".to_owned(), helper_page().into_bytes()));
    Ok(pages)
}

fn page(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let notes = command.get_after_long_help().or(command.get_after_help()).map(ToString::to_string);
    // Our notes have lines that must not be filled; the crate would fill them.
    let bare = command.clone().after_help("").after_long_help("");
    let man = Man::new(bare.clone()).section("1").manual("walrusfs");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    let visible = || bare.get_subcommands().filter(|sub| !sub.is_hide_set());
    if visible().next().is_some() {
        let mut list = String::from(".SH COMMANDS\n");
        for sub in visible().filter(|sub| sub.get_name() != "help") {
            let page = sub.get_display_name().unwrap_or(sub.get_name());
            let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
            list.push_str(&format!(".TP\n.BR {} (1)\n{}\n", escape(page), escape(&about)));
        }
        text.extend_from_slice(list.as_bytes());
    }
    if let Some(notes) = notes {
        text.extend_from_slice(literal("NOTES", &notes).as_bytes());
    }
    text.extend_from_slice(exit_status().as_bytes());
    text.extend_from_slice(FILES.as_bytes());
    pages.push((format!("{name}.1"), text));
    for sub in visible().filter(|sub| sub.get_name() != "help") {
        page(sub, pages)?;
    }
    Ok(())
}

/// What is the same on every page.
const FILES: &str = "\
.SH ENVIRONMENT
.TP
.B WALRUSFS_HOME
holds all five folders of walrusfs instead of their XDG places.
.TP
.B WALRUSFS_LOG
what is logged, for example warn,walrusfs::sync=debug; every option of the configuration file has a variable like it.
.TP
.B NO_COLOR
no colours, whatever the terminal can show.
.SH FILES
.TP
.I ~/.config/walrusfs/config.toml
options; see walrusfs\\-config(1).
.TP
.I ~/.local/share/walrusfs/keys/
the wallet and the keys of drives: keep a copy, without it nothing can be read.
.TP
.I ~/.local/state/walrusfs/
what is not certified yet, logs and sockets.
.TP
.I ~/.cache/walrusfs/
may be deleted at any time.
.SH SEE ALSO
.BR walrusfs (1),
.BR mount.walrusfs (8),
.BR mount (8),
.BR fusermount3 (1)
";

/// A section of lines as they are.
fn literal(title: &str, text: &str) -> String {
    let lines: Vec<String> = text.lines().map(escape).collect();
    format!(".SH {title}\n.nf\n{}\n.fi\n", lines.join("\n"))
}

/// The rows of `docs/exit-codes.md` as a section.
fn exit_status() -> String {
    let mut text = String::from(".SH EXIT STATUS\n");
    for row in EXIT_CODES.lines() {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        if let [_, code, meaning, next, _] = cells[..]
            && code.parse::<u8>().is_ok()
        {
            let end = if next.is_empty() { ".".to_owned() } else { format!(": {next}.") };
            text.push_str(&format!(".TP\n.B {code}\n{}\n", escape(&format!("{meaning}{end}").replace('`', ""))));
        }
    }
    text
}

/// The page of the mount helper.
fn helper_page() -> String {
    let mut text = format!(
        ".TH mount.walrusfs 8 \"\" \"walrusfs {}\" \"walrusfs\"\n\
         .SH NAME\nmount.walrusfs, umount.walrusfs \\- mount and unmount walrusfs drives with mount(8) and /etc/fstab\n\
         .SH SYNOPSIS\n.B mount \\-t walrusfs\n[\\-o options] walrus:LABEL directory\n.br\n.B umount\ndirectory\n\
         .SH DESCRIPTION\nmount(8) calls this helper for file systems of type walrusfs, and umount(8) calls its counterpart, which \
         waits until everything on the drive is certified on the network. The drive is written walrus:LABEL or 0x and its object \
         id, because a bare word would become a path. The options rw, defaults, auto, noauto, user, nouser, users, owner, group, \
         _netdev, nofail, comment= and x\\-* are accepted and do nothing here. An unknown option is an error, except with \
         mount \\-s. The exit codes are those of mount(8).\n\
         .SH OPTIONS\n",
        env!("CARGO_PKG_VERSION")
    );
    for spec in table::OPTIONS {
        let mut form = spec.form();
        if !spec.negative.is_empty() {
            form.push_str(&format!(", {}", spec.negative));
        }
        let default = match spec.default {
            "" => String::new(),
            default => format!(" Default: {}.", default.replace('`', "")),
        };
        let meaning = spec.meaning.replace('`', "");
        text.push_str(&format!(".TP\n.B {}\n{}.{}\n", escape(&form), escape(&meaning), escape(&default)));
    }
    text.push_str(&literal("EXAMPLES", include_str!("../../mount-helpers/fstab.example")));
    text.push_str(FILES);
    text
}

/// Text of a line that roff does not take for anything else.
fn escape(line: &str) -> String {
    let text = line.replace('\\', "\\e").replace('-', "\\-");
    match text.starts_with(['.', '\'']) {
        true => format!("\\&{text}"),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_visible_command_has_a_page_with_its_examples() {
        let pages = pages().unwrap();
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for name in
            ["walrusfs.1", "walrusfs-mount.1", "walrusfs-drive-create.1", "walrusfs-blob-get.1", "mount.walrusfs.8"]
        {
            assert!(names.contains(&name), "{names:?}");
        }
        assert!(!names.iter().any(|name| name.contains("mount-process") || name.contains("generate")));
        for (name, text) in &pages {
            let text = String::from_utf8(text.clone()).unwrap();
            assert!(text.contains(".SH NAME"), "{name}");
            // A command that only has commands of its own lists those.
            assert!(text.contains("Examples:") || text.contains(".SH COMMANDS") || name.ends_with(".8"), "{name}");
            assert!(name == "mount.walrusfs.8" || text.contains(".B 130"), "{name}: exit codes");
            assert!(text.lines().all(|line| !line.contains('\t')), "{name}");
        }
    }

    #[test]
    fn escaped_lines_are_text() {
        assert_eq!(escape(".SH a-b\\"), "\\&.SH a\\-b\\e");
    }
}
