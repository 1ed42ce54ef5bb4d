"""The checkpoint, loaded: only from this folder, only safetensors, and none of its own code."""

import threading
from typing import Any

_GREEDY = 1e-3  # at lower temperatures numbers overflow, and nothing but the likeliest is left
# What is taken over of the way in which a checkpoint wants to be asked.
_SAMPLING = ("temperature", "top_p", "top_k", "min_p")
_KEPT = (
    *("bos_token_id", "eos_token_id", "pad_token_id"),
    *("do_sample", *_SAMPLING, "repetition_penalty"),
)


class Refused(Exception):
    """The request can not be answered; the text says why."""


class Left(Exception):
    """Nobody waits for the answer any more."""


class Model:
    """The checkpoint, loaded, and the way it is asked."""

    def __init__(self, wishes: dict[str, Any]) -> None:
        import torch  # noqa: PLC0415 - only once the kernel watches over this process
        from transformers import AutoTokenizer  # noqa: PLC0415

        self.torch = torch
        torch.set_num_threads(wishes["threads"])
        self.device = _device(torch, wishes["device"])
        self.model = _loaded(wishes["model"], wishes["dtype"]).to(self.device).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(
            wishes["model"], local_files_only=True, trust_remote_code=False
        )
        self.context_length = wishes["context_length"]
        self.kept = _kept(self.model)
        self.turn = threading.Lock()
        self.left = False
        self._watch_layers()

    def _watch_layers(self) -> None:
        """Have each layer ask whether anybody still waits: a long prompt is one single step."""
        for module in self.model.modules():
            if isinstance(module, self.torch.nn.ModuleList):
                for layer in module:
                    layer.register_forward_pre_hook(self._require_company)

    def _require_company(self, *_: Any) -> None:
        if self.left:
            raise Left

    def told(self) -> dict[str, Any]:
        """Return what is used."""
        on_gpu = self.device.startswith("cuda")
        return {
            "device": self.device,
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "gpu_bytes": self.torch.cuda.memory_reserved(self.device) if on_gpu else 0,
        }

    def tokens(self, asked: dict[str, Any]) -> Any:
        """Return the tokens of a prompt, or of messages in the model's own template.

        Raises:
            Refused: when there are none or too many, or the template refuses the messages.
        """
        text = asked["prompt"] if "prompt" in asked else self._in_template(asked["messages"])
        found = self.tokenizer(
            text, add_special_tokens="prompt" in asked, return_tensors="pt", verbose=False
        )["input_ids"]
        count = found.shape[1]
        if not count:
            raise Refused("the prompt has no token")
        if count >= self.context_length:
            raise Refused(
                f"the request ({count} tokens) exceeds the available context size "
                f"({self.context_length} tokens)"
            )
        return found.to(self.device)

    def _in_template(self, messages: list[dict[str, str]]) -> str:
        from jinja2 import TemplateError  # noqa: PLC0415 - transformers brings it, if anyone does

        try:
            return str(
                self.tokenizer.apply_chat_template(
                    messages, tokenize=False, add_generation_prompt=True
                )
            )
        except TemplateError as error:
            raise Refused(f"the chat template refuses the messages: {error}") from error

    def settings(self, asked: dict[str, Any], prompt_tokens: int) -> Any:
        """Return how to choose tokens: as asked for, else as the checkpoint wants it."""
        from transformers import GenerationConfig  # noqa: PLC0415 - see above

        given = {name: asked[name] for name in _SAMPLING if name in asked}
        chosen = self.kept | given
        chosen["do_sample"] = bool(given) or bool(chosen.get("do_sample"))
        if chosen.get("temperature", 1.0) < _GREEDY:
            chosen["do_sample"] = False
        if not chosen["do_sample"]:
            chosen = {name: value for name, value in chosen.items() if name not in _SAMPLING}
        elif "temperature" in chosen:
            chosen["temperature"] = float(chosen["temperature"])
        if "repeat_penalty" in asked:
            chosen["repetition_penalty"] = float(asked["repeat_penalty"])
        if asked.get("ignore_eos"):
            chosen["eos_token_id"] = None
        room = self.context_length - prompt_tokens
        return GenerationConfig(**chosen, max_new_tokens=min(asked["max_tokens"], room))

    def ends(self, settings: Any) -> frozenset[int]:
        """Return the tokens that end an answer."""
        found = settings.eos_token_id
        return frozenset(found if isinstance(found, list) else () if found is None else (found,))


def _device(torch: Any, wanted: str) -> str:
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted


def _loaded(path: str, dtype: str) -> Any:
    """Return the model, all of whose weights were in its files."""
    from transformers import AutoModelForCausalLM  # noqa: PLC0415 - see above

    model, told = AutoModelForCausalLM.from_pretrained(
        path,
        dtype=dtype,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        output_loading_info=True,
    )
    if missing := sorted(told["missing_keys"]):
        told = f"weights are missing, the first is {missing[0]} ({len(missing)} in all)"
        raise ValueError(f"{told}; copy the checkpoint again")
    return model


def _kept(model: Any) -> dict[str, Any]:
    """Return what the checkpoint says of choosing tokens, and make the model forget the rest."""
    from transformers import GenerationConfig  # noqa: PLC0415 - see above

    own = model.generation_config
    found = {name: getattr(own, name, None) for name in _KEPT}
    model.generation_config = GenerationConfig()
    kept = {name: value for name, value in found.items() if value is not None}
    if "pad_token_id" not in kept and "eos_token_id" in kept:
        ends = kept["eos_token_id"]
        kept["pad_token_id"] = ends[0] if isinstance(ends, list) else ends
    return kept
