//! The walrusfs program; everything it does is in [`walrusfs::cli`].

fn main() -> std::process::ExitCode {
    walrusfs::cli::main()
}
