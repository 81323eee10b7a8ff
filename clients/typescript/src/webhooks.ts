import { AtomicError } from "./errors.js";
import type { Event } from "./models.js";

/** The request is no webhook of this endpoint, or too old. Answer 400 and do not use it. */
export class InvalidSignature extends AtomicError {}

/** Header names in lower case, as Node.js has them, or the Headers of fetch. */
export type WebhookHeaders = Headers | Record<string, string | string[] | undefined>;

export interface VerifyOptions {
  /** The seconds that the clocks may differ. */
  tolerance?: number;
  /** The time in seconds, for tests. */
  now?: number;
}

/**
 * The event of a webhook, which is signed after Standard Webhooks. `body` is the request's body byte for
 * byte, `secret` the `whsec_…` of the endpoint. Rejects with InvalidSignature.
 */
export async function verifyWebhook(
  body: string | Uint8Array,
  headers: WebhookHeaders,
  secret: string,
  options: VerifyOptions = {},
): Promise<Event> {
  const id = readHeader(headers, "webhook-id");
  const timestamp = readHeader(headers, "webhook-timestamp");
  if (!/^[0-9]+$/.test(timestamp)) {
    throw new InvalidSignature("The header webhook-timestamp is missing or no number.");
  }
  const now = options.now ?? Date.now() / 1_000;
  if (Math.abs(now - Number(timestamp)) > (options.tolerance ?? 300)) {
    throw new InvalidSignature("The webhook is too old, or a clock is wrong.");
  }
  const content = typeof body === "string" ? new TextEncoder().encode(body) : body;
  const prefix = new TextEncoder().encode(`${id}.${timestamp}.`);
  const signed = new Uint8Array(prefix.length + content.length);
  signed.set(prefix);
  signed.set(content, prefix.length);
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", decodeSecret(secret), algorithm, false, ["verify"]);
  // Several while a secret is rotated. `verify` compares in constant time.
  for (const signature of readHeader(headers, "webhook-signature").split(" ")) {
    const bytes = decodeSignature(signature);
    if (bytes !== null && (await crypto.subtle.verify("HMAC", key, bytes, signed))) {
      return JSON.parse(new TextDecoder().decode(content)) as Event;
    }
  }
  throw new InvalidSignature("No signature is of this body and secret.");
}

function readHeader(headers: WebhookHeaders, name: string): string {
  const value = headers instanceof Headers ? headers.get(name) : headers[name];
  return typeof value === "string" ? value : "";
}

function decodeSecret(secret: string): Uint8Array<ArrayBuffer> {
  try {
    return decodeBase64(secret.replace(/^whsec_/, ""));
  } catch {
    throw new TypeError("A signing secret is whsec_ and base64.");
  }
}

/** The bytes of a `v1,…`; null for other versions. */
function decodeSignature(signature: string): Uint8Array<ArrayBuffer> | null {
  if (!signature.startsWith("v1,")) return null;
  try {
    return decodeBase64(signature.slice(3));
  } catch {
    return null;
  }
}

function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
