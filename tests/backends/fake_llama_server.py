"""The real engine behind the flags of `llama-server`, for tests of ``server_binary``.

Environment: ``FAKE_WITHOUT_SOCKETS`` makes its help silent about Unix sockets, as old ones are,
and take the scale of an adapter as a word of its own.
"""

import argparse
import os
import sys
import time

import xllamacpp

HELP = """
-m,    --model FNAME            model path to load
-c,    --ctx-size N             size of the prompt context
--host HOST                     ip address to listen{sockets}
--no-ui                         whether to disable the Web UI
--offline                       offline mode: forces use of cache
--batch-size N                  logical maximum batch size
--sse-ping-interval N           seconds between pings
--cache-ram N                   maximum cache size in MiB
--reasoning-budget N            0 for no thinking
--embeddings                    restrict to only support embedding use case
--pooling {{none,mean,cls,last}}  pooling type for embeddings
--cache-type-k TYPE             KV cache data type for K
--cache-type-v TYPE             KV cache data type for V
--ubatch-size N                 physical maximum batch size
--lora-scaled FNAME{pair}SCALE  path to LoRA adapter with user defined scaling
"""


def main() -> None:
    if sys.argv[1:] == ["--version"]:
        sys.stderr.write("version: 6789 (0123abc)\nbuilt with cc for x86_64-linux-gnu\n")
        return
    if sys.argv[1:] == ["--help"]:
        sockets = ", or bind to an UNIX socket if the address ends with .sock"
        old = "FAKE_WITHOUT_SOCKETS" in os.environ
        sys.stdout.write(HELP.format(sockets="" if old else sockets, pair=" " if old else ":"))
        return
    serve(arguments())


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for flag in ("model", "host"):
        parser.add_argument(f"--{flag}", required=True)
    for flag in ("ctx-size", "parallel", "port", "n-gpu-layers", "threads"):
        parser.add_argument(f"--{flag}", type=int)
    for flag in ("batch-size", "sse-ping-interval", "cache-ram", "reasoning-budget"):
        parser.add_argument(f"--{flag}", type=int, required=True)
    parser.add_argument("--embeddings", action="store_true")
    parser.add_argument("--pooling")
    for flag in ("cache-type-k", "cache-type-v"):
        parser.add_argument(f"--{flag}", default="f16")
    parser.add_argument("--ubatch-size", type=int)
    parser.add_argument(
        "--lora-scaled", nargs=2 if "FAKE_WITHOUT_SOCKETS" in os.environ else 1, default=[]
    )
    for flag in ("offline", "no-ui"):
        parser.add_argument(f"--{flag}", action="store_true", required=True)
    return parser.parse_args()


def serve(wanted: argparse.Namespace) -> None:
    params = xllamacpp.CommonParams()
    params.model.path = wanted.model
    params.hostnames = [wanted.host]
    params.cache_type_k = getattr(xllamacpp.ggml_type, f"GGML_TYPE_{wanted.cache_type_k.upper()}")
    params.cache_type_v = getattr(xllamacpp.ggml_type, f"GGML_TYPE_{wanted.cache_type_v.upper()}")
    params.port = wanted.port
    params.n_ctx = wanted.ctx_size
    params.n_parallel = wanted.parallel
    params.kv_unified = False
    params.n_batch = wanted.batch_size
    params.sse_ping_interval = wanted.sse_ping_interval
    params.cache_ram_mib = wanted.cache_ram
    if wanted.embeddings:
        name = f"LLAMA_POOLING_TYPE_{wanted.pooling.upper()}"
        params.embedding = True
        params.pooling_type = getattr(xllamacpp.llama_pooling_type, name)
        params.n_ubatch = wanted.ubatch_size
    if wanted.lora_scaled:
        path, scale = ":".join(wanted.lora_scaled).split(":")
        params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(path, float(scale))]
    params.api_keys = [os.environ["LLAMA_API_KEY"]]
    params.fit_params = False
    try:
        server = xllamacpp.Server(params)
    except RuntimeError:
        time.sleep(0.5)  # the engine writes its reason from a thread of its own
        os._exit(1)
    sys.stderr.write("load_tensors: offloaded 2/3 layers to GPU\n")
    sys.stderr.flush()
    while server:
        os.read(0, 1)


if __name__ == "__main__":
    main()
