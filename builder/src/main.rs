//! The `croze` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = builder::executor::init_main_if_asked() {
        return code;
    }
    ExitCode::SUCCESS
}
