"""The worker: llama.cpp's own server, alone in a process, and nothing else of ORAC.

A program of its own that imports nothing of ORAC, so that its memory is the model's. It reads one
line of JSON from its standard input, serves, and ends when that input ends: when ORAC dies.

The line has ``model``, ``socket``, ``api_key``, ``total_context``, ``parallel``, ``gpu_layers``,
``threads``, ``parent``, ``adapters``, each a path and a scale, and ``pooling`` and ``batch``, null
where no vectors are made. The key comes this way because others can read a command line.
"""

import ctypes
import json
import os
import signal
import sys
import time
from typing import Any

_PR_SET_PDEATHSIG = 1
_FAILED = 3
_LAST_WORDS_S = 0.3
_WARNINGS = 2
_GPU = "GPU"

# A server destroyed right after it was made can hang for ever, so nothing here is ever destroyed:
# the process ends by os._exit, or is killed. The server is kept from being collected, too.
_kept: list[object] = []


def main() -> None:
    """Serve one model until the standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for ORAC, which drains first
    wishes = json.loads(sys.stdin.buffer.readline())
    _die_with(wishes["parent"])
    try:
        _serve(wishes)
    except BaseException as error:  # noqa: BLE001 - whatever it is, see above: never unwind
        # The engine writes its log from a thread of its own; the reason is still on its way.
        time.sleep(_LAST_WORDS_S)
        _say(f"worker: {error}")
        os._exit(_FAILED)
    sys.stdin.buffer.read()
    os._exit(0)


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when ORAC dies, also while the engine holds every lock."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(_FAILED)


def _serve(wishes: dict[str, Any]) -> None:
    import xllamacpp  # noqa: PLC0415 - only once the kernel watches over this process

    has_gpu = any(_GPU in str(device["type"]) for device in xllamacpp.get_device_info())
    if not has_gpu:
        _say("worker: no GPU, offloaded 0 layers to GPU")
    params = xllamacpp.CommonParams()
    _set_model(params, wishes, has_gpu=has_gpu)
    _set_memory(params, wishes)
    params.lora_adapters = [
        xllamacpp.CommonAdapterLoraInfo(path, scale) for path, scale in wishes["adapters"]
    ]
    if wishes["pooling"] is not None:
        _set_vectors(params, wishes)
    _set_access(params, wishes)
    params.verbosity = _WARNINGS
    _kept.append(xllamacpp.Server(params))


def _set_model(params: Any, wishes: dict[str, Any], *, has_gpu: bool) -> None:
    params.model.path = wishes["model"]
    params.n_ctx = wishes["total_context"]
    params.n_parallel = wishes["parallel"]
    params.kv_unified = False  # each answer has a part of the cache that no other takes from it
    if wishes["gpu_layers"] is not None:
        params.n_gpu_layers = wishes["gpu_layers"]
    params.fit_params = has_gpu and wishes["gpu_layers"] is None
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = wishes["threads"]
    params.ctx_shift = False  # never drop a part of the prompt silently
    params.prefill_assistant = False  # a conversation that ends with an answer gets a new one
    # ORAC has no place for thoughts; without this they would use up the tokens of the answer.
    params.enable_reasoning = 0


def _set_memory(params: Any, wishes: dict[str, Any]) -> None:
    import xllamacpp  # noqa: PLC0415 - see above

    kept_as = getattr(xllamacpp.ggml_type, f"GGML_TYPE_{wishes['cache_type'].upper()}")
    params.cache_type_k = params.cache_type_v = kept_as
    params.cache_ram_mib = 0  # by default up to 8 GiB of old prompts are kept
    params.cache_idle_slots = False
    # Copies of what cannot be wound back, windows and states: by default up to 32 for each answer.
    params.n_ctx_checkpoints = 2
    # A mapped file would be resident a second time where the engine lays weights out anew, and its
    # pages would count as available memory while they are in use.
    params.load_mode = xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_NONE
    params.n_batch = 512  # an answer that nobody wants any more is noticed between batches


def _set_vectors(params: Any, wishes: dict[str, Any]) -> None:
    import xllamacpp  # noqa: PLC0415 - see above

    params.embedding = True
    name = f"LLAMA_POOLING_TYPE_{wishes['pooling'].upper()}"
    params.pooling_type = getattr(xllamacpp.llama_pooling_type, name)
    params.n_batch = params.n_ubatch = wishes["batch"]


def _set_access(params: Any, wishes: dict[str, Any]) -> None:
    params.hostnames = [wishes["socket"]]
    params.api_keys = [wishes["api_key"]]
    params.cors_origins = params.cors_methods = params.cors_headers = ""
    params.cors_credentials = False
    params.ui = params.endpoint_slots = params.endpoint_props = params.endpoint_metrics = False
    params.offline = True
    # Only when it sends a ping does the server notice, during a long prompt, that the client left.
    params.sse_ping_interval = 1
    params.n_threads_http = wishes["parallel"] + 32  # each waiting request holds one


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
