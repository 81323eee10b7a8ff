"""A webhook sender that is built when the first webhook is sent."""

from threading import Barrier

from atomic_adapters.memory.services import MemoryWebhookSender
from atomic_adapters.webhooks.deferred_sender import DeferredWebhookSender
from atomic_core.domain.webhooks import WebhookRequest, WebhookResult
from support import run_concurrently

REQUEST = WebhookRequest("id", "https://shop.example/", b"{}", (), 1)


def test_concurrent_first_webhooks_share_one_sender() -> None:
    built: list[MemoryWebhookSender] = []

    def build() -> MemoryWebhookSender:
        built.append(MemoryWebhookSender())
        return built[-1]

    sender, barrier = DeferredWebhookSender(build), Barrier(8)
    assert not built

    def send() -> WebhookResult:
        barrier.wait(60)
        return sender.send(REQUEST)

    results = run_concurrently([send] * 8)
    assert [result.status_code for result in results] == [200] * 8
    assert len(built) == 1
    assert built[0].requests == [REQUEST] * 8
