/** `itc snapshot verify`: whether the state a member holds is the one the main chain commits, by the genesis hash alone. */
import { requestJson } from '@itc/client/http.js';
import { parseHash } from '@itc/client/client.js';
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import { verifyInclusionBytes } from '@itc/core/light/inclusion-proof.js';
import { trustGenesis } from '@itc/core/light/trust.js';
import { decodeTransaction, transactionId } from '@itc/core/ledger/transaction.js';
import { verifySnapshot } from '@itc/node/runtime/subnet-snapshot.js';
import { textOption, UsageError, type Call, type Command } from '../terminal/command.ts';
import { formatCount, table } from '../terminal/output.ts';
import { openClient } from '../wallet.ts';

interface Answer {
  readonly sequence: number;
  readonly height: number;
  readonly document: string;
  readonly transaction: string;
  readonly inclusion: string;
}

export const snapshot: Command = {
  name: 'snapshot',
  help: `itc snapshot verify [SUBNET] [--genesis HASH]

Fetches the state of a subnet from a member (the first subnet, from the devnet, unless told otherwise) and checks it: its
lanes have the state root of a checkpoint, and that checkpoint is in a block the validators certified. Exit code 0 only
when it holds.

Options:
  --genesis HASH   the chain to believe; without it, the node's own word for it is taken`,
  options: { genesis: { type: 'string' } },
  run: async (call) => {
    const [verb, subnet, ...rest] = call.arguments;
    if (verb !== 'verify' || rest.length > 0) throw new UsageError('expected: verify [SUBNET]');
    return verify(call, subnet);
  },
};

async function verify(call: Call, wanted: string | undefined): Promise<number> {
  const client = openClient(call.api);
  const given = textOption(call, 'genesis');
  const { genesis, chain } = await client.genesis(given === undefined ? undefined : parseHash(given));
  const { subnets } = await client.status();
  const subnet = subnets.find(({ id, name }) => wanted === undefined || id === wanted || name === wanted);
  if (subnet === undefined) throw new UsageError(`there is no subnet ${String(wanted)}`);
  const url = `${call.api}/api/v1/subnets/${subnet.id}/snapshot`;
  const answer = (await requestJson(fetch, url, { method: 'GET', headers: {} })) as Answer;
  const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64url'));
  const bytes = bytesOf(answer.document);
  const flaw = flawIn({
    trust: trustGenesis(genesis),
    subnet: parseHash(subnet.id),
    transaction: bytesOf(answer.transaction),
    inclusion: bytesOf(answer.inclusion),
    document: bytes,
    stake: subnet.members.map(({ weight }) => weight),
  });
  const facts = {
    subnet: subnet.id,
    genesis: toHex(chain),
    checkpoint: answer.sequence,
    height: answer.height,
  };
  call.output.result(
    {
      valid: flaw === undefined,
      ...(flaw === undefined ? {} : { reason: flaw }),
      ...facts,
      bytes: bytes.length,
    },
    [
      flaw === undefined ? 'VALID' : `NOT VALID: ${flaw}`,
      ...table([
        ['subnet', `${subnet.name}  ${subnet.id}`],
        ['checkpoint', `${answer.sequence}, final in block ${answer.height}`],
        ['document', `${formatCount(bytes.length)} bytes`],
      ]),
    ],
  );
  return flaw === undefined ? 0 : 1;
}

function flawIn(o: {
  readonly trust: ReturnType<typeof trustGenesis>;
  readonly subnet: Hash;
  readonly transaction: Uint8Array;
  readonly inclusion: Uint8Array;
  readonly document: Uint8Array;
  readonly stake: readonly number[];
}): string | undefined {
  const id = transactionId(o.transaction);
  const included = verifyInclusionBytes({ trust: o.trust, id, bytes: o.inclusion, verify: verifySignature });
  if (!included.valid) return `${included.check}: ${included.reason}`;
  const tx = decodeTransaction(o.transaction);
  if (!tx.ok || tx.value.body.kind !== 'checkpoint') return 'the transaction is no checkpoint';
  const { checkpoint } = tx.value.body.certificate;
  if (!equalBytes(checkpoint.subnet, o.subnet)) return 'the checkpoint is of another subnet';
  const verified = verifySnapshot(o.document, checkpoint, o.stake);
  return verified.ok ? undefined : verified.message;
}
