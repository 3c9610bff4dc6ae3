/** Base64 with the URL alphabet, without padding (RFC 4648 §5). Neither `atob` nor `Buffer` is on every platform. */
import { ok, refused, type Result } from '@itc/core/bytes/result.js';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

export function toBase64Url(bytes: Uint8Array): string {
  let text = '';
  let held = 0;
  let bits = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    for (bits += 8; bits >= 6; bits -= 6) text += ALPHABET[(held >> (bits - 6)) & 63];
    held &= 63;
  }
  return bits === 0 ? text : text + ALPHABET[(held << (6 - bits)) & 63];
}

/** Strict: no padding, no other characters, unused bits zero; so one text per value. */
export function fromBase64Url(text: string): Result<Uint8Array, 'request.malformed'> {
  const bytes = new Uint8Array(Math.floor((text.length * 6) / 8));
  let held = 0;
  let bits = 0;
  let at = 0;
  for (const character of text) {
    const digit = ALPHABET.indexOf(character);
    if (digit < 0)
      return refused('request.malformed', `not a base64url character: ${JSON.stringify(character)}`);
    held = (held << 6) | digit;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes[at] = (held >> bits) & 0xff;
    at += 1;
    held &= (1 << bits) - 1;
  }
  if (bits >= 6 || held !== 0) return refused('request.malformed', 'the last character is not canonical');
  return ok(bytes);
}
