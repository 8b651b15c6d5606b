"""Docker Engine from Debian's packages on a bare machine, and a base image without a registry."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_SPACE = 20 * 2**30
_START = 60.0  # seconds
# What Python 3.10 and the wheels of the lock file need of the system.
_LIBRARIES = (
    "ca-certificates,libbz2-1.0,libffi8,libgomp1,liblzma5,libncursesw6,libreadline8,libsqlite3-0,"
    "libssl3,zlib1g"
)
_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"


def missing() -> str | None:
    """What is missing for it, as a reason to skip."""
    if shutil.which("docker") is None:
        return "there is no docker (Debian: apt-get install docker.io)"
    if not _answers() and (os.getuid() or shutil.which("dockerd") is None):
        return "no Docker Engine answers, and this user cannot start one"
    if not os.environ.get("OVERTILE_TEST_BASE_IMAGE") and shutil.which("debootstrap") is None:
        return "there is no debootstrap to make a base image, and OVERTILE_TEST_BASE_IMAGE none"
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < _SPACE:
        return f"the image takes {_SPACE >> 30} GiB of disk, and {free >> 30} are free"
    return None


@contextmanager
def engine(folder: Path) -> Iterator[None]:
    """One that answers, or else one of our own in a folder, for as long as it is needed.

    What an engine of our own has made is removed with it. Where it cannot start, as in a
    container without rights, the test is skipped with its words.
    """
    if _answers():
        yield
        return
    data, state, log = folder / "data", folder / "exec", folder / "log"
    socket = f"unix://{folder}/socket"
    with log.open("w") as output:
        process = subprocess.Popen(
            [
                *("dockerd", "--data-root", data, "--exec-root", state),
                *("-H", socket, "--pidfile", folder / "pid"),
            ],
            stdout=output,
            stderr=output,
        )
    before = os.environ.get("DOCKER_HOST")
    os.environ["DOCKER_HOST"] = socket
    try:
        until = time.monotonic() + _START
        while not _answers():
            if process.poll() is not None or time.monotonic() > until:
                last = log.read_text().strip().splitlines()[-1:]
                pytest.skip(f"Docker Engine does not start here: {' '.join(last)[-300:]}")
            time.sleep(0.5)
        yield
    finally:
        process.terminate()
        process.wait()
        os.environ.pop("DOCKER_HOST")
        if before is not None:
            os.environ["DOCKER_HOST"] = before
        # Ten gigabytes that pytest would keep; a network namespace stays mounted below it.
        subprocess.run(["umount", state / "netns/default"], capture_output=True, check=False)
        shutil.rmtree(data, ignore_errors=True)


def base_image(folder: Path) -> str:
    """The one that OVERTILE_TEST_BASE_IMAGE names, or a small Debian with this Python."""
    given = os.environ.get("OVERTILE_TEST_BASE_IMAGE")
    if given:
        return given
    root = folder / "root"
    _or_skip(
        ["debootstrap", "--variant=minbase", f"--include={_LIBRARIES}", "bookworm", str(root)],
        "no Debian can be had for a base image",
    )
    python, name = Path(sys.base_prefix), f"python3.{sys.version_info.minor}"
    local = root / "usr/local"
    shutil.copy2(python / "bin" / name, local / "bin")
    for path in python.glob("lib/libpython3*"):
        shutil.copy2(path, local / "lib", follow_symlinks=False)
    ignored = shutil.ignore_patterns("site-packages", "test", "__pycache__")
    shutil.copytree(python / "lib" / name, local / "lib" / name, ignore=ignored)
    shutil.copytree(python / "include" / name, local / "include" / name)
    subprocess.run(["chroot", str(root), "ldconfig"], check=True)
    # Those that this machine trusts: there may be a proxy.
    shutil.copy2(_AUTHORITIES, root / _AUTHORITIES.lstrip("/"))
    change = f"ENV SSL_CERT_FILE={_AUTHORITIES} PIP_CERT={_AUTHORITIES}"
    image = "overtile-test-base"
    with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as packed:
        subprocess.run(
            ["docker", "import", "--change", change, "-", image],
            stdin=packed.stdout,
            check=True,
            stdout=subprocess.DEVNULL,
        )
    shutil.rmtree(root)
    # An engine may start where its containers may not.
    _or_skip(["docker", "run", "--rm", "--network", "none", image, "true"], "containers do not run")
    return image


def _or_skip(command: list[str], reason: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        told = (done.stderr or done.stdout).strip().splitlines()[-1:]
        pytest.skip(f"{reason}: {' '.join(told)[-300:]}")


def _answers() -> bool:
    done = subprocess.run(["docker", "info"], capture_output=True, check=False)
    return done.returncode == 0
