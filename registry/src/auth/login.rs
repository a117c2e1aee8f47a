//! Writing credentials: `login` and `logout` as Docker does them.
//!
//! A helper is used when the file names one; else the credential goes into the file, which is replaced by one
//! rename and readable by its owner alone. Whatever else stands in the file stays, in its order.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::credential_helper::Helper;
use super::docker_config::{DockerConfig, is_same_registry, key_of};
use super::{Credential, CredentialSource, CredentialsError};

/// Keeps `credential` for `registry` in the `config.json` at `config`, or with the helper that it names on
/// `helper_path` (a `PATH`; without it, this process's); returns where it now is.
pub async fn login(
    config: &Path,
    registry: &str,
    credential: &Credential,
    helper_path: Option<&OsStr>,
) -> Result<CredentialSource, CredentialsError> {
    let mut file = ConfigFile::read(config)?;
    let origin = file.origin();
    let entry = match file.helper(registry) {
        Some(name) => {
            Helper::new(&name, helper_path, &origin)?
                .store(key_of(registry), credential)
                .await?;
            // An empty entry is Docker's mark for what a helper keeps.
            (json!({}), CredentialSource::Helper { name, origin })
        }
        None => (entry_of(credential)?, CredentialSource::File(config.to_owned())),
    };
    file.remove(registry);
    file.insert(registry, entry.0);
    file.write()?;
    Ok(entry.1)
}

/// Forgets the credential for `registry`; tells whether there was one.
pub async fn logout(config: &Path, registry: &str, helper_path: Option<&OsStr>) -> Result<bool, CredentialsError> {
    let mut file = ConfigFile::read(config)?;
    let erased = match file.helper(registry) {
        Some(name) => {
            Helper::new(&name, helper_path, &file.origin())?
                .erase(key_of(registry))
                .await?
        }
        None => false,
    };
    let removed = file.remove(registry);
    if removed {
        file.write()?;
    }
    Ok(erased || removed)
}

fn entry_of(credential: &Credential) -> Result<Value, CredentialsError> {
    match credential {
        Credential::Password { username, .. } if username.contains(':') => Err(CredentialsError::UserName),
        Credential::Password { username, password } => {
            Ok(json!({ "auth": Credential::encode(username, password).expose() }))
        }
        Credential::IdentityToken(token) => Ok(json!({ "identitytoken": token.expose() })),
        Credential::RegistryToken(_) => Err(CredentialsError::NotStorable),
    }
}

/// The file as a whole, with what it holds besides credentials.
struct ConfigFile {
    /// The file itself, behind symbolic links: people keep it in a repository of dot files.
    path: PathBuf,
    json: Map<String, Value>,
    config: DockerConfig,
}

impl ConfigFile {
    fn read(path: &Path) -> Result<Self, CredentialsError> {
        let failed = |source| CredentialsError::File {
            verb: "read",
            path: path.to_owned(),
            source,
        };
        let malformed = |e: serde_json::Error| CredentialsError::Malformed {
            origin: format!("`{}`", path.display()),
            line: e.line(),
            column: e.column(),
        };
        let path = match std::fs::canonicalize(path) {
            Ok(path) => path,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let (path, json, config) = (path.to_owned(), Map::new(), DockerConfig::default());
                return Ok(Self { path, json, config });
            }
            Err(e) => return Err(failed(e)),
        };
        let text = std::fs::read(&path).map_err(failed)?;
        let json = serde_json::from_slice(&text).map_err(malformed)?;
        let config = DockerConfig::parse(&text).map_err(malformed)?;
        Ok(Self { path, json, config })
    }

    fn origin(&self) -> String {
        format!("`{}`", self.path.display())
    }

    fn helper(&self, registry: &str) -> Option<String> {
        self.config
            .own_helper(registry)
            .or_else(|| self.config.store())
            .map(str::to_owned)
    }

    fn insert(&mut self, registry: &str, entry: Value) {
        let auths = self.json.entry("auths").or_insert_with(|| json!({}));
        if !auths.is_object() {
            *auths = json!({});
        }
        auths[key_of(registry)] = entry;
    }

    /// Removes every key that means `registry`.
    fn remove(&mut self, registry: &str) -> bool {
        let Some(auths) = self.json.get_mut("auths").and_then(Value::as_object_mut) else {
            return false;
        };
        let before = auths.len();
        auths.retain(|key, _| !is_same_registry(key, registry));
        auths.len() < before
    }

    fn write(&self) -> Result<(), CredentialsError> {
        let failed = |verb, path: &Path| {
            let path = path.to_owned();
            move |source| CredentialsError::File { verb, path, source }
        };
        let dir = self
            .path
            .parent()
            .filter(|dir| !dir.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(failed("create", dir))?;
        let mut text = serde_json::to_vec_pretty(&self.json)
            .map_err(io::Error::from)
            .map_err(failed("write", &self.path))?;
        text.push(b'\n');
        let mut private = File::options();
        private.write(true).create_new(true).mode(0o600);
        let new = tempfile::Builder::new().make_in(dir, |path| private.open(path));
        // Apart, because errors of the two together are no error numbers any more.
        let (mut file, new) = new.map_err(failed("create a file in", dir))?.into_parts();
        file.write_all(&text).map_err(failed("write", &new))?;
        // A password typed in once is worth an fsync.
        file.sync_all().map_err(failed("write", &new))?;
        new.persist(&self.path)
            .map_err(|e| e.error)
            .map_err(failed("replace", &self.path))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn a_login_is_private_keeps_the_rest_of_the_file_and_can_be_undone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/config.json");
        login(&path, "ghcr.io", &Credential::password("u", "p"), None)
            .await
            .unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));

        let text = r#"{"zeta":1,"auths":{"https://ghcr.io/v2/":{"auth":"x"},"other":{"auth":"dTpw"}},"alpha":2}"#;
        std::fs::write(&path, text).unwrap();
        let link = dir.path().join("link.json");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        login(&link, "ghcr.io", &Credential::password("u", "p"), None)
            .await
            .unwrap();
        assert!(link.is_symlink());
        let written: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let expected = json!({"zeta":1,"auths":{"other":{"auth":"dTpw"},"ghcr.io":{"auth":"dTpw"}},"alpha":2});
        assert_eq!(written, expected);
        assert!(written.to_string().starts_with("{\"zeta\""), "{written}");

        assert!(logout(&path, "ghcr.io", None).await.unwrap());
        assert!(!logout(&path, "ghcr.io", None).await.unwrap());
        assert!(logout(&path, "other", None).await.unwrap());
        assert_eq!(
            std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1,
            "a temporary file is left"
        );
    }

    #[tokio::test]
    async fn docker_hub_is_kept_under_its_old_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        login(&path, "docker.io", &Credential::password("u", "p"), None)
            .await
            .unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("https://index.docker.io/v1/"), "{text}");
        assert!(logout(&path, "docker.io", None).await.unwrap());
    }

    #[tokio::test]
    async fn what_cannot_be_kept_is_refused_and_a_broken_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        let refused = login(&path, "a.b", &Credential::password("u:v", "p"), None).await;
        assert!(matches!(refused, Err(CredentialsError::UserName)), "{refused:?}");
        std::fs::write(&path, "{\"auths\": hunter2").unwrap();
        let error = login(&path, "a.b", &Credential::password("u", "p"), None)
            .await
            .unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"auths\": hunter2");
    }
}
