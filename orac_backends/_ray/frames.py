"""Messages on a socket: the length in four bytes, and as many bytes."""

import asyncio

_LENGTH = 4
_MOST = 256 << 20


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """Return the next message.

    Raises:
        asyncio.IncompleteReadError: when the other side is gone.
        ValueError: when it is longer than any that is sent.
    """
    length = int.from_bytes(await reader.readexactly(_LENGTH), "big")
    if length > _MOST:
        raise ValueError(f"a message of {length} bytes")
    return await reader.readexactly(length)


async def write_frame(writer: asyncio.StreamWriter, message: bytes) -> None:
    """Send a message, when the other side has room for it.

    Raises:
        ValueError: when it is longer than any that is read.
    """
    if len(message) > _MOST:
        raise ValueError(f"a message of {len(message)} bytes")
    writer.write(len(message).to_bytes(_LENGTH, "big") + message)
    await writer.drain()
