/** `itc proof`: fetches the proof of a reading and checks it before writing it. */
import { writeFileSync } from 'node:fs';
import { toHex } from '@itc/core/bytes/hex.js';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { verifyReadingBytes } from '@itc/core/light/reading-proof.js';
import { parseHash } from '@itc/client/client.js';
import { parseSenml } from '@itc/edge/2-conversion/senml.js';
import { formatProofFile, readingText, type ProofFile } from '../proof-file.ts';
import { textOption, UsageError, type Command } from '../terminal/command.ts';
import { openClient } from '../wallet.ts';

export const proof: Command = {
  name: 'proof',
  help: `itc proof READING --out FILE

READING is the id of a reading (as itc device readings shows it): payload id, a colon, position. Without a position the
first reading of the payload is meant. The file is all that itc verify needs besides the genesis hash.

Example:
  itc proof 5c1f…:0 --out p.json`,
  options: { out: { type: 'string' } },
  run: async (call) => {
    const [text, ...rest] = call.arguments;
    const out = textOption(call, 'out');
    const match = /^([0-9a-f]{64})(?::(\d{1,3}))?$/.exec(text ?? '');
    if (match === null || rest.length > 0)
      throw new UsageError('expected one reading: 64 hex digits, a colon, its position');
    if (out === undefined) throw new UsageError('--out FILE is needed');
    const id = parseHash(match[1] as string);
    const index = Number(match[2] ?? 0);
    const client = openClient(call.api);
    const { chain } = await client.genesis();
    const bytes = await client.readingProof(id);
    const verdict = verifyReadingBytes({ genesisHash: chain, bytes, verify: verifySignature });
    if (!verdict.valid)
      throw new LedgerError(
        'peer.message',
        `the node's proof does not hold: ${verdict.check}: ${verdict.reason}`,
      );
    const { payload, checkpoint } = verdict;
    if (payload.contentType !== 'senml+json' && payload.contentType !== 'senml+cbor') {
      throw new LedgerError('not-found', `the payload is a ${payload.contentType}, it holds no readings`);
    }
    const records = parseSenml(payload.contentType, payload.content, checkpoint.time);
    const record = records.ok ? records.value[index] : undefined;
    if (record === undefined) throw new LedgerError('not-found', `the payload has no reading ${index}`);
    const file: ProofFile = {
      format: 'itc-proof-1',
      genesis: toHex(chain),
      reading: readingText({
        payload: toHex(payload.id),
        index,
        device: formatAddress(verdict.device),
        record,
      }),
      proof: Buffer.from(bytes).toString('base64url'),
    };
    writeFileSync(out, formatProofFile(file));
    call.output.result(
      {
        ok: true,
        file: out,
        bytes: bytes.length,
        genesis: file.genesis,
        height: verdict.height,
        reading: file.reading,
      },
      [
        `${out}  ${bytes.length} bytes of proof, final in block ${verdict.height}`,
        `check it anywhere with: itc verify ${out} --genesis ${file.genesis}`,
      ],
    );
    return 0;
  },
};
