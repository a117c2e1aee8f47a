//! The `croze` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    // A step's monitor and init are this same program, started again.
    if let Some(code) = builder::executor::init_main_if_asked() {
        return code;
    }
    builder::cli::main()
}
