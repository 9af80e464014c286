//! How many connections the system lets the process have: each is an open file.

/// Files that are open besides connections of clients and to the database.
const OTHERS: usize = 100;

/// How many connections clients may have, of as many as are wanted, so that files remain for the
/// rest: a server that cannot open its database because of its clients serves nobody.
pub fn for_clients(wanted: usize, pool_size: u32) -> usize {
    // A connection to SQLite has three files.
    let database = usize::try_from(pool_size).unwrap_or(usize::MAX).saturating_add(1);
    let others = OTHERS.saturating_add(database.saturating_mul(3));
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let most = soft_limit(&limits).map_or(wanted, |files| files.saturating_sub(others).max(1));
    if most < wanted {
        log::warn!(
            "the system allows for {most} connections of clients; raise the limit of open files \
             (ulimit -n) to {} for {wanted}",
            wanted.saturating_add(others)
        );
    }
    wanted.min(most)
}

/// The limit of open files in the kernel's table; none where there is no table or no limit.
fn soft_limit(table: &str) -> Option<usize> {
    let line = table.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_read() {
        let table = "Limit                     Soft Limit           Hard Limit           Units\n\
                     Max processes             95687                95687                processes\n\
                     Max open files            1024                 524288               files\n";
        assert_eq!(soft_limit(table), Some(1024));
        assert_eq!(soft_limit("Max open files            unlimited  unlimited  files"), None);
        assert_eq!(soft_limit(""), None);
    }

    #[test]
    fn files_remain_for_the_rest() {
        assert_eq!(for_clients(1, 10), 1);
        assert!(for_clients(usize::MAX, u32::MAX) >= 1);
    }
}
