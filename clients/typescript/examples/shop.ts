/** A shop of 200 orders on `make run`: `. .atomic/dev.env`, then `node dist/shop.js`. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Atomic, type Event, RefundExceedsRemaining, verifyWebhook } from "atomic-payments";

const orders = Number(process.argv[2] ?? 200);
const run = Date.now();
const { BASE_URL: baseUrl = "", API_KEY: apiKey = "" } = process.env;
const atomic = new Atomic({ baseUrl, apiKey });

let secret = "";
let resolveEvent: (event: Event) => void;
const received = new Promise<Event>((resolve) => (resolveEvent = resolve));
const server = createServer(async (request, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  resolveEvent(await verifyWebhook(Buffer.concat(chunks), request.headers, secret));
  response.writeHead(204).end();
});
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
const issued = await atomic.webhookEndpoints.create({
  url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/webhooks`,
  eventTypes: ["refund.succeeded"],
});
secret = issued.secret ?? "";

const started = Date.now();
const statuses: Record<string, number> = {};
for (let number = 0; number < orders; number++) {
  const payment = await atomic.payments.createAndWait(
    {
      amount: 1_000 + number,
      currency: "USD",
      source: number % 10 === 0 ? "tok_chargeDeclined" : "tok_visa",
      metadata: { order: String(number) },
    },
    { idempotencyKey: `shop-${run}-${number}` },
  );
  const outcome = payment.failureReason ?? payment.status;
  statuses[outcome] = (statuses[outcome] ?? 0) + 1;
}
const seconds = ((Date.now() - started) / 1_000).toFixed(1);
console.log(`${orders} orders in ${seconds} s: ${JSON.stringify(statuses)}`);

const order = { amount: 5_000, currency: "USD", source: "tok_visa", capture: "manual" } as const;
const hold = await atomic.payments.createAndWait(order);
const captured = await atomic.payments.capture(hold.id, { amount: 3_000 }, { timeout: 30 });
console.log(`hold: ${hold.status}, then ${captured.status} with ${captured.amountCaptured}`);
const refund = await atomic.refunds.create(captured.id, { amount: 1_000, reason: "damaged" }, { timeout: 30 });
console.log(`refund: ${refund.status} of ${refund.amount}`);
try {
  await atomic.refunds.create(captured.id, { amount: 2_500 });
} catch (error) {
  if (!(error instanceof RefundExceedsRemaining)) throw error;
  console.log(`refused: ${error.code}, remaining ${error.details["remaining"]}`);
}
const event = await received;
console.log(`webhook: ${event.type} of ${event.refundId === refund.id && "this refund"}, verified`);
await atomic.webhookEndpoints.delete(issued.endpoint.id);
server.close();
