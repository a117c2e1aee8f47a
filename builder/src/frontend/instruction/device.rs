//! `RUN --device`: which devices of the machine are meant, and whether they may be used.

use crate::devices::DeviceError;
use crate::diagnostic::Diagnostic;
use crate::dockerfile::RunDevice;
use crate::frontend::lowering::Lowering;

/// Returns the qualified names of the devices, each once. One that need not be there is left out if it is not.
pub(super) fn resolve(devices: &[RunDevice], lowering: &Lowering<'_>) -> Result<Vec<String>, Diagnostic> {
    let mut found: Vec<String> = Vec::new();
    if lowering.only_looks {
        return Ok(found);
    }
    for device in devices {
        for name in meant(device, lowering)? {
            if !found.contains(&name) {
                found.push(name);
            }
        }
    }
    Ok(found)
}

/// Returns what one flag means, if that may be used.
fn meant(device: &RunDevice, lowering: &Lowering<'_>) -> Result<Vec<String>, Diagnostic> {
    let (registry, consent) = (&lowering.request.devices, &lowering.request.device_consent);
    let alias = consent.aliases.get(&device.name);
    let name = alias.unwrap_or(&device.name);
    let found = if device.required {
        registry.require(name)
    } else {
        registry.find(name)
    };
    let found = found.map_err(|error| {
        let refused = Diagnostic::error(error.to_string()).at(device.written.span, "");
        match error {
            DeviceError::Unregistered { help, .. } => refused.help(help),
            DeviceError::Name(_) => refused.help("write it as `vendor/class=name`, as in `nvidia.com/gpu=0`"),
            _ => refused,
        }
    })?;
    let mut granted = Vec::new();
    for name in &consent.names {
        granted.extend(registry.find(name).unwrap_or_default());
    }
    let is_allowed =
        |name: &String| consent.all || alias.is_some() || granted.contains(name) || registry.is_automatic(name);
    match found.iter().find(|name| !is_allowed(name)) {
        None => Ok(found),
        Some(forbidden) => {
            let message = format!("device {forbidden} is requested by the build but not allowed");
            Err(Diagnostic::error(message).at(device.written.span, "").help(format!(
                "allow it with `--allow device={forbidden}`, or all devices with `--allow device`"
            )))
        }
    }
}
