"""A kernel for guests, with virtio: the machine's own, or that of a Debian package, which is fetched once."""

import fcntl
import pathlib

from lab.process import Failure, run

PACKAGE = "linux-image-cloud-amd64"


def kernel(folder):
    """The path of a vmlinuz and the folder of its modules; what is fetched is kept in `folder`, once for all who ask at the same time."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return first(pathlib.Path("/")) or first(folder) or fetched(folder)


def fetched(folder):
    depends = run("apt-cache", "depends", "--important", PACKAGE).stdout
    names = [line.split()[1] for line in depends.splitlines() if "Depends: linux-image-" in line]
    if not names:
        raise Failure(f"a guest needs a kernel: none with virtio_net in /boot, and no package {PACKAGE} to fetch one from")
    run("env", "-C", str(folder), "apt-get", "download", names[0], seconds=300)
    package = next(folder.glob(f"{names[0]}_*.deb"))
    run("dpkg", "-x", str(package), str(folder))
    package.unlink()
    return first(folder)


def first(root):
    for vmlinuz in sorted((root / "boot").glob("vmlinuz-*")):
        modules = root / "lib/modules" / vmlinuz.name.removeprefix("vmlinuz-")
        if any(modules.glob("kernel/drivers/net/virtio_net.ko*")):
            return vmlinuz, modules
    return None
