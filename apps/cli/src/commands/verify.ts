/** `itc verify`: checks a proof with nothing but the genesis hash: no network, no node. */
import { readFileSync, statSync } from 'node:fs';
import { fromHex, toHex } from '@itc/core/bytes/hex.js';
import { refused, type Result } from '@itc/core/bytes/result.js';
import { asHash, type Hash } from '@itc/core/crypto/hash.js';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import { addressOf, formatAddress } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import {
  decodeReadingProof,
  verifyReadingBytes,
  type ReadingVerdict,
} from '@itc/core/light/reading-proof.js';
import { checkCoSigned, type CoSignedProof } from '../co-signed-proof.ts';
import { FILE_BYTES_MAX, parseProofFile, readingText, type ProofFile } from '../proof-file.ts';
import { provenRecord } from '../proven-record.ts';
import { textOption, UsageError, type Call, type Command } from '../terminal/command.ts';

export type Checked =
  | {
      readonly valid: true;
      readonly verdict: Extract<ReadingVerdict, { valid: true }>;
      readonly file: ProofFile;
      /** Where they were demanded. */
      readonly coSigned?: CoSignedProof;
    }
  | { readonly valid: false; readonly check: string; readonly reason: string };

export const verify: Command = {
  name: 'verify',
  help: `itc verify FILE --genesis HASH [--demand-co-signatures]

Checks that the reading in FILE (written by itc proof) was signed by its device, applied by two thirds of its
subnet, and made final by validators of the chain whose genesis document has this hash: those it names, or those
that followed them. Needs no network and no node. Exit code 0 when valid, 1 when not.

With --demand-co-signatures it is valid only if more than two thirds of the validators' weight have also co-signed with
ML-DSA-44, as genesis and the states they co-signed name their keys: whoever can forge every other signature is not
believed. The file must have been written by itc proof --quantum.

Example:
  itc verify p.json --genesis 3f0c…`,
  options: { genesis: { type: 'string' }, 'demand-co-signatures': { type: 'boolean' } },
  run: async (call) => {
    const [path, ...rest] = call.arguments;
    if (path === undefined || rest.length > 0) throw new UsageError('expected one file');
    const genesis = genesisOption(call);
    const checked = checkProofText(readProof(path), genesis, {
      demandsCoSignatures: call.options['demand-co-signatures'] === true,
    });
    if (!checked.valid) {
      call.output.result({ valid: false, check: checked.check, reason: checked.reason }, [
        `NOT VALID  failed check: ${checked.check}`,
        `           ${checked.reason}`,
      ]);
      return 1;
    }
    const { verdict, file, coSigned } = checked;
    const signers = verdict.signers.map(({ index, key, weight }) => ({
      index,
      address: formatAddress(addressOf(key)),
      weight,
    }));
    const { reading } = file;
    call.output.result(
      {
        valid: true,
        check: 'all',
        height: verdict.height,
        epoch: verdict.epoch,
        time: verdict.time,
        signers,
        weight: verdict.weight,
        total: verdict.total,
        device: reading.device,
        signer: formatAddress(addressOf(verdict.signer)),
        attested: verdict.attested,
        reading,
        ...(coSigned && {
          coSigned: { height: coSigned.height, weight: coSigned.weight, total: coSigned.total },
        }),
      },
      [
        `VALID  ${reading.name} = ${String(reading.value)}${reading.unit === undefined ? '' : ` ${reading.unit}`}  at ${new Date(reading.time).toISOString()}`,
        `device      ${reading.device}`,
        verdict.attested
          ? `signed by   a gateway for the device: ${formatAddress(addressOf(verdict.signer))}`
          : 'signed by   the device itself',
        `final in    block ${verdict.height} of ${new Date(verdict.time).toISOString()}`,
        `checkpoint  ${verdict.checkpoint.sequence} of subnet ${toHex(verdict.checkpoint.subnet)}`,
        `certified   by ${verdict.weight} of ${verdict.total} weight${verdict.epoch === 0 ? '' : ` of epoch ${verdict.epoch}, whose validators follow from genesis`}:`,
        ...signers.map((signer) => `            validator ${signer.index}  ${signer.address}`),
        ...(coSigned === undefined
          ? []
          : [
              `co-signed   with ML-DSA-44 by ${coSigned.weight} of ${coSigned.total} weight at block ${coSigned.height}, whose history holds this block`,
            ]),
      ],
    );
    return 0;
  },
};

function genesisOption(call: Call): Hash {
  const text = textOption(call, 'genesis');
  if (text === undefined) throw new UsageError('--genesis HASH is needed: it is what you trust');
  const bytes = fromHex(text);
  if (!bytes.ok || bytes.value.length !== 32) throw new UsageError('--genesis takes 64 hex digits');
  return asHash(bytes.value);
}

function readProof(path: string): string {
  try {
    if (statSync(path).size > FILE_BYTES_MAX) return '';
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new LedgerError('not-found', `${path} cannot be read: is it there, and may you?`, { path }, error);
  }
}

/** The text of a proof file against the genesis hash; the portable verifier decides, as it would in a browser. */
export function checkProofText(
  text: string,
  genesis: Hash,
  o: { readonly demandsCoSignatures?: boolean } = {},
): Checked {
  let parsed;
  try {
    parsed = parseProofFile(text);
  } catch (error) {
    if (error instanceof LedgerError) return { valid: false, check: 'format', reason: error.message };
    throw error;
  }
  const { file, proof } = parsed;
  if (file.genesis !== toHex(genesis))
    return {
      valid: false,
      check: 'genesis',
      reason: 'the file names another genesis hash than the one given',
    };
  const verdict = verifyReadingBytes({ genesisHash: genesis, bytes: proof, verify: verifySignature });
  if (!verdict.valid) return verdict;
  const { batch } = parsed;
  const proven = provenRecord(verdict, { chain: genesis, index: file.reading.index, batch });
  if (!proven.ok) return { valid: false, check: 'reading', reason: proven.message };
  const proved = readingText({
    payload: toHex(verdict.payload.id),
    device: formatAddress(verdict.device),
    ...proven.value,
  });
  if (JSON.stringify(proved) !== JSON.stringify(file.reading)) {
    return { valid: false, check: 'reading', reason: `the payload says ${JSON.stringify(proved)}` };
  }
  if (o.demandsCoSignatures !== true) return { valid: true, verdict, file };
  const checked = coSignedOf(proof, parsed.coSigned);
  if (!checked.ok) return { valid: false, check: checked.code, reason: checked.message };
  return { valid: true, verdict, file, coSigned: checked.value };
}

function coSignedOf(proof: Uint8Array, stream: Uint8Array | undefined): Result<CoSignedProof, string> {
  if (stream === undefined)
    return refused('co-signed', 'the file holds no co-signatures; itc proof --quantum writes them');
  const decoded = decodeReadingProof(proof);
  if (!decoded.ok) return refused('format', decoded.message);
  const { genesis, header } = decoded.value;
  return checkCoSigned(genesis, header, stream);
}
