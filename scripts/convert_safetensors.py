"""Turns a model in Hugging Face's format into a GGUF file, with llama.cpp's own converter.

    python scripts/convert_safetensors.py ~/Qwen3-0.6B models/gguf/Qwen3-0.6B-Q4_K_M.gguf \
        --converter ~/llama.cpp/convert_hf_to_gguf.py \
        --quantize Q4_K_M --quantizer ~/llama.cpp/build/bin/llama-quantize

The folder is checked before, and the file after: it gets its name only when ORAC's reader of
headers finds it whole, so a service that looks at the folder never sees half a file.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from orac_core import OracError
from orac_core.files import GgufHeader, read_header

__all__ = ["ConversionError", "checked_folder", "main"]

CONVERTER = "convert_hf_to_gguf.py"
QUANTIZER = "llama-quantize"
LLAMA_CPP = "LLAMA_CPP_DIR"
INDEX = "model.safetensors.index.json"
TOKENIZERS = (("tokenizer.json",), ("tokenizer.model",), ("vocab.json", "merges.txt"))
LFS_POINTER = b"version https://git-lfs"
LENGTH_BYTES = 8
MAX_HEADER_BYTES = 100_000_000
"""The longest header that the format allows; source: the specification of safetensors."""


class ConversionError(Exception):
    """Why there is no GGUF; the text says what is wrong and what to do."""


@frozen
class Order:
    """What to make, of what, with which programs."""

    folder: Path
    output: Path
    converter: Path
    python: Path
    outtype: str
    quantizer: Path | None
    quantization: str | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Does what the command line asks for; returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        order = ordered(options, os.environ)
        header = converted(order)
    except ConversionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"{order.output}: {described(header, order.output.stat().st_size)}")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    made.add_argument("folder", type=Path, help="config.json, *.safetensors and the tokenizer")
    made.add_argument("output", type=Path, help="the GGUF file to write")
    made.add_argument(
        "--converter", type=Path, help=f"{CONVERTER} of llama.cpp; else looked for in ${LLAMA_CPP}"
    )
    made.add_argument(
        "--python",
        type=Path,
        default=Path(sys.executable),
        help="the Python that has what the converter needs (torch, transformers); else this one",
    )
    made.add_argument(
        "--outtype",
        choices=("f32", "f16", "bf16", "q8_0", "auto"),
        default="f16",
        help="what the converter writes (default: f16)",
    )
    made.add_argument("--quantize", metavar="TYPE", type=quantization, help="such as Q4_K_M")
    made.add_argument(
        "--quantizer", type=Path, help=f"{QUANTIZER}; else looked for in ${LLAMA_CPP} and the PATH"
    )
    made.add_argument("--force", action="store_true", help="replace a file that is there")
    return made


def quantization(text: str) -> str:
    """Return the name of a type of quantization."""
    if not re.fullmatch(r"[A-Z][A-Z0-9_]*", text.upper()):
        raise argparse.ArgumentTypeError(f"{text!r} is no type of quantization, such as Q4_K_M")
    return text.upper()


def ordered(options: argparse.Namespace, environ: Mapping[str, str]) -> Order:
    """Return what is to be done, after a look at everything that can be known before."""
    output = options.output.absolute()
    if output.suffix != ".gguf":
        raise ConversionError(f"{output}: the name has to end in .gguf for ORAC to find the file")
    if output.exists() and not options.force:
        raise ConversionError(f"{output} is there already; --force replaces it")
    quantizer = found_quantizer(options.quantizer, environ) if options.quantize else None
    return Order(
        folder=checked_folder(options.folder.absolute()),
        output=output,
        converter=found_converter(options.converter, environ),
        python=options.python,
        outtype=options.outtype,
        quantizer=quantizer,
        quantization=options.quantize,
    )


def found_converter(named: Path | None, environ: Mapping[str, str]) -> Path:
    """Return where llama.cpp's converter is."""
    home = environ.get(LLAMA_CPP)
    path = named or (Path(home) / CONVERTER if home else None)
    if path is None:
        raise ConversionError(
            f"name {CONVERTER} with --converter, or llama.cpp's folder in ${LLAMA_CPP}"
        )
    if not path.is_file():
        raise ConversionError(f"no converter at {path}; it lies in the sources of llama.cpp")
    return path.absolute()


def found_quantizer(named: Path | None, environ: Mapping[str, str]) -> Path:
    """Return where llama.cpp's quantizer is."""
    home = Path(environ.get(LLAMA_CPP, os.devnull))
    in_path = shutil.which(QUANTIZER, path=environ.get("PATH"))
    places = [named] if named else [home / "build" / "bin" / QUANTIZER, home / QUANTIZER]
    for path in [*places, *([Path(in_path)] if in_path and not named else [])]:
        if path.is_file() and os.access(path, os.X_OK):
            return path.absolute()
    raise ConversionError(
        f"no program at {named}" if named else f"--quantize needs --quantizer PATH of {QUANTIZER}"
    )


def checked_folder(folder: Path) -> Path:
    """Return *folder*, when everything is in it that the converter needs, and whole."""
    if not folder.is_dir():
        raise ConversionError(f"{folder} is no folder")
    if not json_object(folder / "config.json").get("architectures"):
        raise ConversionError(f"{folder / 'config.json'} does not say which `architectures` it is")
    if not any(all((folder / name).is_file() for name in names) for names in TOKENIZERS):
        known = ", ".join(" with ".join(names) for names in TOKENIZERS)
        raise ConversionError(f"{folder} has no tokenizer; one of these is needed: {known}")
    for weights in named_weights(folder):
        check_weights(weights)
    return folder


def named_weights(folder: Path) -> list[Path]:
    """Return the files of weights: those of the index where there is one, else all."""
    index = folder / INDEX
    if index.is_file():
        names = json_object(index).get("weight_map")
        if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
            raise ConversionError(f"{index} has no `weight_map` of names")
        files = [folder / Path(name).name for name in sorted(set(names.values()))]
    else:
        files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ConversionError(f"{folder} has no .safetensors files")
    return files


def check_weights(path: Path) -> None:
    """Compare what the header of a safetensors file says with the size of the file."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(LENGTH_BYTES)
            length = int.from_bytes(head, "little")
            pointer = (head + file.read(len(LFS_POINTER) - len(head))) == LFS_POINTER
            file.seek(LENGTH_BYTES)
            whole = length <= min(size - LENGTH_BYTES, MAX_HEADER_BYTES)
            header = file.read(length) if whole else b""
    except OSError as error:
        raise ConversionError(f"{path}: {error.strerror}") from error
    if pointer:
        raise ConversionError(f"{path} is a pointer of Git LFS; fetch the file with `git lfs pull`")
    end = LENGTH_BYTES + length + last_byte(path, header)
    if end != size:
        raise ConversionError(
            f"{path} is not whole: its tensors end at byte {end} and the file has {size}; "
            "download it again"
        )


def last_byte(path: Path, header: bytes) -> int:
    """Return where the last tensor ends, counted from the end of the header."""
    try:
        tensors = json.loads(header)
        ends = [
            int(tensor["data_offsets"][1])
            for name, tensor in tensors.items()
            if name != "__metadata__"
        ]
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise ConversionError(f"{path} is no safetensors file, or not whole") from error
    return max(ends, default=0)


def json_object(path: Path) -> dict[str, Any]:
    """Return what stands in a file of JSON."""
    try:
        read = json.loads(path.read_bytes())
    except OSError as error:
        raise ConversionError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ConversionError(f"{path} is not JSON: {error}") from error
    if not isinstance(read, dict):
        raise ConversionError(f"{path} holds no JSON object")
    return read


def converted(order: Order) -> GgufHeader:
    """Make the file and return its header; what is begun has no name that ORAC looks for."""
    try:
        order.output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".convert-", dir=order.output.parent) as scratch:
            made, header = steps(order, Path(scratch))
            settle(made, order.output)
            return header
    except OSError as error:
        raise ConversionError(f"{error.filename or order.output}: {error.strerror}") from error


def steps(order: Order, scratch: Path) -> tuple[Path, GgufHeader]:
    """Run the programs and return what the last of them has made, with its header."""
    made = scratch / "converted"
    command: list[str | Path] = [order.python, order.converter, order.folder]
    command += ["--outfile", made, "--outtype", order.outtype]
    header = run(order.converter, command, made)
    if order.quantizer is None or order.quantization is None:
        return made, header
    quantized = scratch / "quantized"
    words = (order.quantizer, made, quantized, order.quantization)
    return quantized, run(order.quantizer, words, quantized)


def run(program: Path, words: Sequence[str | Path], made: Path) -> GgufHeader:
    """Run a command, of which *program* is the part to name, and return what it has *made*."""
    argv = list(map(str, words))
    done = subprocess.run(argv, check=False, stdin=subprocess.DEVNULL)  # noqa: S603 - no shell
    code = done.returncode
    if code:
        raise ConversionError(f"{program} failed with exit code {code}; see what it wrote above")
    try:
        return read_header(made)
    except OracError as error:
        raise ConversionError(f"{program} ended well, but made no whole GGUF: {error}") from error


def settle(made: Path, output: Path) -> None:
    """Give the file its name, when it is safely on the disk."""
    with made.open("rb") as file:
        os.fsync(file.fileno())
    made.replace(output)


def described(header: GgufHeader, size: int) -> str:
    """Say what was made, on one line."""
    parameters = f"{header.parameters / 1e6:.1f} million parameters"
    return f"{header.architecture}, {parameters}, {header.quantization}, {size / 2**20:.1f} MiB"


if __name__ == "__main__":
    sys.exit(main())
