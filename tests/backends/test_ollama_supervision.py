"""A spawned Ollama: real processes of a stand-in, started, killed, and never left over."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from textwrap import dedent

import psutil
import pytest
from attrs import define, evolve, field
from hypothesis import given
from hypothesis import strategies as st

from orac_backends._http import HttpClient
from orac_backends._process import kept
from orac_backends.ollama import OllamaSettings
from orac_backends.ollama.address import Address
from orac_backends.ollama.api import OllamaApi
from orac_backends.ollama.supervision import (
    Pace,
    Patience,
    Supervisor,
    environment_for,
    supervised,
)
from orac_core import ConfigurationError
from tests.backends.driving import children, runs, until
from tests.fake_ollama import FakeOllama, write_program
from tests.ollama_fake.making import pulled_model
from tests.ollama_fake.names import Name
from tests.ollama_fake.store import Store
from tests.ollama_fake.when import now

ROOT = Path(__file__).parents[2]
FOR_EVER = "exec sleep 60"
UNTIL_KILLED = "trap '' TERM\necho ready\nwhile :; do sleep 60; done"


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


def script(folder: Path, body: str, interpreter: str = "/bin/sh") -> str:
    program = folder / "script"
    program.write_text(f"#!{interpreter}\n{body}\n")
    program.chmod(0o755)
    return str(program)


def in_group(number: int) -> list[int]:
    return [it.pid for it in psutil.process_iter() if runs(it.pid) and group_of(it.pid) == number]


def group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def below(pid: int) -> list[int]:
    return [it.pid for it in psutil.Process(pid).children(recursive=True)]


def end(*pids: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@define(eq=False)
class Spawned:
    """A supervisor, and what it did."""

    supervisor: Supervisor
    api: OllamaApi
    pauses: list[float]
    exits: list[int]

    async def load(self) -> list[int]:
        """Load the model; return the server's process and that of its runner."""
        await self.api.load({"model": "tiny", "stream": False}, 10)
        server, runner = below(self.supervisor.pid)
        return [server, runner]


@define(eq=False)
class Machine:
    """What a test chooses: program, store and environment, with a pace that does not wait."""

    folder: Path
    port: int = field(factory=free_port)
    environ: dict[str, str] = field(factory=lambda: dict(os.environ))
    gate: asyncio.Event = field(factory=asyncio.Event)
    settings: OllamaSettings = field(init=False)

    def __attrs_post_init__(self):
        self.gate.set()
        self.settings = OllamaSettings(
            spawn=True,
            program=str(write_program(self.folder / "bin")),
            store=self.folder / "store",
        )

    @property
    def address(self) -> Address:
        return Address(port=self.port)

    def choose(self, **settings) -> None:
        self.settings = evolve(self.settings, **settings)

    def add_model(self) -> None:
        name = Name.of("tiny")
        Store(self.folder / "store").put(name, pulled_model(name), now())

    @asynccontextmanager
    async def spawned(self, grace_s: float = 10.0):
        pauses, exits = [], []

        async def pause(seconds):
            pauses.append(seconds)
            await asyncio.sleep(0)
            await self.gate.wait()

        client = HttpClient.open("Ollama", self.address.url)
        try:
            async with supervised(
                self.settings,
                self.address,
                self.environ,
                OllamaApi(client),
                lambda: exits.append(1),
                pace=Pace(sleep=pause, grace_s=grace_s),
            ) as supervisor:
                yield Spawned(supervisor, OllamaApi(client), pauses, exits)
        finally:
            await client.close()


@pytest.fixture
def machine(tmp_path):
    yield Machine(tmp_path)
    assert children() == []


@pytest.fixture
async def spawn(machine):
    """Spawns Ollama; the first start is over."""
    async with AsyncExitStack() as stack:

        async def it(**options):
            spawned = await stack.enter_async_context(machine.spawned(**options))
            async with asyncio.timeout(20):
                await spawned.supervisor.settled()
            return spawned

        yield it


# Starting


async def test_it_is_started_and_answers(spawn):
    spawned = await spawn()
    assert spawned.supervisor.running
    assert spawned.supervisor.problem is None
    assert spawned.supervisor.restarts == 0
    assert await spawned.api.version() == "0.32.15"


async def test_opening_does_not_wait_for_it(machine):
    async with machine.spawned() as spawned:
        assert not spawned.supervisor.running
        assert (spawned.supervisor.pid, spawned.supervisor.problem) == (None, None)


async def test_it_is_found_in_the_path_and_at_home(machine, monkeypatch):
    machine.environ["PATH"] = str(machine.folder / "bin")
    monkeypatch.setenv("HOME", str(machine.folder))
    for program in ("ollama", "~/bin/ollama"):
        machine.choose(program=program)
        async with machine.spawned() as spawned:
            await spawned.supervisor.settled()
            assert spawned.supervisor.running


@pytest.mark.parametrize("program", ["no-such-program", "/no/such/program", "~nobody-there/x"])
async def test_a_program_that_is_not_there_is_a_problem_and_is_tried_for_again(
    machine, spawn, program
):
    machine.choose(program=program, restarts=0)
    spawned = await spawn()
    await until(lambda: spawned.supervisor.restarts > 20)
    assert f"cannot find the program {program}" in spawned.supervisor.problem
    assert "set `program`" in spawned.supervisor.problem
    assert spawned.pauses[:8] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert spawned.exits == []


async def test_a_program_that_comes_later_is_started(machine, spawn):
    program = machine.folder / "later"
    machine.choose(program=str(program))
    spawned = await spawn()
    assert spawned.supervisor.problem
    program.symlink_to(machine.folder / "bin" / "ollama")
    await until(lambda: spawned.supervisor.running)
    assert spawned.supervisor.problem is None


async def test_what_is_no_program_is_a_problem(machine, spawn):
    machine.choose(program=script(machine.folder, "", "/no/such/shell"), restarts=0)
    spawned = await spawn()
    assert "exit code 127" in spawned.supervisor.problem
    assert "cannot run" in spawned.supervisor.problem


async def test_one_that_never_answers_is_ended_and_started_again(machine, spawn):
    machine.choose(
        program=script(machine.folder, f"echo dreaming; {FOR_EVER}"), start_timeout_s=0.5
    )
    machine.gate.clear()
    spawned = await spawn()
    assert "did not answer within 0.5 s" in spawned.supervisor.problem
    assert "`start_timeout_s`" in spawned.supervisor.problem
    assert "dreaming" in spawned.supervisor.problem
    assert children() == []
    machine.gate.set()
    await until(lambda: spawned.supervisor.restarts == 1)


@pytest.mark.parametrize(
    "address",
    [
        Address(host="10.0.0.7"),
        Address(host="ollama"),
        Address(scheme="https"),
        Address(path="/ollama"),
        Address(port=0),
    ],
    ids=lambda address: address.url,
)
async def test_an_address_that_it_can_not_have_is_refused(machine, address):
    with pytest.raises(ConfigurationError, match="or set spawn = false"):
        async with supervised(machine.settings, address, {}, None, lambda: None):
            pass


async def test_its_lines_reach_the_log(machine, spawn, caplog):
    caplog.set_level(logging.DEBUG, "orac.ollama.log")
    await spawn()
    lines = [it.getMessage() for it in caplog.records if it.name == "orac.ollama.log"]
    assert any(f"Listening on 127.0.0.1:{machine.port}" in line for line in lines)


# Another one at that address


async def test_an_ollama_that_is_there_already_is_not_adopted(machine, spawn, caplog):
    async with FakeOllama(port=machine.port).serving() as other:
        machine.choose(restarts=0)
        spawned = await spawn()
        await until(lambda: spawned.supervisor.restarts > 2)
        problem = spawned.supervisor.problem
        assert "an Ollama is running there already: set spawn = false" in problem
        assert "another port in `url`" in problem
        assert not spawned.supervisor.running
        assert spawned.pauses[:3] == [0.5, 1, 2]
        assert {path for _, path, _ in other.requests} == {"/api/version"}
    await until(lambda: spawned.supervisor.running)
    assert [it.getMessage() for it in caplog.records].count(problem) == 1


async def test_another_program_at_its_address_is_named_as_such(machine, spawn):
    async with FakeOllama(port=machine.port).serving() as other:
        other.faults.html = 200
        spawned = await spawn()
        assert "another program than Ollama listens" in spawned.supervisor.problem
        assert "set another port in `url`" in spawned.supervisor.problem


async def test_losing_a_race_for_the_port_counts_for_no_death(machine, spawn):
    line = "Error: listen tcp 127.0.0.1:1: bind: address already in use"
    machine.choose(program=script(machine.folder, f"echo '{line}' >&2; exit 1"), restarts=0)
    spawned = await spawn()
    await until(lambda: spawned.supervisor.restarts > 1)
    assert "an Ollama is running there already" in spawned.supervisor.problem


# Dying


@pytest.mark.parametrize("victim", ["server", "keeper"])
async def test_when_it_is_killed_its_runners_go_and_it_is_started_again(machine, spawn, victim):
    machine.add_model()
    machine.gate.clear()
    spawned = await spawn()
    server, runner = await spawned.load()
    keeper = spawned.supervisor.pid
    os.kill(server if victim == "server" else keeper, signal.SIGKILL)
    await until(lambda: spawned.supervisor.problem)
    assert (
        "ended with signal SIGKILL (the kernel, when memory runs out?)"
        in spawned.supervisor.problem
    )
    assert (spawned.exits, spawned.supervisor.running, spawned.supervisor.pid) == ([1], False, None)
    await until(lambda: not any(map(runs, (keeper, server, runner))))
    assert in_group(keeper) == []
    machine.gate.set()
    await until(lambda: spawned.supervisor.running)
    assert (spawned.supervisor.problem, spawned.supervisor.restarts) == (None, 1)
    assert len(await spawned.load()) == 2


async def test_one_that_will_not_end_ends_with_its_keeper(machine):
    machine.choose(program=script(machine.folder, UNTIL_KILLED))
    async with machine.spawned() as spawned:
        await until(lambda: spawned.supervisor.pid and len(below(spawned.supervisor.pid)) == 2)
        pids = below(spawned.supervisor.pid)
        os.kill(spawned.supervisor.pid, signal.SIGKILL)
        try:
            await until(lambda: not any(map(runs, pids)))
        finally:
            end(*pids)


async def test_a_runner_that_dies_is_none_of_its_business(machine, spawn):
    machine.add_model()
    spawned = await spawn()
    server, runner = await spawned.load()
    os.kill(runner, signal.SIGKILL)
    await until(lambda: not runs(runner))
    assert runs(server)
    assert spawned.supervisor.running
    assert spawned.exits == []


async def test_too_many_deaths_make_it_give_up(machine, spawn):
    machine.choose(program=script(machine.folder, "echo my disk is gone; exit 3"), restarts=2)
    spawned = await spawn()
    await until(lambda: len(spawned.exits) == 3)
    await until(lambda: "not started again" in spawned.supervisor.problem)
    problem = spawned.supervisor.problem
    assert "failed 3 times within 10 minutes" in problem
    assert "restart ORAC" in problem
    assert "exit code 3. Its last lines: my disk is gone" in problem
    assert spawned.pauses == [0.5, 1]
    assert spawned.supervisor.restarts == 2


# Leaving


async def test_leaving_ends_it_in_order_and_its_runners_too(machine):
    machine.add_model()
    async with machine.spawned() as spawned:
        await spawned.supervisor.settled()
        pids = await spawned.load()
        keeper = spawned.supervisor._child
    assert keeper.returncode == 0
    assert not any(map(runs, pids))
    assert in_group(keeper.pid) == []
    assert (spawned.supervisor.running, spawned.supervisor.pid) == (False, None)
    assert spawned.exits == []


async def test_one_that_will_not_end_is_killed(machine):
    machine.choose(program=script(machine.folder, UNTIL_KILLED))
    async with machine.spawned(grace_s=0.2) as spawned:
        await until(lambda: spawned.supervisor.pid and len(below(spawned.supervisor.pid)) == 2)
        pids = below(spawned.supervisor.pid)
    assert not any(map(runs, pids))


@pytest.mark.parametrize("turns", [0, 1, 3, 10, 30, 100, 300])
async def test_giving_up_at_any_time_leaves_nothing(machine, turns):
    async def whole():
        async with machine.spawned():
            await asyncio.Event().wait()

    task = asyncio.create_task(whole())
    for _ in range(turns):
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    await until(lambda: not children())


async def test_who_can_not_wait_for_its_end_has_it_killed(machine):
    machine.choose(program=script(machine.folder, UNTIL_KILLED))
    spawned = None

    async def whole():
        nonlocal spawned
        async with machine.spawned() as spawned:
            await asyncio.Event().wait()

    task = asyncio.create_task(whole())
    await until(lambda: spawned and spawned.supervisor.pid and below(spawned.supervisor.pid))
    for _ in range(2):
        task.cancel()
        await asyncio.wait([task], timeout=0.1)
    assert task.cancelled()
    await until(lambda: not children(), within=2)


def test_all_of_it_works_on_uvloop(tmp_path):
    uvloop = pytest.importorskip("uvloop")

    async def whole_life():
        machine = Machine(tmp_path)
        machine.add_model()
        async with machine.spawned() as spawned:
            await spawned.supervisor.settled()
            server, runner = await spawned.load()
            os.kill(server, signal.SIGKILL)
            await until(lambda: spawned.supervisor.restarts == 1 and spawned.supervisor.running)
            assert not runs(runner)
            pids = await spawned.load()
        assert not any(map(runs, pids))
        for turns in (1, 2, 5, 20):
            await test_giving_up_at_any_time_leaves_nothing(machine, turns)

    uvloop.run(whole_life())


# Nobody is left to see to it

PARENT = """
import asyncio, sys
from pathlib import Path
from tests.backends.test_ollama_supervision import Machine

async def main():
    machine = Machine(Path(sys.argv[1]))
    machine.add_model()
    async with machine.spawned() as spawned:
        await spawned.supervisor.settled()
        print(spawned.supervisor.pid, *await spawned.load(), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("keeper_too", [False, True])
def test_killing_orac_itself_leaves_nothing(tmp_path, keeper_too):
    argv = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE) as parent:
        keeper, *pids = map(int, parent.stdout.readline().split())
        assert len(pids) == 2
        assert all(map(runs, pids))
        parent.send_signal(signal.SIGKILL)
        if keeper_too:
            os.kill(keeper, signal.SIGKILL)
    try:
        asyncio.run(until(lambda: not any(map(runs, (keeper, *pids)))))
        assert in_group(keeper) == []
    finally:
        end(*in_group(keeper))


def test_the_keeper_of_a_parent_that_is_gone_does_not_start_anything():
    argv = list(kept(("/bin/echo", "started"), 1.0))
    argv[4] = "1"
    done = subprocess.run(argv, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")


@pytest.mark.parametrize(("body", "code"), [("exit 3", 3), ("kill -SEGV $$", -11)])
def test_the_keeper_ends_as_the_program_did(tmp_path, body, code):
    done = subprocess.run(kept((script(tmp_path, body),), 1.0), check=False, timeout=10)
    assert done.returncode == code


def test_the_keeper_kills_what_will_not_end(tmp_path):
    argv = kept((script(tmp_path, UNTIL_KILLED),), 0.1)
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as keeper:
        keeper.stdout.readline()
        pids = [keeper.pid, *below(keeper.pid)]
        keeper.terminate()
        try:
            assert keeper.wait(timeout=10) == -signal.SIGKILL
            assert not any(map(runs, pids))
        finally:
            end(*pids)


def test_the_keeper_clears_what_fled_into_other_sessions(tmp_path):
    body = "(setsid sleep 60 & setsid sleep 60 & exec sleep 60) &"
    argv = kept((script(tmp_path, body),), 1.0)
    marked = {**os.environ, "MARK": str(tmp_path)}
    subprocess.run(argv, env=marked, check=True, timeout=10, capture_output=True)
    left = [it.pid for it in psutil.process_iter() if mark_of(it) == str(tmp_path)]
    end(*left)
    assert left == []


def mark_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("MARK")
    except psutil.Error:
        return None


# Its environment


@pytest.fixture
def home(tmp_path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def environment(home, store=None, **variables):
    environ = {"HOME": str(home), **variables}
    return environment_for(OllamaSettings(spawn=True, store=store), Address(port=5), environ)


def test_it_listens_where_it_is_told(home):
    assert environment(home, OLLAMA_HOST="0.0.0.0:1")["OLLAMA_HOST"] == "127.0.0.1:5"


def test_what_concerns_it_passes_through_and_secrets_do_not(home):
    own = {
        "OLLAMA_NOPRUNE": "1",
        "OLLAMA_FLASH_ATTENTION": "1",
        "CUDA_VISIBLE_DEVICES": "0",
        "LD_LIBRARY_PATH": "/usr/local/cuda/lib64",
    }
    given = environment(home, **own, HF_TOKEN="x", ORAC_API_KEY="y", ORAC_PORT="1")
    assert given == {"HOME": str(home), "OLLAMA_HOST": "127.0.0.1:5", **own}


def test_its_store_is_the_one_that_is_set_and_is_made_for_nobody_else(home, tmp_path):
    store = tmp_path / "new" / "store"
    given = environment(home, store, OLLAMA_MODELS=str(tmp_path / "other"))
    assert given["OLLAMA_MODELS"] == str(store)
    assert store.stat().st_mode & 0o777 == 0o700
    assert not (tmp_path / "other").exists()


def test_the_store_of_the_environment_is_taken_when_none_is_set(home, tmp_path):
    store = tmp_path / "store"
    assert environment(home, OLLAMA_MODELS=str(store))["OLLAMA_MODELS"] == str(store)
    assert store.is_dir()


def test_a_folder_of_model_files_is_no_store(home, tmp_path):
    (tmp_path / "files" / "mine").mkdir(parents=True)
    (tmp_path / "files" / "mine" / "A.GGUF").touch()
    assert "OLLAMA_MODELS" not in environment(home, OLLAMA_MODELS=str(tmp_path / "files"))


def test_a_store_of_the_environment_that_can_not_be_had_is_left_out(home, tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        assert "OLLAMA_MODELS" not in environment(home, OLLAMA_MODELS=str(folder))


def test_a_store_that_is_set_and_can_not_be_had_is_an_error(home, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="file/below can not be the store.*set `store`"):
        environment(home, tmp_path / "file" / "below")


def test_without_a_home_it_keeps_in_its_store_what_it_keeps_there(tmp_path):
    given = environment(tmp_path / "none", tmp_path / "store")
    assert given["HOME"] == given["OLLAMA_MODELS"] == str(tmp_path / "store")


def test_with_neither_home_nor_store_it_can_not_be(tmp_path):
    with pytest.raises(ConfigurationError, match="no folder for its models.*set `store`"):
        environment(tmp_path / "none")
    with pytest.raises(ConfigurationError, match="no folder for its models"):
        environment("")


def test_folders_that_orac_may_not_write_to_are_not_used(tmp_path):
    # Permissions do not bind root, so this runs as somebody else.
    program = dedent("""
        import os, sys
        from pathlib import Path
        from orac_backends.ollama import OllamaSettings
        from orac_backends.ollama.address import Address
        from orac_backends.ollama.supervision import environment_for
        os.geteuid() or os.setuid(65534)
        locked = sys.argv[1]
        for store, environ in (
            (None, {"HOME": locked}),
            (Path(locked), {}),
            (None, {"HOME": "/tmp", "OLLAMA_MODELS": locked}),
        ):
            try:
                settings = OllamaSettings(store=store)
                print(sorted(environment_for(settings, Address(), environ)))
            except Exception as error:
                print(error)
    """)
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o555)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o555)
    argv = [sys.executable, "-c", program, str(locked)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    home, store, named = done.stdout.splitlines()
    assert "set `store`" in home
    assert "ORAC may not write to it" in store
    assert named == "['HOME', 'OLLAMA_HOST']"


async def test_a_store_that_can_not_be_had_is_a_problem(machine, spawn):
    (machine.folder / "file").touch()
    machine.choose(store=machine.folder / "file")
    machine.gate.clear()
    spawned = await spawn()
    assert "can not be the store" in spawned.supervisor.problem


# Patience


def test_each_pause_is_twice_the_last_up_to_half_a_minute():
    patience = Patience(100)
    pauses = [patience.pause(0, died=True) for _ in range(8)]
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_ten_minutes_of_peace_make_it_forget():
    patience = Patience(1)
    assert patience.pause(0, died=True) == 0.5
    assert patience.pause(599, died=True) is None
    assert patience.pause(600, died=True) == 0.5


steps = st.tuples(st.floats(0, 700), st.booleans())


@given(st.integers(0, 6), st.lists(steps, max_size=60))
def test_it_gives_up_just_when_there_were_too_many_deaths_within_ten_minutes(limit, ends):
    patience, at = Patience(limit), 0.0
    deaths: list[float] = []
    for apart, died in ends:
        at += apart
        recent = [death for death in deaths if at - death < 600]
        pause = patience.pause(at, died=died)
        assert (pause is None) == (died and len(recent) >= limit)
        if pause is None:
            return
        assert 0.5 <= pause <= 30
        deaths += [at] * died
        assert len(patience._ends) <= len(ends)
