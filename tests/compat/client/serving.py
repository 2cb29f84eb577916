"""The scenario of `mlx_lm.server` on loopback: completions, chats, streams, errors."""

import argparse
import json
import pathlib
import threading
import urllib.error
import urllib.request
from http.server import ThreadingHTTPServer
from typing import Any

from mlx_lm import server
from tests.compat.client.scenarios import load, scenario


def ask(address: str, body: dict[str, Any] | None = None) -> Any:
    """Return the parsed answer, or the events of a stream, or the status of a refusal."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            text = response.read().decode()
    except urllib.error.HTTPError as error:
        return [error.code, json.loads(error.read())]
    if body and body.get("stream"):
        lines = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
        return [line if line == "[DONE]" else json.loads(line) for line in lines]
    return json.loads(text)


@scenario
def serving(folder: pathlib.Path) -> Any:
    """Ask the server as its clients do, several at once too."""
    load(folder)
    load(folder, "draft")
    model = str(folder / "model")
    result: dict[str, Any] = {}
    ready, httpd = threading.Event(), []

    class Server(ThreadingHTTPServer):
        def server_activate(self) -> None:
            super().server_activate()
            httpd.append(self)
            ready.set()

    args = parse(["--model", model, "--host", "127.0.0.1", "--port", "0", "--log-level", "WARNING"])
    provider = server.ModelProvider(args)
    generator = server.ResponseGenerator(provider, server.LRUPromptCache(args.prompt_cache_size))
    thread = threading.Thread(target=server._run_http_server, args=("127.0.0.1", 0, generator, Server), daemon=True)
    thread.start()
    assert ready.wait(60)
    address = f"http://127.0.0.1:{httpd[0].server_address[1]}"
    try:
        result["health"] = ask(f"{address}/health")
        text = ask(
            f"{address}/v1/completions", {"prompt": "the fox", "max_tokens": 8, "logprobs": True, "top_logprobs": 2}
        )
        result["completion"] = [
            text["choices"][0]["text"],
            text["usage"]["total_tokens"],
            text["choices"][0]["finish_reason"],
        ]
        chat = {"messages": [{"role": "user", "content": "who eats?"}], "max_tokens": 8}
        answer = ask(f"{address}/v1/chat/completions", chat)
        result["chat"] = answer["choices"][0]["message"]["content"]
        events = ask(f"{address}/v1/chat/completions", {**chat, "stream": True})
        result["stream"] = [e if e == "[DONE]" else [c["delta"].get("content") for c in e["choices"]] for e in events]
        seeded = {
            "prompt": "the",
            "max_tokens": 8,
            "temperature": 1.0,
            "top_p": 0.9,
            "seed": 3,
            "repetition_penalty": 1.2,
        }
        result["sampled"] = ask(f"{address}/v1/completions", seeded)["choices"][0]["text"]
        result["refused"] = ask(f"{address}/v1/completions", {"prompt": "a", "max_tokens": "many"})
        answers: dict[int, str] = {}

        def one(i: int) -> None:
            prompt = {"prompt": "the dog eats"[: 3 + i], "max_tokens": 6}
            answers[i] = ask(f"{address}/v1/completions", prompt)["choices"][0]["text"]

        asking = [threading.Thread(target=one, args=(i,)) for i in range(6)]
        for client in asking:
            client.start()
        for client in asking:
            client.join()
        result["at once"] = [answers[i] for i in range(6)]
        drafted = {**chat, "draft_model": str(folder / "draft"), "num_draft_tokens": 2}
        result["drafted"] = ask(f"{address}/v1/chat/completions", drafted)["choices"][0]["message"]["content"]
    finally:
        httpd[0].shutdown()
        generator.stop_and_join()
    return result


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the server's own defaults for a command line."""
    caught: list[argparse.Namespace] = []

    class Caught(Exception):
        pass

    def keep(namespace: argparse.Namespace) -> None:
        caught.append(namespace)
        raise Caught

    import sys

    before, provider = sys.argv, server.ModelProvider
    sys.argv = ["server", *arguments]
    server.ModelProvider = keep
    try:
        server.main()
    except Caught:
        pass
    finally:
        sys.argv, server.ModelProvider = before, provider
    return caught[0]
