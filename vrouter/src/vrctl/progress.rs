//! How far a long command is, for who waits at a terminal.

use std::io::{IsTerminal, stderr};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Of what takes less nothing is drawn.
const PATIENCE: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(100);
const STAGE: &str = "{spinner} {msg}, {elapsed}";
const COUNT: &str = "{msg} [{wide_bar}] {human_pos} of {human_len}, {eta} left";

/// A line of the standard error, which goes when this does; none where that is no terminal. A thread of its own draws it, so that it is
/// alive while the command computes or waits.
pub struct Progress {
    bar: Bar,
    drawing: Option<(Sender<()>, JoinHandle<()>)>,
}

/// What the line says.
#[derive(Clone)]
pub struct Bar(ProgressBar);

impl Progress {
    /// Begins with something of which nobody knows how long it takes.
    pub fn of(what: &str) -> Progress {
        let bar = Bar(ProgressBar::hidden());
        bar.stage(what);
        let drawing = stderr().is_terminal().then(|| {
            let ((end, ended), line) = (channel(), bar.0.clone());
            (end, std::thread::spawn(move || draw(&line, &ended)))
        });
        Progress { bar, drawing }
    }

    /// What the line says, for whoever does the work.
    pub fn bar(&self) -> Bar {
        self.bar.clone()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.drawing.take() {
            drop(end);
            // it has nothing to say but that it is gone
            _ = thread.join();
        }
    }
}

impl Bar {
    /// Something else begins, of which nobody knows how long it takes.
    pub fn stage(&self, what: &str) {
        self.say(STAGE, what);
    }

    /// So many of something begin.
    pub fn count(&self, what: &str, many: usize) {
        self.0.set_length(many as u64);
        self.0.set_position(0);
        self.say(COUNT, what);
    }

    /// So many of them are done.
    pub fn advance(&self, done: usize) {
        self.0.inc(done as u64);
    }

    fn say(&self, form: &str, what: &str) {
        self.0.set_style(ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar()));
        self.0.set_message(what.to_owned());
    }
}

/// Draws the line after a while, until there is nothing more to draw.
fn draw(line: &ProgressBar, ended: &Receiver<()>) {
    if ended.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
        return;
    }
    line.set_draw_target(ProgressDrawTarget::stderr());
    while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
        line.tick();
    }
    line.finish_and_clear();
}
