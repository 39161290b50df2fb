//! Writes the lines, on a thread of its own.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::Channel;
use super::line::time;

/// How soon the end is noticed, and that lines were missed.
const PAUSE: Duration = Duration::from_millis(200);

/// Where the lines go.
#[derive(Debug)]
pub struct Writer {
    /// Absent: the daemon's log.
    file: Option<(PathBuf, File)>,
    waiting: Receiver<String>,
    channel: Arc<Channel>,
}

impl Writer {
    pub(super) fn new(path: Option<&Path>, waiting: Receiver<String>, channel: Arc<Channel>) -> io::Result<Writer> {
        let file = path.map(|path| Ok::<_, io::Error>((path.to_owned(), open(path)?))).transpose()?;
        Ok(Writer { file, waiting, channel })
    }

    /// Writes until `stop`, and what waits then.
    pub fn run(mut self, stop: &AtomicBool) {
        loop {
            let waited = self.waiting.recv_timeout(PAUSE);
            self.tell_missed();
            match waited {
                Ok(line) => self.write(&line),
                // relaxed: a flag that carries nothing but itself
                Err(RecvTimeoutError::Timeout) if !stop.load(Ordering::Relaxed) => {}
                Err(_) => return,
            }
        }
    }

    /// Lines that there was no room for, and refusals beyond a client's share: how many.
    fn tell_missed(&mut self) {
        // relaxed: a count that carries nothing but itself
        let missed = self.channel.missed.swap(0, Ordering::Relaxed);
        if missed > 0 {
            tracing::warn!(missed, "the audit log lacks entries");
            let line = json!({ "time": time(SystemTime::now()), "missed": missed }).to_string();
            self.write(&line);
        }
    }

    fn write(&mut self, line: &str) {
        let Some((path, file)) = &mut self.file else { return tracing::info!(target: "audit", "{line}") };
        // relaxed: a flag that carries nothing but itself
        if self.channel.reopen.swap(false, Ordering::Relaxed) {
            match open(path) {
                Ok(new) => *file = new,
                Err(error) => tracing::warn!(path = %path.display(), %error, "the audit log stays in its old file"),
            }
        }
        // one write a line: whoever reads it sees whole ones
        if let Err(error) = file.write_all(format!("{line}\n").as_bytes()) {
            tracing::warn!(path = %path.display(), %error, "an entry of the audit log could not be written");
            self.channel.miss();
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests {
    use super::super::Audit;
    use super::*;

    #[test]
    fn what_there_is_no_room_for_is_counted_and_told() {
        let path = std::env::temp_dir().join(format!("vrouter-audit-{}", std::process::id()));
        let (audit, writer) = Audit::to(Some(&path)).unwrap();
        let address = ([192, 0, 2, 1], 1).into();
        for _ in 0..super::super::WAITING + 5 {
            audit.turned_away(address, "no certificate");
        }
        writer.run(&AtomicBool::new(true));
        let written = std::fs::read_to_string(&path).unwrap();
        assert_eq!(written.lines().count(), super::super::WAITING + 1);
        let missed = written.lines().find(|line| line.contains("missed")).unwrap();
        let missed: serde_json::Value = serde_json::from_str(missed).unwrap();
        assert_eq!(missed["missed"], json!(5));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_file_that_was_moved_away_is_left() {
        let path = std::env::temp_dir().join(format!("vrouter-audit-moved-{}", std::process::id()));
        let old = path.with_extension("1");
        let (audit, mut writer) = Audit::to(Some(&path)).unwrap();
        writer.write("one");
        std::fs::rename(&path, &old).unwrap();
        writer.write("two");
        audit.reopen();
        writer.write("three");
        assert_eq!(std::fs::read_to_string(&old).unwrap(), "one\ntwo\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
        std::fs::remove_file(&old).unwrap();
        std::fs::remove_file(&path).unwrap();
    }
}
