//! `RUN --mount=type=ssh`: a socket of the step's own, with the owner and mode it asks for, that leads to the agent.
//!
//! The agent's own socket belongs to whoever runs croze and would be closed to a step's other users. Connections end
//! with the step.

use std::fs::{self, File, Permissions};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{AbortHandle, JoinSet};

use super::OpError;

/// The name of the socket in its directory.
const NAME: &str = "agent";

/// A socket that leads to an agent for as long as this lives.
pub(super) struct AgentSocket {
    directory: TempDir,
    forwarding: AbortHandle,
}

impl AgentSocket {
    /// Opens a socket below `scratch` that leads to `agent`, and gives it to an owner unless somebody else is to show one.
    pub(super) fn open(scratch: &Path, agent: PathBuf, mode: u32, owner: Option<(u32, u32)>) -> Result<Self, OpError> {
        let failed = |path: &Path| {
            let path = path.display().to_string();
            move |source| OpError::Agent { path, source }
        };
        let directory = tempfile::tempdir_in(scratch).map_err(failed(scratch))?;
        let path = directory.path().join(NAME);
        // An address has at most 107 bytes, which a state directory may exceed.
        let handle = File::open(directory.path()).map_err(failed(&path))?;
        let short = format!("/proc/self/fd/{}/{NAME}", handle.as_raw_fd());
        let listener = UnixListener::bind(short).map_err(failed(&path))?;
        if let Some((uid, gid)) = owner {
            chown(&path, Some(uid), Some(gid)).map_err(failed(&path))?;
        }
        fs::set_permissions(&path, Permissions::from_mode(mode)).map_err(failed(&path))?;
        let forwarding = tokio::spawn(forward(listener, agent)).abort_handle();
        Ok(Self { directory, forwarding })
    }

    /// Returns the socket's path.
    pub(super) fn path(&self) -> PathBuf {
        self.directory.path().join(NAME)
    }
}

impl Drop for AgentSocket {
    fn drop(&mut self) {
        self.forwarding.abort();
    }
}

/// Joins every connection to one of the agent's.
async fn forward(listener: UnixListener, agent: PathBuf) {
    // Dropped, and with it all connections, when this task is aborted.
    let mut connections = JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        let agent = agent.clone();
        connections.spawn(async move {
            // An agent that is gone looks to the step like one that hangs up.
            if let Ok(mut agent) = UnixStream::connect(agent).await {
                let _hung_up = copy_bidirectional(&mut client, &mut agent).await;
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_socket_with_any_mode_leads_to_the_agent_and_ends_with_the_step() {
        let scratch = tempfile::tempdir().unwrap();
        let deep = scratch.path().join("x".repeat(120));
        fs::create_dir(&deep).unwrap();
        let path = scratch.path().join("real");
        let agent = UnixListener::bind(&path).unwrap();
        let owner = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let socket = AgentSocket::open(&deep, path, 0o741, Some(owner)).unwrap();
        let metadata = fs::metadata(socket.path()).unwrap();
        assert!(metadata.file_type().is_socket());
        assert_eq!(
            (metadata.mode() & 0o7777, (metadata.uid(), metadata.gid())),
            (0o741, owner)
        );

        let handle = File::open(socket.path().parent().unwrap()).unwrap();
        let short = format!("/proc/self/fd/{}/{NAME}", handle.as_raw_fd());
        let mut client = UnixStream::connect(short).await.unwrap();
        let (mut server, _) = agent.accept().await.unwrap();
        client.write_all(b"ask").await.unwrap();
        let mut asked = [0; 3];
        server.read_exact(&mut asked).await.unwrap();
        assert_eq!(&asked, b"ask");
        drop(socket);
        assert_eq!(
            server.read(&mut asked).await.unwrap(),
            0,
            "the connection ends with the step"
        );
    }
}
