//! Where the stores of tests are.

use tempfile::TempDir;

/// Memory as a file system, on Linux.
const MEMORY: &str = "/dev/shm";
/// What has to be free there, in bytes.
const ENOUGH: u64 = 2 << 30;

/// A folder for a store that nobody wants to keep: in memory if there is room, since file systems on
/// disks are slow to make and to remove some hundred thousand files, unless `TMPDIR` says where.
pub fn scratch() -> TempDir {
    let in_memory = may_be_in_memory().then(|| tempfile::tempdir_in(MEMORY).ok()).flatten();
    in_memory.unwrap_or_else(|| tempfile::tempdir().expect("a folder"))
}

fn may_be_in_memory() -> bool {
    let free = rustix::fs::statvfs(MEMORY).map(|found| found.f_bavail * found.f_frsize);
    std::env::var_os("TMPDIR").is_none() && free.is_ok_and(|free| free >= ENOUGH)
}
