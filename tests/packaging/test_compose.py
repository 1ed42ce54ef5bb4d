"""The Compose files."""

import re
import subprocess
import sys

import pytest
from ruamel.yaml import YAML

from tests.packaging.dockerfile import ROOT, parsed

COMPOSE = ROOT / "docker-compose.yml"
OVERRIDES = sorted((ROOT / "packaging/container").glob("*.yml"))
FILES = [COMPOSE, *OVERRIDES]
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def loaded(path):
    return YAML(typ="safe").load(path.read_text())


def services():
    return {
        f"{path.name}:{name}": service
        for path in FILES
        for name, service in loaded(path)["services"].items()
    }


def settled(text: str) -> str:
    """Return *text* as Compose reads it when no variable is set."""
    return VARIABLE.sub(lambda found: found[3] or "", text)


def orac() -> dict:
    return loaded(COMPOSE)["services"]["orac"]


def beside() -> dict:
    return loaded(ROOT / "packaging/container/beside-ollama.yml")["services"]


def problems(*paths) -> subprocess.CompletedProcess[str]:
    """Hold files against the schema of the Compose Specification."""
    schema = ("--builtin-schema", "vendor.compose-spec")
    return subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *schema, *map(str, paths)],
        check=False,
        capture_output=True,
        text=True,
    )


def test_every_file_follows_the_compose_specification():
    done = problems(*FILES)
    assert done.returncode == 0, done.stdout


def test_the_compose_specification_notices_a_wrong_key(tmp_path):
    wrong = tmp_path / "compose.yml"
    wrong.write_text(COMPOSE.read_text().replace("    read_only: true", "    readonly: true"))
    done = problems(wrong)
    assert done.returncode == 1
    assert "readonly" in done.stdout


def test_only_oracs_port_is_published_and_on_loopback_alone():
    assert [settled(port) for port in orac()["ports"]] == ["127.0.0.1:8000:8000"]
    for name, service in services().items():
        if name != "docker-compose.yml:orac":
            assert "ports" not in service
            assert service.get("network_mode") is None


def test_models_are_mounted_read_only():
    assert "./models/gguf:/models/gguf:ro" in orac()["volumes"]


def test_what_is_written_goes_to_named_volumes_and_a_small_tmp():
    whole = [orac(), beside()["ollama"]]
    for service in whole:
        assert service["read_only"] is True
        assert all(each.startswith("/tmp:size=") for each in service["tmpfs"])
    assert "state:/var/lib/orac" in orac()["volumes"]
    assert "state" in loaded(COMPOSE)["volumes"]


def test_containers_have_no_rights_beyond_a_users():
    for service in (orac(), beside()["ollama"]):
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    for service in services().values():
        assert not {"privileged", "cap_add", "pid", "ipc", "devices"} & set(service)
        assert "docker.sock" not in str(service)


def test_they_get_the_gpu_through_nvidias_runtime_unless_told_otherwise():
    for service in (orac(), beside()["ollama"]):
        assert settled(service["runtime"]) == "nvidia"
        assert service["environment"]["NVIDIA_VISIBLE_DEVICES"] == "all"
        assert service["environment"]["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"


def test_groups_and_base_image_are_those_of_the_dockerfile():
    opening, *_, final = parsed((ROOT / "Dockerfile").read_text())
    gids = [each.value.partition("=")[2] for each in final.all("ARG")]
    assert [settled(gid) for gid in orac()["group_add"]] == gids
    base = settled(orac()["build"]["args"]["BASE_IMAGE"])
    assert f"BASE_IMAGE={base}" == opening.only("ARG").value


def test_the_health_check_is_the_images():
    options, command = parsed((ROOT / "Dockerfile").read_text())[-1].healthcheck
    told = orac()["healthcheck"]
    assert told["test"] == ["CMD", *command]
    assert {name.replace("-", "_"): value for name, value in options.items()} == {
        name: str(value) for name, value in told.items() if name != "test"
    }


def test_stopping_leaves_more_time_than_running_answers_get():
    assert int(orac()["stop_grace_period"].removesuffix("s")) >= 60


def test_signals_pass_an_init_that_reaps():
    assert orac()["init"] is True
    assert beside()["ollama"]["init"] is True


def test_no_token_stands_in_a_file():
    environment = orac()["environment"]
    assert {environment[f"ORAC_{who}_TOKEN"] for who in ("ADMIN", "USER")} == {None}
    for path in FILES:
        assert not re.search(r"TOKEN: *[^\s$/]", path.read_text())


def test_a_token_in_a_file_is_a_secret():
    document = loaded(ROOT / "packaging/container/token-file.yml")
    service = document["services"]["orac"]
    (name,) = service["secrets"]
    assert service["environment"]["ORAC_ADMIN_TOKEN_FILE"] == f"/run/secrets/{name}"
    assert name in document["secrets"]


def test_jtops_socket_is_needed_by_none_but_the_file_that_adds_it():
    assert "jtop.sock" not in str(loaded(COMPOSE)["services"])
    (mount,) = loaded(ROOT / "packaging/container/jtop.yml")["services"]["orac"]["volumes"]
    assert mount["source"] == mount["target"] == "/run/jtop.sock"
    assert mount["bind"]["create_host_path"] is False


def test_an_ollama_beside_is_reached_by_its_name():
    both = beside()
    assert both["ollama"]["environment"]["OLLAMA_HOST"] == "0.0.0.0:11434"
    (mount,) = both["orac"]["volumes"]
    source, target, mode = mount.split(":")
    assert (target, mode) == ("/etc/orac/orac.toml", "ro")
    assert 'url = "http://ollama:11434"' in (ROOT / source).read_text()
    assert both["orac"]["environment"]["OLLAMA_HOST"] == "http://ollama:11434"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_variable_has_a_default_or_says_what_it_lacks(path):
    for _, kind, text in VARIABLE.findall(path.read_text()):
        assert kind
        assert text
