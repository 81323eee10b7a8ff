import { TransportError, buildError } from "./errors.js";

const BASE_PATH = "/api/v1";
const FIRST_DELAY = 0.25;
/** Seconds between two tries, unless the server names a longer time. */
const MAX_DELAY = 8;

export type Query = Record<string, string | number | undefined>;

export interface Options {
  apiKey: string;
  baseUrl: string;
  /** Of one try, in seconds. */
  timeout?: number;
  maxRetries?: number;
  /** An error whose Retry-After is longer, in seconds, is thrown at once. */
  maxRetryAfter?: number;
  sleep?: (seconds: number) => Promise<void>;
}

export interface Call {
  body?: object;
  query?: Query;
  idempotencyKey?: string | undefined;
  /** How long the server may keep the request, in seconds. */
  wait?: number;
}

export class Transport {
  private readonly options: Required<Options>;

  constructor(options: Options) {
    this.options = { timeout: 10, maxRetries: 4, maxRetryAfter: 30, sleep, ...options };
  }

  /**
   * The `data` of the response. Every POST and PATCH has an Idempotency-Key, the same in each try, so a
   * request whose answer is lost takes effect once. Rejects with ApiError, and TransportError without an answer.
   */
  async request<T>(method: string, path: string, call: Call = {}): Promise<T> {
    const headers: Record<string, string> = { Authorization: `Bearer ${this.options.apiKey}` };
    const init: RequestInit = { method, headers };
    if (method === "POST" || method === "PATCH") {
      headers["Idempotency-Key"] = call.idempotencyKey ?? crypto.randomUUID();
      headers["Content-Type"] = "application/json";
      init.body = JSON.stringify(call.body ?? {});
    }
    const given = Object.entries(call.query ?? {}).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, String(value)]],
    );
    const query = new URLSearchParams(given).toString();
    const url = `${this.options.baseUrl.replace(/\/+$/, "")}${BASE_PATH}${path}${query && `?${query}`}`;
    for (let tries = 0; ; tries++) {
      // With a random half: clients that failed together do not return together.
      let delay = Math.min(MAX_DELAY, FIRST_DELAY * 2 ** tries) * (0.5 + Math.random() / 2);
      try {
        const signal = AbortSignal.timeout((this.options.timeout + (call.wait ?? 0)) * 1_000);
        const response = await fetch(url, { ...init, signal });
        const text = await response.text();
        if (response.ok) return (JSON.parse(text) as { data: T }).data;
        const error = buildError(response.status, response.headers, text);
        delay = Math.max(delay, error.retryAfter ?? 0);
        const hasTriesLeft = tries < this.options.maxRetries && delay <= this.options.maxRetryAfter;
        if (!error.retryable || !hasTriesLeft) throw error;
      } catch (error) {
        if (!isNetworkError(error)) throw error;
        if (tries >= this.options.maxRetries) {
          throw new TransportError(`${method} ${path}: no answer`, { cause: error });
        }
      }
      await this.options.sleep(delay);
    }
  }
}

/** What fetch rejects with if there is no answer: a TypeError, or the DOMException of the time-out. */
function isNetworkError(error: unknown): boolean {
  return error instanceof TypeError || (error instanceof DOMException && error.name === "TimeoutError");
}

function sleep(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
}
