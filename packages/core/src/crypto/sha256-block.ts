/**
 * SHA-256 of what fits one block (FIPS 180-4 §6.2), for searches that hash nearly the same bytes millions of times: no allocation,
 * plain 32-bit integers, and the rounds before the first word that changes are done once. Everything else uses `hash.ts`.
 */
const K = Int32Array.from([
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
  0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
  0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
  0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
  0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
  0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
  0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
  0xc67178f2,
]);
const INITIAL = Int32Array.from([
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
]);

/** Longest message of one block: the rest is padding. */
export const BLOCK_MESSAGE_BYTES = 55;
const WORDS = 16;
const ROUNDS = 64;

export class OneBlock {
  /** Big-endian words of the padded message; the caller changes those from `fixedWords` on. */
  readonly words: Int32Array = new Int32Array(WORDS);
  /** The digest, big-endian words. */
  readonly digest: Int32Array = new Int32Array(8);
  readonly #schedule = new Int32Array(ROUNDS);
  readonly #fixed: number;
  /** After the rounds over the words that stay. */
  readonly #middle = new Int32Array(8);

  /** Words below `fixedWords` (0 to 16) never change. */
  constructor(message: Uint8Array, fixedWords: number) {
    if (message.length > BLOCK_MESSAGE_BYTES) throw new RangeError('the message does not fit one block');
    const block = new Uint8Array(4 * WORDS);
    block.set(message);
    block[message.length] = 0x80;
    const view = new DataView(block.buffer);
    view.setUint32(60, 8 * message.length);
    for (let i = 0; i < WORDS; i += 1) this.words[i] = view.getInt32(4 * i);
    this.#fixed = fixedWords;
    this.#schedule.set(this.words);
    this.#rounds(INITIAL, this.#middle, 0, fixedWords);
  }

  /** From `words` to `digest`. */
  compress(): void {
    const w = this.#schedule;
    w.set(this.words);
    for (let i = WORDS; i < ROUNDS; i += 1) {
      const x = w[i - 15] as number;
      const y = w[i - 2] as number;
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[i] = (((w[i - 16] as number) + s0) | 0) + (((w[i - 7] as number) + s1) | 0);
    }
    const { digest } = this;
    this.#rounds(this.#middle, digest, this.#fixed, ROUNDS);
    for (let i = 0; i < 8; i += 1) digest[i] = (digest[i] as number) + (INITIAL[i] as number);
  }

  #rounds(from: Int32Array, into: Int32Array, first: number, end: number): void {
    const w = this.#schedule;
    let a = from[0] as number;
    let b = from[1] as number;
    let c = from[2] as number;
    let d = from[3] as number;
    let e = from[4] as number;
    let f = from[5] as number;
    let g = from[6] as number;
    let h = from[7] as number;
    for (let i = first; i < end; i += 1) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const t1 =
        (((h + s1) | 0) + (((g ^ (e & (f ^ g))) + (((K[i] as number) + (w[i] as number)) | 0)) | 0)) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const t2 = (s0 + ((a & b) | (c & (a | b)))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + t1) | 0;
      d = c;
      c = b;
      b = a;
      a = (t1 + t2) | 0;
    }
    into[0] = a;
    into[1] = b;
    into[2] = c;
    into[3] = d;
    into[4] = e;
    into[5] = f;
    into[6] = g;
    into[7] = h;
  }
}
