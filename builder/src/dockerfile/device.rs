//! `RUN --device=NAME,required`: reading the options.

use super::{
    csv,
    instruction::RunDevice,
    mapped::{Mapped, Part},
};
use crate::diagnostic::{Diagnostic, Spanned, did_you_mean};

const KEYS: [&str; 2] = ["name", "required"];

/// Reads the value of a `--device` flag. The name may stand there with or without its key; a name without one may have
/// an equals sign in it.
pub(super) fn parse(value: Part<'_>) -> Result<RunDevice, Diagnostic> {
    let mut device = RunDevice {
        name: Spanned::new(String::new(), value.span()),
        required: false,
    };
    for field in csv::fields(value, "devices")? {
        take(&mut device, &field)?;
    }
    Ok(device)
}

fn take(device: &mut RunDevice, field: &Mapped) -> Result<(), Diagnostic> {
    let whole = field.whole();
    let (key, value) = match whole.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (whole, None),
    };
    let error = |message: String| Err(Diagnostic::error(message).at(whole.span(), ""));
    match (key.text().to_lowercase().as_str(), value) {
        ("required", None) => device.required = true,
        ("required", Some(value)) => {
            device.required = match value.text() {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
                "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
                other => return error(format!("invalid value for required: {other}")),
            }
        }
        ("name", Some(value)) if device.name.is_empty() => device.name = value.spanned(),
        ("name", Some(_)) => return error(format!("device name already set to {}", device.name.value)),
        _ if device.name.is_empty() => device.name = whole.spanned(),
        (_, None) => return error(format!("invalid field '{}' must be a key=value pair", whole.text())),
        (key, Some(_)) => {
            let suggestion = did_you_mean(key, KEYS);
            return error(format!("unexpected key '{key}' in '{}'{suggestion}", whole.text()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(String, bool), String> {
        let mut mapped = Mapped::default();
        mapped.push(text, 0);
        let device = parse(mapped.whole()).map_err(|error| error.message)?;
        Ok((device.name.value, device.required))
    }

    #[test]
    fn a_device_has_a_name_and_may_be_required() {
        let device = |name: &str, required| Ok((name.to_owned(), required));
        for (text, expected) in [
            ("vendor1.com/device=foo", device("vendor1.com/device=foo", false)),
            (
                "vendor1.com/device=foo,required",
                device("vendor1.com/device=foo", true),
            ),
            (
                "vendor1.com/device=foo,required=true",
                device("vendor1.com/device=foo", true),
            ),
            (
                "vendor1.com/device=foo,required=false",
                device("vendor1.com/device=foo", false),
            ),
            ("name=vendor1.com/device=foo", device("vendor1.com/device=foo", false)),
            (
                "REQUIRED,name=vendor1.com/device=foo",
                device("vendor1.com/device=foo", true),
            ),
            ("gpu", device("gpu", false)),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn malformed_devices_are_refused() {
        for (text, message) in [
            (
                "vendor1.com/device=foo,name=vendor2.com/device=bar",
                "device name already set to vendor1.com/device=foo",
            ),
            ("a,b", "invalid field 'b' must be a key=value pair"),
            (
                "a,requird=1",
                "unexpected key 'requird' in 'requird=1' (did you mean required?)",
            ),
            ("a,required=maybe", "invalid value for required: maybe"),
            ("a\"b", "failed to parse csv devices: bare \" in non-quoted-field"),
        ] {
            assert_eq!(read(text), Err(message.to_owned()), "{text}");
        }
    }
}
