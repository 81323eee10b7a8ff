import type {
  Account,
  AccountUpdate,
  Event,
  IssuedWebhookEndpoint,
  NewAccount,
  NewPayment,
  NewRefund,
  NewWebhookEndpoint,
  Payment,
  Refund,
  SubtreeBalances,
  WebhookEndpoint,
} from "./models.js";
import { type Options, type Query, Transport } from "./transport.js";

export * from "./errors.js";
export type * from "./models.js";
export { InvalidSignature, verifyWebhook } from "./webhooks.js";
export type { Options } from "./transport.js";

/** The longest `wait` of one request, in seconds. */
const MAX_WAIT_SECONDS = 30;
/** Statuses that a worker still changes. */
const OPEN: ReadonlySet<string> = new Set(["PENDING", "PROCESSING"]);

export interface CallOptions {
  /** Your order's id: a second call with it returns the first result. */
  idempotencyKey?: string;
  /** How long to wait until the result is settled, in seconds. */
  timeout?: number;
}

/** A client of one merchant. */
export class Atomic {
  readonly payments: Payments;
  readonly refunds: Refunds;
  readonly accounts: Accounts;
  readonly events: Events;
  readonly webhookEndpoints: WebhookEndpoints;

  constructor(options: Options) {
    const transport = new Transport(options);
    this.payments = new Payments(transport);
    this.refunds = new Refunds(transport);
    this.accounts = new Accounts(transport);
    this.events = new Events(transport);
    this.webhookEndpoints = new WebhookEndpoints(transport);
  }
}

class Payments {
  constructor(private readonly transport: Transport) {}

  /** Accept a payment, which is settled shortly after. */
  create(payment: NewPayment, options: CallOptions = {}): Promise<Payment> {
    return this.post("/payments", payment, options);
  }

  /**
   * Create a payment and return it when it is settled, AUTHORIZED or REQUIRES_ACTION; after `timeout`
   * seconds (30) as it is then, PENDING or PROCESSING.
   */
  createAndWait(payment: NewPayment, options: CallOptions = {}): Promise<Payment> {
    return this.post("/payments", payment, { timeout: MAX_WAIT_SECONDS, ...options });
  }

  get(id: string): Promise<Payment> {
    return this.getWaiting(id);
  }

  /** Every payment, newest first; pages are read when they are needed. */
  list(filters: Query = {}): AsyncGenerator<Payment> {
    return iteratePages(this.transport, "/payments", filters);
  }

  /** Capture a hold, or `amount` of it. */
  capture(id: string, body: { amount?: number } = {}, options: CallOptions = {}): Promise<Payment> {
    return this.post(`/payments/${encodeURIComponent(id)}/capture`, body, options);
  }

  /** Release a hold. */
  cancel(id: string, body: { reason?: string } = {}, options: CallOptions = {}): Promise<Payment> {
    return this.post(`/payments/${encodeURIComponent(id)}/cancel`, body, options);
  }

  private post(path: string, body: object, options: CallOptions): Promise<Payment> {
    return postAndWait(this.transport, path, body, options, (id, wait) => this.getWaiting(id, wait));
  }

  private async getWaiting(id: string, wait?: number): Promise<Payment> {
    const path = `/payments/${encodeURIComponent(id)}`;
    const call = { query: { wait }, wait: wait ?? 0 };
    return (await this.transport.request<{ payment: Payment }>("GET", path, call)).payment;
  }
}

class Refunds {
  constructor(private readonly transport: Transport) {}

  /** Refund a payment, or `amount` of it. */
  create(paymentId: string, refund: NewRefund = {}, options: CallOptions = {}): Promise<Refund> {
    const path = `/payments/${encodeURIComponent(paymentId)}/refunds`;
    return postAndWait(this.transport, path, refund, options, (id, wait) => this.getWaiting(id, wait));
  }

  get(id: string): Promise<Refund> {
    return this.getWaiting(id);
  }

  /** Every refund, newest first; of one payment with `paymentId`. */
  list(filters: Query = {}): AsyncGenerator<Refund> {
    return iteratePages(this.transport, "/refunds", filters);
  }

  private getWaiting(id: string, wait?: number): Promise<Refund> {
    const call = { query: { wait }, wait: wait ?? 0 };
    return this.transport.request("GET", `/refunds/${encodeURIComponent(id)}`, call);
  }
}

class Accounts {
  constructor(private readonly transport: Transport) {}

  /** Open an account of your own chart. */
  create(account: NewAccount, options: CallOptions = {}): Promise<Account> {
    const { idempotencyKey } = options;
    return this.transport.request("POST", "/accounts", { body: account, idempotencyKey });
  }

  get(id: string): Promise<Account> {
    return this.transport.request("GET", `/accounts/${encodeURIComponent(id)}`);
  }

  /** Every account, newest first; pages are read when they are needed. `"metadata[tier]"` is a filter. */
  list(filters: Query = {}): AsyncGenerator<Account> {
    return iteratePages(this.transport, "/accounts", filters);
  }

  /** Rename, freeze, close or reopen an account, or replace its metadata. */
  update(id: string, changes: AccountUpdate, options: CallOptions = {}): Promise<Account> {
    const call = { body: changes, idempotencyKey: options.idempotencyKey };
    return this.transport.request("PATCH", `/accounts/${encodeURIComponent(id)}`, call);
  }

  /** The sums by currency of the accounts whose names have this prefix, such as `wallets`; of all without one. */
  balances(prefix?: string): Promise<SubtreeBalances> {
    return this.transport.request("GET", "/accounts/balances", { query: { prefix } });
  }
}

class Events {
  constructor(private readonly transport: Transport) {}

  get(id: string): Promise<Event> {
    return this.transport.request("GET", `/events/${encodeURIComponent(id)}`);
  }

  /** The stream of events: `after`, `type`, `paymentId`, `order`. */
  list(filters: Query = {}): AsyncGenerator<Event> {
    return iteratePages(this.transport, "/events", filters);
  }
}

class WebhookEndpoints {
  constructor(private readonly transport: Transport) {}

  /** The endpoint and its `secret` for `verifyWebhook`, which is returned only once. */
  create(endpoint: NewWebhookEndpoint, options: CallOptions = {}): Promise<IssuedWebhookEndpoint> {
    const { idempotencyKey } = options;
    return this.transport.request("POST", "/webhook-endpoints", { body: endpoint, idempotencyKey });
  }

  get(id: string): Promise<WebhookEndpoint> {
    return this.transport.request("GET", `/webhook-endpoints/${encodeURIComponent(id)}`);
  }

  list(): Promise<WebhookEndpoint[]> {
    return this.transport.request("GET", "/webhook-endpoints");
  }

  /** A new secret; webhooks are signed with the old one too for a while. */
  rotateSecret(id: string, options: CallOptions = {}): Promise<IssuedWebhookEndpoint> {
    const path = `/webhook-endpoints/${encodeURIComponent(id)}/rotate-secret`;
    return this.transport.request("POST", path, { idempotencyKey: options.idempotencyKey });
  }

  delete(id: string): Promise<WebhookEndpoint> {
    return this.transport.request("DELETE", `/webhook-endpoints/${encodeURIComponent(id)}`);
  }
}

/** Send the request and read its resource, with `wait`, until it is not open or time is over. */
async function postAndWait<T extends { id: string; status: string }>(
  transport: Transport,
  path: string,
  body: object,
  options: CallOptions,
  get: (id: string, wait: number) => Promise<T>,
): Promise<T> {
  const { idempotencyKey, timeout = 0 } = options;
  const deadline = Date.now() + timeout * 1_000;
  let wait = limitWait(timeout);
  const query = { wait: wait || undefined };
  let item = await transport.request<T>("POST", path, { body, query, idempotencyKey, wait });
  while (OPEN.has(item.status) && (wait = limitWait((deadline - Date.now()) / 1_000))) {
    item = await get(item.id, wait);
  }
  return item;
}

function limitWait(seconds: number): number {
  return Math.max(0, Math.min(MAX_WAIT_SECONDS, Math.round(seconds)));
}

async function* iteratePages<T>(transport: Transport, path: string, filters: Query): AsyncGenerator<T> {
  let cursor: string | undefined;
  do {
    const query = { limit: 100, ...filters, cursor };
    const page = await transport.request<{ items: T[]; nextCursor: string | null }>("GET", path, { query });
    yield* page.items;
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined);
}
