//! The program of an upgrade: judged, started, heard of while it is not on its own.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::thread::{CapabilitySets, CpuSet, capabilities, sched_getaffinity, sched_setaffinity, set_capabilities};

use super::VARIABLE;
use crate::port::dpdk::close_on_exec;

/// Lines that are remembered.
const LINES: usize = 20;
/// How long a program's last lines are waited for when it has ended.
const LINES_TIME: Duration = Duration::from_millis(200);
/// How long an end is waited for that must come.
const END_TIME: Duration = Duration::from_secs(5);

/// That this may be run as the daemon: a regular file that can be run, and that nobody can write but root and the daemon's user. Where it
/// is without links.
///
/// # Errors
/// Why not, for people.
pub fn judge(path: &Path) -> Result<PathBuf, String> {
    let told = |why: &str| Err(format!("binary: {}: {why}", path.display()));
    let real = match fs::canonicalize(path) {
        Ok(real) => real,
        Err(error) => return told(&error.to_string()),
    };
    let there = match fs::metadata(&real) {
        Ok(there) => there,
        Err(error) => return told(&error.to_string()),
    };
    if !there.is_file() {
        return told("is no regular file");
    }
    if there.mode() & 0o111 == 0 {
        return told("is not executable");
    }
    let own = rustix::process::geteuid().as_raw();
    // whoever may write a folder on the way may put another file in its place
    for part in real.ancestors() {
        let Ok(part_of) = fs::metadata(part) else { return told("is in a folder that cannot be read") };
        let sticky = part_of.is_dir() && part_of.mode() & 0o1000 != 0;
        if ![0, own].contains(&part_of.uid()) || part_of.mode() & 0o022 != 0 && !sticky {
            return told(&format!("{} can be written by others than root and the daemon's user", part.display()));
        }
    }
    Ok(real)
}

/// The started program.
pub struct Program {
    child: Child,
    last: Arc<Mutex<VecDeque<String>>>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Program {
    /// Starts it with this daemon's own arguments, on these cores, and this end of a channel.
    pub fn start(path: &Path, end: OwnedFd, cores: &[usize]) -> io::Result<Program> {
        let mut command = Command::new(path);
        command.args(std::env::args_os().skip(1)).env(VARIABLE, "1").stdin(Stdio::from(end)).stderr(Stdio::piped());
        let mut child = as_it_began(cores, || command.spawn())?;
        let last = Arc::default();
        let reader = child.stderr.take().map(|lines| read(lines, &last)).transpose()?;
        Ok(Program { child, last, reader })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it, if it has not ended, and tells how it did, with its last lines.
    pub fn end(&mut self, ours: bool) -> String {
        let before = self.wait(if ours { Duration::ZERO } else { END_TIME });
        if before.is_none() {
            // an error means that it has ended meanwhile
            _ = self.child.kill();
            self.wait(END_TIME);
        }
        let end = Instant::now() + LINES_TIME;
        while self.reader.as_ref().is_some_and(|reader| !reader.is_finished()) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(2));
        }
        let how = match before {
            None => "it was ended".to_owned(),
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("it ended with {code}"),
                (_, signal) => format!("signal {} ended it", signal.unwrap_or_default()),
            },
        };
        let lines: Vec<String> = self.last.lock().iter().cloned().collect();
        if lines.is_empty() { how } else { format!("{how}; it said:\n{}", lines.join("\n")) }
    }

    fn wait(&mut self, within: Duration) -> Option<std::process::ExitStatus> {
        let end = Instant::now() + within;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(2)),
                _ => return None,
            }
        }
    }
}

/// Its lines are ours until it is on its own.
fn read(lines: ChildStderr, last: &Arc<Mutex<VecDeque<String>>>) -> io::Result<std::thread::JoinHandle<()>> {
    let last = last.clone();
    std::thread::Builder::new().name("vr-heir-lines".into()).spawn(move || {
        for line in BufReader::new(lines).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            eprintln!("{line}");
            let mut last = last.lock();
            if last.len() == LINES {
                last.pop_front();
            }
            last.push_back(line);
        }
    })
}

/// Runs this as the daemon was when it began: without files of devices that programs get, on all its cores, and, who is not root, with what it kept of its capabilities for programs too.
pub fn as_it_began<T>(cores: &[usize], run: impl FnOnce() -> T) -> T {
    if let Err(error) = close_on_exec() {
        tracing::warn!(%error, "files of devices stay open in the next program");
    }
    let before = sched_getaffinity(None);
    let mut set = CpuSet::new();
    cores.iter().filter(|core| **core < CpuSet::MAX_CPU).for_each(|core| set.set(*core));
    // an error means that it runs on fewer
    _ = sched_setaffinity(None, &set);
    let had = if rustix::process::geteuid().is_root() { None } else { capabilities(None).ok() };
    if let Some(had) = had {
        lend(had.permitted, true);
    }
    let ran = run();
    if let Some(had) = had {
        lend(had.permitted, false);
    }
    if let Ok(before) = before {
        _ = sched_setaffinity(None, &before);
    }
    ran
}

/// Programs that this thread runs have these capabilities, or none.
fn lend(kept: rustix::thread::CapabilitySet, to_programs: bool) {
    let inheritable = if to_programs { kept } else { rustix::thread::CapabilitySet::empty() };
    let lent = set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable });
    if let Err(error) = lent {
        tracing::warn!(%error, "capabilities cannot be given to the next program");
        return;
    }
    for (_, one) in kept.iter_names() {
        if let Err(error) = rustix::thread::configure_capability_in_ambient_set(one, to_programs) {
            tracing::warn!(%error, "a capability cannot be given to the next program");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_others_may_write_or_nobody_can_run_is_refused_by_name() {
        let folder = std::env::temp_dir().join(format!("vrouter-program-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let file = folder.join("program");
        fs::write(&file, "#!/bin/sh\n").unwrap();
        mode(&folder, 0o755);
        for (bits, why) in
            [(0o644, "is not executable"), (0o775, "can be written by others"), (0o757, "can be written by others")]
        {
            mode(&file, bits);
            let told = judge(&file).unwrap_err();
            assert!(told.starts_with(&format!("binary: {}: ", file.display())) && told.contains(why), "{told}");
        }
        mode(&file, 0o755);
        judge(&file).unwrap();
        mode(&folder, 0o777);
        assert!(judge(&file).unwrap_err().contains("can be written by others"), "another file may be put there");
        mode(&folder, 0o1777);
        judge(&file).unwrap();
        assert!(judge(&folder).unwrap_err().contains("is no regular file"));
        assert!(judge(&folder.join("nothing")).unwrap_err().contains("No such file"));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn how_a_program_ended_is_told_with_its_last_lines() {
        let run = |text: &str, ours| {
            let mut command = Command::new("/bin/sh");
            let mut child = command.args(["-c", text]).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
            let last = Arc::default();
            let reader = child.stderr.take().map(|lines| read(lines, &last).unwrap());
            Program { child, last, reader }.end(ours)
        };
        assert_eq!(run("for n in 1 2; do echo $n >&2; done; exit 7", false), "it ended with 7; it said:\n1\n2");
        assert_eq!(run("kill -9 $$", false), "signal 9 ended it");
        assert_eq!(run("exec sleep 100", true), "it was ended");
    }
}
