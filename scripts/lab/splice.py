"""testpmd, which is not ours, between a kernel interface and a device that two processes share: what a guest has of it."""

import re

from lab.process import Failure, until


class Splice:
    """Frames of the kernel interface `kernel` of a namespace leave by the DPDK device `devargs`, and the other way round.

    testpmd copies frames as they are and polls until stop(). `name`: the process's, in the lab; `pages`: HugePages, None for
    ordinary ones; `room`: bytes of its buffers; `queues`: pairs of each device; `options`: more of testpmd's;
    `auto_start`: else one of them starts it.
    """

    def __init__(self, netns, name, kernel, devargs, pages=None, room=2048, queues=1, options=("--no-lsc-interrupt",), auto_start=True):
        lab = netns.lab
        memory = ["--no-huge"] if pages is None else ["--single-file-segments", "--huge-dir", str(pages.folder)]
        self._process = netns.start(
            "dpdk-testpmd", "-l", "0,1", "-m", "128", *memory, "--no-pci", "--no-telemetry",
            f"--file-prefix={lab.prefix}-{name}", f"--vdev={devargs}",
            f"--vdev=net_af_packet0,iface={kernel},blocksz=65536,framesz={room},qpairs={queues}", "--",
            "--forward-mode=io", *(["--auto-start"] if auto_start else []), "--no-flush-rx", "--stats-period=1", f"--total-num-mbufs={8192 if room <= 4096 else 2048}",
            "--mbcache=32", "--burst=32", f"--mbuf-size={room + 128}", f"--rxq={queues}", f"--txq={queues}", *options, log=f"{name}.log")
        until(lambda: self._forwards() or not self._process.is_running(), 20, f"{name} to forward")
        if not self._process.is_running():
            raise Failure(f"{name} ended\n{self.output()}")

    def _forwards(self):
        return re.search(r"RX-packets: \d+", self.output())

    def output(self):
        return self._process.output()

    def stop(self):
        return self._process.stop()
