//! A PostgreSQL to test on: the one that `MUSTER_TEST_POSTGRES_URL` names, or a throwaway cluster
//! made with the server programs of the machine.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use diesel::connection::SimpleConnection;
use diesel::sql_types::Integer;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl};
use tempfile::TempDir;

use super::database::{Backend, TestDatabase, migrate};
use super::scratch;

/// Where databases are made, and the template they are copied from.
struct Server {
    /// URL without a database name, ending in a slash.
    base_url: String,
    /// Parameters of the URL, with the question mark.
    parameters: String,
    maintenance: String,
    template: String,
    /// How a database is copied: file by file, where the server can be told so. Nothing is written to its
    /// log then, and what its connections have worked out of the template's tables is copied along.
    strategy: &'static str,
    /// A template cannot be copied twice at the same time.
    copying: Mutex<()>,
    cluster: Mutex<Option<Cluster>>,
}

/// A cluster that ends with this process, however that ends: the shell around it waits for the pipe
/// to close, which the operating system sees to.
pub struct Cluster {
    programs: PathBuf,
    folder: TempDir,
    /// Whether what is committed is on the disk.
    is_durable: bool,
    running: Option<(Child, ChildStdin)>,
}

static SERVER: OnceLock<Server> = OnceLock::new();

/// Whether there is any PostgreSQL to test on.
pub fn is_available() -> bool {
    std::env::var_os("MUSTER_TEST_POSTGRES_URL").is_some() || programs().is_some()
}

/// Creates a database; returns its name and URL.
pub fn create_database(migrated: bool) -> (String, String) {
    let server = SERVER.get_or_init(start);
    let name = format!("muster_test_{}", uuid::Uuid::now_v7().simple());
    let template = if migrated { server.template.as_str() } else { "template0" };
    let _turn = server.copying.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    server.execute(&format!(
        "CREATE DATABASE \"{name}\" TEMPLATE \"{template}\" {}",
        server.strategy
    ));
    let url = server.url(&name);
    (name, url)
}

/// Drops a database, whoever is still connected to it.
pub fn drop_database(name: &str) {
    if let Some(server) = SERVER.get() {
        server.execute(&format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)"));
    }
}

/// Removes what was made.
pub fn stop() {
    let Some(server) = SERVER.get() else { return };
    drop_database(&server.template);
    let cluster = server.cluster.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    drop(cluster);
}

impl Server {
    fn new(url: &str, cluster: Option<Cluster>) -> Self {
        let (url, parameters) = match url.split_once('?') {
            Some((url, parameters)) => (url, format!("?{parameters}")),
            None => (url, String::new()),
        };
        let (base, maintenance) = url.rsplit_once('/').expect("a URL with a database name");
        let mut server = Self {
            base_url: format!("{base}/"),
            parameters,
            maintenance: maintenance.to_owned(),
            template: format!("muster_template_{}", uuid::Uuid::now_v7().simple()),
            strategy: "",
            copying: Mutex::new(()),
            cluster: Mutex::new(cluster),
        };
        server.execute(&format!("CREATE DATABASE \"{}\" TEMPLATE template0", server.template));
        migrate(&server.url(&server.template));
        if server.version() >= 150_000 {
            server.strategy = "STRATEGY FILE_COPY";
        }
        server
    }

    fn url(&self, database: &str) -> String {
        format!("{}{database}{}", self.base_url, self.parameters)
    }

    fn connect(&self) -> PgConnection {
        PgConnection::establish(&self.url(&self.maintenance)).expect("a PostgreSQL connection")
    }

    fn version(&self) -> i32 {
        #[derive(QueryableByName)]
        struct Found {
            #[diesel(sql_type = Integer)]
            version: i32,
        }
        let asked = "SELECT current_setting('server_version_num')::int AS version";
        let found: Found =
            diesel::sql_query(asked).get_result(&mut self.connect()).expect("its version");
        found.version
    }

    fn execute(&self, statement: &str) {
        let mut conn = self.connect();
        conn.batch_execute("SET client_min_messages = error").expect("a setting");
        conn.batch_execute(statement).expect("a statement that runs");
    }
}

fn start() -> Server {
    if let Ok(url) = std::env::var("MUSTER_TEST_POSTGRES_URL") {
        Server::new(&url, None)
    } else {
        let cluster = Cluster::new(false);
        Server::new(&cluster.url("postgres"), Some(cluster))
    }
}

/// The folder of `initdb` and `postgres`.
fn programs() -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    for (parent, below) in [
        ("/usr/lib/postgresql", "bin"),
        ("/usr/local", "bin"),
        ("/opt/homebrew/opt", "bin"),
        ("/usr/local/opt", "bin"),
        ("/usr", "bin"),
    ] {
        let mut found: Vec<PathBuf> = std::fs::read_dir(parent)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path().join(below)))
            .collect();
        found.sort();
        folders.extend(found.into_iter().rev());
    }
    folders
        .into_iter()
        .find(|folder| ["initdb", "postgres"].iter().all(|program| folder.join(program).is_file()))
}

/// The user to run the server as: PostgreSQL refuses to run as root.
fn unprivileged() -> Option<(u32, u32)> {
    let own: u32 = String::from_utf8(Command::new("id").arg("-u").output().ok()?.stdout)
        .ok()?
        .trim()
        .parse()
        .ok()?;
    if own != 0 {
        return None;
    }
    let accounts = std::fs::read_to_string("/etc/passwd").expect("the list of accounts");
    ["postgres", "nobody"].iter().find_map(|wanted| {
        let line = accounts.lines().find(|line| line.split(':').next() == Some(*wanted))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

impl Cluster {
    /// Whether there are the programs for it.
    pub fn can_be_made() -> bool {
        programs().is_some()
    }

    /// A cluster that keeps what it has acknowledged, for a test that ends it.
    pub fn durable() -> Self {
        Self::new(true)
    }

    fn new(is_durable: bool) -> Self {
        let programs = programs().expect("PostgreSQL's programs");
        let folder = if is_durable { tempfile::tempdir().expect("a folder") } else { scratch() };
        if let Some((uid, gid)) = unprivileged() {
            let chown = std::os::unix::fs::chown(folder.path(), Some(uid), Some(gid));
            chown.expect("a folder of theirs");
        }
        let mut cluster = Self { programs, folder, is_durable, running: None };
        let mut initdb = cluster.command(&cluster.programs.join("initdb"));
        initdb.arg("-D").arg(cluster.data()).args([
            "-U",
            "muster",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
        ]);
        let made = initdb.output().expect("initdb");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        cluster.start();
        cluster
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A command of whoever may run the server, in the folder of the cluster.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some((uid, gid)) = unprivileged() {
            command.uid(uid).gid(gid);
        }
        command.current_dir(self.folder.path());
        command
    }

    /// Starts the server, and waits until it can be asked.
    pub fn start(&mut self) {
        // The socket's folder is private to the cluster, so its port cannot clash with another's.
        let mut shell = self.command(Path::new("sh"));
        shell
            .arg("-c")
            .arg(
                // Where nobody says how to end, the tests were killed, and nobody cleans up after them.
                "\"$@\" </dev/null & pid=$!; read -r signal; kill -${signal:-INT} $pid; wait $pid; \
                 [ -n \"$signal\" ] || rm -rf \"$PWD\"",
            )
            .arg("sh")
            .arg(self.programs.join("postgres"))
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(self.folder.path())
            .args(["-c", "listen_addresses="])
            .args(["-c", "max_connections=200", "-c", "deadlock_timeout=100ms"])
            .args(["-c", "log_min_messages=log"]);
        // What is measured is measured on a durable one; else a process has less to give back when it ends.
        let cache = if self.is_durable { "shared_buffers=64MB" } else { "shared_buffers=16MB" };
        shell.args(["-c", cache]);
        if !self.is_durable {
            shell.args([
                "-c",
                "fsync=off",
                "-c",
                "synchronous_commit=off",
                "-c",
                "full_page_writes=off",
                "-c",
                "max_wal_size=256MB",
            ]);
        }
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut shell = shell.spawn().expect("a PostgreSQL server");
        let pipe = shell.stdin.take().expect("its input");
        let mut log = BufReader::new(shell.stderr.take().expect("its log"));
        let mut line = String::new();
        loop {
            line.clear();
            let read = log.read_line(&mut line).expect("the server's log");
            assert!(read > 0, "PostgreSQL ended before it was ready");
            if line.contains("ready to accept connections") {
                break;
            }
        }
        // Someone has to go on reading, or the server would block on its log.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        self.running = Some((shell, pipe));
    }

    /// Ends the server by a signal: `INT` ends its connections, `QUIT` is as good as a crash.
    pub fn stop(&mut self, signal: &str) {
        let Some((mut shell, mut pipe)) = self.running.take() else { return };
        let _ = pipe.write_all(format!("{signal}\n").as_bytes());
        drop(pipe);
        let _ = shell.wait();
    }

    fn url(&self, database: &str) -> String {
        let folder = self.folder.path().to_str().expect("a readable path");
        let host: String = url::form_urlencoded::byte_serialize(folder.as_bytes()).collect();
        format!("postgres://muster@{host}/{database}")
    }

    /// The database that every cluster has, which goes with it.
    pub fn database(&self) -> TestDatabase {
        TestDatabase::at(Backend::Postgres, &self.url("postgres"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop("INT");
    }
}
