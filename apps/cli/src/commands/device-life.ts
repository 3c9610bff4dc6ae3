/** The verbs of `itc device` that sell, freeze, recover and retire a device (spec STATE-16). */
import { fromHex, toHex } from '@itc/core/bytes/hex.js';
import type { Mark } from '@itc/core/ledger/bodies/device-life.js';
import { addressOf, formatAddress, type Address } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { amount, formatItc, millis } from '@itc/core/ledger/ids.js';
import {
  acceptDevice,
  confirmPresence,
  deviceRecord,
  markDevice,
  offerDevice,
  recoverDevice,
  setDeviceRecovery,
  withdrawDevice,
  type DeviceRecordAnswer,
} from '@itc/client/devices.js';
import type { Voucher } from '@itc/client/voucher.js';
import { openKey } from '../keys.ts';
import { accountOf, duration, itcAmount } from '../options.ts';
import { textOption, UsageError, type Call } from '../terminal/command.ts';
import { Wallet } from '../wallet.ts';
import { voucherFrom } from './device-voucher.ts';

export async function openWallet(call: Call): Promise<Wallet> {
  return Wallet.open(call.api, await openKey(call.dataDir, textOption(call, 'key') ?? 'owner'));
}

function one(words: readonly string[], what: string): string {
  const [word, ...rest] = words;
  if (word === undefined || rest.length > 0) throw new UsageError(`expected ${what}`);
  return word;
}

/** To a named account; it becomes the owner when it accepts, and pays then. */
export async function transfer(call: Call, words: readonly string[]): Promise<number> {
  const name = one(words, 'a device');
  const to = textOption(call, 'to');
  if (to === undefined) throw new UsageError('expected --to ACCOUNT');
  const wallet = await openWallet(call);
  const device = await wallet.device(name);
  const price = itcAmount(textOption(call, 'price') ?? '0', '--price');
  const expiresAt = millis(Date.now() + duration(textOption(call, 'for') ?? '7d', '--for'));
  const receiver = accountOf(call, to);
  const sent = await wallet.send(offerDevice({ device, to: receiver, price, expiresAt }));
  const answer = {
    device: formatAddress(device),
    to: formatAddress(receiver),
    price: String(price),
    expiresAt,
  };
  call.output.result({ ok: true, ...sent, ...answer }, [
    `${name} is offered to ${formatAddress(receiver)} for ${formatItc(price)} ITC`,
    `until ${new Date(expiresAt).toISOString()}; it stays yours until that account accepts`,
  ]);
  return 0;
}

/** At the price that is asked now; `--price` is the most one wants to pay. */
export async function accept(call: Call, words: readonly string[]): Promise<number> {
  const name = one(words, 'a device');
  const wallet = await openWallet(call);
  const device = await wallet.device(name);
  const { offer, transfers } = await deviceRecord(wallet.client, device);
  if (offer === undefined) throw new LedgerError('offer.unknown', `${name} is not offered to anybody`);
  const price = amount(BigInt(offer.price));
  const most = textOption(call, 'price');
  if (most !== undefined && price > itcAmount(most, '--price'))
    throw new LedgerError('offer.terms', `the owner asks ${formatItc(price)} ITC`);
  const sent = await wallet.sendProvable(acceptDevice({ device, price, transfers }));
  const owner = formatAddress(wallet.signer.address);
  call.output.result({ ok: true, ...sent, device: formatAddress(device), owner, price: String(price) }, [
    `${name} is yours since block ${sent.height}, for ${formatItc(price)} ITC`,
  ]);
  return 0;
}

export async function cancel(call: Call, words: readonly string[]): Promise<number> {
  const name = one(words, 'a device');
  const wallet = await openWallet(call);
  const device = await wallet.device(name);
  const sent = await wallet.send(withdrawDevice(device));
  call.output.result({ ok: true, ...sent, device: formatAddress(device) }, [
    `${name} is no longer offered since block ${sent.height}`,
  ]);
  return 0;
}

const MARKED: Readonly<Record<Mark, string>> = {
  stolen: 'is frozen: nobody commands it, nobody takes it over',
  found: 'is free again',
  retired: 'is retired for good; its deposit and what was left of its built-in ITC are back',
  recovered: 'is yours',
};

export function marking(mark: Mark): (call: Call, words: readonly string[]) => Promise<number> {
  return async (call, words) => {
    const name = one(words, 'a device');
    const wallet = await openWallet(call);
    const device = await wallet.device(name);
    const sent = await wallet.sendProvable(markDevice(device, mark));
    call.output.result({ ok: true, ...sent, device: formatAddress(device), mark }, [
      `${name} ${MARKED[mark]} since block ${sent.height}`,
    ]);
    return 0;
  };
}

/**
 * By somebody with voucher and device: opens a recovery, and finishes it with `--finish` when the delay is over. The device signs
 * that it is in hand: its key is on this machine (`--device-key`), or its word was brought (`--presence`).
 */
export async function recover(call: Call, words: readonly string[]): Promise<number> {
  if (call.options['finish'] === true) return marking('recovered')(call, words);
  const wallet = await openWallet(call);
  const voucher = voucherFrom(call, textOption(call, 'voucher'));
  const device = addressOf(voucher.device);
  const [name = formatAddress(device)] = words;
  const record = await deviceRecord(wallet.client, device);
  const presence = await presenceFor(call, wallet, { voucher, device, record });
  const { transfers } = record;
  const claimant = wallet.signer.address;
  const body = recoverDevice({ chain: wallet.chain, voucher, device, claimant, transfers, presence });
  const sent = await wallet.send(body);
  const { recovery } = await deviceRecord(wallet.client, device);
  const readyAt = recovery?.readyAt ?? 0;
  call.output.result({ ok: true, ...sent, device: formatAddress(device), readyAt }, [
    `the owner of ${name} has until ${new Date(readyAt).toISOString()} to say no`,
    'then: itc device recover DEVICE --finish',
  ]);
  return 0;
}

async function presenceFor(
  call: Call,
  wallet: Wallet,
  o: { readonly voucher: Voucher; readonly device: Address; readonly record: DeviceRecordAnswer },
): Promise<Uint8Array> {
  const given = textOption(call, 'presence');
  if (given !== undefined) {
    const bytes = fromHex(given);
    if (!bytes.ok) throw new UsageError(`--presence takes the device's signature in hex: ${bytes.message}`);
    return bytes.value;
  }
  const name = textOption(call, 'device-key');
  if (name === undefined)
    throw new UsageError('expected --device-key NAME, or --presence SIGNATURE as the device gives it');
  const { device, record } = o;
  const claimant = wallet.signer.address;
  const { transfers } = record;
  return confirmPresence(await openKey(call.dataDir, name), {
    chain: wallet.chain,
    device,
    claimant,
    transfers,
  });
}

/** What a device signs for somebody who has it in hand; for devices whose key is on this machine. */
export async function presence(call: Call, words: readonly string[]): Promise<number> {
  const name = one(words, 'the name of the device’s key');
  const to = textOption(call, 'to');
  if (to === undefined) throw new UsageError('expected --to ACCOUNT: who has the device in hand');
  const wallet = await openWallet(call);
  const signer = await openKey(call.dataDir, name);
  const { transfers } = await deviceRecord(wallet.client, signer.address);
  const claimant = accountOf(call, to);
  const signature = await confirmPresence(signer, {
    chain: wallet.chain,
    device: signer.address,
    claimant,
    transfers,
  });
  call.output.result({ presence: toHex(signature) }, [toHex(signature)]);
  return 0;
}

/** The owner's choice of delay, and veto. */
export async function recovery(call: Call, words: readonly string[]): Promise<number> {
  const [name, delay, ...rest] = words;
  if (name === undefined || delay === undefined || rest.length > 0)
    throw new UsageError('expected: DEVICE off, or DEVICE and a delay such as 7d');
  const wallet = await openWallet(call);
  const device = await wallet.device(name);
  const delayMs = delay === 'off' ? 0 : duration(delay, 'the delay');
  const sent = await wallet.send(setDeviceRecovery(device, delayMs));
  call.output.result({ ok: true, ...sent, device: formatAddress(device), delayMs }, [
    delayMs === 0
      ? `nobody recovers ${name}`
      : `recoveries of ${name} wait ${delay}; the one under way has ended`,
  ]);
  return 0;
}
