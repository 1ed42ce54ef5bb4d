"""scripts/convert_safetensors.py, with programs that stand in for llama.cpp's."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orac_core.files import read_header
from tests.packaging.dockerfile import ROOT
from tests.tiny_models import write

SCRIPT = ROOT / "scripts/convert_safetensors.py"

CONVERTER = """
import json, os, pathlib, shutil, sys
folder, *words = sys.argv[1:]
options = dict(zip(words[::2], words[1::2]))
here = pathlib.Path(__file__).parent
(here / "asked.json").write_text(json.dumps({"folder": folder, **options}))
made = pathlib.Path(options["--outfile"])
shutil.copy(here / "made", made)
print("converting")
sys.exit(int((here / "exit").read_text()))
"""

QUANTIZER = """#!/bin/sh
printf '%s\\n' "$3" > "$(dirname "$0")/quantized_as"
cp "$1" "$2"
"""


@pytest.fixture
def llama_cpp(tmp_path):
    """A folder of llama.cpp whose converter writes what lies in `made`."""
    folder = tmp_path / "llama.cpp"
    folder.mkdir()
    (folder / "convert_hf_to_gguf.py").write_text(CONVERTER)
    (folder / "exit").write_text("0")
    shutil.copy(write(tmp_path, "tiny-pythia"), folder / "made")
    quantizer = folder / "build/bin/llama-quantize"
    quantizer.parent.mkdir(parents=True)
    quantizer.write_text(QUANTIZER)
    quantizer.chmod(0o755)
    return folder


@pytest.fixture
def model(tmp_path):
    """A folder as Hugging Face's hub has them."""
    folder = tmp_path / "-a model; of $HOME"
    folder.mkdir()
    (folder / "config.json").write_text('{"architectures": ["GPTNeoXForCausalLM"]}')
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(safetensors(b"1234"))
    return folder


def safetensors(data: bytes) -> bytes:
    tensor = {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}
    header = json.dumps({"__metadata__": {"format": "pt"}, "w": tensor}).encode()
    return len(header).to_bytes(8, "little") + header + data


@pytest.fixture
def output(tmp_path):
    return tmp_path / "models" / "tiny.gguf"


@pytest.fixture
def convert(llama_cpp, model, output):
    """Runs the script on the model; what it was asked to take is named by $LLAMA_CPP_DIR."""

    def run(*words: object, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", str(SCRIPT), *map(str, words), "--", model, output],
            check=False,
            env={**os.environ, "LLAMA_CPP_DIR": str(llama_cpp), **environ},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def remains(output: Path) -> list[str]:
    return sorted(path.name for path in output.parent.iterdir()) if output.parent.exists() else []


def test_it_makes_a_whole_gguf_and_says_what_it_is(convert, output, llama_cpp, model):
    done = convert()
    assert done.returncode == 0, done.stderr
    assert read_header(output).architecture == "gptneox"
    assert remains(output) == ["tiny.gguf"]
    assert done.stdout.splitlines()[-1].startswith(f"{output}: gptneox, ")
    asked = json.loads((llama_cpp / "asked.json").read_text())
    assert (asked["folder"], asked["--outtype"]) == (str(model), "f16")


def test_what_is_being_made_has_no_name_that_a_service_would_find(convert, output, llama_cpp):
    assert convert("--outtype", "bf16").returncode == 0
    asked = json.loads((llama_cpp / "asked.json").read_text())
    made = Path(asked["--outfile"])
    assert made.suffix != ".gguf"
    assert made.parent.parent == output.parent
    assert asked["--outtype"] == "bf16"


def test_it_quantizes_when_told_to(convert, output, llama_cpp):
    assert convert("--quantize", "q4_k_m").returncode == 0
    assert read_header(output).architecture == "gptneox"
    assert (llama_cpp / "build/bin/quantized_as").read_text() == "Q4_K_M\n"
    assert remains(output) == ["tiny.gguf"]


def test_a_converter_and_a_quantizer_can_be_named(convert, output, llama_cpp):
    quantizer = llama_cpp / "build/bin/llama-quantize"
    words = ("--converter", llama_cpp / "convert_hf_to_gguf.py", "--quantizer", quantizer)
    done = convert(*words, "--quantize", "Q8_0", LLAMA_CPP_DIR="")
    assert done.returncode == 0, done.stderr


def test_a_file_that_is_there_is_left_alone_without_force(convert, output):
    output.parent.mkdir()
    output.write_text("mine")
    done = convert()
    assert (done.returncode, output.read_text()) == (1, "mine")
    assert "--force" in done.stderr
    assert convert("--force").returncode == 0
    assert read_header(output).architecture == "gptneox"


def test_a_converter_that_fails_leaves_nothing(convert, output, llama_cpp):
    (llama_cpp / "exit").write_text("3")
    done = convert()
    assert done.returncode == 1
    assert "convert_hf_to_gguf.py failed with exit code 3" in done.stderr
    assert remains(output) == []


def test_a_converter_that_fails_leaves_the_file_that_was_there(convert, output, llama_cpp):
    output.parent.mkdir()
    output.write_text("mine")
    (llama_cpp / "exit").write_text("3")
    assert convert("--force").returncode == 1
    assert output.read_text() == "mine"


def test_a_file_that_is_not_whole_gets_no_name(convert, output, llama_cpp):
    made = llama_cpp / "made"
    made.write_bytes(made.read_bytes()[:-1000])
    done = convert()
    assert done.returncode == 1
    assert "made no whole GGUF" in done.stderr
    assert "truncated" in done.stderr
    assert remains(output) == []


def test_a_quantizer_that_fails_is_named(convert, output, llama_cpp):
    (llama_cpp / "build/bin/llama-quantize").write_text("#!/bin/sh\nexit 1\n")
    done = convert("--quantize", "Q4_K_M")
    assert done.returncode == 1
    assert "llama-quantize failed with exit code 1" in done.stderr
    assert remains(output) == []


@pytest.mark.parametrize(
    ("words", "environ", "said"),
    [
        ((), {"LLAMA_CPP_DIR": ""}, "--converter"),
        ((), {"LLAMA_CPP_DIR": "/nowhere"}, "no converter at /nowhere/convert_hf_to_gguf.py"),
        (("--quantize", "Q4_K_M", "--quantizer", "/nowhere"), {}, "no program at /nowhere"),
        (("--python", "/nowhere"), {}, "/nowhere: No such file or directory"),
    ],
)
def test_a_program_that_is_missing_is_said_to_be(convert, words, environ, said):
    done = convert(*words, **environ)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_quantizer_is_looked_for_in_the_path_too(convert, llama_cpp, tmp_path):
    programs = tmp_path / "bin"
    (llama_cpp / "build/bin").rename(programs)
    path = f"{programs}:{os.environ['PATH']}"
    assert convert("--quantize", "Q4_K_M", PATH=path).returncode == 0
    assert (programs / "quantized_as").exists()


def test_an_odd_type_of_quantization_is_a_mistake_in_the_command(convert):
    assert convert("--quantize", "../x").returncode == 2


def test_an_output_that_orac_would_not_find_is_refused(convert, output, model):
    done = subprocess.run(
        [sys.executable, SCRIPT, "--", model, output.with_suffix(".bin")],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "has to end in .gguf" in done.stderr


def absent(name):
    return lambda folder: (folder / name).unlink()


def holds(name, data):
    return lambda folder: (folder / name).write_bytes(data)


WHOLE = safetensors(b"1234")
FAULTS = {
    "no config": (absent("config.json"), "config.json: No such file"),
    "config that is no JSON": (holds("config.json", b"{"), "is not JSON"),
    "config that is a list": (holds("config.json", b"[]"), "holds no JSON object"),
    "config without architectures": (holds("config.json", b"{}"), "`architectures`"),
    "no tokenizer": (absent("tokenizer.json"), "has no tokenizer"),
    "no weights": (absent("model.safetensors"), "has no .safetensors files"),
    "empty weights": (holds("model.safetensors", b""), "or not whole"),
    "cut header": (holds("model.safetensors", WHOLE[:20]), "or not whole"),
    "cut weights": (holds("model.safetensors", WHOLE[:-1]), "is not whole"),
    "weights that are no JSON": (holds("model.safetensors", b"\1" + bytes(7) + b"{"), "no safete"),
    "weights that are a list": (holds("model.safetensors", b"\2" + bytes(7) + b"[]"), "no safete"),
    "a pointer instead of weights": (
        holds("model.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        "git lfs pull",
    ),
    "an index that names a file that is missing": (
        holds("model.safetensors.index.json", b'{"weight_map": {"w": "other.safetensors"}}'),
        "other.safetensors: No such file",
    ),
    "an index without names": (
        holds("model.safetensors.index.json", b'{"weight_map": [1]}'),
        "has no `weight_map`",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_folder_that_cannot_be_converted_is_refused_before_anything_runs(
    convert, model, llama_cpp, fault
):
    spoil, said = FAULTS[fault]
    spoil(model)
    done = convert()
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (llama_cpp / "asked.json").exists()


def test_a_folder_that_is_none_is_refused(llama_cpp, output):
    done = subprocess.run(
        [sys.executable, SCRIPT, "/nowhere", output],
        check=False,
        env={**os.environ, "LLAMA_CPP_DIR": str(llama_cpp)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (1, "error: /nowhere is no folder\n")


def test_a_model_in_several_files_is_converted(convert, model, output):
    (model / "model.safetensors").rename(model / "one.safetensors")
    index = {"weight_map": {"v": "one.safetensors", "w": "one.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    assert convert().returncode == 0
