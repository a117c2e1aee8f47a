//! `--source-policy-file`: which sources may be used; and what it says of the build context.

use std::fs;
use std::path::PathBuf;

use super::args::BuildArgs;
use super::environment::{Environment, absolute};
use super::failure::{Failure, Kind};
use super::locate::Place;
use crate::diagnostic::Diagnostic;
use crate::op::{GitOp, HttpForm, HttpOp, Op};
use crate::policy::{self, ConversionError, Policy, PolicyError};
use crate::remote::{GitAddress, Remote};

/// What buildx reads; it has no option.
const VARIABLE: &str = "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY";

/// Reads the policy; there is none unless somebody names one.
///
/// # Errors
/// If it cannot be read, or is none.
pub(super) fn read(args: &BuildArgs, environment: &Environment) -> Result<Policy, Failure> {
    let variable = || environment.get(VARIABLE).filter(|path| !path.is_empty());
    let Some(path) = args
        .source_policy_file
        .clone()
        .or_else(|| variable().map(PathBuf::from))
    else {
        return Ok(Policy::default());
    };
    let text = fs::read_to_string(absolute(&path)).map_err(|error| {
        let message = Diagnostic::error(format!("cannot read the source policy `{}`", path.display()));
        Failure::new(Kind::Input, message.because(&error))
    })?;
    Policy::parse(&text).map_err(|error| {
        let message = Diagnostic::error(format!("cannot use `{}`", path.display()));
        Failure::new(Kind::Usage, message.because(&error))
    })
}

/// Returns where the context is to come from instead.
///
/// # Errors
/// If the policy is against it.
pub(super) fn governed(place: Place, policy: &Policy) -> Result<Place, Failure> {
    let asked = match &place {
        Place::Directory(_) => policy::Place::Local("context".to_owned()),
        Place::Remote(Remote::Git(address)) => {
            let keep_git_dir = address.keep_git_dir.unwrap_or(false);
            let address = address.clone();
            policy::Place::Remote(Box::new(Op::Git(GitOp { address, keep_git_dir })))
        }
        Place::Remote(Remote::Web(address)) => policy::Place::Remote(Box::new(Op::Http(HttpOp {
            address: address.clone(),
            form: HttpForm::Archive,
            checksum: None,
        }))),
        Place::Stdin => return Ok(place),
    };
    let Some(decided) = policy.decide(&asked).map_err(|error| refused(&error))? else {
        return Ok(place);
    };
    let converted = match &decided {
        policy::Place::Remote(op) => match &**op {
            Op::Git(op) => Some(Remote::Git(GitAddress {
                keep_git_dir: Some(true).filter(|_| op.keep_git_dir),
                ..op.address.clone()
            })),
            Op::Http(op) if op.checksum.is_none() => Some(Remote::Web(op.address.clone())),
            _ => None,
        },
        policy::Place::Image(_) | policy::Place::Local(_) => None,
    };
    converted
        .map(Place::Remote)
        .ok_or_else(|| refused(&PolicyError::conversion(&asked, &decided, ConversionError::NoContext)))
}

/// Says that the policy is against something.
pub(super) fn refused(error: &PolicyError) -> Failure {
    Failure::because(Kind::Check, error)
}
