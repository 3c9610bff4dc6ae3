/** `itc device verify` and `history`: is it genuine, and whose was it; told by what the validators signed. */
import { toHex } from '@itc/core/bytes/hex.js';
import { addressOf, formatAddress, parseAddress, type Address } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { verifyNative } from '@itc/node/crypto/native.js';
import {
  deviceLog,
  deviceProvenance,
  isHistoryOf,
  ownersIn,
  type DeviceLogEntry,
  type OwnerEntry,
} from '@itc/client/devices.js';
import {
  BIRTH_PREFIX,
  birthOf,
  isGenuineBirth,
  parseVoucher,
  VOUCHER_PREFIX,
  type BirthCertificate,
} from '@itc/client/voucher.js';
import type { Provenance } from '@itc/core/light/provenance-proof.js';
import { UsageError, type Call } from '../terminal/command.ts';
import { table } from '../terminal/output.ts';
import { openClient } from '../wallet.ts';
import { birthFrom } from './device-voucher.ts';

function one(words: readonly string[]): string {
  const [word, ...rest] = words;
  if (word === undefined || rest.length > 0)
    throw new UsageError('expected a device, a voucher or a birth certificate');
  return word;
}

/** A device by address or name, or what came with it: then also before anybody has claimed it. */
export async function verify(call: Call, words: readonly string[]): Promise<number> {
  const word = one(words);
  const client = openClient(call.api);
  const birth = birthIn(word);
  const address = birth === undefined ? await addressFor(call, word) : addressOf(birth.device);
  const { genesis } = await client.genesis();
  const proved = await deviceProvenance(client, address, {
    genesis,
    verify: verifyNative,
    ...(birth && { batch: birth.batch }),
  });
  // A record is only made by a claim that proved all this; a certificate is held against the batch here.
  const genuine = birth === undefined ? proved.device !== undefined : isGenuineBirth(birth, proved.batch);
  const owners = proved.device === undefined ? undefined : await checkedOwners(call, address, proved);
  const { batch, maker, model, device, height } = proved;
  call.output.result(
    {
      ok: genuine,
      address: formatAddress(address),
      genuine,
      maker: { address: formatAddress(batch.maker), name: maker.name },
      attested: batch.attestation !== undefined,
      batch: toHex(proved.batchId),
      model: { hash: toHex(batch.model), ...(model && { name: model.name }) },
      ...(device && {
        state: device.state,
        owner: formatAddress(device.owner),
        transfers: device.transfers,
      }),
      ...(owners && { owners: owners.owners.map(shownOwner), complete: owners.complete }),
      height,
    },
    table([
      ['genuine', genuine ? 'yes' : 'NO: it is not in this batch'],
      ['maker', `${maker.name}  ${formatAddress(batch.maker)}`],
      [
        'attested',
        batch.attestation === undefined ? 'by the maker’s account' : 'by the maker’s attestation key',
      ],
      ['model', model?.name ?? `not registered (${toHex(batch.model).slice(0, 16)}…)`],
      ['batch', `${toHex(proved.batchId).slice(0, 16)}…, ${batch.count} devices`],
      ['state', device?.state ?? 'nobody has claimed it'],
      ...(device === undefined ? [] : [['owner', formatAddress(device.owner)]]),
      ...(owners === undefined
        ? []
        : [
            [
              'owners',
              `${owners.owners.length}, ${owners.complete ? 'all told and proved' : 'the log of this node does not tell all'}`,
            ],
          ]),
      ['proved', `by the validators, at block ${height}`],
    ]),
  );
  return genuine ? 0 : 1;
}

function birthIn(word: string): BirthCertificate | undefined {
  if (word.startsWith(BIRTH_PREFIX)) return birthFrom(word);
  if (!word.startsWith(VOUCHER_PREFIX)) return undefined;
  const voucher = parseVoucher(word);
  if (!voucher.ok) throw new LedgerError(voucher.code, voucher.message);
  return birthOf(voucher.value);
}

async function addressFor(call: Call, word: string): Promise<Address> {
  const direct = parseAddress(word);
  if (direct.ok) return direct.value;
  const found = parseAddress((await openClient(call.api).device(word)).address);
  if (!found.ok) throw new LedgerError('not-found', `no device is called ${word}`);
  return found.value;
}

/** The owners of the log, and whether they are those of the proven record. Undefined where the node keeps no log. */
async function checkedOwners(
  call: Call,
  address: Address,
  { device }: Provenance,
): Promise<{ readonly owners: readonly OwnerEntry[]; readonly complete: boolean } | undefined> {
  try {
    const owners = ownersIn(await deviceLog(openClient(call.api), address));
    // The log may be a few blocks ahead of what is proved.
    const proved = owners.slice(0, (device?.transfers ?? 0) + 1);
    return { owners: proved, complete: device !== undefined && isHistoryOf(device, proved) };
  } catch (error) {
    if (error instanceof LedgerError && error.code === 'not-found') return undefined;
    throw error;
  }
}

function shownOwner({ owner, how, at }: OwnerEntry): { owner: string; how: string; at: number } {
  return { owner: formatAddress(owner), how, at };
}

/** Everything the log tells of a device, oldest first; the owners among it are held against the record. */
export async function history(call: Call, words: readonly string[]): Promise<number> {
  const word = one(words);
  const client = openClient(call.api);
  const address = await addressFor(call, word);
  const entries = (await deviceLog(client, address)).toReversed().filter(({ event }) => event !== undefined);
  const { genesis } = await client.genesis();
  const { device } = await deviceProvenance(client, address, { genesis, verify: verifyNative });
  const owners = ownersIn(entries.toReversed()).slice(0, (device?.transfers ?? 0) + 1);
  const complete = device !== undefined && isHistoryOf(device, owners);
  call.output.result({ address: formatAddress(address), entries, owners: owners.map(shownOwner), complete }, [
    ...table(
      entries.map((entry) => [new Date(entry.time).toISOString(), entry.event?.kind ?? '', detail(entry)]),
    ),
    complete
      ? `${owners.length} owners: exactly those that the validators’ record commits to`
      : 'the log of this node does not tell all owners that the record commits to',
  ]);
  return 0;
}

function detail({ event }: DeviceLogEntry): string {
  const fields = ['from', 'to', 'owner', 'subject', 'price', 'terms'] as const;
  return fields
    .flatMap((field) => {
      const value = event?.[field];
      return typeof value === 'string' ? [`${field} ${value}`] : [];
    })
    .join('  ');
}
