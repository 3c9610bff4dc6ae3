/** Routes about the main chain: genesis, blocks, transactions, accounts. */
import type { IncomingMessage } from 'node:http';
import { Type } from 'typebox';
import { fromHex, toHex } from '@itc/core/bytes/hex.js';
import { asHash, type Hash } from '@itc/core/crypto/hash.js';
import { decodeBlock, headerHash, type Certificate } from '@itc/core/ledger/block.js';
import { addressOf, formatAddress, parseAddress, type Address } from '@itc/core/ledger/address.js';
import { encodeGenesis } from '@itc/core/ledger/genesis.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { height } from '@itc/core/ledger/ids.js';
import type { Receipt } from '@itc/core/ledger/receipt.js';
import { decodeTransaction, transactionId } from '@itc/core/ledger/transaction.js';
import { indicesOf } from '@itc/core/ledger/validators.js';
import { encodeInclusionProof } from '@itc/core/light/inclusion-proof.js';
import type { Chain } from '../runtime/chain.ts';
import { readable, type Hops } from '../runtime/hops.ts';
import {
  AccountStatus,
  AddressText,
  BlockDetail,
  BlockSummary,
  GenesisAnswer,
  Hex,
  Hex32,
  Problem,
  Status,
  TransactionStatus,
} from './schemas.ts';
import { refuse, type Routes } from './server.ts';
import type { Source, SourceBudget } from './source-budget.ts';
import type { Static } from 'typebox';

export interface ChainPort {
  readonly chain: Chain;
  readonly hops: Hops;
  status(): Static<typeof Status>;
  /** Takes an encoded transaction; resolves with its id when this process has accepted it for the network. */
  submit(encoded: Uint8Array): Promise<Hash>;
  /** What addresses may still ask to be checked. */
  readonly sources: SourceBudget;
  /** Waits here, not in a block yet. */
  isPending(id: Hash): boolean;
}

const BLOCKS_MAX = 100;
const BATCH_MAX = 500;

const BatchItem = Type.Union([
  Type.Object({ id: Hex32 }),
  Type.Object({ code: Type.String(), detail: Type.String() }),
]);

export function chainRoutes(port: ChainPort): Routes {
  const { chain } = port;
  return (api) => {
    api.get(
      '/api/v1/status',
      { schema: { summary: 'What runs, and why not', response: { 200: Status } } },
      () => port.status(),
    );

    api.get(
      '/api/v1/genesis',
      { schema: { summary: 'The first document of the chain', response: { 200: GenesisAnswer } } },
      () => {
        const { genesis } = chain;
        return {
          hash: toHex(chain.id),
          bytes: toHex(encodeGenesis(genesis)),
          document: {
            name: genesis.name,
            time: genesis.time,
            feePerByte: String(genesis.feePerByte),
            validators: genesis.validators.map(({ key, weight }) => ({
              key: toHex(key.bytes),
              address: formatAddress(addressOf(key)),
              weight,
            })),
            subnets: genesis.subnets.map(({ id, name, members }) => ({
              id: toHex(id),
              name,
              members: members.length,
            })),
          },
        };
      },
    );

    api.get(
      '/api/v1/blocks',
      {
        schema: {
          summary: 'Newest blocks first',
          querystring: Type.Object({
            limit: Type.Optional(Type.Integer({ minimum: 1, maximum: BLOCKS_MAX })),
            before: Type.Optional(Type.Integer({ minimum: 1, description: 'only blocks below this height' })),
          }),
          response: { 200: Type.Object({ blocks: Type.Array(BlockSummary) }) },
        },
      },
      (request) => {
        const { limit = 20, before = chain.height + 1 } = request.query;
        const blocks: Static<typeof BlockSummary>[] = [];
        for (
          let at = Math.min(before - 1, chain.height);
          at >= chain.floor && blocks.length < limit;
          at -= 1
        ) {
          blocks.push(summaryAt(chain, at));
        }
        return { blocks };
      },
    );

    api.get(
      '/api/v1/blocks/:height',
      {
        schema: {
          summary: 'One block with its certificate and what became of its transactions',
          params: Type.Object({ height: Type.Integer({ minimum: 1 }) }),
          response: { 200: BlockDetail, 404: Problem },
        },
      },
      (request) => detailAt(chain, request.params.height),
    );

    const sourceOf = ({ raw }: { readonly raw: IncomingMessage }): Source =>
      port.sources.sourceOf(raw.socket);
    /** Before the body is read. */
    const onRequest = async (request: { readonly raw: IncomingMessage }): Promise<void> =>
      port.sources.assertWelcome(sourceOf(request));

    api.post(
      '/api/v1/transactions',
      {
        onRequest,
        schema: {
          summary: 'Hand in a signed transaction',
          description:
            '`transaction` is the canonical encoding in hex (spec WIRE-3). Accepted is not final: ask for it by its id.',
          body: Type.Object({ transaction: Hex }, { additionalProperties: false }),
          response: { 202: Type.Object({ id: Hex32 }), '4xx': Problem },
        },
      },
      async (request, reply) => {
        const bytes = fromHex(request.body.transaction);
        if (!bytes.ok) return refuse('request.malformed', bytes.message);
        const id = await submitFrom(port, sourceOf(request), bytes.value);
        return reply.code(202).send({ id: toHex(id) });
      },
    );

    api.post(
      '/api/v1/transactions/batch',
      {
        onRequest,
        schema: {
          summary: 'Hand in many signed transactions',
          description:
            'In order, each judged for itself: one answer per transaction, its id or the code of the refusal.',
          body: Type.Object(
            { transactions: Type.Array(Hex, { minItems: 1, maxItems: BATCH_MAX }) },
            { additionalProperties: false },
          ),
          response: { 202: Type.Object({ results: Type.Array(BatchItem) }), '4xx': Problem },
        },
      },
      async (request, reply) => {
        // All at once, in order: their signatures are checked together.
        const results = await Promise.all(
          request.body.transactions.map((text) => batchItem(port, sourceOf(request), text)),
        );
        return reply.code(202).send({ results });
      },
    );

    api.get(
      '/api/v1/transactions/:id',
      {
        schema: {
          summary: 'What became of a transaction',
          description:
            'With `proof=1`, a final one comes with the proof that a certified block holds it: header, certificate, path, and the hops from genesis to the validators that signed.',
          params: Type.Object({ id: Hex32 }),
          querystring: Type.Object({ proof: Type.Optional(Type.Literal('1')) }),
          response: { 200: TransactionStatus, 404: Problem },
        },
      },
      (request) => {
        const id = hash32(request.params.id);
        const receipt = chain.receipt(id);
        if (receipt !== undefined) {
          return {
            id: request.params.id,
            status: 'final' as const,
            kind: receipt.kind,
            height: receipt.height,
            index: receipt.index,
            receipt: receiptBody(receipt),
            ...(request.query.proof === undefined ? {} : { proof: inclusionOf(port, receipt) }),
          };
        }
        return {
          id: request.params.id,
          status: port.isPending(id) ? ('pending' as const) : ('unknown' as const),
        };
      },
    );

    api.get(
      '/api/v1/accounts/:address',
      {
        schema: {
          summary: 'Balance and nonces',
          params: Type.Object({ address: AddressText }),
          response: { 200: AccountStatus },
        },
      },
      (request) => {
        const account = chain.state.account(addressParam(request.params.address));
        const nonces = Object.fromEntries((account?.nonces ?? []).map((next, lane) => [String(lane), next]));
        return { address: request.params.address, balance: String(account?.balance ?? 0n), nonces };
      },
    );
  };
}

async function submitFrom(port: ChainPort, source: Source, encoded: Uint8Array): Promise<Hash> {
  try {
    return await port.submit(encoded);
  } catch (error) {
    if (error instanceof LedgerError) port.sources.refused(source, error.code);
    throw error;
  }
}

async function batchItem(
  port: ChainPort,
  source: Source,
  transaction: string,
): Promise<Static<typeof BatchItem>> {
  const bytes = fromHex(transaction);
  if (!bytes.ok) return { code: 'request.malformed', detail: bytes.message };
  try {
    return { id: toHex(await submitFrom(port, source, bytes.value)) };
  } catch (error) {
    if (!(error instanceof LedgerError)) throw error;
    return { code: error.code, detail: error.message };
  }
}

export function hash32(hex: string): Hash {
  const bytes = fromHex(hex);
  if (!bytes.ok) return refuse('request.malformed', bytes.message);
  return asHash(bytes.value);
}

export function addressParam(text: string): Address {
  const address = parseAddress(text);
  if (!address.ok) return refuse('address.malformed', address.message);
  return address.value;
}

export function summarise(
  chain: Chain,
  block: {
    readonly height: number;
    readonly hash: Hash;
    readonly time: number;
    readonly transactions: number;
    readonly bytes: number;
  },
  certificate: Certificate,
): Static<typeof BlockSummary> {
  return {
    height: block.height,
    hash: toHex(block.hash),
    time: block.time,
    transactions: block.transactions,
    view: certificate.view,
    signers: indicesOf(certificate.signers, chain.contextAt(height(block.height)).validators.length) ?? [],
    bytes: block.bytes,
  };
}

function stored(
  chain: Chain,
  at: number,
): { block: ReturnType<typeof decoded>; bytes: number; certificate: Certificate } {
  const found = chain.blockAt(at);
  if (found === undefined && at >= 1 && at <= chain.height) return refusePruned(chain, at);
  if (found === undefined)
    return refuse('not-found', `expected a height from 1 to ${chain.height}, got ${at}`);
  return { block: decoded(found.block), bytes: found.block.length, certificate: found.certificate };
}

function refusePruned(chain: Chain, at: number): never {
  return refuse(
    'block.pruned',
    `block ${at} is not kept here any more, the oldest is ${chain.floor}; ask a node that keeps all blocks`,
  );
}

function decoded(bytes: Uint8Array): Extract<ReturnType<typeof decodeBlock>, { ok: true }>['value'] {
  const block = decodeBlock(bytes);
  if (!block.ok) return refuse('storage.corrupt', block.message);
  return block.value;
}

function summaryAt(chain: Chain, at: number): Static<typeof BlockSummary> {
  const { block, bytes, certificate } = stored(chain, at);
  const { height, time } = block.header;
  return summarise(
    chain,
    { height, time, hash: headerHash(block.header), transactions: block.transactions.length, bytes },
    certificate,
  );
}

function detailAt(chain: Chain, at: number): Static<typeof BlockDetail> {
  const { block, bytes, certificate } = stored(chain, at);
  const { header } = block;
  const summary = summarise(
    chain,
    {
      height: header.height,
      time: header.time,
      hash: headerHash(header),
      transactions: block.transactions.length,
      bytes,
    },
    certificate,
  );
  return {
    ...summary,
    header: {
      flags: header.flags,
      epoch: header.epoch,
      parentHash: toHex(header.parentHash),
      txRoot: toHex(header.txRoot),
      stateRoot: toHex(header.stateRoot),
      historyRoot: toHex(header.historyRoot),
      validatorsHash: toHex(header.validatorsHash),
      nextValidatorsHash: toHex(header.nextValidatorsHash),
    },
    certificate: {
      view: certificate.view,
      signers: summary.signers,
      signatures: certificate.signatures.map(toHex),
    },
    items: block.transactions.map((encoded) => {
      const id = transactionId(encoded);
      const tx = decodeTransaction(encoded);
      if (!tx.ok) return refuse('storage.corrupt', tx.message);
      const receipt = chain.receipt(id);
      return {
        id: toHex(id),
        kind: tx.value.body.kind,
        sender: formatAddress(addressOf(tx.value.key)),
        fee: String(receipt?.fee ?? 0n),
        ok: receipt?.outcome.ok ?? false,
        ...(receipt === undefined || receipt.outcome.ok
          ? {}
          : { code: receipt.outcome.code, message: receipt.outcome.message }),
      };
    }),
  };
}

/** base64url of the proof that the receipt's block holds its transaction. */
function inclusionOf({ chain, hops }: ChainPort, receipt: Receipt): string {
  const included = chain.included({ height: receipt.height, index: receipt.index });
  if (included === undefined) return refusePruned(chain, receipt.height);
  const { header, certificate, index, count, path } = included;
  const proof = { hops: hops.to({ header, certificate }), header, certificate, index, count, path };
  return Buffer.from(readable(encodeInclusionProof(proof))).toString('base64url');
}

function receiptBody(receipt: Receipt): NonNullable<Static<typeof TransactionStatus>['receipt']> {
  const { outcome } = receipt;
  const fee = String(receipt.fee);
  return outcome.ok ? { ok: true, fee } : { ok: false, code: outcome.code, message: outcome.message, fee };
}
