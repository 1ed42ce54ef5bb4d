"""What the backend decides without an engine: threads, plans, questions, and what a log means."""

from pathlib import Path

import gguf
import pytest
from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st

from orac_backends._cores import free_cores, threads
from orac_backends._reading import read_ahead
from orac_backends.llamacpp import LlamaCppSettings
from orac_backends.llamacpp.log import (
    failed_start,
    ignored_format,
    offloaded_layers,
    sees_gpu,
    told,
)
from orac_backends.llamacpp.plan import plan
from orac_backends.llamacpp.question import question
from orac_backends.llamacpp.vectors import Vectors, pooling_of
from orac_core import (
    BackendError,
    GenerateOptions,
    GenerateRequest,
    InvalidRequest,
    LoadRequest,
    Message,
    ModelFile,
    ModelFileInvalid,
)
from orac_core.files import Place, read_header
from orac_core.memory import Setup, estimate
from tests.tiny_models import write
from tests.tiny_specialists import TinyBert, write_bert

counts = st.integers(1, 256)


def model_file(tmp_path, **shape) -> ModelFile:
    path = write(tmp_path, "tiny-qwen3-0.6b", **shape)
    return ModelFile(
        id="m",
        path=path,
        parts=(path,),
        size_bytes=path.stat().st_size,
        modified_at=0.0,
        header=read_header(path),
        problem=None,
        place=Place(tmp_path, "a test"),
    )


@pytest.fixture(scope="module")
def header(tmp_path_factory):
    return read_header(write(tmp_path_factory.mktemp("header"), "tiny-qwen3-0.6b"))


@given(physical=counts, allowed=counts, quota=st.none() | st.floats(0.1, 64))
def test_a_core_stays_free_wherever_there_are_two(physical, allowed, quota):
    count = threads(physical, allowed, quota)
    assert 1 <= count <= physical
    if allowed > 1:
        assert count < allowed
    if quota is not None and quota >= 2:
        assert count < quota


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ((6, 6, None), 5),
        ((8, 16, None), 8),
        ((2, 2, None), 1),
        ((16, 32, 4.0), 3),
        ((1, 1, 0.5), 1),
    ],
)
def test_threads_of_common_machines(machine, expected):
    assert threads(*machine) == expected


def test_this_machine_has_a_core_to_compute_on():
    assert free_cores() >= 1


def test_a_request_wins_over_the_settings_and_these_over_the_default(tmp_path):
    file = model_file(tmp_path, context_length=100_000)
    settings = LlamaCppSettings(context_length=3000, parallel=3, gpu_layers=1, threads=2)
    request = LoadRequest("m", context_length=2000, parallel=1, gpu_layers=0)
    chosen = plan(file, request, settings, 9)
    assert (chosen.context_length, chosen.parallel, chosen.gpu_layers) == (2000, 1, 0)
    chosen = plan(file, LoadRequest("m"), settings, 9)
    assert (chosen.context_length, chosen.parallel, chosen.gpu_layers) == (3000, 3, 1)
    assert (chosen.threads, chosen.total_context) == (2, 9000)
    chosen = plan(file, LoadRequest("m"), LlamaCppSettings(), 9)
    assert (chosen.context_length, chosen.parallel, chosen.gpu_layers) == (4096, 2, None)
    assert chosen.threads == 9


def test_a_larger_file_has_more_time_to_start(tmp_path):
    small, large = model_file(tmp_path), model_file(tmp_path)
    object.__setattr__(large, "size_bytes", 4 << 30)
    settings = LlamaCppSettings(start_timeout_s=60)
    times = [plan(it, LoadRequest("m"), settings, 1).start_timeout_s for it in (small, large)]
    assert times[0] == pytest.approx(60, abs=1)
    assert times[1] > 200


@pytest.mark.parametrize(
    "settings",
    [{"parallel": 0}, {"context_length": 0}, {"gpu_layers": -1}, {"start_timeout_s": 0}],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        LlamaCppSettings(**settings)


def nested(levels):
    schema = {"type": "string"}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


@pytest.mark.parametrize("schema", [nested(100), {"enum": ["x" * 1000] * 300}])
def test_a_schema_that_could_exhaust_the_engine_is_refused(schema):
    with pytest.raises(InvalidRequest, match="too large"):
        question(GenerateRequest("m", prompt="a", format=schema), 64, has_template=True)


def test_a_schema_nested_without_end_is_refused_as_well():
    with pytest.raises(InvalidRequest):
        question(GenerateRequest("m", prompt="a", format=nested(5000)), 64, has_template=True)


def test_only_known_fields_are_sent():
    request = GenerateRequest("m", (Message("user", "a"),), format={"type": "object"})
    path, body = question(request, 64, has_template=True)
    assert path == "/v1/chat/completions"
    assert set(body) == {
        "messages", "stream", "stream_options", "cache_prompt", "return_progress", "max_tokens",
        "response_format",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "error", "said"),
    [
        (
            (
                "0.00.1 E gguf_init_from_reader: this GGUF file is version 9 but",
                "0.00.2 E gguf_init_from_reader: failed to read header",
                "0.00.3 E load: error loading model: llama_model_loader: failed to load model x",
            ),
            ModelFileInvalid,
            "is version 9 but",
        ),
        (("error loading model: unknown model architecture: 'x'",), ModelFileInvalid, "'x'"),
        (
            (
                "ggml_backend_cuda_buffer_type_alloc_buffer: cudaMalloc failed: out of memory",
                "error loading model: unable to allocate CUDA0 buffer",
            ),
            BackendError,
            "not enough memory for m",
        ),
        (("0.1 E srv start: couldn't bind HTTP server socket",), BackendError, "could not listen"),
        (("a", "b"), BackendError, "exit code 1; its last words: a | b"),
        ((), BackendError, "it wrote nothing"),
        (
            ("0.1 E llama_init: K cache type q8_0 with block size 32 does not divide n_embd 16",),
            BackendError,
            '`cache_type = "f16"`',
        ),
    ],
)
def test_a_log_tells_why_a_start_failed_and_whose_fault_it_is(lines, error, said):
    reason = failed_start("m", Path("/models/m.gguf"), lines, "exit code 1")
    assert isinstance(reason, error)
    assert said in str(reason)


def test_a_log_tells_what_is_on_the_gpu_and_which_format_is_ignored():
    assert offloaded_layers(["x", "load_tensors: offloaded 12/33 layers to GPU"]) == 12
    assert offloaded_layers(["x"]) is None


@pytest.mark.parametrize(
    ("line", "sees"),
    [
        ("load_tensors: offloaded 0/33 layers to GPU", True),
        ("worker: no GPU, offloaded 0 layers to GPU", False),
        ("x", None),
    ],
)
def test_the_log_says_whether_there_is_a_gpu(line, sees):
    assert sees_gpu(["x", line]) is sees
    assert (
        ignored_format(["x", "0.1 E llg error: at 2(8): failed to compile"]) == "failed to compile"
    )
    assert ignored_format(["x"]) is None
    assert told(tuple("abcdefgh"), 2) == "its last words: g | h"


async def everything(parts):
    return [progress async for progress in read_ahead(parts)]


async def test_files_that_vanish_are_the_files_fault(tmp_path):
    with pytest.raises(ModelFileInvalid, match="No such file"):
        await everything((tmp_path / "gone.gguf",))


async def test_a_file_that_shrinks_while_it_is_read_is_noticed(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(b"x" * 1000)
    reading = read_ahead((path,))
    await anext(reading)
    path.write_bytes(b"x")
    with pytest.raises(ModelFileInvalid, match="became shorter"):
        async for _ in reading:
            pass
    await reading.aclose()


@pytest.mark.parametrize("wanted", [None, True, False])
def test_whether_to_go_on_past_the_end_of_an_answer_reaches_the_engine(wanted):
    request = GenerateRequest("m", prompt="x", options=GenerateOptions(ignore_eos=wanted))
    _, body = question(request, 64, has_template=False)
    assert body.get("ignore_eos") is wanted


def planned(file, **request):
    return plan(file, LoadRequest("m", **request), LlamaCppSettings(), 1)


@pytest.mark.parametrize("parallel", [1, 2, 3, 5, 7, 64])
def test_a_batch_of_vectors_is_a_multiple_of_the_texts_at_once(tmp_path, parallel):
    settings = LlamaCppSettings(embeddings=True)
    wanted = LoadRequest("m", parallel=parallel)
    for shape in ({}, {"pooling": gguf.PoolingType.LAST}, {"pooling": gguf.PoolingType.MEAN}):
        chosen = plan(model_file(tmp_path, **shape), wanted, settings, 1).vectors
        assert chosen.batch % parallel == 0
        assert 0 < chosen.longest <= 512


def test_a_model_that_answers_makes_vectors_unasked_where_its_vocabulary_is_small(tmp_path):
    file = model_file(tmp_path)
    assert planned(file).vectors == Vectors("mean", 512, 512, alone=True)
    assert file.header
    large = evolve(file, header=evolve(file.header, vocabulary_size=8193))
    assert planned(large).vectors is None


@given(tokens=st.integers(1, 1 << 14), context=st.integers(1, 1 << 15), parallel=st.integers(1, 64))
@example(tokens=8192, context=512, parallel=1)
@example(tokens=8193, context=512, parallel=1)
def test_vectors_that_nobody_asked_for_are_estimated_to_cost_at_most_32_mib(
    header, tokens, context, parallel
):
    shape, setup = evolve(header.shape, vocabulary_size=tokens), Setup(context, parallel)
    silent = estimate(shape, setup).compute_bytes
    costs = estimate(evolve(shape, pooling="mean"), setup).compute_bytes - silent
    if pooling_of(evolve(header, vocabulary_size=tokens), LlamaCppSettings()):
        assert costs <= 32 << 20
    else:
        assert costs + 4 * parallel * tokens > 32 << 20


@pytest.mark.parametrize("tokens", [None, 0, 300, 1 << 18])
@pytest.mark.parametrize("wanted", [False, True])
def test_vectors_are_made_or_not_as_the_settings_want_it(header, tokens, wanted):
    found = pooling_of(evolve(header, vocabulary_size=tokens), LlamaCppSettings(embeddings=wanted))
    assert found == ("mean" if wanted else None)


def test_nothing_is_made_unasked_of_a_vocabulary_that_nobody_knows(header):
    assert pooling_of(evolve(header, vocabulary_size=None), LlamaCppSettings()) is None


def test_a_llama_server_of_the_users_makes_vectors_only_where_they_are_asked_for(header):
    own = LlamaCppSettings(server_binary=Path("llama-server"))
    assert pooling_of(header, own) is None
    assert pooling_of(header, evolve(own, embeddings=True)) == "mean"


@pytest.mark.parametrize("wanted", [None, False, True])
def test_what_a_file_says_of_its_vectors_holds_whatever_is_set(header, wanted):
    for pooling in ("mean", "cls", "last", "rank"):
        made = evolve(header, pooling=pooling)
        assert pooling_of(made, LlamaCppSettings(embeddings=wanted)) == pooling
    assert pooling_of(None, LlamaCppSettings(embeddings=wanted)) is None


def test_the_last_token_needs_a_small_batch_only(tmp_path):
    file = model_file(tmp_path, pooling=gguf.PoolingType.LAST, context_length=2048)
    assert planned(file, parallel=2).vectors == Vectors("last", 128, 2048)


def test_an_encoder_reads_a_text_as_a_whole_of_512_tokens_unless_more_is_asked_for(tmp_path):
    path = write_bert(tmp_path, bert=TinyBert(context_length=2048))
    file = evolve(model_file(tmp_path), header=read_header(path))
    assert planned(file, parallel=1).vectors == Vectors("mean", 512, 512)
    asked = planned(file, parallel=1, context_length=1000)
    assert asked.vectors == Vectors("mean", 1000, 1000)
    with pytest.raises(InvalidRequest, match="`parallel`"):
        planned(file, parallel=8, context_length=4)


def test_a_model_for_vectors_keeps_no_cache_but_has_logits_for_a_batch(tmp_path):
    encoder = read_header(write_bert(tmp_path)).shape
    talker = read_header(write(tmp_path, "tiny-qwen3-0.6b")).shape
    assert encoder
    assert talker
    setup = Setup(512, 1, gpu_layers=0)
    assert estimate(encoder, setup).kv_cache_bytes == 0
    asked, plain = (estimate(evolve(talker, pooling=it), setup) for it in ("mean", None))
    logits = (2 * 512 - 1) * 4 * talker.vocabulary_size
    assert asked.total_bytes - plain.total_bytes == logits
