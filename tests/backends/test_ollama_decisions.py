"""What the Ollama backend decides without a server: addresses, names, spans of time, questions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_backends.ollama import address, question, versions
from orac_backends.ollama.naming import name_of, part_name, same, short
from orac_backends.ollama.placement import has_gpu, shares_memory, shortfall
from orac_backends.ollama.question import Loading
from orac_backends.ollama.replies import Running
from orac_core import ConfigurationError, EmbedRequest, InvalidRequest, ModelFile, duration_s
from orac_core.files import Place
from tests.backends.driving import chat, raw


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("1.2.3.4", "http://1.2.3.4:11434"),
        (":1234", "http://127.0.0.1:1234"),
        ("robot.local:1234", "http://robot.local:1234"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:9000", "http://127.0.0.1:9000"),
        ("[::]:9000", "http://[::1]:9000"),
        ("::1", "http://[::1]:11434"),
        ("http://box", "http://box:80"),
        ("https://box/ollama/", "https://box:443/ollama"),
        ('"http://box:8080"', "http://box:8080"),
        ("  box  ", "http://box:11434"),
    ],
)
def test_the_variable_is_read_as_ollama_reads_it(host, url):
    assert address.find(None, {"OLLAMA_HOST": host}).url == url


def test_a_port_of_its_own_counts_where_the_host_has_none():
    assert address.find(None, {"OLLAMA_PORT": "99"}).port == 99
    assert address.find(None, {"OLLAMA_HOST": "box", "OLLAMA_PORT": "99"}).url == "http://box:99"
    assert address.find(None, {"OLLAMA_HOST": "box:1", "OLLAMA_PORT": "99"}).port == 1


def test_the_setting_goes_before_the_variables():
    assert address.find("http://a:1", {"OLLAMA_HOST": "b:2"}).url == "http://a:1"


@pytest.mark.parametrize(
    "url", ["ftp://box", "http://box:port", "http://box:70000", "http://box?x", "a b", "u@box"]
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(ConfigurationError, match="is no address of an Ollama"):
        address.find(url, {})


def test_a_password_in_an_address_is_not_told():
    with pytest.raises(ConfigurationError) as refused:
        address.find("http://user:secret@box", {})
    assert "secret" not in str(refused.value)


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_refused(text):
    try:
        found = address.find(text, {})
    except ConfigurationError:
        return
    assert found.host
    assert 0 <= found.port <= 65535


@pytest.mark.parametrize(
    ("host", "here"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("localhost", True), ("::1", True), ("box", False)],
)
def test_only_loopback_is_this_machine(host, here):
    assert address.Address(host=host).on_this_machine is here


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5m", 300),
        ("1h30m", 5400),
        ("90", 90),
        ("-1", -1),
        ("-1m", -60),
        ("1.5h", 5400),
        ("0", 0),
        ("500ms", 0.5),
        ("+2s", 2),
    ],
)
def test_spans_of_time_are_go_durations_or_seconds(text, seconds):
    assert duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5 m", "m", "1x", "5m!", "--1", "1h-5m"])
def test_what_is_no_span_of_time_is_refused(text):
    with pytest.raises(ValueError, match="no span of time"):
        duration_s(text)


def model_file(tmp_path, id_="Qwen3-0.6B-Q4_K_M", size=1000, modified_at=1.5):
    path = tmp_path / f"{id_.rpartition('/')[2]}.gguf"
    place = Place(tmp_path, "a test")
    return ModelFile(
        id=id_,
        path=path,
        parts=(path,),
        size_bytes=size,
        modified_at=modified_at,
        header=None,
        problem=None,
        place=place,
    )


def test_a_files_name_in_ollama_holds_its_stem(tmp_path):
    assert name_of(model_file(tmp_path)).startswith("Qwen3-0.6B-Q4_K_M:orac-")


def test_a_file_that_changed_has_another_name(tmp_path):
    names = {
        name_of(model_file(tmp_path)),
        name_of(model_file(tmp_path, size=1001)),
        name_of(model_file(tmp_path, modified_at=1.6)),
        name_of(model_file(tmp_path, id_="sub/Qwen3-0.6B-Q4_K_M.gguf")),
    }
    assert len(names) == 4


@given(st.text(min_size=1, max_size=200).filter(lambda text: "\0" not in text))
def test_every_file_has_a_name_that_ollama_takes(tmp_path_factory, text):
    base, _, tag = name_of(model_file(tmp_path_factory.getbasetemp(), text)).partition(":")
    assert 1 <= len(base) <= 80
    assert base[0].isascii()
    assert base[0].isalnum() or base[0] == "_"
    assert all(letter.isascii() and (letter.isalnum() or letter in "_-.") for letter in base)
    assert tag.startswith("orac-")


def test_parts_of_a_split_model_keep_their_order():
    assert part_name(1, 1) == "model.gguf"
    assert [part_name(n, 3) for n in (1, 3)] == [
        "model-00001-of-00003.gguf",
        "model-00003-of-00003.gguf",
    ]


def test_letter_case_and_the_usual_tag_make_no_other_name():
    assert same("TinyLlama", "tinyllama:latest")
    assert same("host:99/ns/a", "HOST:99/ns/a:latest")
    assert not same("a:b", "a:c")
    assert short("tinyllama:latest") == "tinyllama"
    assert short("tinyllama:1b") is None


def loading(**changes):
    return Loading(**({"name": "tiny:latest", "context_length": 2048} | changes))


def test_every_request_carries_the_options_of_the_load():
    made = loading(gpu_layers=20, keep_alive="30m")
    _, load = question.load(made, embeds=False)
    _, ask = question.question(chat("tiny", temperature=0.5), made, ())
    assert load["options"] == {"num_ctx": 2048, "num_gpu": 20}
    assert ask["options"].items() >= load["options"].items()
    assert load["keep_alive"] == ask["keep_alive"] == 1800


def test_a_model_is_kept_for_ever_by_a_number_below_nought():
    assert question.load(loading(keep_alive="-1"), embeds=False)[1]["keep_alive"] == -1


def test_nothing_is_cut_in_silence_and_every_answer_is_bounded():
    for request in (chat("tiny"), raw("tiny")):
        _, body = question.question(request, loading(), ())
        assert (body["truncate"], body["shift"]) == (False, False)
        assert body["options"]["num_predict"] == 2048


def test_a_bound_of_the_caller_holds():
    _, body = question.question(chat("tiny", max_tokens=7), loading(), ())
    assert body["options"]["num_predict"] == 7


def test_a_model_that_was_found_loaded_is_asked_with_what_it_has():
    _, body = question.question(chat("tiny"), loading(context_length=None), ())
    assert "num_ctx" not in body["options"]
    assert body["options"]["num_predict"] > 0
    assert "keep_alive" not in body


def test_only_a_model_that_thinks_is_told_not_to():
    assert "think" not in question.question(chat("tiny"), loading(), ("completion",))[1]
    assert question.question(chat("tiny"), loading(), ("thinking",))[1]["think"] is False


def test_a_raw_prompt_reaches_the_model_as_it_is():
    path, body = question.question(raw("tiny", "once"), loading(), ())
    assert (path, body["prompt"], body["raw"]) == ("/api/generate", "once", True)


def test_a_format_is_passed_on():
    schema = {"type": "object"}
    assert question.question(chat("tiny", wanted=schema), loading(), ())[1]["format"] == schema
    assert question.question(chat("tiny", wanted="json"), loading(), ())[1]["format"] == "json"


def test_options_out_of_range_never_reach_ollama():
    with pytest.raises(InvalidRequest, match="temperature must be a number"):
        question.question(chat("tiny", temperature=-1), loading(), ())


def test_a_model_for_vectors_is_loaded_and_asked_by_its_own_route():
    assert question.load(loading(), embeds=True)[0] == "/api/embed"
    body = question.embedding(EmbedRequest("tiny", ("a", "b"), 64), loading())
    assert (body["input"], body["dimensions"], body["truncate"]) == (["a", "b"], 64, False)


@pytest.mark.parametrize(
    ("asked", "configured", "trained", "used"),
    [
        (None, None, None, 4096),
        (None, None, 2048, 2048),
        (None, None, 262144, 4096),
        (8192, 1024, 262144, 8192),
        (None, 1024, 262144, 1024),
        (10**6, None, 8192, 8192),
    ],
)
def test_the_context_is_explicit_and_never_beyond_the_models(asked, configured, trained, used):
    assert question.context_length(asked, configured, trained) == used


def test_old_versions_are_warned_about_and_builds_of_ones_own_are_not():
    assert "CVE-2026-7482" in versions.holes("0.17.0")[0]
    for version in ("0.17.1", "0.24.0", "0.32.15-rc1", "1.0", "0.0.0", "dev"):
        assert versions.holes(version) == ()


def runner(size, vram):
    return Running("tiny:latest", "d" * 64, size, vram, None)


def test_a_model_that_is_wholly_on_the_gpu_is_where_it_belongs():
    assert shortfall("tiny", runner(1000, 1000)) is None


def test_a_model_that_is_partly_on_the_cpu_is_told_with_numbers_and_a_cause():
    told = shortfall("tiny", runner(4 << 30, 1 << 30))
    assert told.startswith("1.00 of 4.00 GiB (25%) of tiny are on the GPU")
    assert "page cache" in told


def test_a_model_that_lost_the_gpu_is_told_so():
    assert "lost the GPU" in shortfall("tiny", runner(4 << 30, 0))


def test_a_gpu_is_seen_by_its_device_files(tmp_path):
    assert not has_gpu(tmp_path)
    assert not shares_memory(tmp_path)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidia0").touch()
    assert has_gpu(tmp_path)
    (tmp_path / "dev/nvmap").touch()
    assert shares_memory(tmp_path)
