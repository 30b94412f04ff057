"""Replies of Gemini: Google's reference of `GenerateContentResponse` (Gemini API and Vertex AI), and of embeddings.

Streamed function call arguments (`partialArgs`) included. What a server's own tools gave back is not the model's text.
"""

from .lenient import dumped
from .said import Members, Said, dict_of, dicts_of


def read_gemini(said: Said, content: Members) -> None:
    """One chunk, or a whole answer."""
    said.about(content.get("responseId"), content.get("modelVersion"))
    said.error(content.get("error"))
    said.finish(dict_of(content.get("promptFeedback")).get("blockReason"))
    for place, candidate in enumerate(dicts_of(content.get("candidates"))):
        index = candidate.get("index")
        choice = index if isinstance(index, int) else place
        for part in dicts_of(dict_of(candidate.get("content")).get("parts")):
            _part(said, choice, part)
        said.finish(candidate.get("finishReason"))
    said.use(content.get("usageMetadata"))


def _part(said: Said, choice: int, part: Members) -> None:
    said.text(f"{choice}/{'reasoning' if part.get('thought') is True else 'content'}", part.get("text"))
    for name in ("functionCall", "toolCall"):
        if isinstance(part.get(name), dict):
            _call(said, choice, part[name])
    code = part.get("executableCode")
    if isinstance(code, dict):
        said.text(f"{_next(said, choice)}/arguments", code.get("code"))


def _call(said: Said, choice: int, call: Members) -> None:
    goes_on = choice in said.open_calls and not call.get("name")
    channel = f"{choice}/tool/{said.calls[choice] - 1}" if goes_on else _next(said, choice)
    if call.get("willContinue") is True:
        said.open_calls.add(choice)
    else:
        said.open_calls.discard(choice)
    said.text(f"{channel}/name", call.get("name") or call.get("toolType"))
    if call.get("args"):
        said.text(f"{channel}/arguments", dumped(call["args"]))
    for piece in dicts_of(call.get("partialArgs")):
        said.text(f"{channel}/arguments", piece.get("stringValue") or _plain(piece))


def _next(said: Said, choice: int) -> str:
    """The channel of a new call; Google numbers none."""
    number = said.calls.get(choice, 0)
    said.calls[choice] = number + 1
    return f"{choice}/tool/{number}"


def _plain(piece: Members) -> str:
    """A number or a boolean among streamed arguments."""
    value = next((piece[name] for name in ("numberValue", "boolValue") if name in piece), None)
    return "" if value is None else dumped(value)
