"""Mutants of sending webhooks: where they go, how long they take, and what signs them."""

from typing import Final

from mutants.mutant import Edit, Mutant

FOLDER: Final = "atomic_adapters/webhooks"
DIALER: Final = f"{FOLDER}/dialer.py"
EXCHANGE: Final = f"{FOLDER}/exchange.py"
CONNECTIONS: Final = f"{FOLDER}/connections.py"
SENDER: Final = f"{FOLDER}/http_sender.py"
SIGNATURE: Final = f"{FOLDER}/signature.py"
EXPLANATION: Final = f"{FOLDER}/explanation.py"

ADDRESS_TEST: Final = "tests/integration/test_webhook_addresses.py"
SIGNATURE_TEST: Final = "tests/integration/test_webhook_signatures.py"
RECEIVER_TEST: Final = "tests/integration/test_webhook_receivers.py"
CONNECTION_TEST: Final = "tests/integration/test_webhook_connections.py"
EXPLANATION_TEST: Final = "tests/unit/test_webhook_explanation.py"
ANSWER_TEST: Final = "tests/integration/test_webhook_answers.py"
SETTINGS_TEST: Final = "tests/unit/test_settings.py"

WEBHOOK_SENDER_MUTANTS: Final = (
    Mutant(
        "resolved-address-not-checked",
        "a name that resolves to a private address is not connected to",
        (
            Edit(
                DIALER,
                "if not is_allowed_address(address, self.allowed_networks):",
                "if not address:",
            ),
        ),
        (ADDRESS_TEST,),
    ),
    Mutant(
        "first-address-checked-only",
        "one private address refuses the whole name",
        (
            Edit(
                DIALER,
                "        for address in addresses:\n            if not is_allowed",
                "        for address in addresses[:1]:\n            if not is_allowed",
            ),
        ),
        (ADDRESS_TEST,),
    ),
    Mutant(
        "name-resolved-again-after-the-check",
        "the connection goes to the address that was checked",
        (
            Edit(
                DIALER,
                "return _connect(address, port, seconds, exchange)",
                "return _connect(self.resolve(host, port)[0], port, seconds, exchange)",
            ),
        ),
        (ADDRESS_TEST,),
    ),
    Mutant(
        "look-ups-unbounded",
        "look-ups that hang do not take ever more threads",
        (
            Edit(
                DIALER,
                "if len(self._abandoned) >= MAX_ABANDONED_LOOK_UPS:",
                "if len(self._abandoned) >= 1_000_000:",
            ),
        ),
        (ADDRESS_TEST,),
    ),
    Mutant(
        "proxied-url-not-checked",
        "a proxy gets no private address",
        (
            Edit(
                SENDER,
                "if problem := find_url_problem(url, self._allowed_networks):",
                "if problem := find_url_problem(url, EVERY_NETWORK):",
            ),
        ),
        (ADDRESS_TEST,),
    ),
    Mutant(
        "mapped-address-is-public",
        "an IPv4 address in IPv6 notation is not public",
        (
            Edit(
                "atomic_core/domain/webhook_urls.py",
                "return address in _ALLOCATED_V6 and address.is_global and not is_excluded",
                "return (address.ipv4_mapped or address in _ALLOCATED_V6) and not is_excluded",
            ),
        ),
        (ADDRESS_TEST, "tests/unit/test_webhook_urls.py"),
    ),
    Mutant(
        "production-reaches-loopback",
        "production sends webhooks to no private address by default",
        (
            Edit(
                "atomic_adapters/webhook_settings.py",
                '"none" if is_production else LOOPBACK',
                "LOOPBACK if is_production else LOOPBACK",
            ),
        ),
        (SETTINGS_TEST,),
    ),
    Mutant(
        "certificate-of-any-authority",
        "the receiver's certificate is verified",
        (
            Edit(
                CONNECTIONS,
                "    context = ssl.create_default_context()\n",
                "    context = ssl._create_unverified_context()\n",
            ),
        ),
        (ADDRESS_TEST,),
    ),
    Mutant(
        "certificate-of-the-address",
        "certificate and SNI are of the host name, not of the address",
        (
            Edit(
                CONNECTIONS,
                "TlsReceiverConnection(host, port, ssl_context=self.tls_context)",
                "TlsReceiverConnection(\n"
                "                host, port, ssl_context=self.tls_context,"
                ' server_hostname="127.0.0.1"\n'
                "            )",
            ),
        ),
        (ADDRESS_TEST,),
    ),
    Mutant(
        "time-out-begins-with-each-byte",
        "the time-out is for the whole answer",
        (
            Edit(
                EXCHANGE,
                "        self.settimeout(self.exchange.get_seconds_left())\n"
                "        try:\n"
                "            count =",
                "        self.settimeout(1)\n        try:\n            count =",
            ),
        ),
        (RECEIVER_TEST,),
    ),
    Mutant(
        "tls-time-out-begins-with-each-byte",
        "the time-out is for the whole answer, also within a TLS record",
        (
            Edit(EXCHANGE, "            self._get_exchange().get_seconds_left()\n", ""),
            Edit(EXCHANGE, "poll.poll(exchange.get_seconds_left() * 1_000)", "poll.poll(1_000)"),
        ),
        (ADDRESS_TEST,),
    ),
    Mutant(
        "whole-answer-read",
        "at most 64 KiB of an answer are read",
        (Edit(EXCHANGE, "MAX_BYTES: Final = 65_536", "MAX_BYTES: Final = 268_435_456"),),
        (RECEIVER_TEST,),
    ),
    Mutant(
        "idle-connections-unbounded",
        "few idle connections are kept per receiver",
        (Edit(CONNECTIONS, "if len(same) > MAX_IDLE_PER_RECEIVER:", "if len(same) > MAX_IDLE:"),),
        (CONNECTION_TEST,),
    ),
    Mutant(
        "rest-of-an-answer-is-the-next-answer",
        "a connection with bytes that no answer has used is not used again",
        (
            Edit(
                f"{FOLDER}/answer_reader.py",
                "message.is_kept_open and not message.has_surplus",
                "message.is_kept_open",
            ),
        ),
        (ANSWER_TEST,),
    ),
    Mutant(
        "closing-connection-kept",
        "a connection that the receiver closes is not used again",
        (
            Edit(
                f"{FOLDER}/answer_reader.py",
                "self.is_kept_open = self.parser.should_keep_alive()",
                "self.is_kept_open = True",
            ),
        ),
        (ANSWER_TEST,),
    ),
    Mutant(
        "cut-off-answer-is-complete",
        "an answer that ends before its length is no success",
        (
            Edit(
                f"{FOLDER}/answer_reader.py",
                "                if not message.has_head or message.has_known_end:",
                "                if not message.has_head:",
            ),
        ),
        (ANSWER_TEST, RECEIVER_TEST),
    ),
    Mutant(
        "early-hints-are-the-answer",
        "interim answers are not the answer",
        (
            Edit(
                f"{FOLDER}/answer_reader.py",
                "is_interim = status < 200 and",
                "is_interim = status == 100 and",
            ),
        ),
        (ANSWER_TEST,),
    ),
    Mutant(
        "stale-connection-fails-webhook",
        "a kept connection that the receiver closes is replaced",
        (Edit(SENDER, "if not (is_reused and exchange.received == 0):", "if connection:"),),
        (CONNECTION_TEST,),
    ),
    Mutant(
        "webhook-sent-twice-in-one-attempt",
        "a webhook that a new connection has carried is not sent again in the same attempt",
        (
            Edit(
                SENDER,
                "if not (is_reused and exchange.received == 0):",
                "if exchange.received != 0:",
            ),
        ),
        (CONNECTION_TEST,),
    ),
    Mutant(
        "redirect-is-success",
        "a redirect is a failure",
        (
            Edit(
                f"{FOLDER}/answers.py",
                "if status is not None and 200 <= status < 300:",
                "if status is not None and 200 <= status < 400:",
            ),
        ),
        (RECEIVER_TEST,),
    ),
    Mutant(
        "timestamp-not-signed",
        "the signature covers id, timestamp and body",
        (Edit(SIGNATURE, 'f"{id}.{timestamp}.".encode() + body', 'f"{id}.".encode() + body'),),
        (SIGNATURE_TEST,),
    ),
    Mutant(
        "only-newest-secret-signs",
        "each of the secrets signs",
        (Edit(SIGNATURE, "for secret in secrets]", "for secret in secrets[:1]]"),),
        (SIGNATURE_TEST,),
    ),
    Mutant(
        "former-secret-signs-first",
        "the newest secret signs first",
        (Edit(SIGNATURE, "for secret in secrets]", "for secret in secrets[::-1]]"),),
        (SIGNATURE_TEST,),
    ),
    Mutant(
        "last-key-encrypts",
        "the first key encrypts",
        (Edit(f"{FOLDER}/secret_cipher.py", "for key in keys])", "for key in reversed(keys)])"),),
        ("tests/unit/test_secret_cipher.py",),
    ),
    Mutant(
        "keys-in-representation",
        "encryption keys are not in the text of the settings",
        (
            Edit(
                "atomic_adapters/webhook_settings.py",
                "encryption_keys: tuple[str, ...] = field(repr=False)",
                "encryption_keys: tuple[str, ...] = field(repr=True)",
            ),
        ),
        (SETTINGS_TEST,),
    ),
    Mutant(
        "webhook-urls-logged",
        "URLs of webhooks are not logged",
        (
            Edit(
                "atomic_adapters/logs.py",
                'logging.getLogger("urllib3").setLevel(logging.CRITICAL)',
                'logging.getLogger("urllib3").setLevel(logging.NOTSET)',
            ),
        ),
        ("tests/unit/test_logs.py",),
    ),
    Mutant(
        "key-file-readable-by-all",
        "only the owner of the file reads the key",
        (Edit("atomic_worker/dev/env_file.py", "0o600", "0o644"),),
        ("tests/unit/test_dev_parts.py",),
    ),
    Mutant(
        "old-signature-explained-as-valid",
        "a signature that is too old is not valid",
        (Edit(EXPLANATION, "if abs(age) > TOLERANCE_SECONDS:", "if age < -TOLERANCE_SECONDS:"),),
        (EXPLANATION_TEST,),
    ),
    Mutant(
        "changed-body-not-named",
        "a trailing newline is named as what changed the body",
        (Edit(EXPLANATION, 'if body.endswith(b"\\n"):', 'if body.endswith(b"\\n\\n"):'),),
        (EXPLANATION_TEST,),
    ),
    Mutant(
        "listener-forgets-its-position",
        "the listener goes on after the last event that it forwarded",
        (
            Edit(
                "atomic_worker/commands/webhook_listener.py",
                '            self.after = event["sequence"]\n',
                "",
            ),
        ),
        ("tests/unit/test_cli_webhooks.py",),
    ),
)
