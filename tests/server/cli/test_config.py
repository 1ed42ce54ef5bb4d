"""`orac config`: what holds, and where each value comes from."""

import json

import pytest

from tests.processes import orac_here

MANIFEST = """
profile = "lab"
[server]
port = 8100
max_queue = 5
[models]
paths = ["gguf"]
parameters = { temperature = 0.5 }
aliases = { tiny = "local/m" }
[models.files."a.b"]
pinned = true
source = "https://user:hidden-one@models.example/a.gguf"
[backends.local]
kind = "llamacpp"
threads = 2
[backends.cloud]
kind = "nobodys"
url = "https://user:hidden-two@models.example/v1?key=hidden-two"
api_key = "hidden-five"
[profiles.lab.models]
general = { name = "m", provider = "llamacpp", parameters = { num_predict = 8 } }
seeing = { name = "m", provider = "vision" }
[profiles.field]
"""


def test_adapters_with_a_manifest_are_shown(alone):
    (alone / "adapters").mkdir()
    (alone / "adapters" / "arm.toml").write_text('name = "arm"\n')
    (alone / "orac.toml").write_text('[models]\nadapters = "adapters"\n')
    (entry,) = facts()["adapters"]
    assert (entry["name"], "lacks `checksum`" in entry["problem"]) == ("arm.toml", True)
    assert "arm.toml" in config().stdout


def test_an_adapter_is_shown_with_its_base_and_a_role_with_its_adapters(alone):
    (alone / "adapters").mkdir()
    checksum = f"sha256:{64 * 'a'}"
    (alone / "adapters" / "arm.toml").write_text(
        f'name = "arm"\nfile = "arm.gguf"\nbase_architecture = "qwen3"\nchecksum = "{checksum}"\n'
        f'base_checksum = "sha256:{64 * "b"}"\ncreated = 2026-11-21T12:00:00Z\n'
    )
    (alone / "orac.toml").write_text(
        '[models]\nadapters = "adapters"\n'
        '[profiles.default.models.robot]\nname = "m"\nadapters = [{ path = "arm", scale = 0.5 }]\n'
    )
    lines = [line.split("\t") for line in config().stdout.splitlines()]
    (role,) = (it for it in lines if it[0] == "robot")
    assert role[1] == "m with arm (scale 0.5)"
    (entry,) = (it for it in lines if it[0] == "arm")
    assert entry[1] == "qwen3 sha256:bbbbbbbb…"
    assert entry[3:5] == ["sha256:aaaaaaaa…", "2026-11-21T12:00:00+00:00"]


@pytest.fixture
def manifest(alone):
    path = alone / "orac.toml"
    path.write_text(MANIFEST)
    return path


def config(*arguments):
    done = orac_here("config", *arguments)
    assert done.returncode == 0, done.stderr
    return done


def facts(*arguments):
    return json.loads(config("--json", *arguments).stdout)


def test_each_setting_is_told_with_where_it_comes_from(manifest, monkeypatch):
    monkeypatch.setenv("ORAC_SERVER_MAX_QUEUE", "7")
    monkeypatch.setenv("ORAC_BENCHMARK_ROUNDS", "3")
    found = facts("--host", "robot.lan", "--no-auth")
    told = {each["setting"]: (each["value"], each["origin"]) for each in found["settings"]}
    file = str(manifest)
    assert told["profile"] == ("lab", file)
    assert told["server.host"] == ("robot.lan", "--host")
    assert told["server.auth"] == (False, "--no-auth")
    assert told["server.port"] == (8100, file)
    assert told["server.max_queue"] == (7, "environment ORAC_SERVER_MAX_QUEUE")
    assert told["server.max_streams"] == (64, "default")
    assert told["benchmark.rounds"] == (3, "environment ORAC_BENCHMARK_ROUNDS")
    assert told["models.paths"] == (["gguf"], file)
    assert told["models.parameters.temperature"] == (0.5, file)
    assert told["models.aliases.tiny"] == ("local/m", file)
    assert told['models.files."a.b".pinned'] == (True, file)
    assert told["backends.local.threads"] == (2, file)
    assert found["manifest"] == file


def test_roles_profiles_and_places_are_told_as_they_came_out(manifest, models):
    found = facts("--models-dir", models)
    (general,) = found["roles"]
    assert general["models"] == ["local/m"]
    assert general["parameters"]["temperature"] == 0.5
    assert general["parameters"]["max_tokens"] == 8
    assert [each["role"] for each in found["skipped"]] == ["seeing"]
    assert [(each["name"], each["active"]) for each in found["profiles"]] == [
        ("lab", True),
        ("field", False),
    ]
    assert found["places"][:2] == [
        {"path": str(models), "origin": "--models-dir"},
        {"path": str(manifest.parent / "gguf"), "origin": "manifest models.paths"},
    ]


def test_no_secret_is_shown(manifest, monkeypatch):
    monkeypatch.setenv("ORAC_ADMIN_TOKEN", "hidden-three-hidden-three")
    monkeypatch.setenv("OLLAMA_HOST", "http://user:hidden-four@127.0.0.1:1")
    for done in (config("--json"), config()):
        assert "hidden" not in done.stdout + done.stderr
    assert facts()["environment"]["ORAC_ADMIN_TOKEN"] == "***"


def test_for_people_it_is_a_table_and_roles_that_are_left_out_are_on_stderr(manifest):
    done = config()
    lines = done.stdout.splitlines()
    assert lines[0] == f"manifest: {manifest}"
    assert f"server.port\t8100\t{manifest}" in lines
    assert "profile: lab; there are: lab, field" in lines
    assert "general\tlocal/m\ttemperature 0.5, max_tokens 8" in lines
    assert "the role seeing is skipped: no plugin and no backend offers" in done.stderr


def test_tables_in_tables_are_shown_so_that_it_can_be_seen_what_belongs_together(alone):
    (alone / "orac.toml").write_text(
        '[backends.own]\nkind = "python"\n'
        '[backends.own.models.echo]\nloader = "math:sqrt"\nkwargs = { x = 4 }\n'
    )
    shown = "echo = { loader = math:sqrt, kwargs = { x = 4 } }"
    assert any(shown in line for line in config().stdout.splitlines())


def test_without_a_manifest_the_defaults_hold(alone):
    done = config()
    assert done.stdout.startswith("manifest: none; the defaults hold\n")
    assert "backends.local.kind\tllamacpp\tdefault" in done.stdout.splitlines()


def test_every_mistake_is_told_and_the_exit_code_is_1(manifest, monkeypatch):
    manifest.write_text(
        'sevrer = 1\n[backends.local]\nkind = "llamacpp"\ntheards = 2\n[profiles.x.models]\n'
    )
    monkeypatch.setenv("ORAC_SERVER_PORT", "x")
    done = orac_here("config", "--json")
    assert done.returncode == 1
    told = {
        f'{manifest}: extra field "sevrer" @ top',
        f'{manifest}: extra field "theards" @ backends.local',
        f"{manifest}: no profile 'default'; there are: x @ profile",
        "environment ORAC_SERVER_PORT: must be a whole number, not 'x'",
    }
    assert set(json.loads(done.stdout)["problems"]) == told
    assert all(each in done.stderr for each in told)


def test_wrong_settings_of_all_backends_are_told_where_nothing_else_is_wrong(manifest):
    manifest.write_text(
        '[backends.a]\nkind = "llamacpp"\nthreads = 0\n[backends.b]\nkind = "ollama"\nulr = 1\n'
    )
    done = orac_here("config")
    assert done.returncode == 1
    assert "@ backends.a" in done.stderr
    assert 'extra field "ulr" @ backends.b' in done.stderr


@pytest.mark.parametrize("command", [["serve"], ["doctor"], ["verify"]])
def test_no_command_works_with_a_variable_that_is_misspelt(alone, monkeypatch, command):
    monkeypatch.setenv("ORAC_SERVER_PROT", "1")
    done = orac_here(*command)
    assert done.returncode == 1
    assert "did you mean ORAC_SERVER_PORT?" in done.stdout + done.stderr


def test_the_doctor_tells_of_roles_that_are_left_out(manifest, models):
    manifest.write_text(
        '[backends.ollama]\nkind = "ollama"\nurl = "http://127.0.0.1:9"\n'
        '[profiles.default.models]\nseeing = { name = "m", provider = "vision" }\n'
    )
    found = json.loads(orac_here("doctor", "--json", "--models-dir", models).stdout)
    assert set(found["roles"]["skipped"]) == {"seeing"}
    (told,) = [each for each in found["findings"] if each["section"] == "roles" and each["remedy"]]
    assert (told["level"], told["text"].partition(":")[0]) == ("warning", "seeing is skipped")
