"""A sub-interpreter is refused in words of our own, whatever the libraries beneath would say or do there."""

from __future__ import annotations

import subprocess
import sys

SOURCE = """
try:
    import _interpreters
    made = _interpreters.create("legacy")
except ImportError:
    import _xxsubinterpreters as _interpreters
    made = _interpreters.create(isolated=False)
try:
    print(_interpreters.run_string(made, "import spanledger"))
except Exception as error:
    print(error)
import spanledger
print("here it runs")
"""


def test_a_sub_interpreter_is_refused_with_the_remedy_and_the_main_one_goes_on() -> None:
    ran = subprocess.run([sys.executable, "-c", SOURCE], capture_output=True, text=True, check=True)
    refused, here = ran.stdout.strip().rsplit("\n", 1)
    assert "spanledger runs in the main interpreter only: use processes, and with mod_wsgi" in refused
    assert here == "here it runs"
