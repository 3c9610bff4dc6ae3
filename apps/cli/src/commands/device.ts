/** `itc device`: what is at the gateway, and how a device gets there: batch, voucher, claim, name, login. */
import { randomBytes } from 'node:crypto';
import { fromHex } from '@itc/core/bytes/hex.js';
import { sha256 } from '@itc/core/crypto/hash.js';
import { addressOf, formatAddress, parseAddress } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { amount, formatItc, UNITS_PER_ITC } from '@itc/core/ledger/ids.js';
import { deviceRecord, type DeviceRecordAnswer } from '@itc/client/devices.js';
import { accessTo } from '@itc/client/grants.js';
import { requestJson } from '@itc/client/http.js';
import { claim, registerBatch } from '@itc/client/transactions.js';
import { birthOf, buildBatch, formatBirth, formatVoucher } from '@itc/client/voucher.js';
import { loginPassword, loginSigningBytes } from '@itc/edge/login-proof.js';
import { ensureMaker } from '../devnet/bootstrap.ts';
import { layoutOf, readDevnet } from '../devnet/layout.ts';
import type { DeviceStatus } from '@itc/client/api.js';
import {
  noMore,
  integerOption,
  textOption,
  UsageError,
  type Call,
  type Command,
  runVerb,
  type Verb,
} from '../terminal/command.ts';
import { table } from '../terminal/output.ts';
import { openClient, Wallet } from '../wallet.ts';
import { describeAccess } from '../grant-terms.ts';
import { keyNamed, openKey } from '../keys.ts';
import { batch, voucher } from './device-batch.ts';
import { accept, cancel, marking, presence, recover, recovery, transfer } from './device-life.ts';
import { history, verify } from './device-verify.ts';
import { voucherFrom } from './device-voucher.ts';

const DEPOSIT = amount(UNITS_PER_ITC / 10n);

export const device: Command = {
  name: 'device',
  help: `itc device list
itc device show DEVICE
itc device history DEVICE                 what happened to it, and every owner
itc device verify DEVICE|VOUCHER|BIRTH    is it genuine: maker, batch, model and owners, proved
itc device readings DEVICE [--limit N] [--name QUANTITY]
itc device make NAME                      as a maker: a key, a batch of one on the ledger, a voucher
itc device batch --count N --out FOLDER   as a maker: N devices by one Merkle root in one transaction
itc device voucher FOLDER INDEX           what is printed for one of them: QR text, manual code, birth certificate
itc device claim VOUCHER --name NAME      as an owner: the device is yours from then on
itc device claim CODE --birth BIRTH       the same with the manual code
itc device transfer DEVICE --to ACCOUNT   offers it, with --price ITC and --for 7d
itc device accept DEVICE                  takes what was offered, and pays (at most --price ITC)
itc device cancel DEVICE                  takes the offer back, or declines it
itc device stolen|found DEVICE            freezes it, and frees it
itc device recover --voucher VOUCHER      asks for a device whose owner lost every key; --finish after the delay
itc device recovery DEVICE off|7d         as the owner: how long recoveries wait; ends the one under way
itc device presence KEY --to ACCOUNT      what the device signs for who has it in hand
itc device retire DEVICE                  for good; the deposit returns
itc device name DEVICE NAME               what the gateways call it
itc device enrol NAME --password TEXT     a device without a key: the gateway signs for it
itc device login NAME                     user name and password for any MQTT client (one use, 60 seconds)

DEVICE is an address or a name.

Options:
  --key NAME         the owner's or maker's key (default owner; maker for make)
  --limit N          readings to show (default 20)
  --name TEXT        name of the device, or quantity of the readings
  --kind TEXT        what it is, for the dashboard: lamp, sensor, …
  --password TEXT    credential of a device without a key
  --deposit ITC      of batch: built into each device (default 0.001)
  --model NAME|HASH  of batch: what they are (default generic)
  --attestation NAME of batch: the maker's attestation key
  --save NAME        of voucher: writes the device's key, so that it can run here
  --birth TEXT|FILE  birth certificate that a code belongs to; of voucher: file to write it to
  --device-key NAME, --presence HEX   of recover: the device's word that it is in hand`,
  options: {
    key: { type: 'string' },
    limit: { type: 'string' },
    name: { type: 'string' },
    kind: { type: 'string' },
    password: { type: 'string' },
    to: { type: 'string' },
    price: { type: 'string' },
    for: { type: 'string' },
    count: { type: 'string' },
    out: { type: 'string' },
    deposit: { type: 'string' },
    model: { type: 'string' },
    attestation: { type: 'string' },
    save: { type: 'string' },
    birth: { type: 'string' },
    voucher: { type: 'string' },
    'device-key': { type: 'string' },
    presence: { type: 'string' },
    finish: { type: 'boolean' },
  },
  run: (call) => runVerb(call, VERBS),
};

const VERBS: Readonly<Record<string, Verb>> = {
  list,
  show,
  readings,
  make,
  claim: claimDevice,
  name: nameDevice,
  enrol,
  login,
  history,
  verify,
  batch,
  voucher,
  transfer,
  accept,
  cancel,
  stolen: marking('stolen'),
  found: marking('found'),
  retire: marking('retired'),
  recover,
  recovery,
  presence,
};

function one(words: readonly string[], what: string): string {
  const [word, ...rest] = words;
  if (word === undefined || rest.length > 0) throw new UsageError(`expected ${what}`);
  return word;
}

/** What a lamp shines, by its last answer or else by what it reports; of others the newest readings. */
function doing({ state, latest }: Pick<DeviceStatus, 'state' | 'latest'>): string {
  const reported = (name: string): unknown => latest.find((one) => one.name === name)?.value;
  const on = state?.on ?? reported('on');
  const level = state?.level ?? reported('level');
  if (on === false) return 'off';
  if (on === true) return typeof level === 'number' ? `on, level ${level}` : 'on';
  return latest.map(({ name, value, unit }) => `${name} ${String(value)} ${unit ?? ''}`.trim()).join(', ');
}

async function list(call: Call, words: readonly string[]): Promise<number> {
  noMore(words);
  // Those without a name come last.
  const devices = [...(await openClient(call.api).devices())].sort((a, b) =>
    (a.name ?? '\uffff').localeCompare(b.name ?? '\uffff', 'en', { numeric: true }),
  );
  const rows = devices.map((found) => [
    found.name ?? '(no name)',
    found.kind ?? '',
    found.online ? 'online' : 'offline',
    doing(found),
    found.address,
  ]);
  call.output.result({ devices }, rows.length === 0 ? ['no devices yet'] : table(rows));
  return 0;
}

/** What the gateway knows and what the ledger says; of a device that is not here, the ledger alone. */
async function show(call: Call, words: readonly string[]): Promise<number> {
  const client = openClient(call.api);
  const found = await client.device(one(words, 'a device'));
  const address = parseAddress(found.address);
  const isOnLedger = address.ok && found.registered;
  const record = isOnLedger ? await deviceRecord(client, address.value) : undefined;
  const access = isOnLedger ? await accessTo(client, address.value) : [];
  call.output.result({ ...found, ...(record && { record }), access }, [
    ...table([
      ['name', found.name ?? '(none)'],
      ['address', found.address],
      ['owner', found.owner ?? (found.registered ? '' : 'not on the ledger: the gateway signs for it')],
      ...(record === undefined ? [] : recordRows(record)),
      [
        'online',
        found.online
          ? 'yes'
          : `no${found.lastSeen === undefined ? '' : `, last seen ${new Date(found.lastSeen).toISOString()}`}`,
      ],
      ...found.latest.map(({ name, value, unit, time }) => [
        name,
        `${`${String(value)} ${unit ?? ''}`.trim()}  at ${new Date(time).toISOString()}`,
      ]),
      ...access.map((entry) => [
        entry.delegated ? 'passed on' : 'grant',
        `${entry.subject}  ${describeAccess(entry)}`,
      ]),
    ]),
  ]);
  return 0;
}

function recordRows(record: DeviceRecordAnswer): string[][] {
  const { offer, recovery: asked } = record;
  return [
    ['state', record.state],
    ['maker', `${record.makerName}, ${record.modelName ?? 'a model that is not registered'}`],
    ['owned since', new Date(record.ownedSince).toISOString()],
    ...(offer === undefined
      ? []
      : [
          [
            'offered',
            `to ${offer.to} for ${formatItc(BigInt(offer.price))} ITC until ${new Date(offer.expiresAt).toISOString()}`,
          ],
        ]),
    ...(asked === undefined
      ? []
      : [
          [
            'RECOVERY',
            `${asked.claimant} gets it at ${new Date(asked.readyAt).toISOString()} unless the owner says no`,
          ],
        ]),
  ];
}

async function readings(call: Call, words: readonly string[]): Promise<number> {
  const name = textOption(call, 'name');
  const limit = integerOption(call, 'limit', 20, { min: 1, max: 1_000 });
  const found = await openClient(call.api).readings(one(words, 'a device'), {
    limit,
    ...(name === undefined ? {} : { name }),
  });
  call.output.result(
    { readings: found },
    found.length === 0
      ? ['no readings yet']
      : table(
          found.map((reading) => [
            new Date(reading.time).toISOString(),
            reading.name,
            `${String(reading.value)} ${reading.unit ?? ''}`.trim(),
            reading.status,
            reading.id,
          ]),
        ),
  );
  return 0;
}

async function make(call: Call, words: readonly string[]): Promise<number> {
  const name = one(words, 'a name for the device');
  if (!/^[a-z0-9][a-z0-9-]{0,63}$/.test(name))
    throw new UsageError('a device is named with lower-case letters, digits and hyphens');
  const keys = await keyNamed(layoutOf(call.dataDir), name);
  const maker = await Wallet.open(call.api, await openKey(call.dataDir, textOption(call, 'key') ?? 'maker'));
  await ensureMaker(maker);
  const {
    batch: built,
    vouchers,
    codes,
  } = await buildBatch({
    maker: maker.signer.address,
    devices: [{ key: keys.publicKey, endorse: keys.sign }],
    model: sha256(new TextEncoder().encode('itc:model:generic')),
    depositPerDevice: DEPOSIT,
    random: (length) => new Uint8Array(randomBytes(length)),
  });
  const sent = await maker.send(registerBatch(built));
  const [first] = vouchers;
  const [code] = codes;
  if (first === undefined || code === undefined)
    throw new LedgerError('internal', 'a batch of one has one voucher');
  const text = formatVoucher(first);
  const birth = formatBirth(birthOf(first));
  const address = formatAddress(keys.address);
  call.output.result({ ok: true, ...sent, name, address, voucher: text, code, birth }, [
    `${name}  ${address}  in a batch of block ${sent.height}`,
    `code    ${code}`,
    'voucher (whoever has it, or the code, can claim the device):',
    text,
    'birth certificate (no secret; goes with the code):',
    birth,
  ]);
  return 0;
}

async function claimDevice(call: Call, words: readonly string[]): Promise<number> {
  const given = voucherFrom(call, one(words, 'a voucher or a code'));
  const owner = await Wallet.open(call.api, await openKey(call.dataDir, textOption(call, 'key') ?? 'owner'));
  const body = claim({ chain: owner.chain, voucher: given, owner: owner.signer.address });
  const sent = await owner.send(body);
  const address = body.kind === 'claim' ? addressOfKey(body.claim.device) : '';
  const name = textOption(call, 'name');
  if (name !== undefined) await nameEverywhere(call, address, name, textOption(call, 'kind'));
  call.output.result({ ok: true, ...sent, address, ...(name === undefined ? {} : { name }) }, [
    `${name ?? address} is yours since block ${sent.height}`,
    address,
  ]);
  return 0;
}

function addressOfKey(key: Parameters<typeof addressOf>[0]): string {
  return formatAddress(addressOf(key));
}

async function nameDevice(call: Call, words: readonly string[]): Promise<number> {
  const [which, name, ...rest] = words;
  if (which === undefined || name === undefined || rest.length > 0)
    throw new UsageError('expected a device and a name');
  const direct = parseAddress(which);
  const address = direct.ok ? which : (await openClient(call.api).device(which)).address;
  await nameEverywhere(call, address, name, textOption(call, 'kind'));
  call.output.result({ ok: true, address, name }, [`${address} is called ${name}`]);
  return 0;
}

async function enrol(call: Call, words: readonly string[]): Promise<number> {
  const name = one(words, 'a name for the device');
  const password = textOption(call, 'password');
  if (password === undefined || password.length < 12)
    throw new UsageError('--password TEXT of at least 12 characters is needed');
  const kind = textOption(call, 'kind');
  let answer: { address: string; name: string } | undefined;
  for (const url of gatewayUrls(call)) {
    const owner = await Wallet.open(url, await openKey(call.dataDir, textOption(call, 'key') ?? 'owner'));
    answer = await owner.enrol({ name, legacy: { password }, ...(kind === undefined ? {} : { kind }) });
  }
  call.output.result({ ok: true, ...answer }, [
    `${name} may log in with its name and this password; the gateway signs for it, and its readings say so`,
  ]);
  return 0;
}

async function nameEverywhere(
  call: Call,
  address: string,
  name: string,
  kind: string | undefined,
): Promise<void> {
  const parsed = parseAddress(address);
  if (!parsed.ok) throw new LedgerError(parsed.code, parsed.message);
  for (const url of gatewayUrls(call)) {
    const owner = await Wallet.open(url, await openKey(call.dataDir, textOption(call, 'key') ?? 'owner'));
    await owner.enrol({ name, device: parsed.value, ...(kind === undefined ? {} : { kind }) });
  }
}

/** Names and credentials belong to a gateway, so each hears of them. */
function gatewayUrls(call: Call): string[] {
  const devnet = readDevnet(layoutOf(call.dataDir));
  const urls =
    devnet?.processes.flatMap((process) =>
      process.role === 'gateway' && process.url !== undefined ? [process.url] : [],
    ) ?? [];
  return devnet?.api === call.api && urls.length > 0 ? urls : [call.api];
}

async function login(call: Call, words: readonly string[]): Promise<number> {
  const keys = await openKey(call.dataDir, one(words, 'the name of a key'));
  const [url] = gatewayUrls(call);
  const challenge = (await requestJson(fetch, `${url ?? call.api}/api/v1/gateway/challenge`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  })) as {
    challenge: string;
    gateway: string;
    expiresAt: number;
  };
  const { chain } = await openClient(call.api).genesis();
  const gateway = parseAddress(challenge.gateway);
  const bytes = fromHex(challenge.challenge);
  if (!gateway.ok || !bytes.ok) throw new LedgerError('peer.message', 'the gateway’s challenge is malformed');
  const signature = keys.sign(loginSigningBytes({ chain, gateway: gateway.value, challenge: bytes.value }));
  const username = formatAddress(keys.address);
  const password = loginPassword({ key: keys.publicKey.bytes, challenge: bytes.value, signature });
  call.output.result({ username, password, expiresAt: challenge.expiresAt }, [
    `username  ${username}`,
    `password  ${password}`,
    `          one use, until ${new Date(challenge.expiresAt).toISOString()}`,
  ]);
  return 0;
}
