/** `itc proof`: fetches the proof of a reading and checks it before writing it. */
import { writeFileSync } from 'node:fs';
import { toHex } from '@itc/core/bytes/hex.js';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { decodeReadingProof, verifyReadingBytes } from '@itc/core/light/reading-proof.js';
import { parseHash, type Client } from '@itc/client/client.js';
import { checkCoSigned, fetchCoSigned } from '../co-signed-proof.ts';
import { formatProofFile, readingText, type ProofFile } from '../proof-file.ts';
import { isBatch, provenRecord } from '../proven-record.ts';
import { textOption, UsageError, type Command } from '../terminal/command.ts';
import { openClient } from '../wallet.ts';

/** Among them one is final, unless nothing becomes final. */
const RECENT = 200;

export const proof: Command = {
  name: 'proof',
  help: `itc proof READING --out FILE [--quantum]

READING is the id of a reading (as itc device readings shows it): payload id, a colon, position. Without a position the
first reading of the payload is meant; the name or address of a device stands for its newest final reading.

The file is all that itc verify needs besides the genesis hash. With --quantum it also holds what itc verify
--demand-co-signatures asks for: ML-DSA-44 signatures of validators, from genesis to a checkpoint above the reading's
block. They come some 32 blocks later, and take 2.4 kB each.

Examples:
  itc proof sensor-1 --out p.json
  itc proof 5c1f…:0 --out p.json`,
  options: { out: { type: 'string' }, quantum: { type: 'boolean' } },
  run: async (call) => {
    const [text, ...rest] = call.arguments;
    const out = textOption(call, 'out');
    if (text === undefined || rest.length > 0)
      throw new UsageError('expected one reading (64 hex digits, a colon, its position), or a device');
    if (out === undefined) throw new UsageError('--out FILE is needed');
    const client = openClient(call.api);
    const { id, index } = readingIn(text) ?? (await newestFinal(client, text));
    const { chain } = await client.genesis();
    const bytes = await client.readingProof(id);
    const verdict = verifyReadingBytes({ genesisHash: chain, bytes, verify: verifySignature });
    if (!verdict.valid)
      throw new LedgerError(
        'peer.message',
        `the node's proof does not hold: ${verdict.check}: ${verdict.reason}`,
      );
    const batch = isBatch(verdict) ? await client.batchProof(id, index) : undefined;
    const proven = provenRecord(verdict, { chain, index, batch });
    if (!proven.ok) throw new LedgerError('not-found', proven.message);
    const coSigned = call.options['quantum'] === true ? await coSignaturesOf(call.api, bytes) : undefined;
    const file: ProofFile = {
      format: 'itc-proof-1',
      genesis: toHex(chain),
      reading: readingText({
        payload: toHex(verdict.payload.id),
        device: formatAddress(verdict.device),
        ...proven.value,
      }),
      proof: Buffer.from(bytes).toString('base64url'),
      ...(batch && {
        batch: { record: batch.record, proof: Buffer.from(batch.proof).toString('base64url') },
      }),
      ...(coSigned && { coSigned: Buffer.from(coSigned).toString('base64url') }),
    };
    writeFileSync(out, formatProofFile(file));
    call.output.result(
      {
        ok: true,
        file: out,
        bytes: bytes.length,
        ...(coSigned && { coSignedBytes: coSigned.length }),
        genesis: file.genesis,
        height: verdict.height,
        reading: file.reading,
      },
      [
        `${out}  ${bytes.length} bytes of proof${coSigned === undefined ? '' : ` and ${coSigned.length} of co-signatures`}, final in block ${verdict.height}`,
        `check it anywhere with: itc verify ${out} --genesis ${file.genesis}${coSigned === undefined ? '' : ' --demand-co-signatures'}`,
      ],
    );
    return 0;
  },
};

interface ReadingId {
  readonly id: Hash;
  readonly index: number;
}

function readingIn(text: string): ReadingId | undefined {
  const match = /^([0-9a-f]{64})(?::(\d{1,5}))?$/.exec(text);
  return match === null ? undefined : { id: parseHash(match[1] as string), index: Number(match[2] ?? 0) };
}

async function newestFinal(client: Client, device: string): Promise<ReadingId> {
  const readings = await client.readings(device, { limit: RECENT });
  const id = readings.find(({ status }) => status === 'final')?.id;
  const found = id === undefined ? undefined : readingIn(id);
  if (found === undefined)
    throw new LedgerError('not-found', `none of the last ${RECENT} readings of ${device} is final yet`);
  return found;
}

/** As the verifier will ask for them. */
async function coSignaturesOf(api: string, proof: Uint8Array): Promise<Uint8Array> {
  const decoded = decodeReadingProof(proof);
  if (!decoded.ok) throw new LedgerError('peer.message', decoded.message);
  const { genesis, header } = decoded.value;
  const stream = await fetchCoSigned(api, header);
  const checked = checkCoSigned(genesis, header, stream);
  if (!checked.ok)
    throw new LedgerError(
      'peer.message',
      `the node's co-signatures do not hold: ${checked.code}: ${checked.message}`,
    );
  return stream;
}
