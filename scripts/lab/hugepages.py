"""Huge pages for a test: taken at run time, given back at its end, one test of the machine at a time."""

import fcntl
import pathlib
import re

from lab.process import Failure, run

RESERVED = pathlib.Path("/proc/sys/vm/nr_hugepages")
LOCK = "/tmp/hugepages.lock"


def free_pages():
    """Huge pages of 2 MiB that nobody uses."""
    return int(re.search(r"HugePages_Free:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text()).group(1))


def reserve(more):
    """So many pages more than the machine has, or fewer."""
    if more:
        RESERVED.write_text(str(max(0, int(RESERVED.read_text()) + more)))


class HugePages:
    """So many MiB of free huge pages, and a hugetlbfs mounted at `folder`, until the lab closes."""

    def __init__(self, lab, megabytes):
        self._lock = open(LOCK, "w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        lab.at_close(self._lock.close)
        missing = max(0, megabytes // 2 - free_pages())
        lab.at_close(reserve, -missing)
        reserve(missing)
        if free_pages() < megabytes // 2:
            raise Failure(f"this test needs {megabytes // 2} free huge pages of 2 MiB; the kernel gives {free_pages()}")
        self.folder = pathlib.Path(lab.folder) / "huge"
        self.folder.mkdir()
        run("mount", "-t", "hugetlbfs", "none", str(self.folder))
        lab.at_close(run, "umount", str(self.folder))
