/**
 * The objects of the API, as the JSON that it sends. `tests/unit/test_typescript_client.py` holds them
 * equal to the OpenAPI document. Amounts are integers in minor units.
 */

export type CaptureMethod = "automatic" | "manual";
export type PaymentStatus = "PENDING" | "PROCESSING" | "REQUIRES_ACTION" | "AUTHORIZED" | "SUCCESS" | "FAILED" | "CANCELED";
export type RefundStatus = "PENDING" | "PROCESSING" | "SUCCESS" | "FAILED";

export interface NextAction {
  type: "redirect_to_url";
  url: string;
}

export interface Payment {
  id: string;
  merchantId: string;
  accountId: string;
  amount: number;
  currency: string;
  source: string;
  description: string;
  status: PaymentStatus;
  idempotencyKey: string | null;
  webhookUrl: string | null;
  failureReason: string | null;
  cancellationReason: string | null;
  capture: CaptureMethod;
  amountCaptured: number;
  amountRefunded: number;
  fee: number;
  expiresAt: string | null;
  nextAction: NextAction | null;
  networkReference: string | null;
  inDoubt: boolean;
  inDoubtSince: string | null;
  metadata: Record<string, string>;
  createdAt: string;
  updatedAt: string;
}

export interface NewPayment {
  amount: number;
  currency: string;
  source: string;
  merchantId?: string;
  description?: string;
  webhookUrl?: string;
  capture?: CaptureMethod;
  metadata?: Record<string, string>;
}

export interface Refund {
  id: string;
  paymentId: string;
  merchantId: string;
  accountId: string;
  amount: number;
  currency: string;
  reason: string | null;
  status: RefundStatus;
  failureReason: string | null;
  idempotencyKey: string | null;
  networkReference: string | null;
  inDoubt: boolean;
  inDoubtSince: string | null;
  metadata: Record<string, string>;
  createdAt: string;
  updatedAt: string;
}

export interface NewRefund {
  amount?: number;
  reason?: string;
  metadata?: Record<string, string>;
}

export type AccountType = "asset" | "liability" | "equity" | "revenue" | "expense";
export type AccountStatus = "OPEN" | "FROZEN" | "CLOSED";
export type NormalSide = "debit" | "credit";

export interface PendingAmounts {
  in: number;
  out: number;
}

export interface Account {
  id: string;
  merchantId: string;
  name: string;
  currency: string;
  type: AccountType;
  normalSide: NormalSide;
  balance: number;
  pending: PendingAmounts;
  available: number;
  allowNegative: boolean;
  createdAt: string;
  status: AccountStatus;
  minBalance: number | null;
  maxBalance: number | null;
  externalId: string | null;
  metadata: Record<string, string>;
}

export interface NewAccount {
  name: string;
  currency: string;
  type?: AccountType;
  externalId?: string;
  metadata?: Record<string, string>;
  minBalance?: number | null;
  maxBalance?: number | null;
}

export interface AccountUpdate {
  name?: string;
  metadata?: Record<string, string>;
  status?: AccountStatus;
}

export interface SubtreeBalance {
  currency: string;
  accounts: number;
  balance: number;
  pending: PendingAmounts;
  available: number;
}

export interface SubtreeBalances {
  prefix: string | null;
  items: SubtreeBalance[];
}

export interface Actor {
  type: string;
  id: string | null;
}

export interface Event {
  id: string;
  sequence: number;
  type: string;
  occurredAt: string;
  paymentId: string | null;
  refundId: string | null;
  data: Record<string, unknown>;
  requestId: string | null;
  serverRequestId: string | null;
  actor: Actor | null;
}

export interface WebhookEndpoint {
  id: string;
  url: string | null;
  eventTypes: string[];
  description: string;
  ordered: boolean;
  status: "enabled" | "disabled";
  disabledReason: string | null;
  position: number;
  createdAt: string;
  updatedAt: string;
}

export interface NewWebhookEndpoint {
  url: string;
  eventTypes?: string[];
  description?: string;
  ordered?: boolean;
}

export interface IssuedWebhookEndpoint {
  endpoint: WebhookEndpoint;
  secret: string | null;
}
