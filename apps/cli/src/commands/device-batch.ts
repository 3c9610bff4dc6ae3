/** `itc device batch` and `voucher`: a million devices enrolled by one Merkle root, and what is printed for each of them. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { toHex } from '@itc/core/bytes/hex.js';
import { utf8Encode } from '@itc/core/bytes/writer.js';
import { sha256, type Hash } from '@itc/core/crypto/hash.js';
import { batchId } from '@itc/core/ledger/bodies/device.js';
import { addressOf, formatAddress, type Address } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { amount, formatItc, type Amount } from '@itc/core/ledger/ids.js';
import { STATE_LIMITS } from '@itc/core/state/limits.js';
import { buildBatchTree } from '@itc/client/batch-tree.js';
import { parseHash } from '@itc/client/client.js';
import { attestBatch } from '@itc/client/devices.js';
import { registerBatch } from '@itc/client/transactions.js';
import { birthOf, formatBirth, formatVoucher } from '@itc/client/voucher.js';
import { KeyPair } from '@itc/node/crypto/keypair.js';
import { writeKeyFile } from '@itc/node/crypto/key-file.js';
import {
  createFolder,
  Factory,
  FileNodes,
  isBuilt,
  openFolder,
  writeNote,
  type BatchNote,
} from '../batch-files.ts';
import { ensureMaker } from '../devnet/bootstrap.ts';
import { layoutOf } from '../devnet/layout.ts';
import { keyPath, openKey } from '../keys.ts';
import { itcAmount } from '../options.ts';
import { integerOption, textOption, UsageError, type Call } from '../terminal/command.ts';
import { Wallet } from '../wallet.ts';

const SEED_BYTES = 32;

/**
 * Builds the tree on disk, a leaf at a time, then registers its root in one transaction. A folder that holds a tree already is only
 * registered: a node that was away costs no second tree.
 */
export async function batch(call: Call): Promise<number> {
  const count = integerOption(call, 'count', 1_000, { min: 1, max: STATE_LIMITS.batchDevicesMax });
  const folder = textOption(call, 'out');
  if (folder === undefined) throw new UsageError('expected --out FOLDER for the tree and the factory’s seed');
  const depositPerDevice = itcAmount(textOption(call, 'deposit') ?? '0.001', '--deposit');
  const model = modelOption(call);
  const maker = await Wallet.open(call.api, await openKey(call.dataDir, textOption(call, 'key') ?? 'maker'));
  await ensureMaker(maker);

  const { address } = maker.signer;
  const started = performance.now();
  const note = isBuilt(folder)
    ? openFolder(folder).note
    : await build(call, folder, { maker: address, count, model, depositPerDevice });
  const builtMs = Math.round(performance.now() - started);
  if (note.maker !== formatAddress(address))
    throw new LedgerError('maker.unknown', `the batch in ${folder} is of another maker`, {
      maker: note.maker,
    });

  const form = {
    root: parseHash(note.root),
    count: note.count,
    model: parseHash(note.model),
    depositPerDevice: amount(BigInt(note.depositPerDevice)),
  };
  const attestation = textOption(call, 'attestation');
  const signed =
    attestation === undefined
      ? form
      : await attestBatch(form, {
          chain: maker.chain,
          maker: address,
          attestation: await openKey(call.dataDir, attestation),
        });
  const sent = await maker.send(registerBatch(signed));
  const peakMegabytes = Math.round(process.resourceUsage().maxRSS / 1024);
  call.output.result({ ok: true, ...sent, ...note, folder, builtMs, peakMegabytes }, [
    `${note.count} devices in one transaction, final in block ${sent.height}`,
    `batch ${note.id}, ${formatItc(form.depositPerDevice * BigInt(note.count))} ITC built in`,
    `tree built in ${(builtMs / 1000).toFixed(1)} s, at most ${peakMegabytes} MB; vouchers: itc device voucher ${folder} INDEX`,
  ]);
  return 0;
}

async function build(
  call: Call,
  folder: string,
  o: {
    readonly maker: Address;
    readonly count: number;
    readonly model: Hash;
    readonly depositPerDevice: Amount;
  },
): Promise<BatchNote> {
  const { maker, count, model, depositPerDevice } = o;
  const seed = new Uint8Array(randomBytes(SEED_BYTES));
  createFolder(folder, seed);
  const nodes = new FileNodes(folder);
  const bar = call.output.progress('devices', count);
  const { root } = await buildBatchTree(new Factory(seed).leaves(count), nodes, (done) => bar.update(done));
  nodes.close();
  bar.update(count);
  bar.end();
  const note: BatchNote = {
    id: toHex(batchId(maker, root)),
    maker: formatAddress(maker),
    root: toHex(root),
    count,
    model: toHex(model),
    depositPerDevice: String(depositPerDevice),
  };
  writeNote(folder, note);
  return note;
}

/** 64 digits are the hash of a Thing Model; anything else names one of this machine. */
export function modelOption(call: Call): Hash {
  const text = textOption(call, 'model') ?? 'generic';
  return /^[0-9a-f]{64}$/.test(text) ? parseHash(text) : sha256(utf8Encode(`itc:model:${text}`));
}

/** Text of the QR code, manual code and birth certificate of one device; with `--save NAME` its key as well, so that it can run here. */
export async function voucher(call: Call, words: readonly string[]): Promise<number> {
  const [folder, number, ...rest] = words;
  const index = Number(number);
  if (folder === undefined || !Number.isInteger(index) || index < 0 || rest.length > 0)
    throw new UsageError('expected: FOLDER INDEX');
  const { note, factory } = openFolder(folder);
  if (index >= note.count)
    throw new LedgerError('device.not-in-batch', `the batch has devices 0 to ${note.count - 1}`);
  const nodes = new FileNodes(folder);
  const made = factory.voucher(parseHash(note.id), nodes, { count: note.count, index });
  nodes.close();
  const birth = formatBirth(birthOf(made.voucher));
  const file = textOption(call, 'birth');
  if (file !== undefined) writeFileSync(file, `${birth}\n`);
  const save = textOption(call, 'save');
  if (save !== undefined) {
    const keys = KeyPair.fromSeed(factory.deviceSeed(index));
    await writeKeyFile(keyPath(layoutOf(call.dataDir), save), { keys });
  }
  const address = formatAddress(addressOf(made.voucher.device));
  const text = formatVoucher(made.voucher);
  call.output.result({ address, index, voucher: text, code: made.code, birth }, [
    `device ${index}  ${address}`,
    `code    ${made.code}`,
    'voucher (whoever has it, or the code, can claim the device):',
    text,
    'birth certificate (no secret; goes with the code):',
    birth,
  ]);
  return 0;
}
