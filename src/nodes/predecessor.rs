//! The process that was here before: when a node is started anew on its machine, the lease of the one
//! that crashed need not end first.
//!
//! A node locks a file in its data directory while it lives, and writes its id into it. Whoever gets
//! the lock knows that the node of that id is dead: the system lets go of a process's locks when it
//! ends, however it ends, and not while it is only halted.

use std::{
    fs::{File, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use uuid::Uuid;

use crate::store::{Cluster, Error};

/// The file's name.
const FILE: &str = "node";
/// The longest text that is read from it: an id.
const BYTES_MAX: u64 = 64;

/// The file, locked while it is open.
pub(super) struct Place {
    _file: File,
}

/// Takes the place of this machine's node. If a crashed one had it, takes that off the list, so that
/// its partitions are free at once. Without a place (another process has it, or the file cannot be
/// written) leases end by themselves.
pub(super) async fn bury(data_dir: &Path, cluster: &Cluster) -> Result<Option<Place>, Error> {
    let path = data_dir.join(FILE);
    let (place, dead) = match take_place(&path, cluster.node_id()) {
        Ok(Some(taken)) => taken,
        Ok(None) => return Ok(None),
        Err(error) => {
            tracing::warn!(%error, file = %path.display(), "cannot leave the node's id");
            return Ok(None);
        }
    };
    if let Some(dead) = dead {
        cluster.bury(dead).await?;
    }
    Ok(Some(place))
}

/// Locks the file and writes the own id into it; gives the id that was there. Nothing if another
/// process has the lock.
fn take_place(path: &Path, own: Uuid) -> io::Result<Option<(Place, Option<Uuid>)>> {
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let mut text = String::new();
    // What is no id is nobody's.
    let read = (&file).take(BYTES_MAX).read_to_string(&mut text);
    let before = read.ok().and_then(|_| Uuid::try_parse(text.trim()).ok());
    file.seek(SeekFrom::Start(0))?;
    file.set_len(0)?;
    writeln!(file, "{own}")?;
    Ok(Some((Place { _file: file }, before)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_after_learns_who_is_dead() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        let (first, second, third) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let (place, before) = take_place(&path, first).unwrap().unwrap();
        assert_eq!(before, None);
        assert!(take_place(&path, second).unwrap().is_none());
        drop(place);
        let (place, before) = take_place(&path, third).unwrap().unwrap();
        assert_eq!(before, Some(first));
        drop(place);
        std::fs::write(&path, b"\xff no id").unwrap();
        let (_place, before) = take_place(&path, first).unwrap().unwrap();
        assert_eq!(before, None);
    }
}
