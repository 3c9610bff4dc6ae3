/** `itc did`: resolves a DID to its document, and believes only what the proof shows. */
import { readFileSync, writeFileSync } from 'node:fs';
import { judgeDid, resolveDid, type Resolution } from '@itc/client/did.js';
import { parseDid } from '@itc/core/ledger/did.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { decodeGenesis } from '@itc/core/ledger/genesis.js';
import { textOption, UsageError, type Call, type Command } from '../terminal/command.ts';
import { openClient } from '../wallet.ts';

export const did: Command = {
  name: 'did',
  help: `itc did resolve DID [--proof FILE]
itc did verify DID --proof FILE --genesis FILE

resolve   the document of a did:itc or did:key; that of a did:itc is made from what the validators certified
verify    the same from a proof that was kept, offline

Options:
  --proof FILE     where the proof goes, or is
  --genesis FILE   genesis.bin of the chain that is trusted

Example:
  itc did resolve did:itc:itc1… --proof alice.proof
  itc did verify did:itc:itc1… --proof alice.proof --genesis .itc/genesis.bin`,
  options: { proof: { type: 'string' }, genesis: { type: 'string' } },
  run: async (call) => {
    const [verb, text, ...rest] = call.arguments;
    if (text === undefined || rest.length > 0) throw new UsageError('expected resolve or verify, and a DID');
    if (verb === 'resolve') return resolve(call, text);
    if (verb === 'verify') return verify(call, text);
    throw new UsageError('expected: resolve or verify');
  },
};

async function resolve(call: Call, text: string): Promise<number> {
  const client = openClient(call.api);
  const parsed = parseDid(text);
  if (!parsed.ok) throw new LedgerError(parsed.code, parsed.message, { did: text });
  const { genesis } = await client.genesis();
  const resolution = await resolveDid(text, { url: call.api, fetch, genesis });
  const file = textOption(call, 'proof');
  if (file !== undefined && resolution.proved !== undefined) writeFileSync(file, resolution.proved.proof);
  return tell(call, resolution);
}

function verify(call: Call, text: string): number {
  const parsed = parseDid(text);
  if (!parsed.ok || parsed.value.method !== 'itc') throw new UsageError('expected a did:itc');
  const [proof, file] = [textOption(call, 'proof'), textOption(call, 'genesis')];
  if (proof === undefined || file === undefined) throw new UsageError('expected --proof and --genesis');
  const genesis = decodeGenesis(bytesOf(file));
  if (!genesis.ok)
    throw new LedgerError('config.invalid', `${file} is no genesis document: ${genesis.message}`);
  return tell(call, judgeDid(parsed.value.address, bytesOf(proof), { genesis: genesis.value }));
}

function bytesOf(file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new LedgerError('not-found', `${file} cannot be read: is it there, and may you?`, { file }, error);
  }
}

function tell(call: Call, { document, proved }: Resolution): number {
  call.output.result(
    { document, ...(proved !== undefined && { height: proved.height, time: proved.time }) },
    [
      JSON.stringify(document, undefined, 2),
      proved === undefined
        ? 'a did:key needs no proof'
        : `proved as of block ${proved.height}, ${new Date(proved.time).toISOString()}`,
    ],
  );
  return 0;
}
