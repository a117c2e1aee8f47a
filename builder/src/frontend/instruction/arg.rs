//! `ARG`: a build argument comes into scope.

use crate::diagnostic::Diagnostic;
use crate::dockerfile::ArgDefinition;
use crate::frontend::history::DeclaredArg;
use crate::frontend::lowering::Lowering;
use crate::frontend::observe::Seen;
use crate::frontend::scan;
use crate::frontend::stage::OpenStage;

/// Arguments that choose what an SBOM generator sees, which are no business of steps.
const NOT_IN_ENVIRONMENT: [&str; 2] = [scan::CONTEXT, scan::STAGE];

/// Declares arguments, one after the other: a default sees those before it on the same line.
///
/// The value is that of the command line, else the default here, else that of the global scope. A default that
/// loses is not looked at, so its `${x:?}` cannot fail.
pub(super) fn lower(
    definitions: &[ArgDefinition],
    stage: &mut OpenStage,
    lowering: &Lowering<'_>,
) -> Result<(), Diagnostic> {
    let mut text = String::from("ARG");
    for definition in definitions {
        let name = &definition.name.value;
        let value = match (lowering.globals.build_arg(name, lowering.request), &definition.default) {
            (Some(given), _) => Some(given),
            (None, Some(default)) => Some(lowering.word(default, stage)?),
            (None, None) => lowering.globals.get(name).map(str::to_owned),
        };
        let is_own = definition.default.is_some() || lowering.request.build_args.contains_key(name);
        let seen = Seen::Argument {
            definition,
            value: value.as_deref(),
            inherited: !is_own && value.is_some(),
        };
        lowering.see(seen);
        text.push(' ');
        text.push_str(name);
        if let Some(value) = &value {
            text.push('=');
            text.push_str(value);
            if !NOT_IN_ENVIRONMENT.contains(&name.as_str()) {
                stage.state.env.set(name, value);
            }
        }
        stage.state.args.push(DeclaredArg {
            name: name.clone(),
            value,
        });
    }
    stage.state.record(text);
    Ok(())
}
