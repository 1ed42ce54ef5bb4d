"""What pages show on a terminal is run: each command, on the demo model and a stand-in for Ollama.

What is printed has to have every line that a page shows, whatever the numbers in it are.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.docs.fake_program import fake_ollama
from tests.docs.test_docs import DEMO, ROOT, commands_of, environment, of_page
from tests.processes import first_line, orac_here, serving, start

PAGES = ["reference/cli", *(f"how-to/{it}" for it in ("slow-model", "provision", "memory-short"))]
PAGES += ["how-to/benchmark", "how-to/own-tasks"]
BY_OTHER_TESTS = {
    *("tutorial/first-steps", "tutorial/first-backend", "how-to/adapters", "how-to/ollama"),
    *("how-to/fleet", "how-to/openai-servers", "how-to/ray", "how-to/roles", "how-to/wrap"),
}

NOT_RUN = {
    "orac load Qwen3-8B-Q4_K_M": "it needs a machine that holds one of two models",
    "orac doctor dolphin3 --degradation": "it needs a board with a full page cache",
    "orac doctor dolphin3 --degradation --experiment": "the same",
    "orac doctor M --degradation --experiment": "it takes a minute, as it loads the model 8 times",
}
OF_A_JETSON = {"orac doctor --gpu"}
"""What is run, but prints on another machine other lines than the page shows."""

EXIT_CODES = {
    "orac doctor cut": {1},
    "orac doctor --quick --server": {1},
    "orac doctor --gpu": {0, 1},  # a machine may be short of memory
    "orac doctor M --degradation": {0, 1},  # and slower now than it was, as others use it
    "orac bench orac-robot --verify --rounds 10": {0, 1},  # and may not be quiet enough
}
MEASURED = "orac bench orac-robot --rounds 1"
BEFORE = {
    "orac list": ("orac load orac-robot --keep-alive 30m",),
    "orac load orac-robot --keep-alive 30m": ("orac unload orac-robot",),
    "orac plan orac-robot": ("orac unload orac-robot",),
    "orac doctor --quick": ("orac unload orac-robot",),  # what is loaded may be slow just now
    "orac doctor --quick orac-robot": ("orac load orac-robot",),
    "orac doctor M --degradation": ("orac load orac-robot",),
    "orac bench --compare latest~1 latest": (MEASURED, MEASURED),
    "orac bench --show latest --markdown": (MEASURED,),
    "orac bench --recommend": (MEASURED,),
}
BRIEFER = {" M ": " orac-robot ", "--rounds 20": "--rounds 2", "--rounds 10": "--rounds 2"}
BRIEFER |= {"--missions 500": "--missions 2", "--suite full": "--suite full --rounds 1"}

MANIFEST = """
[models]
canaries = false
[backends.local]
kind = "llamacpp"
threads = 1
[backends.ollama]
kind = "ollama"
url = "{url}"
[profiles.default.models]
general = {{ name = "dolphin3", provider = "ollama" }}
coding = "Qwen3-1.7B-Q4_K_M"
"""
NO_SERVER = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with models, a manifest for a server and one to look at, and a file that is cut."""
    folder = tmp_path_factory.mktemp("console")
    demo = (DEMO / "orac-robot.gguf").read_bytes()
    for name in ("Qwen3-1.7B-Q4_K_M", "Qwen3-0.6B-Q4_K_M"):
        (folder / "models").mkdir(exist_ok=True)
        (folder / f"models/{name}.gguf").write_bytes(demo)
    (folder / "cut").mkdir()
    (folder / "cut/cut.gguf").write_bytes(demo[: len(demo) // 2])
    (folder / "cut/cut.gguf").chmod(0o644)
    (folder / "orac.toml").write_text('[server]\nhost = "0.0.0.0"\n')
    (folder / "command.txt").write_text("turn left by 90 degrees")
    return folder


@pytest.fixture(scope="module")
def server(place):
    """A server with the demo model, and an Ollama that can fetch the others."""
    state = {"ORAC_STATE_DIR": str(place / "state")}
    with fake_ollama("other:latest", "dolphin3", "tinyllama") as url:
        manifest = place / "server.toml"
        manifest.write_text(MANIFEST.format(url=url))
        options = ("--demo", "--manifest", manifest, "--models-dir", place / "models")
        with serving(*options, environ=state) as running:
            yield running.url


def test_every_page_with_commands_is_run_by_some_test():
    pages = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    shown = {
        str(page.with_suffix(""))
        for page in pages
        if any(block.language == "console" for block in of_page(ROOT / "docs" / page))
    }
    assert shown == {*PAGES, *BY_OTHER_TESTS}


SHOWN = [
    (name, command, output)
    for name in PAGES
    if name != "how-to/own-tasks"
    for command, output in commands_of(ROOT / f"docs/{name}.md")
]


def test_what_is_said_here_of_commands_is_said_of_some_that_are_shown():
    assert {*NOT_RUN, *EXIT_CODES, *BEFORE, *OF_A_JETSON} <= {each[1] for each in SHOWN}


@pytest.mark.parametrize(
    ("command", "output"),
    [
        pytest.param(*rest, id=f"{name}: {rest[0]}")
        for name, *rest in SHOWN
        if rest[0] not in NOT_RUN
    ],
)
def test_a_command_prints_what_its_page_shows(command, output, place, server, monkeypatch):
    monkeypatch.chdir(place)
    for name, value in surroundings(command, place, server).items():
        monkeypatch.setenv(name, value)
    assert {run(each)[0] for each in BEFORE.get(command, ())} <= {0}
    code, printed = run(command)
    assert code in EXIT_CODES.get(command, {0}), printed
    expected = [] if command in OF_A_JETSON else patterns(output)
    printed = printed.replace(f"{place}/cut", "/models/gguf").replace(str(place), "/etc/orac")
    found = list(map(shape, printed.splitlines()))
    lacking = [line for line in expected if not any(re.fullmatch(line, it) for it in found)]
    assert lacking == [], printed


def test_tasks_of_your_own_are_asked_with_the_command_of_the_page(tmp_path, monkeypatch):
    page = ROOT / "docs/how-to/own-tasks.md"
    tasks = [block.text for block in of_page(page) if block.language == "json"]
    (tmp_path / "mine.jsonl").write_text("".join(tasks[:2]))
    manifest = f'[models]\npaths = ["{DEMO}"]\n[benchmark]\ntasks = "{tmp_path}"\n'
    (tmp_path / "orac.toml").write_text(manifest)
    monkeypatch.setenv("ORAC_MANIFEST", str(tmp_path / "orac.toml"))
    monkeypatch.setenv("ORAC_URL", NO_SERVER)
    ((command, _),) = commands_of(page)
    code, printed = run(command)
    assert (code, "100" in printed) == (0, True), printed


def surroundings(command: str, place: Path, server: str) -> dict[str, str]:
    """Return the variables with which a command finds what its page speaks of."""
    if command == "orac doctor --quick --server":
        return {"ORAC_URL": NO_SERVER}
    found = {"ORAC_URL": server, "ORAC_STATE_DIR": str(place / "state")}
    if command == "orac doctor cut":
        found["ORAC_MODELS_DIR"] = str(place / "cut")
    if command.startswith("orac config"):
        found["ORAC_MANIFEST"] = str(place / "orac.toml")
    return found


def run(command: str) -> tuple[int, str]:
    """Run a command as it is, but for what would take long; return its code and what it prints."""
    for long, brief in BRIEFER.items():
        command = command.replace(long, brief)
    if command.startswith("orac serve"):
        return served(command)
    if re.search(r"[|<]", command):
        done = subprocess.run(
            command,
            shell=True,
            env=environment(os.environ["ORAC_URL"]),
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr
    words = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', command)]
    done = orac_here(*words[1:])
    return done.returncode, done.stdout + done.stderr


def served(command: str) -> tuple[int, str]:
    """Start a server, wait until it has said everything, and stop it as Ctrl-C would."""
    process = start(*command.split()[1:], "--port", "0")
    said = [first_line(process)]
    while not said[-1].startswith("Try it"):
        said.append(process.stdout.readline())
    process.terminate()
    rest = process.communicate(timeout=60)[0]
    return process.returncode, re.sub(r"--url \S+ ", "", "".join([*said, rest]))


def patterns(text: str) -> list[str]:
    """Return what matches the lines that a page shows, in which … stands for anything."""
    shapes = map(shape, text.splitlines())
    kept = [each for each in shapes if each not in ("", "…", "...")]
    return [".*".join(map(re.escape, re.split(r"…|\.\.\.$", each))) for each in kept]


def shape(line: str) -> str:
    """Return a line with every number as #, every size in one unit, and one space for several."""
    line = re.sub(r"\d{8}T\d{6}Z(-[0-9a-f]{6})?", "ID", line)
    line = re.sub(r"owner \w+", "owner #", line)
    line = re.sub(r"\d[\d.,]*\d|\d", "#", line)
    return " ".join(re.sub(r"# ?([KMG]i)?B\b", "# B", line).split())
