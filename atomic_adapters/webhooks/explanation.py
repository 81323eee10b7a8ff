"""Why the signature of a webhook is not valid: the first step that fails, and what to change."""

import base64
import binascii
import hmac
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from atomic_adapters.webhooks.signature import (
    ID_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    VERSION,
    MalformedSecret,
    compute_hmac,
    compute_signature,
    decode_secret,
)

TOLERANCE_SECONDS: Final = 300
"""Between `webhook-timestamp` and the receiver's clock, as verifying libraries allow."""

SIGNATURE_BYTES: Final = 32

_SEPARATORS: Final = re.compile(r"[ ]+")


class Explanation(NamedTuple):
    is_valid: bool
    step: str
    """What was checked last: `headers`, `secret`, `timestamp`, `encoding`, `signature`, `body` or
    `age`."""
    message: str


def explain(
    headers: Mapping[str, str], body: bytes, secrets: Sequence[str], received_at: int
) -> Explanation:
    """`headers` by name in lower case; `received_at` in seconds since 1970."""
    for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER):
        if not headers.get(name):
            return _fail("headers", f"The header {name} is missing.")
    for secret in secrets:
        try:
            decode_secret(secret)
        except MalformedSecret as error:
            return _fail("secret", f"The secret is malformed. {error}")
    id, timestamp = headers[ID_HEADER], headers[TIMESTAMP_HEADER]
    if not (timestamp.isascii() and timestamp.isdigit()):
        return _fail("timestamp", f"{TIMESTAMP_HEADER} is not a whole number of seconds.")
    expected = [compute_signature(secret, id, timestamp, body) for secret in secrets]
    signatures, problem = _parse_signatures(headers[SIGNATURE_HEADER], expected)
    if problem:
        return _fail("encoding", problem)
    if not _match(expected, signatures):
        return _explain_mismatch(id, timestamp, body, secrets, signatures)
    return _check_age(int(timestamp), received_at)


def _fail(step: str, message: str) -> Explanation:
    return Explanation(is_valid=False, step=step, message=message)


def _match(expected: Sequence[bytes], signatures: Sequence[bytes]) -> bool:
    return any(
        hmac.compare_digest(signature, each) for signature in signatures for each in expected
    )


def _parse_signatures(header: str, expected: Sequence[bytes]) -> tuple[list[bytes], str | None]:
    """The signatures of version 1, or what is wrong with the header."""
    signatures: list[bytes] = []
    for part in _SEPARATORS.split(header.strip()):
        version, comma, encoded = part.partition(",")
        if not comma:
            if _is_in_other_encoding(part, expected):
                return [], f"{SIGNATURE_HEADER} lacks the version: it must be {VERSION},<base64>."
            return [], f"{SIGNATURE_HEADER} must hold <version>,<base64>, separated by spaces."
        if version != VERSION:
            continue
        try:
            signature = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            signature = b""
        if len(signature) != SIGNATURE_BYTES:
            return [], _describe_encoding(encoded, expected)
        signatures.append(signature)
    if not signatures:
        return [], f"{SIGNATURE_HEADER} holds no signature of version {VERSION}."
    return signatures, None


DECODERS: Final[Mapping[str, Callable[[str], bytes]]] = {
    "base64": lambda text: base64.b64decode(text, validate=True),
    "hexadecimal": bytes.fromhex,
    "base64 without padding": lambda text: base64.b64decode(
        text + "=" * (-len(text) % 4), validate=True
    ),
    "URL-safe base64": lambda text: base64.b64decode(
        text + "=" * (-len(text) % 4), altchars=b"-_", validate=True
    ),
}


def _list_decodings(text: str) -> Iterator[tuple[str, bytes]]:
    for name, decode in DECODERS.items():
        try:
            yield name, decode(text)
        except (binascii.Error, ValueError):
            continue


def _is_in_other_encoding(text: str, expected: Sequence[bytes]) -> bool:
    return any(_match(expected, [decoded]) for _, decoded in _list_decodings(text))


def _describe_encoding(encoded: str, expected: Sequence[bytes]) -> str:
    for name, decoded in _list_decodings(encoded):
        if len(decoded) == SIGNATURE_BYTES:
            verdict = "it is the right signature" if _match(expected, [decoded]) else "32 bytes"
            return (
                f"The signature is encoded as {name} ({verdict}); it must be base64 with padding."
            )
    return f"A signature in {SIGNATURE_HEADER} is not the base64 of {SIGNATURE_BYTES} bytes."


def _explain_mismatch(
    id: str, timestamp: str, body: bytes, secrets: Sequence[str], signatures: Sequence[bytes]
) -> Explanation:
    """Find what was changed, by trying what commonly changes it."""
    for change, variant in list_body_variants(body):
        expected = [compute_signature(secret, id, timestamp, variant) for secret in secrets]
        if _match(expected, signatures):
            return _fail(
                "body",
                f"The body was changed: {change}. Verify the bytes of the request before anything"
                " parses or re-encodes them.",
            )
    for change, key in _list_key_variants(secrets):
        if _match([compute_hmac(key, id, timestamp, body)], signatures):
            return _fail("secret", f"The signature was made with the wrong key: {change}.")
    event_id = _read_event_id(body)
    if event_id not in (None, id):
        expected = [compute_signature(secret, str(event_id), timestamp, body) for secret in secrets]
        if _match(expected, signatures):
            return _fail("headers", f"{ID_HEADER} was changed: the signature is for {event_id}.")
    if event_id == id and not _is_as_sent(body):
        return _fail(
            "body",
            "The body was changed: it is JSON of this event, re-encoded with other spaces, escapes"
            " or order of keys. Verify the bytes of the request before anything parses them.",
        )
    if event_id == id:
        return _fail(
            "signature",
            "Wrong secret, most likely: the body is as Atomic sends it, and none of its signatures"
            " is of this secret. Compare the secret with the endpoint's; after a rotation the"
            " former secret signs for a limited time only.",
        )
    return _fail(
        "signature",
        f"No signature is of this secret, {ID_HEADER}, {TIMESTAMP_HEADER} and body. The secret is"
        " of another endpoint, or the body, which is not as Atomic sends it, was changed in a way"
        " that is not recognized.",
    )


def _check_age(timestamp: int, received_at: int) -> Explanation:
    age = received_at - timestamp
    if abs(age) > TOLERANCE_SECONDS:
        side = "before" if age > 0 else "after"
        return _fail(
            "age",
            f"The signature is of this secret and body, but {TIMESTAMP_HEADER} is {abs(age)} s"
            f" {side} the time of receipt; receivers accept {TOLERANCE_SECONDS} s. Check the clock"
            " of the receiver. If you saved the request earlier, state when with --received-at.",
        )
    return Explanation(is_valid=True, step="age", message="The signature is valid.")


def list_body_variants(body: bytes) -> Iterator[tuple[str, bytes]]:
    """What the body may have been before, and by which change it has become what it is."""
    if body.endswith(b"\n"):
        yield "a trailing newline was added", body.rstrip(b"\r\n")
    if b"\r\n" in body:
        yield "line ends became CR LF", body.replace(b"\r\n", b"\n")
    if body.startswith(b"\xef\xbb\xbf"):
        yield "a byte order mark was added", body[3:]
    if body != body.strip():
        yield "white space was added around it", body.strip()
    yield "a trailing newline was removed", body + b"\n"
    try:
        document = json.loads(body)
    except ValueError:
        return
    compact, spaced = (",", ":"), (", ", ": ")
    styles: dict[str, dict[str, Any]] = {
        "": {"separators": compact, "ensure_ascii": False},
        ", with non-ASCII characters escaped before": {"separators": compact},
        ", with spaces before": {"separators": spaced, "ensure_ascii": False},
        ", with spaces and non-ASCII characters escaped before": {"separators": spaced},
        ", indented before": {"indent": 2, "ensure_ascii": False},
    }
    for style, options in styles.items():
        yield f"its JSON was re-encoded{style}", _to_bytes(json.dumps(document, **options))


def _list_key_variants(secrets: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    for secret in secrets:
        yield "the text of the secret, not what its base64 stands for", secret.encode()
        bare = secret.partition("_")[2]
        yield "the text after whsec_, not what its base64 stands for", bare.encode()


def _read_event_id(body: bytes) -> object:
    try:
        document = json.loads(body)
    except ValueError:
        return None
    return document.get("id") if isinstance(document, dict) else None


def _is_as_sent(body: bytes) -> bool:
    """Whether the JSON looks as Atomic encodes it: compact, with the id first."""
    document = json.loads(body)
    return next(iter(document)) == "id" and _encode(document) == body


def _encode(document: object) -> bytes:
    return _to_bytes(json.dumps(document, separators=(",", ":"), ensure_ascii=False))


def _to_bytes(text: str) -> bytes:
    # The body is not Atomic's: it may hold escapes of lone surrogates.
    return text.encode(errors="surrogatepass")
