/** Drives the light client's machine as a chip would, in packets; and other engines by the same few calls. */
import { fromHex, toHex } from '../bytes/hex.ts';
import { ED25519, type SignatureVerifier } from '../crypto/signature.ts';
import { setVerifier } from '../light/engine/host.ts';
import { I_READ, LightMachine, NONCE, TRUST, TRUST_BYTES } from '../light/engine/layout.ts';
import { begin, push } from '../light/engine/machine.ts';
import { rememberingVerifier, verifyQuickly } from './keys.ts';
import type { Drive } from './light-vectors.ts';

/** An engine with the machine in its memory. */
export interface Engine {
  /** Bytes of the machine's memory. */
  readonly write: (at: number, bytes: Uint8Array) => void;
  readonly read: (at: number, length: number) => Uint8Array;
  readonly begin: (now: number, trusting: number) => void;
  /** Takes at most `PACKET_BYTES`; the code of the next event, and how many bytes it took. */
  readonly push: (packet: Uint8Array) => { readonly code: number; readonly taken: number };
}

/** Less than a frame of any radio. */
export const PACKET_BYTES = 250;

export const bytesOf = (hex: string): Uint8Array => {
  const read = fromHex(hex);
  if (!read.ok) throw new Error(read.message);
  return read.value;
};

export function drive(engine: Engine): Drive {
  return ({ trust, nonce, now, trusting, stream }) => {
    const bytes = bytesOf(stream);
    engine.write(TRUST, bytesOf(trust));
    engine.write(NONCE, bytesOf(nonce));
    engine.begin(now, trusting);
    const codes: number[] = [];
    for (let at = 0; at < bytes.length;) {
      const { code, taken } = engine.push(bytes.subarray(at, at + PACKET_BYTES));
      if (code !== 0) codes.push(code);
      if (code < 0) break;
      at += taken;
    }
    return { codes, after: toHex(engine.read(TRUST, TRUST_BYTES)) };
  };
}

const verify = rememberingVerifier(verifyQuickly);

/** For hosts that hand out memory: a check by places in it. */
export function verifyIn(
  memory: Uint8Array,
  place: {
    readonly key: number;
    readonly message: number;
    readonly length: number;
    readonly signature: number;
  },
  by: SignatureVerifier = verify,
): boolean {
  const { key, message, length, signature } = place;
  return by(
    { algorithm: ED25519, bytes: memory.slice(key, key + 32) },
    memory.slice(message, message + length),
    memory.slice(signature, signature + 64),
  );
}

/** In this engine. */
export const driveMachine: Drive = (vector) => {
  const m = new LightMachine();
  setVerifier((machine, key, message, length, signature) =>
    verifyIn(machine.bytes, { key, message, length, signature }),
  );
  return drive({
    write: (at, bytes) => m.bytes.set(bytes, at),
    read: (at, length) => m.bytes.slice(at, at + length),
    begin: (now, trusting) => begin(m, now, trusting),
    push: (packet) => {
      const code = push(m, packet, 0, packet.length);
      return { code, taken: code === 0 ? packet.length : (m.ints[I_READ] as number) };
    },
  })(vector);
};
