"""Processes that a lab starts: they end with it, even when it is killed."""

import ctypes
import os
import signal
import subprocess
import time

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


class Failure(Exception):
    """Something that a person should read, without a traceback."""


def until(condition, seconds, what):
    """The first true value of condition(), asked every 20 ms; Failure when `seconds` have passed."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"waited {seconds} s in vain for {what}")
        time.sleep(0.02)


def hasten(pid):
    """Lets a process's threads go before what else the machine does: a peer that waits 150 ms takes a thread that gets no processor for dead.
    Not so far before that a thread which never sleeps keeps the kernel's own from their work."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.setpriority(os.PRIO_PROCESS, int(thread), -6)


def run(*command, check=True, seconds=30, stdin=None):
    """Runs a command to its end; its CompletedProcess with text. Failure when it fails (if `check`) or takes too long."""
    try:
        done = subprocess.run(
            command, text=True, capture_output=True, timeout=seconds, input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None, preexec_fn=_die_with_parent,
        )
    except subprocess.TimeoutExpired as late:
        raise Failure(f"{' '.join(command)}: not done after {seconds} s") from late
    except FileNotFoundError as gone:
        raise Failure(f"{command[0]}: not found") from gone
    if check and done.returncode != 0:
        raise Failure(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}".rstrip())
    return done


def _die_with_parent():
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _on_its_own():
    # Ctrl-C goes to the lab, which ends its processes in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def adopt_orphans():
    """Processes whose parents end are this one's children."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1)


class _Orphan:
    """A child that we did not start: as much of a Popen as is used here."""

    def __init__(self, pid):
        self._pid, self._code = pid, None

    def poll(self):
        if self._code is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def wait(self, seconds):
        end = time.monotonic() + seconds
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(str(self._pid), seconds)
            time.sleep(0.01)
        return self._code

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self._pid, number)


class Process:
    """A process in the background, its output in a file."""

    def __init__(self, command, log, outlives_us=False):
        self.command, self.log = command, log
        with open(log, "wb") as output:
            self._popen = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                preexec_fn=_on_its_own if outlives_us else _die_with_parent,
            )
        self.pid = self._popen.pid

    def is_running(self):
        return self._popen.poll() is None

    def exit_code(self, seconds=10):
        """Waits for the end. Negative: the signal that ended it."""
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired as late:
            raise Failure(f"{self.command}: still there after {seconds} s") from late

    def signal(self, number):
        self._popen.send_signal(number)

    def stop(self, seconds=5):
        """SIGTERM, and SIGKILL after `seconds`. The exit code."""
        if self.is_running():
            self.signal(signal.SIGTERM)
            try:
                self._popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self.signal(signal.SIGKILL)
        return self._popen.wait(seconds)

    def follow(self, pid):
        """What is meant from now on is the process that another one has left in its place, which ended with 0: it is ours when its parent is gone."""
        code = self.exit_code()
        if code != 0:
            raise Failure(f"{self.command}: ended with {code} when process {pid} was to go on\n{self.output()}")
        self.pid, self._popen = pid, _Orphan(pid)

    def output(self):
        with open(self.log, errors="replace") as text:
            return text.read()
