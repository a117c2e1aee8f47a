//! `RUN --device=vendor/class=name,required`.

use super::csv;
use super::instruction::RunDevice;
use super::mapped::{Mapped, Part};
use crate::attributes::truth;
use crate::diagnostic::{Diagnostic, did_you_mean};

/// Reads the value of a `--device` flag: the device's name, alone or after `name=`, and whether it must be there. The
/// name itself may have an equals sign, so that whatever comes first and is no option is one.
pub(super) fn parse(value: Part<'_>) -> Result<RunDevice, Diagnostic> {
    let mut device = RunDevice {
        written: value.spanned(),
        name: String::new(),
        required: false,
    };
    for field in &csv::fields(value)? {
        read(field, &mut device)?;
    }
    Ok(device)
}

fn read(field: &Mapped, device: &mut RunDevice) -> Result<(), Diagnostic> {
    let whole = field.whole();
    let (written, value) = match whole.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (whole, None),
    };
    let key = written.text().to_lowercase();
    match (key.as_str(), value) {
        ("required", None) => device.required = true,
        ("required", Some(value)) => {
            device.required = truth(value.text()).ok_or_else(|| {
                Diagnostic::error(format!("invalid value for {key}: {}", value.text()))
                    .at(value.span(), "")
                    .help("write `true` or `false`")
            })?;
        }
        ("name", Some(value)) => {
            if !device.name.is_empty() {
                let message = format!("device name already set to {}", device.name);
                return Err(Diagnostic::error(message).at(whole.span(), ""));
            }
            value.text().clone_into(&mut device.name);
        }
        _ if device.name.is_empty() => whole.text().clone_into(&mut device.name),
        (_, None) => {
            let message = format!("invalid field '{}' must be a key=value pair", whole.text());
            return Err(Diagnostic::error(message).at(whole.span(), ""));
        }
        (_, Some(_)) => {
            let suggestion = did_you_mean(&key, ["name", "required"]);
            let message = format!("unexpected key '{key}' in '{}'{suggestion}", whole.text());
            return Err(Diagnostic::error(message).at(written.span(), ""));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::diagnostic::SourceFile;
    use crate::dockerfile::{InstructionKind, parse};

    fn read(flag: &str) -> Result<(String, bool), String> {
        let text = format!("FROM scratch\nRUN --device={flag} true\n");
        let parsed = parse(Arc::new(SourceFile::new("Dockerfile", text)));
        let dockerfile = parsed.map_err(|errors| errors[0].message.clone())?;
        match &dockerfile.stages[0].instructions[0].kind {
            InstructionKind::Run { devices, .. } => Ok((devices[0].name.clone(), devices[0].required)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_device_is_a_name_and_whether_it_must_be_there() {
        for (flag, name, required) in [
            ("vendor1.com/device=foo", "vendor1.com/device=foo", false),
            ("vendor1.com/device=foo,required", "vendor1.com/device=foo", true),
            ("required,vendor1.com/device", "vendor1.com/device", true),
            (
                "name=vendor1.com/device=*,required=false",
                "vendor1.com/device=*",
                false,
            ),
            ("vendor1.com/device=foo,required=1", "vendor1.com/device=foo", true),
            ("'\"vendor1.com/device=a,b\"'", "vendor1.com/device=a,b", false),
            ("REQUIRED,Name=x", "x", true),
        ] {
            assert_eq!(read(flag), Ok((name.to_owned(), required)), "{flag}");
        }
        for (flag, message) in [
            ("a/b=c,requird", "invalid field 'requird' must be a key=value pair"),
            (
                "a/b=c,requird=true",
                "unexpected key 'requird' in 'requird=true' (did you mean required?)",
            ),
            ("a/b=c,name=d", "device name already set to a/b=c"),
            ("a/b=c,required=maybe", "invalid value for required: maybe"),
            ("'\"a/b'", "extraneous or missing \" in quoted-field"),
        ] {
            assert!(read(flag).unwrap_err().contains(message), "{flag}: {:?}", read(flag));
        }
    }
}
