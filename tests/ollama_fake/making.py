"""The endpoints that make models and tell about it line by line: create and pull."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any

from aiohttp import web
from attrs import define, evolve, field

from .bodies import parsed
from .faults import Faults
from .files import Header, looked_into
from .model import COMPLETION, Model
from .names import Name
from .refusal import Refusal
from .runners import Runners
from .store import Store, disk_full
from .wire import BARE_JSON, Wire

Lines = AsyncGenerator[dict[str, Any], None]

_QUANTIZES = ("F32", "F16", "Q4_K_S", "Q4_K_M", "Q8_0")
_FROM_WHICH = ("F16", "BF16", "F32")


@define(eq=False)
class Making:
    """Makes models.

    Attributes:
        registry: Models that can be pulled: name → arguments of `pulled_model`.
    """

    store: Store
    runners: Runners
    faults: Faults
    wire: Wire
    registry: Mapping[str, Mapping[str, Any]] = field(factory=dict)
    creates: int = 0

    async def create(self, request: web.Request) -> web.StreamResponse:
        body = parsed(await request.read(), "CreateRequest")
        name = Name.of(body.get("model") or body.get("name") or "")
        if name is None:
            raise Refusal(400, "invalid model name")
        for key in body.get("files") or ():
            if not _is_relative(key):
                raise Refusal(400, "file path must be relative")
        return await self._told(request, body, self._create(name, body))

    async def pull(self, request: web.Request) -> web.StreamResponse:
        body = parsed(await request.read(), "PullRequest")
        given = body.get("model") or body.get("name") or ""
        name = Name.of(given)
        if name is None:
            raise Refusal(400, "invalid model name")
        return await self._told(request, body, self._pull(name, body))

    async def _told(
        self, request: web.Request, body: Mapping[str, Any], lines: Lines
    ) -> web.StreamResponse:
        if body.get("stream") is not False:
            return await self.wire.lines(request, _with_error_line(lines))
        last: dict[str, Any] = {}
        try:
            async for line in lines:
                last = line
        except Refusal as refusal:
            error = {"error": refusal.text}
            return await self.wire.answer(request, error, refusal.status, BARE_JSON)
        return await self.wire.answer(request, last, 200, BARE_JSON)

    # Create

    async def _create(self, name: Name, body: Mapping[str, Any]) -> Lines:
        if self.faults.create_full:
            raise disk_full(self.store.folder / "blobs")
        if body.get("from"):
            lines = self._from(Name.of(body["from"]), body)
        elif body.get("files") is None:
            raise Refusal(400, "neither 'from' or 'files' was specified")
        else:
            lines = self._from_files(body["files"], body)
        async for line in lines:
            if "model" in line:
                self._keep(name, line["model"], body)
            else:
                yield line
        self.creates += 1
        yield {"status": "writing manifest"}
        yield {"status": "success"}

    def _keep(self, name: Name, model: Model, body: Mapping[str, Any]) -> None:
        settings = {**(model.settings or {}), **(body.get("parameters") or {})}
        made = evolve(
            model,
            digest="",
            settings=settings,
            system=body.get("system") or model.system,
            template=body.get("template") or model.template,
            license=str(body.get("license") or model.license),
        )
        self.store.put(name, made, self.runners.clock())

    async def _from(self, source: Name | None, body: Mapping[str, Any]) -> Lines:
        if source is None:
            raise Refusal(400, "invalid model name")
        found = self.store.find(source)
        if found is None:
            raise self._unreachable(source, insecure=False)
        yield {"status": f"using existing layer {found[1].weights}"}
        for digest in (body.get("adapters") or {}).values():
            header = await self._header(digest)
            if header.keys.get("general.type") != "adapter":
                raise Refusal(400, "invalid adapter: not in GGUF adapter format")
            yield {"status": "parsing GGUF"}
        adapters = tuple((body.get("adapters") or {}).values())
        yield {"model": evolve(found[1], adapters=adapters)}

    async def _from_files(self, files: Mapping[str, str], body: Mapping[str, Any]) -> Lines:
        if not files:
            raise Refusal(400, "unknown type")
        await self._panic_first(files)
        yield {"status": "parsing GGUF"}
        models = []
        for digest in files.values():
            header = await self._header(digest)
            self._refuse_quantizing(header, body.get("quantize"))
            if self.runners.generation.rewrites_files:
                yield {"status": "verifying conversion"}
            kept = await self._layer(digest)
            yield {"status": f"{self._word} layer {kept}"}
            models.append(Model.of(header, kept, self.store.blob_size(kept)))
        first = evolve(models[0], size=sum(model.size for model in models))
        if first.detected:
            yield {"status": f"using autodetected template {first.detected}"}
            template, new = self.store.add_blob(first.template.encode())
            yield {"status": f"{'creating new' if new else 'using existing'} layer {template}"}
        yield {"model": first}

    async def _panic_first(self, files: Mapping[str, str]) -> None:
        """A panic takes the first line with it, which was written but not sent yet."""
        for digest in files.values():
            with suppress(Refusal):
                await self._header(digest)

    @property
    def _word(self) -> str:
        return "creating new" if self.runners.generation.rewrites_files else "using existing"

    async def _header(self, digest: str) -> Header:
        """Look into an uploaded file; what it is asked for is not sent again when it is missing."""
        try:
            path = self.store.blob(digest)
        except Refusal as refusal:
            raise Refusal(500, refusal.text) from None
        try:
            return await asyncio.to_thread(looked_into, path, self.runners.generation)
        except FileNotFoundError:
            raise Refusal(500, f"open {path}: no such file or directory") from None

    def _refuse_quantizing(self, header: Header, wanted: str | None) -> None:
        if not wanted:
            return
        if wanted.upper() not in _QUANTIZES:
            known = ", ".join(_QUANTIZES)
            text = f"unsupported quantization type {wanted.upper()} - supported types are {known}"
            raise Refusal(500, text)
        if Model.of(header, "", 0).quantization not in _FROM_WHICH:
            raise Refusal(500, "quantization is only supported for F16, BF16 and F32 models")

    async def _layer(self, digest: str) -> str:
        if not self.runners.generation.rewrites_files:
            return digest.replace("-", ":", 1)
        return await asyncio.to_thread(self.store.rewritten, digest)

    # Pull

    async def _pull(self, name: Name, body: Mapping[str, Any]) -> Lines:
        sent = 0
        async for line in self._pulling(name, body):
            if self.faults.pull_error_after == sent:
                raise Refusal(500, self.faults.error_text)
            yield line
            sent += 1

    async def _pulling(self, name: Name, body: Mapping[str, Any]) -> Lines:
        yield {"status": "pulling manifest"}
        known = {Name.of(text): facts for text, facts in self.registry.items()}
        if name not in known:
            raise self._unreachable(name, insecure=bool(body.get("insecure")))
        model = pulled_model(name, **known[name])
        layer = model.weights
        told = {"status": f"pulling {layer[7:19]}", "digest": layer, "total": model.size}
        yield told
        for quarter in range(1, 5):
            await asyncio.sleep(0)
            yield {**told, "completed": model.size * quarter // 4}
        yield {"status": "verifying sha256 digest"}
        yield {"status": "writing manifest"}
        self.store.put(name, model, self.runners.clock())
        yield {"status": "success"}

    def _unreachable(self, name: Name, *, insecure: bool) -> Refusal:
        if self.registry and Name.of(name.model).host == name.host:
            return Refusal(500, "pull model manifest: file does not exist")
        scheme = "http" if insecure else "https"
        url = f"{scheme}://{name.host}/v2/{name.namespace}/{name.model}/manifests/{name.tag}"
        text = f'pull model manifest: Get "{url}": dial tcp {name.host}: connect: '
        return Refusal(500, f"{text}connection refused")


def pulled_model(
    name: Name,
    *,
    size: int = 1 << 20,
    digest: str | None = None,
    capabilities: tuple[str, ...] = (COMPLETION,),
    **facts: Any,
) -> Model:
    """Return a model whose weights are nowhere; its digests follow from its name."""
    hashed = hashlib.sha256(name.full.encode()).hexdigest()
    manifest = digest or hashlib.sha256(hashed.encode()).hexdigest()
    weights = f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}"
    return Model(
        weights=weights, size=size, digest=manifest, capabilities=tuple(capabilities), **facts
    )


def _is_relative(key: str) -> bool:
    path = PurePosixPath(key)
    return bool(key) and not path.is_absolute() and ".." not in path.parts


async def _with_error_line(lines: Lines) -> Lines:
    try:
        async for line in lines:
            yield line
    except Refusal as refusal:
        yield {"error": refusal.text}
