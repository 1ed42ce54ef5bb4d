import atexit
import os
import shutil
import signal
import tempfile

import pytest
from hypothesis import settings

# An Ollama that happens to run on this machine is no business of the tests: nothing listens here.
os.environ["OLLAMA_HOST"] = "127.0.0.1:1"

# A token of whoever runs the tests is none of theirs.
for name in ("ORAC_TOKEN", "ORAC_ADMIN_TOKEN", "ORAC_USER_TOKEN"):
    os.environ.pop(name, None)
    os.environ.pop(f"{name}_FILE", None)

# What ORAC keeps over a restart does not go to the home of whoever runs the tests.
os.environ["ORAC_STATE_DIR"] = tempfile.mkdtemp(prefix="orac-state-")
atexit.register(shutil.rmtree, os.environ["ORAC_STATE_DIR"], ignore_errors=True)

# A script that runs the tests in the background has Ctrl-C ignored, by all that they start as well.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("everyday", print_blob=True, deadline=None)
settings.register_profile("ci", print_blob=True, derandomize=True, deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "everyday")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Make a test that is skipped in CI a failure: what it lacks has to be installed there."""
    report = yield
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which must not happen in CI: {report.longrepr}"
    return report
