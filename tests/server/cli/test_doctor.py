import json
import shutil
import stat

import pytest
from aiohttp import http_parser
from attrs import evolve
from click.testing import CliRunner

import orac_core
from orac_core import Health, InstanceHealth, ModelInfo, ModelState, ServedModel
from orac_core.health import fold
from orac_core.manifest import parse
from orac_server.cli import machine, main, patient
from orac_server.cli.findings import Finding, Section, as_facts, verdict
from tests import tiny_models
from tests.scripted import ScriptedBackend, plugins

UP = InstanceHealth(usable=True)


def doctor(*arguments, **kwargs):
    return CliRunner().invoke(main, ["doctor", *map(str, arguments)], **kwargs)


def facts(*arguments, **kwargs):
    done = doctor(*arguments, "--json", **kwargs)
    return json.loads(done.stdout), done.exit_code


def texts(section, level):
    return [each.text for each in section.findings if each.level == level]


def test_a_machine_without_models_is_well_and_told_how_to_get_one():
    done = doctor()
    assert done.exit_code == 0, done.output
    assert "no GGUF file in any place" in done.stdout
    assert "orac serve --demo" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("all that was asked for works; 1 warning above")


def test_every_place_is_named_with_what_was_found_in_it(models):
    tiny_models.write(models, "tiny-pythia")
    found, code = facts("--models-dir", models)
    assert code == 0
    assert [(place["origin"], place["models"]) for place in found["places"]] == [
        ("--models-dir", 1),
        *[("built-in", 0)] * 5,
    ]
    assert found["places"][1]["note"] == "does not exist"
    assert found["models"] == {
        "usable": 1,
        "broken": {},
        "required_not_usable": {},
        "warnings": {},
    }


def test_the_same_facts_stand_in_the_text_and_in_the_json(models):
    tiny_models.write(models, "tiny-pythia")
    found, _ = facts("--models-dir", models)
    text = doctor("--models-dir", models).stdout
    assert found["ok"] is True
    assert [each["text"] for each in found["findings"] if each["text"] not in text] == []
    assert found["verdict"] in text


def test_a_model_is_loaded_and_asked_for_a_token(models):
    path = tiny_models.write(models, "tiny-qwen3-0.6b")
    found, code = facts("tiny-qwen3-0.6b", "--models-dir", models)
    assert code == 0, found["verdict"]
    assert found["model"]["instance"] == "local"
    assert found["file"]["path"] == str(path)
    assert found["file"]["size_bytes"] == path.stat().st_size
    assert found["file"]["parts"][0]["mode"] == stat.filemode(path.stat().st_mode)
    assert found["file"]["parts"][0]["readable"] is True
    assert found["file"]["header"]["architecture"] == "qwen3"
    assert found["load"]["ok"] is True
    assert found["load"]["load_ms"] > 0
    assert found["load"]["applied"]["context_length"] > 0


def test_a_broken_file_is_bad_when_it_was_asked_for(models):
    whole = tiny_models.write(models, "tiny-pythia").read_bytes()
    (models / "cut.gguf").write_bytes(whole[:-100])
    found, code = facts("cut", "--models-dir", models)
    assert code == 1
    assert "truncated" in found["file"]["problem"]
    assert found["load"]["ok"] is False
    assert "truncated" in found["load"]["error"]


def test_a_broken_file_is_only_a_warning_when_another_was_asked_for(models):
    tiny_models.write(models, "tiny-pythia")
    (models / "empty.gguf").touch()
    found, code = facts("--models-dir", models)
    assert code == 0
    assert found["models"]["usable"] == 1
    assert "empty" in found["models"]["broken"]["empty"]
    assert [each["level"] for each in found["findings"] if each["section"] == "models"] == [
        *("good", "warning"),
    ]


def test_a_name_that_nothing_has_is_bad_and_a_similar_one_is_proposed(models):
    tiny_models.write(models, "tiny-pythia")
    found, code = facts("tiny-pithya", "--models-dir", models)
    assert code == 1
    assert found["model"]["similar"] == ["tiny-pythia"]
    assert "load" not in found


def test_a_role_is_said_to_mean_its_model(models, alone):
    tiny_models.write(models, "tiny-pythia")
    (alone / "orac.toml").write_text('[profiles.default.models]\ngeneral = "tiny-pythia"\n')
    done = doctor("general", "--models-dir", models)
    assert done.exit_code == 0, done.output
    assert "general means tiny-pythia, served by local (kind llamacpp)" in done.stdout


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "-rf", "a\nb", "\x1b[2J"])
def test_a_hostile_name_is_not_found_and_printed_escaped(name):
    done = doctor("--", name)
    assert done.exit_code == 1
    assert "not found" in done.stdout
    assert "\x1b" not in done.stdout


def test_every_mistake_of_a_manifest_is_named_with_its_place(alone, models):
    (alone / "orac.toml").write_text('profil = "a"\n[server]\nport = "x"\n')
    found, code = facts("--models-dir", models)
    assert code == 1
    assert found["manifest"]["path"] == str(alone / "orac.toml")
    assert len(found["manifest"]["problems"]) == 2
    assert "server.port" in " ".join(found["manifest"]["problems"])
    assert found["places"][0]["path"] == str(models)
    assert "instances" not in found


def test_a_mistake_in_the_settings_of_a_backend_counts_as_one_of_the_manifest(alone):
    (alone / "orac.toml").write_text('[backends.local]\nkind = "llamacpp"\nulr = 1\n')
    found, code = facts()
    assert code == 1
    assert "ulr" in " ".join(found["manifest"]["problems"])


def test_a_manifest_that_is_named_and_not_there_is_bad():
    found, code = facts("--manifest", "nowhere.toml")
    assert code == 1
    assert "nowhere.toml" in found["verdict"]


def test_a_backend_of_a_kind_that_no_plugin_offers_is_bad(alone):
    (alone / "orac.toml").write_text('[backends.far]\nkind = "warp"\n')
    found, code = facts()
    assert code == 1
    assert found["instances"]["far"]["usable"] is False
    assert "warp" in found["verdict"]


def test_a_password_in_the_address_of_the_server_is_not_shown():
    done = doctor(env={"ORAC_URL": "http://ann:secret@127.0.0.1:9"})
    assert "http://127.0.0.1:9" in done.stdout
    assert "secret" not in done.output


def test_only_ascii_goes_to_a_terminal_that_knows_no_more():
    done = CliRunner(charset="ascii").invoke(main, ["doctor"])
    assert done.exit_code == 0, done.output
    assert "  ok orac" in done.stdout
    assert done.stdout.isascii()


def test_a_file_that_this_user_may_not_read_comes_with_the_cure(models, monkeypatch):
    path = tiny_models.write(models, "tiny-pythia")
    monkeypatch.setattr("os.access", lambda *_: False)  # root may read every file
    found, code = facts("tiny-pythia", "--models-dir", models)
    assert code == 1
    assert found["file"]["parts"][0]["readable"] is False
    assert f"let this user read it: chmod a+r {path}" in [
        each["remedy"] for each in found["findings"]
    ]


def test_a_file_that_the_engine_refuses_comes_with_the_words_of_the_engine(models):
    path = tiny_models.write(models, "tiny-pythia", stem="odd")
    path.write_bytes(path.read_bytes().replace(b"blk.1.attn_norm.w", b"blk.1.attn_nrom.w"))
    found, code = facts("odd", "--models-dir", models)
    assert code == 1
    assert found["file"]["problem"] is None
    assert found["load"]["ok"] is False
    assert "blk.1.attn_norm.weight" in found["load"]["error"]


def test_a_part_that_is_missing_is_named(models):
    tiny_models.write(models, "tiny-pythia", parts=3)
    (gone,) = models.glob("*-00002-of-*")
    gone.unlink()
    found, code = facts("tiny-pythia", "--models-dir", models)
    assert code == 1
    assert "part 2 of 3 is missing" in found["file"]["problem"]


def test_an_aiohttp_without_its_c_parser_is_a_warning_with_the_cure(monkeypatch):
    assert machine.software().facts["aiohttp_c_parser"] is True
    monkeypatch.delattr(http_parser, "HttpRequestParserC")
    section = machine.software()
    assert section.facts["aiohttp_c_parser"] is False
    (warning,) = [each for each in section.findings if each.level == "warning"]
    assert "pip install" in str(warning.remedy)


def test_a_broken_plugin_is_a_warning_as_long_as_another_offers_a_kind():
    sound = {"name": "llamacpp", "kinds": [{"name": "llamacpp", "engine_version": None}]}
    common: dict[str, object] = {
        "distribution": None,
        "version": None,
        "wraps": [],
        "problem": None,
    }
    broken = {**common, "name": "ray", "kinds": [], "problem": "ImportError: no ray"}
    section = machine.plugins({"plugins": [{**common, **sound}, broken]})
    assert texts(section, "warning") == ["ray is broken: ImportError: no ray"]
    assert texts(section, "bad") == []
    assert texts(machine.plugins({"plugins": [broken]}), "bad") == [
        "no plugin offers a kind of backend, so nothing can be served",
    ]


def test_an_instance_that_is_not_needed_is_only_warned_of():
    health = Health("unhealthy", "", {"far": InstanceHealth(usable=False, message="is down")})
    needed = machine.instances(health, {"far": "openai"}, needed=True)
    assert texts(needed, "bad") == ["far (kind openai): is down"]
    assert texts(machine.instances(health, {}, needed=False), "warning") == [
        "far (kind ?): is down"
    ]


def test_a_model_that_failed_is_named_with_its_reason():
    served = [ServedModel(ModelInfo("a\nb", ModelState.FAILED, "no tensors"), "local", "llamacpp")]
    section = machine.models(served, fold({"local": UP}, served, {}))
    assert section.facts["usable"] == 0
    assert section.facts["broken"] == {"a\nb": "no tensors"}
    assert texts(section, "warning") == ["local/a\nb: no tensors"]


def test_a_model_that_failed_is_bad_when_it_is_required():
    info = ModelInfo("m", ModelState.FAILED, "no tensors")
    served = [ServedModel(info, "local", "llamacpp", required=True)]
    section = machine.models(served, fold({"local": UP}, served, {}))
    assert section.facts["required_not_usable"] == {"local/m": "no tensors"}
    assert texts(section, "bad") == ["required: local/m: no tensors"]
    assert texts(section, "warning") == []


def test_a_required_model_that_nothing_has_is_bad(alone):
    (alone / "orac.toml").write_text("[models.files.gone]\nrequired = true\n")
    found, code = facts()
    assert code == 1
    assert found["verdict"] == ("does not work: required: gone: no file and no engine has it")


def test_the_warnings_of_a_backend_stand_below_it():
    warned = InstanceHealth(usable=True, warnings=("it has a known hole; update it",))
    section = machine.instances(fold({"ollama": warned}, [], {}), {}, needed=True)
    assert [each.level for each in section.findings] == ["good", "warning"]
    assert texts(section, "warning") == ["ollama: it has a known hole; update it"]
    assert section.facts["ollama"]["warnings"] == ["it has a known hole; update it"]


def test_a_loaded_model_that_is_served_worse_than_it_could_be_is_a_warning():
    info = ModelInfo("m", ModelState.READY, warning="11 of 33 layers are on the CPU")
    served = [ServedModel(info, "ollama", "ollama")]
    section = machine.models(served, fold({"ollama": UP}, served, {}))
    assert texts(section, "warning") == ["ollama/m: 11 of 33 layers are on the CPU"]
    assert section.facts["warnings"] == {"ollama/m": "11 of 33 layers are on the CPU"}


async def test_the_warning_of_a_load_stands_below_it(tmp_path):
    class OnTheCpu(ScriptedBackend):
        def _info(self, name):
            return evolve(super()._info(name), warning="11 of 33 layers are on the CPU")

    manifest = parse({"backends": {"here": {"kind": "scripted"}}}, "a test")
    opening = orac_core.open(manifest, models_dir=tmp_path, plugins=plugins(OnTheCpu()), environ={})
    async with opening as manager:
        *_, load = await patient.examined(manager, "small")
    assert load.facts["warning"] == "11 of 33 layers are on the CPU"
    assert texts(load, "warning") == ["11 of 33 layers are on the CPU"]


def test_the_verdict_names_the_first_failure_and_counts_the_others():
    bad = [Finding("bad", "one\nand more"), Finding("bad", "two"), Finding("warning", "w")]
    section = Section("x", {}, tuple(bad))
    assert verdict([section]) == "does not work: one, and 1 more"
    assert as_facts([section])["ok"] is False


def test_the_json_has_the_sections_under_their_names(models):
    shutil.copy(tiny_models.write(models / "deep", "tiny-pythia"), models / "other.gguf")
    found, _ = facts("--models-dir", models)
    assert list(found) == [
        *("ok", "verdict", "software", "environment", "server", "manifest", "places"),
        *("state", "plugins", "instances", "roles", "models", "findings"),
    ]
