/**
 * Errors: one class per error code of the API, under the class of its type.
 *
 * `tests/unit/test_typescript_client.py` holds them equal to the catalogue of the API. A code that a later
 * version adds is thrown as its type, or as ApiError.
 */

/** Every error of this client. */
export class AtomicError extends Error {}

/** No answer after all tries. A POST may have taken effect: repeat it with its Idempotency-Key. */
export class TransportError extends AtomicError {}

interface ErrorObject {
  code?: string;
  type?: string;
  message?: string;
  param?: string;
  retryable?: boolean;
  docUrl?: string;
  details?: Record<string, unknown>;
}

/** The API refused a request. */
export class ApiError extends AtomicError {
  readonly code: string;
  readonly type: string;
  readonly param: string | undefined;
  readonly retryable: boolean;
  readonly docUrl: string | undefined;
  readonly details: Record<string, unknown>;

  constructor(
    readonly status: number,
    error: ErrorObject,
    readonly requestId: string,
    /** Seconds, if the server named them. */
    readonly retryAfter: number | undefined,
  ) {
    super(error.message ?? `The server answered ${status}.`);
    this.name = new.target.name;
    this.code = error.code ?? "unknown";
    this.type = error.type ?? "unknown";
    this.param = error.param;
    this.retryable = error.retryable ?? [502, 503, 504].includes(status);
    this.docUrl = error.docUrl;
    this.details = error.details ?? {};
  }
}

export class ValidationFailed extends ApiError {}
export class Unauthorized extends ApiError {}
export class Forbidden extends ApiError {}
export class NotFound extends ApiError {}
export class EventsPurged extends ApiError {}
export class Conflict extends ApiError {}
export class TransactionRefused extends ApiError {}
export class IdempotencyKeyReused extends ApiError {}
export class IdempotencyKeyInUse extends ApiError {}
export class RateLimited extends ApiError {}
export class ServiceUnavailable extends ApiError {}
export class MalformedRequest extends ApiError {}
export class MethodNotAllowed extends ApiError {}
export class RequestTimeout extends ApiError {}
export class PayloadTooLarge extends ApiError {}
export class UriTooLong extends ApiError {}
export class HeadersTooLarge extends ApiError {}
export class UnsupportedMediaType extends ApiError {}
export class NotReady extends ApiError {}
export class InternalError extends ApiError {}
export class UnknownTestToken extends ValidationFailed {}
export class EventSignatureInvalid extends ValidationFailed {}
export class SessionInvalid extends Unauthorized {}
export class WrongCredentials extends Unauthorized {}
export class ApiKeyMissing extends Unauthorized {}
export class ApiKeyMalformed extends Unauthorized {}
export class SessionTokenGiven extends Unauthorized {}
export class SessionTokenMissing extends Unauthorized {}
export class SessionTokenMalformed extends Unauthorized {}
export class ApiKeyGiven extends Unauthorized {}
export class LoginSuspended extends Forbidden {}
export class WrongPassword extends Forbidden {}
export class ScopeMissing extends Forbidden {}
export class RegistrationClosed extends Forbidden {}
export class AccountFrozen extends Conflict {}
export class AccountClosed extends Conflict {}
export class AccountNotEmpty extends Conflict {}
export class ExternalIdTaken extends Conflict {}
export class TransactionAlreadyReversed extends Conflict {}
export class TransactionNotPending extends Conflict {}
export class TransactionNotPosted extends Conflict {}
export class AmountExceedsReserved extends Conflict {}
export class PeriodClosed extends Conflict {}
export class ReversalNotReversible extends Conflict {}
export class PaymentNotCapturable extends Conflict {}
export class PaymentNotCancelable extends Conflict {}
export class PaymentNotRefundable extends Conflict {}
export class AmountExceedsHeld extends Conflict {}
export class RefundExceedsRemaining extends Conflict {}
export class TooManyRefunds extends Conflict {}
export class DisputeNotAnswerable extends Conflict {}
export class EmailTaken extends Conflict {}
export class PasswordChangeConflict extends Conflict {}
export class TooManyApiKeys extends Conflict {}
export class ApiKeyInactive extends Conflict {}
export class TooManyWebhookEndpoints extends Conflict {}
export class WebhookEndpointNotEnabled extends Conflict {}
export class WebhookEndpointBuiltIn extends Conflict {}
export class WebhooksUnavailable extends Conflict {}
export class SigningSecretUnreadable extends Conflict {}
export class TooManyWaiting extends RateLimited {}
export class TooManyTests extends RateLimited {}

/** By code, and by type for codes that this client does not know. */
export const ERRORS: Readonly<Record<string, typeof ApiError>> = {
  validation_failed: ValidationFailed,
  unauthorized: Unauthorized,
  forbidden: Forbidden,
  not_found: NotFound,
  events_purged: EventsPurged,
  conflict: Conflict,
  transaction_refused: TransactionRefused,
  idempotency_key_reused: IdempotencyKeyReused,
  idempotency_key_in_use: IdempotencyKeyInUse,
  rate_limited: RateLimited,
  service_unavailable: ServiceUnavailable,
  malformed_request: MalformedRequest,
  method_not_allowed: MethodNotAllowed,
  request_timeout: RequestTimeout,
  payload_too_large: PayloadTooLarge,
  uri_too_long: UriTooLong,
  headers_too_large: HeadersTooLarge,
  unsupported_media_type: UnsupportedMediaType,
  not_ready: NotReady,
  internal_error: InternalError,
  unknown_test_token: UnknownTestToken,
  event_signature_invalid: EventSignatureInvalid,
  session_invalid: SessionInvalid,
  wrong_credentials: WrongCredentials,
  api_key_missing: ApiKeyMissing,
  api_key_malformed: ApiKeyMalformed,
  session_token_given: SessionTokenGiven,
  session_token_missing: SessionTokenMissing,
  session_token_malformed: SessionTokenMalformed,
  api_key_given: ApiKeyGiven,
  login_suspended: LoginSuspended,
  wrong_password: WrongPassword,
  scope_missing: ScopeMissing,
  registration_closed: RegistrationClosed,
  account_frozen: AccountFrozen,
  account_closed: AccountClosed,
  account_not_empty: AccountNotEmpty,
  external_id_taken: ExternalIdTaken,
  transaction_already_reversed: TransactionAlreadyReversed,
  transaction_not_pending: TransactionNotPending,
  transaction_not_posted: TransactionNotPosted,
  amount_exceeds_reserved: AmountExceedsReserved,
  period_closed: PeriodClosed,
  reversal_not_reversible: ReversalNotReversible,
  payment_not_capturable: PaymentNotCapturable,
  payment_not_cancelable: PaymentNotCancelable,
  payment_not_refundable: PaymentNotRefundable,
  amount_exceeds_held: AmountExceedsHeld,
  refund_exceeds_remaining: RefundExceedsRemaining,
  too_many_refunds: TooManyRefunds,
  dispute_not_answerable: DisputeNotAnswerable,
  email_taken: EmailTaken,
  password_change_conflict: PasswordChangeConflict,
  too_many_api_keys: TooManyApiKeys,
  api_key_inactive: ApiKeyInactive,
  too_many_webhook_endpoints: TooManyWebhookEndpoints,
  webhook_endpoint_not_enabled: WebhookEndpointNotEnabled,
  webhook_endpoint_built_in: WebhookEndpointBuiltIn,
  webhooks_unavailable: WebhooksUnavailable,
  signing_secret_unreadable: SigningSecretUnreadable,
  too_many_waiting: TooManyWaiting,
  too_many_tests: TooManyTests,
};

/** The error of an answer, also of one that a proxy made. */
export function buildError(status: number, headers: Headers, body: string): ApiError {
  const error = parseError(body);
  const kind = ERRORS[error.code ?? ""] ?? ERRORS[error.type ?? ""] ?? ApiError;
  const seconds = headers.get("retry-after") ?? "";
  const retryAfter = /^[0-9]+$/.test(seconds) ? Number(seconds) : undefined;
  return new kind(status, error, headers.get("x-request-id") ?? "", retryAfter);
}

function parseError(body: string): ErrorObject {
  try {
    return (JSON.parse(body) as { error?: ErrorObject }).error ?? {};
  } catch {
    // Not of the API: what is known is the status.
    return {};
  }
}
