import subprocess
import sys
from pathlib import Path

SCRIPT = """
import ctypes, logging, os, sys
from pathlib import Path
from pipeline.quiet import quiet

print("before")
with quiet(Path(sys.argv[1])) as terminal:
    print("from Python")
    print("a warning", file=sys.stderr)
    os.write(1, b"from a file descriptor\\n")
    ctypes.CDLL(None).puts(b"from C")
    logging.getLogger("library").warning("from logging")
    terminal.out.write("ours\\n")
    terminal.err.write("our progress\\n")
print("after")
"""


def test_only_what_is_ours_reaches_the_terminal(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "a.log"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(log)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "before\nours\nafter\n"
    assert done.stderr == "our progress\n"
    for words in ("from Python", "a warning", "from a file", "from C", "from logging"):
        assert words in log.read_text()
