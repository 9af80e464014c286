//! Where the stores of tests are.

use std::path::Path;

use tempfile::TempDir;

/// Memory as a file system, on Linux.
const MEMORY: &str = "/dev/shm";
/// What has to be free there, in bytes.
const ENOUGH: u64 = 2 << 30;

/// A folder for a store that nobody wants to keep. It is in memory if there is room, since file systems
/// on disks are slow to make and to remove some hundred thousand files.
pub fn scratch() -> TempDir {
    let in_memory =
        is_roomy(Path::new(MEMORY)).then(|| tempfile::tempdir_in(MEMORY).ok()).flatten();
    in_memory.unwrap_or_else(|| tempfile::tempdir().expect("a folder"))
}

fn is_roomy(folder: &Path) -> bool {
    let free = rustix::fs::statvfs(folder).map(|found| found.f_bavail * found.f_frsize);
    free.is_ok_and(|free| free >= ENOUGH)
}
