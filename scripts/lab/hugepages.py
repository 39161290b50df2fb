"""Huge pages for a test: taken at run time, given back at its end, one test of the machine at a time."""

import fcntl
import pathlib
import re

from lab.process import Failure, run, until

RESERVED = pathlib.Path("/proc/sys/vm/nr_hugepages")
LOCK = "/tmp/hugepages.lock"
SECONDS = 30


def free_pages():
    """Huge pages of 2 MiB that nobody uses."""
    return int(re.search(r"HugePages_Free:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text()).group(1))


def reserve(more):
    """So many pages more than the machine has, or fewer. Tells how many came, of more than none."""
    before = int(RESERVED.read_text())
    if more:
        RESERVED.write_text(str(max(0, before + more)))
    return int(RESERVED.read_text()) - before


class HugePages:
    """So many MiB of free huge pages, and a hugetlbfs mounted at `folder`, until the lab closes."""

    def __init__(self, lab, megabytes):
        self._lock = open(LOCK, "w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        lab.at_close(self._lock.close)
        wanted = megabytes // 2

        def enough():
            # the kernel may find some only when it is asked again: files fill the memory, in pieces
            missing = max(0, wanted - free_pages())
            lab.at_close(reserve, -reserve(missing))
            return free_pages() >= wanted
        try:
            until(enough, SECONDS, "huge pages")
        except Failure:
            raise Failure(f"this test needs {wanted} free huge pages of 2 MiB; the kernel gives {free_pages()}") from None
        self.folder = pathlib.Path(lab.folder) / "huge"
        self.folder.mkdir()
        run("mount", "-t", "hugetlbfs", "none", str(self.folder))
        lab.at_close(run, "umount", str(self.folder))
