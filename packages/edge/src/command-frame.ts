/** What travels to a device on its `down` topic (spec EDGE-6.4): the command as signed, and why its signer may. */
import { decode, type DecodeCode } from '@itc/core/bytes/reader.js';
import type { Result } from '@itc/core/bytes/result.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { LIMITS } from '@itc/core/ledger/limits.js';

export interface CommandFrame {
  /** COSE_Sign1. Empty: news of the device, and of the chain. */
  readonly command: Uint8Array;
  /** Encoded `AccessProof`, or a light stream on topics that name an epoch. */
  readonly access: Uint8Array;
}

/** u32 length ‖ command ‖ access proof to the end. */
export function encodeCommandFrame(frame: CommandFrame): Uint8Array {
  return new Writer(4 + frame.command.length + frame.access.length)
    .bytes(frame.command)
    .raw(frame.access)
    .finish();
}

export function decodeCommandFrame(bytes: Uint8Array): Result<CommandFrame, DecodeCode> {
  return decode((reader) => {
    const command = reader.bytes(LIMITS.payloadBytesMax).slice();
    if (reader.remaining > LIMITS.proofBytesMax)
      reader.refuse('decode.too-long', 'the access proof is too long');
    return { command, access: reader.fixed(reader.remaining).slice() };
  }, bytes);
}
