"""Replies of OpenAI's chat completions, completions and embeddings, and of those who speak like it.

Members follow OpenAI's API reference, and what other providers of the protocol add: `reasoning`, `reasoning_content`,
`reasoning_details`, `x_groq`, content in parts; a chunk of `"object": "error"` is vLLM's.
"""

from .lenient import dumped
from .said import Members, Said, dict_of, dicts_of, index_of


def read_openai(said: Said, content: Members) -> None:
    """One chunk, or a whole answer."""
    said.about(content.get("id"), content.get("model"))
    groq = dict_of(content.get("x_groq"))
    said.error(content.get("error") or groq.get("error") or content.get("object") == "error")
    for choice in dicts_of(content.get("choices")):
        _choice(said, index_of(choice), choice)
    said.use(groq.get("usage"))
    said.use(content.get("usage"))


def read_usage(said: Said, content: Members) -> None:
    """An answer of which nothing is read but its usage (images, transcriptions, reranking), or an event of one."""
    said.about(content.get("id"), content.get("model"))
    said.use(content.get("usage"))


def _choice(said: Said, index: int, choice: Members) -> None:
    """Providers may say one thing twice: the text so far beside the delta, or the delta's text beside it."""
    found = next((part for part in (choice.get("delta"), choice.get("message")) if isinstance(part, dict)), None)
    if found is None:
        said.text(f"{index}/content", choice.get("text"))
    else:
        _delta(said, index, found)
    said.finish(choice.get("finish_reason"))


def _delta(said: Said, choice: int, delta: Members) -> None:
    content = delta.get("content")
    if isinstance(content, str):
        said.text(f"{choice}/content", content)
    else:
        _parts(said, choice, content)
    said.text(f"{choice}/refusal", delta.get("refusal"))
    _reasoning(said, f"{choice}/reasoning", delta)
    if "function_call" in delta:
        _call(said, f"{choice}/tool/0", delta["function_call"])
    for place, call in enumerate(dicts_of(delta.get("tool_calls"))):
        index = call.get("index")
        _call(said, f"{choice}/tool/{index if isinstance(index, int) else place}", call.get("function"))


def _reasoning(said: Said, channel: str, delta: Members) -> None:
    """One text under several names: `reasoning_content` (DeepSeek), `reasoning` (Groq, Cerebras), `reasoning_details`
    (OpenRouter beside `reasoning`, Snowflake alone)."""
    text = delta.get("reasoning_content") or delta.get("reasoning")
    if text:
        said.text(channel, text)
        return
    for detail in dicts_of(delta.get("reasoning_details")):
        said.text(channel, detail.get("text") or detail.get("summary"))


def _parts(said: Said, choice: int, parts: object) -> None:
    """Content in parts: `{"type": "text"}`, and Mistral's `{"type": "thinking", "thinking": [{"text"}]}`."""
    for part in dicts_of(parts):
        said.text(f"{choice}/content", part.get("text"))
        for thought in dicts_of(part.get("thinking")):
            said.text(f"{choice}/reasoning", thought.get("text"))


def _call(said: Said, channel: str, function: object) -> None:
    content = dict_of(function)
    said.text(f"{channel}/name", content.get("name"))
    arguments = content.get("arguments")
    said.text(f"{channel}/arguments", dumped(arguments) if isinstance(arguments, dict | list) else arguments)
