"""`atomic webhooks …`"""

import json
import time
from datetime import UTC, datetime
from typing import Any, Final

import click

from atomic_adapters.webhooks.explanation import explain as explain_signature
from atomic_adapters.webhooks.secret_cipher import generate_key
from atomic_adapters.webhooks.signature import MalformedSecret, decode_secret, generate_secret
from atomic_core.domain.webhook_urls import EVERY_NETWORK, find_url_problem
from atomic_worker.commands.console import json_option, print_json

MAX_FILE_BYTES: Final = 16_777_216

FILE: Final = click.Path(exists=True, dir_okay=False, allow_dash=True)


@click.group()
def webhooks() -> None:
    """Help with receiving and signing webhooks."""


@webhooks.command("new-key")
def new_key() -> None:
    """Print a new key for WEBHOOK_ENCRYPTION_KEYS, which encrypts the stored signing secrets."""
    click.echo(generate_key())


class TimeParam(click.ParamType):
    """An RFC 3339 time, or seconds since 1970, in seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            if value.isascii() and value.isdigit():
                return int(value)
            time = datetime.fromisoformat(value)
        except ValueError:
            self.fail("Must be a time such as 2026-11-23T04:09:45Z.", param, ctx)
        return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())


@webhooks.command()
@click.option(
    "--secret",
    "secrets",
    required=True,
    multiple=True,
    envvar="WEBHOOK_SECRET",
    help="The endpoint's signing secret, whsec_…; repeat it for several.  [env: WEBHOOK_SECRET]",
)
@click.option(
    "--headers",
    "header_path",
    required=True,
    type=FILE,
    help="A file with the request's headers, as lines of `name: value` or a JSON object.",
)
@click.option(
    "--body",
    "body_path",
    required=True,
    type=FILE,
    help="A file with the request's body, byte for byte.",
)
@click.option(
    "--received-at",
    type=TimeParam(),
    help="When the request arrived. Default: now.",
)
@json_option
@click.pass_context
def explain(
    ctx: click.Context,
    secrets: tuple[str, ...],
    header_path: str,
    body_path: str,
    received_at: int | None,
    *,
    as_json: bool,
) -> None:
    """Say why the signature of a received webhook is not valid: the first step that fails.

    The exit status is 0 if the signature is valid, and 1 if not. `-` as a file reads standard
    input. Needs no database.
    """
    if header_path == body_path == "-":
        raise click.UsageError("Only one of --headers and --body can be read from standard input.")
    headers, body = parse_headers(_read(header_path)), _read(body_path)
    now = int(time.time()) if received_at is None else received_at
    explanation = explain_signature(headers, body, secrets, now)
    if as_json:
        step, message = explanation.step, explanation.message
        print_json({"valid": explanation.is_valid, "step": step, "message": message})
    else:
        prefix = "" if explanation.is_valid else f"{explanation.step}: "
        click.echo(prefix + explanation.message)
    ctx.exit(0 if explanation.is_valid else 1)


def _read(path: str) -> bytes:
    with click.open_file(path, "rb") as file:
        return file.read(MAX_FILE_BYTES)


def parse_headers(content: bytes) -> dict[str, str]:
    """By name in lower case. Lines without a colon, such as the request line, are skipped; `>` and
    `<`, with which `curl -v` begins lines, too."""
    text = content.decode("utf-8-sig", errors="replace")
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if isinstance(document, dict):
        return {str(name).lower(): str(value).strip() for name, value in document.items()}
    headers: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.lstrip("<> ").partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return headers


@webhooks.command()
@click.option(
    "--forward-to",
    required=True,
    metavar="URL",
    help="Your receiver, such as http://localhost:8000/webhooks.",
)
@click.option(
    "--api-key",
    envvar="API_KEY",
    required=True,
    help="A key with the scope events:read.  [env: API_KEY]",
)
@click.option(
    "--secret",
    envvar="WEBHOOK_SECRET",
    help="Signs the webhooks, whsec_…; default: a new one.  [env: WEBHOOK_SECRET]",
)
@click.option(
    "--after",
    type=click.IntRange(0),
    help="Begin after this sequence number, 0 for the whole stream. Default: only events from now"
    " on.",
)
@click.option(
    "--base-url",
    envvar="BASE_URL",
    default="http://127.0.0.1:3000",
    show_default=True,
    help="Of the API, without /api/v1.  [env: BASE_URL]",
)
def listen(
    forward_to: str, api_key: str, secret: str | None, after: int | None, base_url: str
) -> None:
    """Forward events to a receiver on your machine as signed webhooks, until Ctrl-C.

    Reads GET /events, so that the API needs no way to reach your machine. Each event is sent once
    and printed on one line with the receiver's answer; it is not retried. Needs no database.
    """
    # Imported here: it imports the HTTP client, which the other commands do not need.
    from atomic_worker.commands.webhook_listener import Listener

    if problem := find_url_problem(forward_to, EVERY_NETWORK):
        raise click.BadParameter(problem, param_hint="--forward-to")
    if find_url_problem(base_url, EVERY_NETWORK):
        raise click.BadParameter("Must be an http or https URL.", param_hint="--base-url")
    if not (api_key.isascii() and api_key.isprintable()):
        raise click.BadParameter("Must be an API key, sk_….", param_hint="--api-key")
    secret = secret or generate_secret()
    try:
        decode_secret(secret)
    except MalformedSecret as error:
        raise click.BadParameter(str(error), param_hint="--secret") from error
    Listener(base_url, api_key, forward_to, secret, after).run()
