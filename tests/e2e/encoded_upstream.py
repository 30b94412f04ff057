"""An OpenAI-shaped upstream that encodes: a stream as gzip, flushed behind each event; a whole answer as brotli.

`python -m tests.e2e.encoded_upstream --listen 127.0.0.1:0` prints its URL and serves until it is ended.
"""

import asyncio
import json
import sys
import zlib

import brotli

WORDS = 400
PAUSE_S = 0.01
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-encoding: %b\r\ntransfer-encoding: chunked\r\n\r\n"


def event(content: str) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": None}
    said = {"id": "r", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o", "choices": [choice]}
    return b"data: " + json.dumps(said).encode() + b"\n\n"


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
            asked = json.loads(await reader.readexactly(int(length.partition(b":")[2])))
            await (stream(writer) if asked.get("stream") else whole(writer))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def stream(writer: asyncio.StreamWriter) -> None:
    encoder = zlib.compressobj(wbits=31)
    writer.write(HEAD % (b"text/event-stream", b"gzip"))
    for _ in range(WORDS):
        give(writer, encoder.compress(event(" a")) + encoder.flush(zlib.Z_SYNC_FLUSH))
        await writer.drain()
        await asyncio.sleep(PAUSE_S)
    give(writer, encoder.compress(b"data: [DONE]\n\n") + encoder.flush())
    writer.write(b"0\r\n\r\n")


async def whole(writer: asyncio.StreamWriter) -> None:
    message = {"role": "assistant", "content": "Grüße, brotli"}
    said = {
        "id": "r",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
    }
    writer.write(HEAD % (b"application/json", b"br"))
    give(writer, brotli.compress(json.dumps(said).encode()))
    writer.write(b"0\r\n\r\n")


def give(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))


async def main(listen: str) -> None:
    host, _, port = listen.rpartition(":")
    server = await asyncio.start_server(serve, host, int(port))
    found = server.sockets[0].getsockname()
    print(f"encoded: http://{found[0]}:{found[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[2]))
