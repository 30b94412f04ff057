"""Replies of OpenAI's Responses API: streamed events (`response.…`, each with a `type`), or one response object.

A stream says its texts in deltas; what `….done` and `response.completed` repeat of them is passed over. Usage stands
in the response object of the last event, or of the whole answer (OpenAI API reference, "Responses", "Streaming").
"""

from typing import Final

from .said import Members, Said, dict_of, dicts_of, index_of

_TEXTS: Final = {
    "response.output_text.delta": "0/content",
    "response.audio.transcript.delta": "0/content",
    "response.output_audio_transcript.delta": "0/content",
    "response.refusal.delta": "0/refusal",
    "response.reasoning_text.delta": "0/reasoning",
    "response.reasoning_summary_text.delta": "0/reasoning",
}
_ARGUMENTS: Final = frozenset(
    (
        "response.function_call_arguments.delta",
        "response.custom_tool_call_input.delta",
        "response.mcp_call_arguments.delta",
        "response.code_interpreter_call_code.delta",
    )
)
ENDS: Final = frozenset(("response.completed", "response.incomplete", "response.failed", "response.cancelled", "error"))
"""Types of the event that ends a stream."""
_RUNNING: Final = ("queued", "in_progress")


def read_responses(said: Said, content: Members) -> None:
    """One event's data, or a whole answer."""
    kind = content.get("type")
    if not isinstance(kind, str):
        _response(said, content, texts=True)
        return
    channel = _TEXTS.get(kind)
    if channel is not None:
        said.text(channel, content.get("delta"))
    elif kind in _ARGUMENTS:
        said.text(f"0/tool/{index_of(content, 'output_index')}/arguments", content.get("delta"))
    elif kind == "response.output_item.added":
        said.text(f"0/tool/{index_of(content, 'output_index')}/name", dict_of(content.get("item")).get("name"))
    elif kind == "error":
        said.error(True)
    elif isinstance(content.get("response"), dict):
        _response(said, content["response"], texts=False)


def _response(said: Said, response: Members, *, texts: bool) -> None:
    said.about(response.get("id"), response.get("model"))
    said.error(response.get("error"))
    said.background = said.background or response.get("background") is True
    if response.get("status") not in _RUNNING:
        said.finish(response.get("status"))
        said.finish(dict_of(response.get("incomplete_details")).get("reason"))
    said.use(response.get("usage"))
    if texts:
        for index, item in enumerate(dicts_of(response.get("output"))):
            _item(said, index, item)


def _item(said: Said, index: int, item: Members) -> None:
    for part in dicts_of(item.get("content")):
        reasoned = part.get("type") == "reasoning_text"
        said.text("0/reasoning" if reasoned else "0/content", part.get("text") or part.get("transcript"))
        said.text("0/refusal", part.get("refusal"))
    for part in dicts_of(item.get("summary")):
        said.text("0/reasoning", part.get("text"))
    said.text(f"0/tool/{index}/name", item.get("name"))
    said.text(f"0/tool/{index}/arguments", item.get("arguments") or item.get("input") or item.get("code"))
